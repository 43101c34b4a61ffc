//! The blocks of code in a document, and what each is for.
//!
//! | fence | |
//! |---|---|
//! | `sh` | commands; each is run, in order, and has to succeed |
//! | `console` | commands behind `$ `, and what they print. Each line that is shown has to be printed |
//! | `text`, `ini` | no commands |
//! | `toml` | a file for `ferryline serve`; it has to be valid |
//!
//! A comment in the line before a fence changes that:
//!
//! | comment | |
//! |---|---|
//! | `<!-- not run: REASON -->` | the commands are not run |
//! | `<!-- log -->` | each line of the block has to stand in the log of the `ferryline forward` that runs |
//!
//! Where a shown line is compared, numbers stand for any numbers, and `…` for any text.

/// A block of code.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Block {
    /// Number of the line of its fence.
    pub(super) line: usize,
    pub(super) kind: Kind,
}

#[derive(Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// Commands to be run, each with the lines that it has to print.
    Commands(Vec<Command>),
    /// Lines that have to stand in the log.
    Log(Vec<String>),
    /// Commands that are not run.
    NotRun { reason: String },
    /// Anything else, with the language of its fence.
    Text { language: String, text: String },
}

/// A command of a shell, which may have several lines.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Command {
    pub(super) text: String,
    pub(super) prints: Vec<String>,
}

impl Block {
    pub(super) fn is_run(&self) -> bool {
        matches!(self.kind, Kind::Commands(_) | Kind::Log(_))
    }
}

/// The blocks of a document, in order.
pub(super) fn of(document: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut before = "";
    let mut lines = document.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let inside: Vec<&str> = lines
                .by_ref()
                .map(|(_, line)| line)
                .take_while(|line| *line != "```")
                .collect();
            let line = index + 1;
            let kind = kind(line, language, before, &inside);
            blocks.push(Block { line, kind });
        }
        before = line;
    }
    blocks
}

/// A document without its blocks.
pub(super) fn without(document: &str) -> String {
    let parts = document.split("\n```").step_by(2);
    parts.collect::<Vec<_>>().join("\n")
}

fn kind(line: usize, language: &str, before: &str, inside: &[&str]) -> Kind {
    let comment = before
        .strip_prefix("<!-- ")
        .and_then(|rest| rest.strip_suffix(" -->"))
        .unwrap_or_default();
    let owned = || inside.iter().map(|&line| line.to_owned()).collect();
    if let Some(reason) = comment.strip_prefix("not run: ") {
        let reason = reason.to_owned();
        return Kind::NotRun { reason };
    }
    match (language, comment) {
        ("sh", _) => Kind::Commands(commands(inside)),
        ("console", _) => Kind::Commands(dialogue(line, inside)),
        ("text", "log") => Kind::Log(owned()),
        ("text" | "ini" | "toml", _) => Kind::Text {
            language: language.to_owned(),
            text: inside.join("\n"),
        },
        _ => {
            panic!("line {line}: a fence for '{language}': expected sh, console, text, ini or toml")
        }
    }
}

/// The commands of a script: `\` at its end continues a line, and `<<'END'` takes the lines up to END.
fn commands(lines: &[&str]) -> Vec<Command> {
    let mut found: Vec<Command> = Vec::new();
    let mut open = false;
    let mut document: Option<&str> = None;
    for line in lines {
        let goes_on = open || document.is_some();
        match found.last_mut().filter(|_| goes_on) {
            Some(command) => {
                command.text.push('\n');
                command.text.push_str(line);
            }
            None if line.trim().is_empty() || line.starts_with('#') => continue,
            None => found.push(Command {
                text: (*line).to_owned(),
                prints: Vec::new(),
            }),
        }
        if let Some(end) = document {
            document = Some(end).filter(|end| line != end);
            continue;
        }
        open = line.ends_with('\\');
        document = line
            .split_once("<<'")
            .and_then(|(_, rest)| rest.split('\'').next());
    }
    found
}

/// The commands of a dialogue with a shell, with what they print.
fn dialogue(number: usize, lines: &[&str]) -> Vec<Command> {
    let mut found: Vec<Command> = Vec::new();
    for line in lines {
        if let Some(text) = line.strip_prefix("$ ") {
            found.push(Command {
                text: text.to_owned(),
                prints: Vec::new(),
            });
        } else {
            let command = found.last_mut();
            let command = command.unwrap_or_else(|| panic!("line {number}: no '$ ' in it"));
            command.prints.push((*line).to_owned());
        }
    }
    found
}

/// Whether a line is what a document shows, but for its numbers and for what `…` stands for.
pub(super) fn is_shown(shown: &str, line: &str) -> bool {
    let (shown, line) = (without_numbers(shown), without_numbers(line));
    let parts: Vec<&str> = shown.split('…').collect();
    let Some(mut rest) = line.strip_prefix(parts[0]) else {
        return false;
    };
    let Some((last, middle)) = parts[1..].split_last() else {
        return rest.is_empty();
    };
    for part in middle {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Each number becomes 0; a unit of bytes becomes B.
fn without_numbers(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line.trim();
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        out.push_str(&rest[..at]);
        out.push('0');
        rest = rest[at..].trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    }
    out.push_str(rest);
    ["kB", "MB", "KiB", "MiB"]
        .iter()
        .fold(out, |out, unit| out.replace(&format!("0 {unit}"), "0 B"))
}

#[test]
fn blocks_are_found_with_what_they_are_for() {
    let document = "Text\n\n```sh\n# a remark\nferryline a \\\n  b\ncat <<'END'\nx\nEND\nls\n```\n\n\
        <!-- not run: it needs root -->\n```sh\nrm\n```\n<!-- log -->\n```text\nINFO a\n```\n\
        ```console\n$ ls\na\nb\n$ true\n```\n```ini\n[Unit]\n```\n";
    let command = |text: &str, prints: &[&str]| Command {
        text: text.to_owned(),
        prints: prints.iter().map(|&line| line.to_owned()).collect(),
    };
    let kinds: Vec<Kind> = of(document).into_iter().map(|block| block.kind).collect();
    assert_eq!(
        kinds,
        [
            Kind::Commands(vec![
                command("ferryline a \\\n  b", &[]),
                command("cat <<'END'\nx\nEND", &[]),
                command("ls", &[]),
            ]),
            Kind::NotRun {
                reason: "it needs root".to_owned()
            },
            Kind::Log(vec!["INFO a".to_owned()]),
            Kind::Commands(vec![command("ls", &["a", "b"]), command("true", &[])]),
            Kind::Text {
                language: "ini".to_owned(),
                text: "[Unit]".to_owned()
            },
        ]
    );
}

#[test]
fn shown_lines_are_compared_but_for_numbers() {
    for (shown, line, same) in [
        ("a 12 B", "  a 7 B\r", true),
        (
            "5 bytes in 0.08 s (62.5 kB/s)",
            "5 bytes in 1 s (3 B/s)",
            true,
        ),
        ("a … z", "a b c z", true),
        ("a … z", "a b c z!", false),
        ("a …", "a b", true),
        ("a", "a b", false),
        ("127.0.0.1:5", "127.0.0.1:9", true),
        ("a", "b", false),
    ] {
        assert_eq!(is_shown(shown, line), same, "{shown:?} {line:?}");
    }
}
