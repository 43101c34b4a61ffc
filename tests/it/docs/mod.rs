//! What README and docs/ show is what the program does: their commands are run, the table of options is what the
//! program's own help says, and the picture of the demo is what the demo prints.
//!
//! How a document marks what is to be run stands in [`blocks`], what its names stand for in [`stage`].
//!
//!     cargo test --test it docs                                              checks
//!     FERRYLINE_REWRITE_DOCS=1 cargo test --test it docs::options            rewrites docs/options.md
//!     FERRYLINE_REWRITE_DOCS=1 cargo test --test it docs::configuration      rewrites docs/configuration.md
//!     docs/picture.py target/debug/ferryline                                 rewrites docs/demo.svg

mod blocks;
mod configuration;
mod door;
mod options;
mod play;
mod stage;
mod staying;
mod terminal;
mod unit;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use blocks::{Block, Kind};
use play::Played;
use stage::Stage;

use crate::common::skipped;

/// Number of blocks that no test runs. Each says why. A new one needs a good reason, and then a higher number here.
const NOT_RUN: usize = 12;

/// README, and all of docs/.
fn documents() -> Vec<PathBuf> {
    let entries = fs::read_dir(top().join("docs")).expect("docs/");
    let mut found: Vec<PathBuf> = entries
        .map(|entry| Path::new("docs").join(entry.unwrap().file_name()))
        .filter(|name| name.extension().is_some_and(|extension| extension == "md"))
        .collect();
    found.sort();
    found.insert(0, PathBuf::from("README.md"));
    found
}

fn text(document: &Path) -> String {
    fs::read_to_string(top().join(document)).unwrap()
}

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[tokio::test]
async fn every_command_that_a_document_shows_works() {
    if terminal::missing() {
        return skipped("the commands need a terminal, which script(1) of util-linux makes");
    }
    let mut all = Played::default();
    for document in documents() {
        let blocks = blocks::of(&text(&document));
        if !blocks.iter().any(Block::is_run) {
            continue;
        }
        let stage = Stage::new().await;
        let played = play::play(&stage, &document, &blocks).await;
        all.commands += played.commands;
        all.files += played.files;
        all.skipped += played.skipped;
    }
    assert!(
        all.commands > 20 && (all.files > 3 || all.skipped > 0),
        "it does not find the commands, or they carry nothing: {all:?}"
    );
}

#[test]
fn what_is_not_run_says_why_and_is_little() {
    let mut not_run = Vec::new();
    for document in documents() {
        for block in blocks::of(&text(&document)) {
            if let Kind::NotRun { reason } = &block.kind {
                let place = format!("{}:{}", document.display(), block.line);
                assert!(reason.len() > 20, "{place}: no reason: {reason}");
                not_run.push(place);
            }
        }
    }
    let most = NOT_RUN;
    assert!(
        not_run.len() <= most,
        "{} blocks are not run, at most {most} may be: {not_run:#?}",
        not_run.len()
    );
}

/// A command in the middle of a sentence would not be run.
#[test]
fn whole_commands_stand_in_blocks() {
    let mut found = Vec::new();
    for document in documents() {
        let text = blocks::without(&text(&document));
        let codes = text.split('`').skip(1).step_by(2);
        let commands = codes.filter(|code| is_command(code));
        found.extend(commands.map(|code| format!("{}: {code}", document.display())));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    for code in [
        "curl -O ftp://h/f",
        "sudo ls",
        "ferryline forward -L 1:h:1 me@h",
    ] {
        assert!(is_command(code), "{code}");
    }
}

/// Whether a reader could type this, as it is, and expect that something happens.
fn is_command(code: &str) -> bool {
    let begins = |words: &[&str]| words.iter().any(|word| code.starts_with(word));
    begins(&["sudo "])
        || begins(&["curl ", "ftp ", "lftp ", "ncftp", "wget "]) && code.contains("ftp://")
        || begins(&["ferryline "]) && code.contains("-L ")
}

#[test]
fn the_picture_is_what_the_demo_prints() {
    let checked = Command::new("python3")
        .arg(top().join("docs/picture.py"))
        .args([env!("CARGO_BIN_EXE_ferryline"), "--check"])
        .output();
    let Ok(checked) = checked else {
        return skipped("python3, which makes the picture, is not installed");
    };
    assert!(
        checked.status.success(),
        "run docs/picture.py {}:\n{}{}",
        env!("CARGO_BIN_EXE_ferryline"),
        String::from_utf8_lossy(&checked.stdout),
        String::from_utf8_lossy(&checked.stderr),
    );
}
