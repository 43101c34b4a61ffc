//! The recorded sessions of `fixtures/sessions`, replayed; and `ferryline replay` itself.

use std::{
    collections::BTreeSet,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use ferryline::transcript::{Difference, Event, parse, render, replay, rewrite, show};
use ferryline_grammar::{Frame, masked};

/// The passwords used in the recordings (`tests/interop`). No file may contain one of them.
const PASSWORDS: [&str; 3] = ["over-the-water", "under-the-water", "nobody-asked"];

/// The kinds of lines that a session can have: the first words of each.
const ACTIONS: [&str; 32] = [
    "broken",
    "claimed",
    "client-eof",
    "client-left",
    "client-line-too-long",
    "client-lost",
    "client-nul",
    "client-telnet",
    "client-tls",
    "close",
    "connected",
    "cut",
    "cut-all",
    "drain",
    "drained",
    "end",
    "ended",
    "failed",
    "finish-server",
    "join",
    "joined-forward",
    "local-forward",
    "progress",
    "ready",
    "recording-ended",
    "remote-forward",
    "server-eof",
    "server-lost",
    "session",
    "stop",
    "timeout",
    "unreachable",
];

#[test]
fn every_session_replays_without_a_difference() {
    let mut report = String::new();
    let mut different = 0;
    for session in sessions() {
        let replayed = replay(&parse(&session.text).unwrap());
        if !replayed.differences.is_empty() {
            different += 1;
            tell(&mut report, &session.name, &replayed.differences);
        }
    }
    assert!(
        different == 0,
        "{different} sessions differ:\n{report}\n`cargo run -- replay --accept FILE` takes a change over that was meant"
    );
}

#[test]
fn there_are_sessions_of_many_servers_and_clients() {
    let recorded: Vec<Session> = sessions()
        .into_iter()
        .filter(|s| !is_quirk(&s.name))
        .collect();
    assert!(recorded.len() >= 60, "{} recorded sessions", recorded.len());
    let (mut servers, mut clients) = (BTreeSet::new(), BTreeSet::new());
    for session in recorded {
        let facts = session.text.lines().nth(1).unwrap();
        let (server, rest) = facts
            .strip_prefix("# server ")
            .and_then(|rest| rest.split_once(", client "))
            .unwrap_or_else(|| panic!("{}: no server and client in {facts}", session.name));
        let (client, mode) = rest.split_once(", mode ").expect("the mode");
        assert!(["active", "passive"].contains(&mode), "{}", session.name);
        servers.insert(server.split_once(' ').unwrap().0.to_owned());
        clients.insert(client.split_once(' ').unwrap().0.to_owned());
    }
    assert!(servers.len() >= 5, "{servers:?}");
    assert!(clients.len() >= 7, "{clients:?}");
}

#[test]
fn a_quirks_session_names_its_quirk() {
    let quirks = fs::read_to_string(top().join("grammar/QUIRKS.md")).unwrap();
    let mut seen = BTreeSet::new();
    for session in sessions().iter().filter(|s| is_quirk(&s.name)) {
        let digits = session.name.get(1..).unwrap().split('-').next();
        let number: u32 = digits.unwrap().parse().unwrap();
        assert!(
            quirks.contains(&format!("**Q{number} ")),
            "{}: no such quirk",
            session.name
        );
        let named = format!("# Q{number}: ");
        assert!(
            session.text.lines().any(|line| line.starts_with(&named)),
            "{}: no line begins with '{named}'",
            session.name
        );
        seen.insert(number);
    }
    assert!(seen.len() >= 30, "{} quirks are shown", seen.len());
}

#[test]
fn no_file_holds_a_password() {
    let suite: String = ["servers.py", "sessions/answers.py"]
        .map(|file| fs::read_to_string(top().join("tests/interop").join(file)).unwrap())
        .concat();
    for password in PASSWORDS {
        assert!(suite.contains(password), "{password} is used no more");
    }
    for session in sessions().into_iter().chain(peers()) {
        for password in PASSWORDS {
            assert!(
                !session.text.contains(password),
                "{}: {password}",
                session.name
            );
        }
        for line in parse(&session.text).unwrap() {
            let said = match &line.event {
                Event::Client(Frame::Line(line)) => line.text().to_vec(),
                Event::Output(ferryline::control::Output::ToServer(bytes)) => bytes.to_vec(),
                _ => continue,
            };
            let said = said.trim_ascii_end();
            assert_eq!(
                masked(said).as_ref(),
                said,
                "{}:{}",
                session.name,
                line.number
            );
        }
    }
}

#[test]
fn every_line_is_written_as_ferryline_would_write_it() {
    for session in sessions().into_iter().chain(peers()) {
        let written: Vec<&str> = session.text.lines().collect();
        for line in parse(&session.text).unwrap() {
            let stands = written[line.number - 1];
            let stands = match stands.strip_prefix('@') {
                Some(timed) => timed.split_once(' ').unwrap().1,
                None => stands,
            };
            let rendered = render(None, &line.event).unwrap();
            assert_eq!(rendered, stands, "{}:{}", session.name, line.number);
            let with_time = format!("{}\n", render(line.at, &line.event).unwrap());
            let again = parse(&with_time).unwrap();
            assert_eq!(again[0].event, line.event);
            assert_eq!(again[0].at, line.at, "{}:{}", session.name, line.number);
        }
        let replayed = replay(&parse(&session.text).unwrap());
        if !replayed.peers_only {
            assert_eq!(
                rewrite(&session.text, &replayed),
                session.text,
                "{}",
                session.name
            );
        }
    }
}

#[test]
fn every_kind_of_line_is_shown_by_a_session_and_documented() {
    let readme = fs::read_to_string(top().join("fixtures/README.md")).unwrap();
    let mut seen = BTreeSet::new();
    for session in sessions() {
        for line in session.text.lines() {
            if let Some((_, action)) = line.split_once("! ") {
                seen.insert(action.split(' ').next().unwrap().to_owned());
            }
        }
    }
    for action in ACTIONS {
        assert!(seen.contains(action), "no session holds '! {action}'");
    }
    for action in &seen {
        assert!(
            readme.contains(&format!("! {action}")),
            "fixtures/README.md does not name '! {action}'"
        );
    }
}

#[test]
fn files_of_the_peers_lines_show_what_would_be_done() {
    let files = peers();
    assert!(files.len() >= 3, "{} files", files.len());
    for file in files {
        let replayed = replay(&parse(&file.text).unwrap());
        assert!(replayed.peers_only, "{}", file.name);
        let shown = show(&replayed.events, false);
        assert!(
            shown.contains("! local-forward 1 ") || shown.contains("! remote-forward 1 "),
            "{} opens no forward:\n{shown}",
            file.name
        );
        // No address of either peer passes.
        for line in shown.lines().filter(|line| line.contains("C< 22")) {
            assert!(!line.contains("10,1,60,99"), "{}: {line}", file.name);
        }
    }
}

/// As many sessions as a busy tunnel has in a day. In a debug build, this takes a few seconds.
#[test]
fn thousands_of_sessions_replay() {
    let parsed: Vec<_> = sessions().iter().map(|s| parse(&s.text).unwrap()).collect();
    let mut replays = 0;
    while replays < 4000 {
        for lines in &parsed {
            assert!(replay(lines).differences.is_empty());
            replays += 1;
        }
    }
}

#[test]
fn the_command_replays_files_and_folders() {
    let good = ferryline(&["replay", &path(&folder())]);
    assert_eq!(good.status.code(), Some(0), "{}", said(&good));
    let line = format!(
        "{} sessions replayed without a difference",
        sessions().len()
    );
    assert!(said(&good).contains(&line), "{}", said(&good));

    let nothing = tempfile::tempdir().unwrap();
    for (wrong, why) in [
        (path(nothing.path()), "no *.session in"),
        (path(&nothing.path().join("none.session")), "cannot read"),
        (path(&top().join("Cargo.toml")), "not a line of a session"),
    ] {
        let failed = ferryline(&["replay", &wrong]);
        assert_eq!(failed.status.code(), Some(1), "{wrong}");
        assert!(said(&failed).contains(why), "{}", said(&failed));
    }
    assert_eq!(ferryline(&["replay"]).status.code(), Some(2));
}

#[test]
fn a_changed_expectation_is_shown_with_its_line_and_accepted_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let source = sessions()
        .into_iter()
        .find(|s| s.name.contains("-pasv-"))
        .unwrap();
    let (number, line) = source
        .text
        .lines()
        .enumerate()
        .find(|(_, line)| line.starts_with("C< 227"))
        .map(|(index, line)| (index + 1, line.to_owned()))
        .unwrap();
    let file = folder.path().join("changed.session");
    let changed = source.text.replacen(&line, "C< 227 Elsewhere.", 1);
    fs::write(&file, &changed).unwrap();

    let shown = ferryline(&["replay", &path(&file)]);
    assert_eq!(shown.status.code(), Some(1));
    let text = said(&shown);
    assert!(
        text.contains(&format!("changed.session:{number}:")),
        "{text}"
    );
    assert!(text.contains("expected  C< 227 Elsewhere."), "{text}");
    assert!(text.contains(&format!("found     {line}")), "{text}");
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        changed,
        "nothing was asked for"
    );

    let accepted = ferryline(&["replay", "--accept", &path(&file)]);
    assert_eq!(accepted.status.code(), Some(0), "{}", said(&accepted));
    assert_eq!(fs::read_to_string(&file).unwrap(), source.text);
    let again = ferryline(&["replay", &path(&file)]);
    assert_eq!(again.status.code(), Some(0), "{}", said(&again));
}

#[test]
fn a_recording_that_was_cut_off_is_told_and_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let source = &sessions()[0];
    let file = folder.path().join("torn.session");
    // In the middle of its last line.
    fs::write(&file, source.text.split_at(source.text.len() - 3).0).unwrap();
    let lines = source.text.lines().count();
    let told = ferryline(&["replay", &path(&file)]);
    assert_eq!(told.status.code(), Some(0), "{}", said(&told));
    let what = format!("torn.session:{lines}: the last line is torn");
    assert!(said(&told).contains(&what), "{}", said(&told));

    fs::write(
        &file,
        format!("{}! recording-ended size-limit\n", source.text),
    )
    .unwrap();
    let told = ferryline(&["replay", &path(&file)]);
    assert_eq!(told.status.code(), Some(0), "{}", said(&told));
    assert!(said(&told).contains("--record-limit"), "{}", said(&told));

    for nothing in ["", "# ferryline session 1\n", "! session client=127.0"] {
        fs::write(&file, nothing).unwrap();
        let failed = ferryline(&["replay", &path(&file)]);
        assert_eq!(failed.status.code(), Some(1), "{nothing}");
        assert!(said(&failed).contains("nothing to replay"), "{nothing}");
    }
}

#[test]
fn a_session_can_be_shown() {
    let source = &sessions()[0];
    let shown = ferryline(&["replay", "--show", &path(&folder().join(&source.name))]);
    assert_eq!(shown.status.code(), Some(0), "{}", said(&shown));
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(text.contains("# -  not passed on "), "{text}");
    assert!(text.contains("\n+ C< 227 "), "{text}");
    let name = path(&folder().join(&source.name));
    let shown = ferryline(&["replay", "--all", &name]);
    assert_eq!(shown.status.code(), Some(0), "{}", said(&shown));
    let with_show = ferryline(&["replay", "--show", "--all", &name]);
    assert_eq!(shown.stdout, with_show.stdout);
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    for line in source.text.lines().filter(|line| !line.starts_with('#')) {
        assert!(text.contains(line), "{line} is missing in:\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "colours where nobody sees them");
}

#[test]
fn files_of_the_peers_lines_are_no_failure() {
    let folder = folder().join("peers");
    let shown = ferryline(&["replay", "--show", &path(&folder)]);
    assert_eq!(shown.status.code(), Some(0), "{}", said(&shown));
    let text = said(&shown);
    assert!(text.contains("! local-forward 1 "), "{text}");
    assert!(text.contains("! remote-forward "), "{text}");
}

struct Session {
    name: String,
    text: String,
}

fn sessions() -> Vec<Session> {
    read(&folder())
}

fn peers() -> Vec<Session> {
    read(&folder().join("peers"))
}

fn read(folder: &Path) -> Vec<Session> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "session"))
        .collect();
    files.sort();
    files
        .into_iter()
        .map(|path| Session {
            name: path.file_name().unwrap().to_str().unwrap().to_owned(),
            text: fs::read_to_string(&path).unwrap(),
        })
        .collect()
}

/// Whether the file was written by hand for an entry of `grammar/QUIRKS.md`.
fn is_quirk(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next() == Some(b'q') && bytes.next().is_some_and(|digit| digit.is_ascii_digit())
}

fn tell(report: &mut String, name: &str, differences: &[Difference]) {
    for difference in differences {
        let expected = difference.expected.as_deref().unwrap_or("nothing");
        let found = difference.found.as_deref().unwrap_or("nothing");
        writeln!(
            report,
            "{name}:{}:\n  expected  {expected}\n  found     {found}",
            difference.line
        )
        .unwrap();
    }
}

fn ferryline(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ferryline"))
        .args(arguments)
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), output.stderr.as_slice()].concat())
        .into_owned()
}

fn path(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn folder() -> PathBuf {
    top().join("fixtures/sessions")
}

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
