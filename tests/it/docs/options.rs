//! docs/options.md, whose tables are made from what `ferryline COMMAND --help` says.
//!
//! They stand between two comments, and what is around them is written by hand.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::{text, top};

const DOCUMENT: &str = "docs/options.md";
const BEGIN: &str = "<!-- begin: generated from the program's own help -->\n";
const END: &str = "<!-- end of what is generated -->\n";

#[test]
fn the_options_are_those_of_the_program() {
    let document = text(Path::new(DOCUMENT));
    let (before, rest) = document.split_once(BEGIN).expect("a begin");
    let (now, after) = rest.split_once(END).expect("an end");
    let wanted = tables();
    if std::env::var_os("FERRYLINE_REWRITE_DOCS").is_some() {
        let written = format!("{before}{BEGIN}{wanted}{END}{after}");
        fs::write(top().join(DOCUMENT), written).unwrap();
        return;
    }
    let differs = now
        .lines()
        .zip(wanted.lines())
        .find(|(now, then)| now != then);
    assert!(
        now == wanted,
        "{DOCUMENT} is not what the program says ({differs:?}); rewrite it:\n    \
         FERRYLINE_REWRITE_DOCS=1 cargo test --test it docs::options"
    );
}

/// Each option of the program stands in a row, whatever the form of its help.
#[test]
fn no_option_is_missing() {
    let tables = tables();
    for command in commands() {
        for word in help(&[&command]).split_whitespace() {
            let word = word.trim_end_matches([',', '.']);
            if word.starts_with("--") && word.len() > 3 && !word.contains(['\'', '<', '=']) {
                assert!(
                    tables.contains(word) || STANDARD.contains(&word),
                    "{command}: {word}"
                );
            }
        }
    }
    for name in [
        "`-L <",
        "`--data-host <WHICH>`",
        "`--json`",
        "`--once`",
        "`--accept`",
    ] {
        assert!(tables.contains(name), "{name}:\n{tables}");
    }
}

/// They stand in the introduction.
const STANDARD: [&str; 2] = ["--help", "--version"];

/// The subcommands, in the order of the help.
fn commands() -> Vec<String> {
    let help = help(&[]);
    let (_, rest) = help.split_once("\nCommands:\n").expect("commands");
    rest.lines()
        .take_while(|line| line.starts_with("  "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(|name| match name {
            // It has one subcommand, which has the options.
            "audit" => "audit verify",
            name => name,
        })
        .map(str::to_owned)
        .collect()
}

fn help(command: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_ferryline"))
        .args(command.iter().flat_map(|word| word.split(' ')))
        .arg("--help")
        .env_clear()
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap();
    assert!(output.status.success(), "{command:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What a help says.
#[derive(Debug, Default)]
struct Help {
    about: Vec<String>,
    usage: String,
    sections: Vec<Section>,
}

#[derive(Debug, Default)]
struct Section {
    heading: String,
    entries: Vec<Entry>,
    /// The lines of a section that has no entries, such as examples.
    lines: Vec<String>,
}

#[derive(Debug, Default)]
struct Entry {
    name: String,
    paragraphs: Vec<String>,
}

fn tables() -> String {
    let mut out = String::new();
    let mut known = BTreeSet::new();
    for command in commands() {
        let help = Help::parse(&help(&[&command]));
        let _ = writeln!(out, "\n## ferryline {command}\n");
        for paragraph in &help.about {
            let _ = writeln!(out, "{}\n", prose(paragraph));
        }
        let _ = writeln!(out, "```text\n{}\n```", help.usage);
        let mut shared = false;
        for section in &help.sections {
            let rows: Vec<String> = section.entries.iter().filter_map(Entry::row).collect();
            let new: Vec<&String> = rows.iter().filter(|row| !known.contains(*row)).collect();
            // What `check` has in common with `forward` is told once.
            shared |= new.len() < rows.len();
            if !new.is_empty() {
                let _ = writeln!(out, "\n| {} | |\n|---|---|", section.heading);
            }
            for row in new {
                let _ = writeln!(out, "{row}");
            }
            if !section.lines.is_empty() {
                let lines = section.lines.join("\n");
                let _ = writeln!(out, "\n{}:\n\n```text\n{lines}\n```", section.heading);
            }
            known.extend(rows);
        }
        if shared {
            let _ = writeln!(
                out,
                "\nThe options that are described above mean the same here."
            );
        }
    }
    out.push('\n');
    out
}

impl Help {
    fn parse(text: &str) -> Self {
        let mut help = Self::default();
        let (about, rest) = text.split_once("\nUsage: ").expect("a usage");
        help.about = paragraphs(about.lines());
        let mut lines = rest.lines().peekable();
        help.usage = lines.next().unwrap_or_default().to_owned();
        for line in lines {
            let heading = line.strip_suffix(':').filter(|line| !line.starts_with(' '));
            if let Some(heading) = heading {
                help.sections.push(Section {
                    heading: heading.to_owned(),
                    ..Section::default()
                });
                continue;
            }
            let one_line = line.split_once(": ").filter(|_| !line.starts_with(' '));
            if let Some((heading, rest)) = one_line {
                help.sections.push(Section {
                    heading: heading.to_owned(),
                    lines: vec![rest.to_owned()],
                    ..Section::default()
                });
                continue;
            }
            match help.sections.last_mut() {
                Some(section) => section.line(line),
                // A usage of several lines.
                None if !line.trim().is_empty() => {
                    help.usage.push('\n');
                    help.usage.push_str(line);
                }
                None => {}
            }
        }
        for section in &mut help.sections {
            section.finish();
        }
        help
    }
}

impl Section {
    fn line(&mut self, line: &str) {
        let indented = line.len() - line.trim_start().len();
        let is_name = (2..8).contains(&indented) && line.trim_start().starts_with(['-', '<', '[']);
        if is_name && self.lines.is_empty() {
            let (name, rest) = match line.trim_start().split_once("  ") {
                Some((name, rest)) => (name, rest.trim()),
                None => (line.trim(), ""),
            };
            self.entries.push(Entry {
                name: name.to_owned(),
                paragraphs: vec![rest.to_owned()],
            });
            return;
        }
        match self.entries.last_mut() {
            Some(entry) => entry.paragraphs.push(line.to_owned()),
            None => self.lines.push(line.to_owned()),
        }
    }

    fn finish(&mut self) {
        for entry in &mut self.entries {
            let lines = std::mem::take(&mut entry.paragraphs);
            entry.paragraphs = paragraphs(lines.iter().map(String::as_str));
        }
        while self.lines.last().is_some_and(|line| line.trim().is_empty()) {
            self.lines.pop();
        }
    }
}

impl Entry {
    /// A row of a table; `None` for what each command has.
    fn row(&self) -> Option<String> {
        if STANDARD.iter().any(|name| self.name.ends_with(name)) {
            return None;
        }
        let name = self.name.trim_end_matches("...").replace('|', "\\|");
        let paragraphs: Vec<String> = self.paragraphs.iter().map(|text| prose(text)).collect();
        Some(format!("| `{name}` | {} |", paragraphs.join("<br>")))
    }
}

/// Joins lines that were broken. Blank lines part paragraphs, and so does what begins with `- `.
fn paragraphs<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut begin = true;
    for line in lines.map(str::trim) {
        match found
            .last_mut()
            .filter(|_| !begin && !line.starts_with("- "))
        {
            _ if line.is_empty() => {}
            Some(paragraph) => {
                paragraph.push(' ');
                paragraph.push_str(line);
            }
            None => found.push(line.to_owned()),
        }
        begin = line.is_empty();
    }
    found
}

/// A text as Markdown, in which it has no markup.
pub(super) fn prose(text: &str) -> String {
    let mut out = String::new();
    // The blanks that align the names of values.
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        for c in word.chars() {
            match c {
                '<' => out.push_str("&lt;"),
                '|' | '*' | '_' | '[' | ']' | '`' | '\\' => {
                    out.push('\\');
                    out.push(c);
                }
                _ => out.push(c),
            }
        }
    }
    out
}
