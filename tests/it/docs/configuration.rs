//! docs/configuration.md, whose tables are made from what `ferryline serve --keys` says, and the files for `serve`
//! that documents and `packaging/` show.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::blocks::{self, Kind};
use super::options::prose;
use super::{documents, text, top};

const DOCUMENT: &str = "docs/configuration.md";
const BEGIN: &str = "<!-- begin: generated from 'ferryline serve --keys' -->\n";
const END: &str = "<!-- end of what is generated -->\n";

#[test]
fn the_keys_are_those_of_the_program() {
    let document = text(Path::new(DOCUMENT));
    let (before, rest) = document.split_once(BEGIN).expect("a begin");
    let (now, after) = rest.split_once(END).expect("an end");
    let wanted = tables(&keys());
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
         FERRYLINE_REWRITE_DOCS=1 cargo test --test it docs::configuration"
    );
    for key in [
        "`local-forward",
        "`ssh = ",
        "`option = ",
        "`max-sessions = ",
    ] {
        assert!(wanted.contains(key), "{key}");
    }
}

/// Each file that a document shows is one that `serve` accepts, and so is the one of the package.
#[test]
fn the_files_that_are_shown_are_valid() {
    let folder = tempfile::tempdir().unwrap();
    let mut shown = vec![(
        "packaging/ferryline.toml".to_owned(),
        text(Path::new("packaging/ferryline.toml")),
    )];
    for document in documents() {
        for block in blocks::of(&text(&document)) {
            if let Kind::Text { language, text } = block.kind
                && language == "toml"
            {
                shown.push((format!("{}:{}", document.display(), block.line), text));
            }
        }
    }
    assert!(shown.len() > 2, "the search finds nothing");
    for (place, text) in &shown {
        let file = folder.path().join("ferryline.toml");
        fs::write(&file, text).unwrap();
        let checked = Command::new(env!("CARGO_BIN_EXE_ferryline"))
            .args(["serve", "--check-config", "-c"])
            .arg(&file)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&checked.stderr);
        assert!(
            checked.status.success() && said.is_empty(),
            "{place}: {said}"
        );
    }
    // What stands there as a comment is valid, too.
    let all = shown[0]
        .1
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.starts_with('[') => rest,
            Some(rest)
                if rest
                    .split_once(" = ")
                    .is_some_and(|(key, _)| !key.contains(' ')) =>
            {
                rest
            }
            _ => line,
        });
    // One of the two ways to name a key.
    let all = all.filter(|line| !line.starts_with("identity = \"credential:"));
    // Users of a host that has them.
    let all: Vec<&str> = all.filter(|line| !line.starts_with("only-user")).collect();
    let file = folder.path().join("all.toml");
    fs::write(&file, all.join("\n")).unwrap();
    let checked = Command::new(env!("CARGO_BIN_EXE_ferryline"))
        .args(["serve", "--check-config", "-c"])
        .arg(&file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(
        checked.status.success() && said.is_empty(),
        "{said}\n{all:#?}"
    );
}

fn keys() -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_ferryline"))
        .args(["serve", "--keys"])
        .env_clear()
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// The tables of the document: a line that begins with `[` is a table, one with two blanks a key, others say what it
/// means.
fn tables(keys: &str) -> String {
    let mut out = String::new();
    let mut row: Option<(String, Vec<String>)> = None;
    let flush = |out: &mut String, row: &mut Option<(String, Vec<String>)>| {
        if let Some((key, help)) = row.take() {
            let key = key.replace('|', "\\|");
            let _ = writeln!(out, "| `{key}` | {} |", help.join("<br>"));
        }
    };
    for line in keys.lines() {
        if line.starts_with('[') {
            flush(&mut out, &mut row);
            let _ = writeln!(out, "\n| `{line}` | |\n|---|---|");
        } else if let Some(help) = line.strip_prefix("      ") {
            row.as_mut().expect("a key").1.push(prose(help));
        } else if let Some(key) = line.strip_prefix("  ") {
            flush(&mut out, &mut row);
            row = Some((key.to_owned(), Vec::new()));
        }
    }
    flush(&mut out, &mut row);
    out.push('\n');
    out
}
