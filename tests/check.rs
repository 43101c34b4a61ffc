//! `ferryline check`: what it says of each step, its JSON, its exit code; with the real program.

// Helpers are outside #[test], where clippy's exemption for tests does not reach.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]
#![cfg(feature = "demo")]

mod common;

use std::fs;
use std::net::SocketAddr;

use ferryline::demo::ftp_server::FtpServer;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use common::{
    Answer, Ended, Gate, Script, ScriptedServer, Shore, answer, nobody, run, write_private,
};

const PASSWORD: &str = "hunter2-and-more";

/// A check of an FTP server behind the embedded SSH server.
struct Check {
    shore: Shore,
    target: String,
}

impl Check {
    async fn of(address: SocketAddr) -> Self {
        let shore = Shore::new().await;
        write_private(&shore.home().join("password"), &format!("{PASSWORD}\n"));
        let target = format!("localhost:{}", address.port());
        Self { shore, target }
    }

    /// Runs `check` with these arguments before those that lead there.
    async fn run(&self, more: &[&str]) -> Ended {
        let forward = format!("2121:{}", self.target);
        let mut before = vec!["-L", &forward];
        before.extend(more);
        let mut arguments = self.shore.arguments(&before);
        arguments[0] = "check".to_owned();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let ended = run(self.shore.home(), &arguments).await;
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert!(!said.contains(PASSWORD), "{said}");
        assert!(!said.contains('\x1b'), "no terminal, no colours: {said}");
        ended
    }

    /// With a log-in.
    async fn with_user(&self, more: &[&str]) -> Ended {
        let mut all = vec!["--ftp-user", "demo", "--ftp-password-file", "password"];
        all.extend(more);
        self.run(&all).await
    }
}

/// The line of a step, without its mark; it must have this one.
fn step<'a>(ended: &'a Ended, mark: char, name: &str) -> &'a str {
    let start = format!("{mark} {name} ");
    let line = ended.stdout.lines().find(|line| line.starts_with(&start));
    let line = line.unwrap_or_else(|| panic!("no '{start}' in:\n{}", ended.stdout));
    line[start.len()..].trim_start()
}

/// The remedy under a step that failed.
fn remedy<'a>(ended: &'a Ended, name: &str) -> &'a str {
    let start = format!("✗ {name} ");
    let mut lines = ended.stdout.lines();
    lines.find(|line| line.starts_with(&start)).unwrap();
    let line = lines.next().unwrap_or_default().trim_start();
    line.strip_prefix("→ ")
        .unwrap_or_else(|| panic!("no remedy under '{start}':\n{}", ended.stdout))
}

fn summary(ended: &Ended) -> &str {
    ended.stdout.lines().last().unwrap()
}

/// What an ordinary server does at a LIST.
fn lists() -> Script {
    ScriptedServer::new().on("LIST", lists_once())
}

fn lists_once() -> Answer {
    let begun = answer().send("150 here\r\n");
    begun.data("a file\r\n").send("226 done\r\n")
}

#[tokio::test]
async fn all_is_well_with_the_demos_servers() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "content").unwrap();
    let server = FtpServer::start(folder.path()).unwrap();
    let check = Check::of(server.address()).await;
    let ended = check.with_user(&[]).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert!(!ended.stdout.contains('✗'), "{}", ended.stdout);
    assert_eq!(step(&ended, '✓', "resolve"), "127.0.0.1 is an address");
    assert_eq!(step(&ended, '✓', "ssh version"), "SSH-2.0-russh_0.65.1");
    let known = format!("(known: {}:1)", check.shore.known_hosts.display());
    let host_key = step(&ended, '✓', "host key");
    assert!(host_key.starts_with("ssh-ed25519 SHA256:"), "{host_key}");
    assert!(host_key.ends_with(&known), "{host_key}");
    let login = step(&ended, '✓', "authentication");
    assert!(
        login.starts_with("tester by publickey, ssh-ed25519 SHA256:"),
        "{login}"
    );
    assert!(step(&ended, '✓', "lane").starts_with("a second connection works"));
    assert!(step(&ended, '✓', "greeting").contains("220 ferryline demo FTP server"));
    assert!(step(&ended, '✓', "features").contains("MDTM"));
    assert!(step(&ended, '✓', "log in").starts_with("demo: 230 "));
    for mode in ["PASV", "EPSV", "PORT", "EPRT"] {
        assert!(step(&ended, '✓', mode).contains(" came"), "{mode}");
    }
    assert!(step(&ended, '✓', "PORT").contains("by a remote forward"));
    assert_eq!(
        summary(&ended),
        "clients can use: passive, extended passive, active, extended active (asked as PORT)"
    );
}

#[tokio::test]
async fn without_a_user_it_ends_before_the_log_in() {
    let server = lists()
        .on("FEAT", "211-Features:\r\n AUTH TLS\r\n MDTM\r\n211 End\r\n")
        .start()
        .await;
    let check = Check::of(server.address()).await;
    let ended = check.run(&[]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(
        step(&ended, '✓', "greeting"),
        "220 scripted server; 215 UNIX Type: L8"
    );
    assert_eq!(step(&ended, '✓', "features"), "AUTH TLS, MDTM");
    assert!(step(&ended, '✓', "tls").starts_with("not required; offered"));
    for name in ["log in", "PASV", "data address", "EPSV", "PORT", "EPRT"] {
        assert!(step(&ended, '–', name).contains("--ftp-user"), "{name}");
    }
    assert!(summary(&ended).contains("--ftp-user NAME"));
    assert!(server.commands("PASS").is_empty());
}

#[tokio::test]
async fn a_wrong_address_in_the_227_is_told_with_the_one_that_is_used() {
    let pasv = || {
        answer()
            .listen()
            .send("227 Entering Passive Mode (192,0,2,7,{twoports})\r\n")
    };
    let server = lists().on("PASV", pasv()).start().await;
    let check = Check::of(server.address()).await;
    let ended = check.with_user(&[]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let told = step(&ended, '✓', "data address");
    for part in [
        "227 names 192.0.2.7",
        "localhost is used and works",
        "--data-host control",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }

    let ended = check.with_user(&["--data-host", "reply"]).await;
    assert_eq!(ended.code, Some(0), "EPSV works: {ended:?}");
    assert!(step(&ended, '✗', "PASV").contains("192.0.2.7"));
    assert!(step(&ended, '✗', "data address").contains("does not work"));
    assert!(remedy(&ended, "data address").contains("--data-host control"));
    assert!(summary(&ended).ends_with("they cannot use: passive"));
}

#[tokio::test]
async fn a_server_without_epsv_is_asked_by_pasv() {
    let server = lists().on("EPSV", "500 EPSV?\r\n").start().await;
    let check = Check::of(server.address()).await;
    let ended = check.with_user(&[]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let told = step(&ended, '✓', "EPSV");
    assert!(told.ends_with("(PASV to the server, which does not serve EPSV here)"));
    assert!(summary(&ended).contains("extended passive (asked as PASV)"));
}

#[tokio::test]
async fn active_mode_that_the_server_refuses_is_carried_as_passive() {
    let server = lists()
        .on("PORT", "500 Illegal PORT\r\n")
        .on("EPRT", "500 no EPRT\r\n")
        .start()
        .await;
    let check = Check::of(server.address()).await;
    let ended = check.with_user(&[]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let told = step(&ended, '✓', "PORT");
    assert!(told.contains("carried as passive: the FTP server refuses active mode"));
    assert!(told.contains("500 Illegal PORT"), "{told}");
    assert!(step(&ended, '✓', "EPRT").ends_with("carried as passive: as for PORT"));
    assert!(
        summary(&ended)
            .ends_with("active (carried as passive), extended active (carried as passive)")
    );
}

#[tokio::test]
async fn a_remote_forward_that_the_ssh_server_refuses_is_told() {
    let server = lists().start().await;
    let check = Check::of(server.address()).await;
    check.shore.ssh_server.update(|f| f.refuse_forward = true);
    let ended = check.with_user(&[]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let told = step(&ended, '✓', "PORT");
    assert!(told.contains("carried as passive: the SSH server refused the remote forward"));
    assert!(step(&ended, '✓', "EPRT").ends_with("carried as passive: as for PORT"));

    let ended = check.with_user(&["--active", "remote"]).await;
    assert_eq!(ended.code, Some(0), "passive works: {ended:?}");
    for mode in ["PORT", "EPRT"] {
        assert!(step(&ended, '✗', mode).contains("refused the remote forward"));
        assert!(remedy(&ended, mode).contains("PermitListen"));
    }
    assert_eq!(
        summary(&ended),
        "clients can use: passive, extended passive; they cannot use: active, extended active"
    );

    let ended = check.with_user(&["--active", "passive"]).await;
    assert!(step(&ended, '✓', "PORT").ends_with("carried as passive: --active passive"));
}

#[tokio::test]
async fn a_server_that_insists_on_tls_is_told_by_its_words() {
    let insists = "530 Non-anonymous sessions must use encryption.\r\n";
    for verb in ["USER", "PASS"] {
        let server = lists().on(verb, insists).start().await;
        let check = Check::of(server.address()).await;
        let ended = check.with_user(&[]).await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(step(&ended, '✗', "tls").contains("must use encryption"));
        assert!(remedy(&ended, "tls").contains("force_local_logins_ssl=NO"));
        assert_eq!(step(&ended, '–', "EPRT"), "not reached");
    }
    // Already without a user, of which no password is needed to know.
    let server = lists().on("USER", insists).start().await;
    let ended = Check::of(server.address()).await.run(&[]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    step(&ended, '✗', "tls");
}

#[tokio::test]
async fn a_refused_log_in_is_told() {
    let server = lists().on("PASS", "530 Login incorrect.\r\n").start().await;
    let check = Check::of(server.address()).await;
    let ended = check.with_user(&[]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    step(&ended, '✓', "tls");
    assert!(step(&ended, '✗', "log in").contains("530 Login incorrect."));
    assert!(remedy(&ended, "log in").contains("password"));
    assert_eq!(step(&ended, '–', "PASV"), "not reached");
    assert!(summary(&ended).starts_with("it cannot be used"));
}

#[tokio::test]
async fn greetings_that_are_none() {
    for (greeting, said, advice) in [
        (
            answer().send("421 Too many users.\r\n").close(),
            "421 Too many",
            "limits",
        ),
        (answer().close(), "closed", "-L"),
        (answer(), "nothing happened for 1 s", "--timeout"),
    ] {
        let server = lists().greeting(greeting).start().await;
        let check = Check::of(server.address()).await;
        let ended = check.with_user(&["--timeout", "1"]).await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let told = step(&ended, '✗', "greeting");
        assert!(told.contains(said), "{told}");
        assert!(remedy(&ended, "greeting").contains(advice), "{ended:?}");
        assert_eq!(step(&ended, '–', "log in"), "not reached");
    }
}

#[tokio::test]
async fn a_server_that_falls_silent_is_not_waited_for_for_ever() {
    // It never says that the listing is over.
    let silent = || answer().send("150 here\r\n").partial_data("a f");
    let server = ScriptedServer::new().on("LIST", silent()).start().await;
    let check = Check::of(server.address()).await;
    let ended = check.with_user(&["--timeout", "1"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for mode in ["PASV", "EPSV", "PORT", "EPRT"] {
        assert!(step(&ended, '✗', mode).contains("nothing happened for 1 s"));
    }
    assert!(summary(&ended).starts_with("clients can use no mode"));
}

#[tokio::test]
async fn data_ports_that_cannot_be_reached_are_told() {
    let (_nobody, dead) = nobody();
    let passive = format!("229 passive (|||{}|)\r\n", dead.port());
    // It waits for the data connection, as servers do.
    let never = Gate::new();
    let server = ScriptedServer::new()
        .on("EPSV", passive.as_str())
        .on("LIST", lists_once())
        .on("LIST", answer().send("150 here\r\n").wait(&never))
        .on("LIST", lists_once())
        .start()
        .await;
    let check = Check::of(server.address()).await;
    let ended = check.with_user(&[]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let told = step(&ended, '✗', "EPSV");
    let target = format!("{}: the SSH server could not connect", dead.port());
    assert!(told.contains(&target), "{told}");
    assert!(remedy(&ended, "EPSV").contains("passive ports"));
    assert!(summary(&ended).ends_with("they cannot use: extended passive"));
}

#[tokio::test]
async fn a_forward_that_is_prohibited_names_the_setting() {
    let server = lists().start().await;
    let check = Check::of(server.address()).await;
    check.shore.ssh_server.update(|f| f.refuse_direct = true);
    let ended = check.with_user(&[]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(step(&ended, '✗', "forward").contains("prohibited"));
    let advice = remedy(&ended, "forward");
    assert!(advice.contains("AllowTcpForwarding") && advice.contains("PermitOpen"));
    assert_eq!(step(&ended, '–', "greeting"), "not reached");
}

#[tokio::test]
async fn an_ftp_server_that_is_not_there_is_told() {
    let (_nobody, dead) = nobody();
    let ended = Check::of(dead).await.run(&[]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(step(&ended, '✗', "forward").contains("could not connect"));
    assert!(remedy(&ended, "forward").contains("-L"));
}

#[tokio::test]
async fn one_connection_only_is_no_failure_and_its_price_is_named() {
    let server = lists().start().await;
    let check = Check::of(server.address()).await;
    check.shore.ssh_server.update(|f| f.max_logins = Some(1));
    let ended = check.with_user(&[]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let told = step(&ended, '✓', "lane");
    assert!(
        told.starts_with("only one connection is possible ("),
        "{told}"
    );
    assert!(told.contains("one stalled transfer stalls all"), "{told}");
    check.shore.ssh_server.update(|f| f.max_logins = None);
    let ended = check.run(&["--lanes", "0"]).await;
    assert!(step(&ended, '–', "lane").starts_with("--lanes 0"));
}

#[tokio::test]
async fn each_way_to_be_refused_by_ssh_is_its_own_step() {
    let (_nobody, dead) = nobody();
    let dead = format!("ssh://tester@{dead}");
    let no_ssh = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let not_ssh = format!("ssh://tester@{}", no_ssh.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = no_ssh.accept().await {
            let _ = stream.write_all(b"220 an FTP server\r\n").await;
        }
    });
    let home = tempfile::tempdir().unwrap();
    for (destination, failed) in [
        ("me@no-such-host.invalid", "resolve"),
        (dead.as_str(), "connect"),
        (not_ssh.as_str(), "ssh version"),
    ] {
        let ended = run(home.path(), &["check", "-L", "0:h:21", destination]).await;
        refused_at(&ended, failed);
    }

    let shore = Shore::new().await;
    let known = fs::read_to_string(&shore.known_hosts).unwrap();
    fs::write(&shore.known_hosts, "").unwrap();
    let check = Check {
        shore,
        target: "localhost:21".to_owned(),
    };
    let ended = check.run(&[]).await;
    refused_at(&ended, "host key");
    assert!(remedy(&ended, "host key").contains("accept-new"));
    fs::write(&check.shore.known_hosts, known).unwrap();
    fs::write(&check.shore.key, "no key\n").unwrap();
    refused_at(&check.run(&[]).await, "authentication");
}

/// This step failed, those before it did not, and those behind it were not made.
fn refused_at(ended: &Ended, name: &str) {
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(ended.stderr, "");
    step(ended, '✗', name);
    assert!(!remedy(ended, name).is_empty());
    let marks: String = ended
        .stdout
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.chars().next())
        .filter(|mark| "✓✗–".contains(*mark))
        .collect();
    assert_eq!(marks.chars().count(), 6, "{}", ended.stdout);
    let good = marks.trim_start_matches('✓');
    assert!(good.starts_with('✗'), "{marks}");
    assert!(good.chars().skip(1).all(|mark| mark == '–'), "{marks}");
    assert_eq!(step(ended, '–', "forward"), "not reached");
}

#[tokio::test]
async fn a_new_host_key_is_said_to_be_new() {
    let server = lists().start().await;
    let check = Check::of(server.address()).await;
    fs::write(&check.shore.known_hosts, "").unwrap();
    let accept = ["-o", "StrictHostKeyChecking=accept-new"];
    let ended = check.run(&accept).await;
    assert!(step(&ended, '✓', "host key").ends_with("accept-new)"));
    let ended = check.run(&accept).await;
    assert!(step(&ended, '✓', "host key").contains("known_hosts:1)"));
}

#[tokio::test]
async fn several_forwards_each_have_their_steps_and_their_line() {
    let server = lists().start().await;
    let check = Check::of(server.address()).await;
    let (_nobody, dead) = nobody();
    let dead = format!("tcp/0:localhost:{}", dead.port());
    let plain = format!("tcp/0:{}", check.target);
    let ended = check.with_user(&["-L", &plain]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(summary(&ended).ends_with(": it can be used"), "{ended:?}");
    let ended = check.with_user(&["-L", &dead]).await;
    assert_eq!(ended.code, Some(1), "one of two: {ended:?}");
    assert!(summary(&ended).contains("it cannot be used"), "{ended:?}");
    step(&ended, '✓', "EPRT");
}

#[tokio::test]
async fn json_is_one_document_and_nothing_else() {
    let server = lists()
        .on("PORT", "500 \"no\"\x01\r\n")
        .on("EPRT", "500\r\n")
        .start()
        .await;
    let check = Check::of(server.address()).await;
    let ended = check.with_user(&["--json"]).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(report["ok"], true);
    assert!(
        report["destination"]
            .as_str()
            .unwrap()
            .starts_with("tester@")
    );
    let names = |steps: &Value| -> Vec<String> {
        let steps = steps.as_array().unwrap().iter();
        steps
            .map(|step| {
                assert_eq!(step["status"], "ok", "{step}");
                assert!(step["detail"].is_string() && step["remedy"].is_null());
                step["name"].as_str().unwrap().to_owned()
            })
            .collect()
    };
    assert_eq!(
        names(&report["steps"]),
        [
            "resolve",
            "connect",
            "ssh-version",
            "host-key",
            "authentication",
            "lane"
        ]
    );
    let forward = &report["forwards"][0];
    assert_eq!(forward["forward"], format!("ftp://{}", check.target));
    assert_eq!(
        names(&forward["steps"]),
        [
            "forward",
            "greeting",
            "features",
            "tls",
            "log-in",
            "PASV",
            "data-address",
            "EPSV",
            "PORT",
            "EPRT"
        ]
    );
    assert_eq!(
        forward["modes"],
        serde_json::json!([
            {"mode": "passive", "works": true, "carried": null},
            {"mode": "extended-passive", "works": true, "carried": null},
            {"mode": "active", "works": true, "carried": "carried as passive"},
            {"mode": "extended-active", "works": true, "carried": "carried as passive"},
        ])
    );
    assert!(
        forward["summary"]
            .as_str()
            .unwrap()
            .starts_with("clients can use: ")
    );

    let (_nobody, dead) = nobody();
    let ended = Check::of(dead).await.run(&["--json"]).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), ""));
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(report["ok"], false);
    let step = &report["forwards"][0]["steps"][0];
    assert_eq!(
        (&step["name"], &step["status"]),
        (&"forward".into(), &"failed".into())
    );
    assert!(step["remedy"].is_string());
}

#[tokio::test]
async fn wrong_usage_and_passwords_that_cannot_be_used() {
    let shore = Shore::new().await;
    let check = Check {
        target: "localhost:21".to_owned(),
        shore,
    };
    for (more, code, says) in [
        (&["-L", "nonsense"][..], 2, "nonsense"),
        (&["--ftp-user", "a\r\nb"], 2, "no user name"),
        (&["--ftp-user", "me"], 2, "--ftp-password-file"),
        (
            &["--ftp-user", "me", "--ftp-password-file", "none"],
            1,
            "none",
        ),
    ] {
        let line = check.run(more).await.one_line(code).to_owned();
        assert!(line.contains(says), "{more:?}: {line}");
    }
    for more in [&["--ftp-password-file", "x"][..], &["--timeout", "0"]] {
        let ended = check.run(more).await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""));
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_password_file_that_others_may_read_is_not_used() {
    use std::os::unix::fs::PermissionsExt;

    let server = lists().start().await;
    let check = Check::of(server.address()).await;
    let file = check.shore.home().join("password");
    fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
    let ended = check.with_user(&[]).await;
    let line = ended.one_line(1);
    assert!(
        line.contains("0640") && line.contains("chmod 600"),
        "{line}"
    );
    assert_eq!(check.shore.ssh_server.logins(), 0);
}

#[tokio::test]
async fn not_even_the_most_talkative_log_has_the_password() {
    let server = lists().start().await;
    let check = Check::of(server.address()).await;
    // `run` looks for it.
    let ended = check.with_user(&["-vvv"]).await;
    assert!(ended.stderr.contains("USER demo"), "{}", ended.stderr);
    assert_eq!(server.commands("PASS").len(), 1);
}

#[tokio::test]
async fn the_help_names_its_options() {
    let home = tempfile::tempdir().unwrap();
    let ended = run(home.path(), &["check", "--help"]).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    for name in [
        "--ftp-user",
        "--ftp-password-file",
        "--json",
        "--timeout",
        "--data-host",
        "-o",
    ] {
        assert!(ended.stdout.contains(name), "{name}");
    }
}
