//! README is short, and the links of all documents lead somewhere.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{sources, text, top};

/// A first screen, read in five minutes.
const README_LINES: usize = 130;

#[test]
fn the_readme_is_short() {
    let lines = text(Path::new("README.md")).lines().count();
    assert!(
        lines <= README_LINES,
        "README.md has {lines} lines, at most {README_LINES} are allowed: move something to docs/"
    );
}

#[test]
fn the_readme_names_each_document() {
    let readme = text(Path::new("README.md"));
    for document in documents() {
        let link = format!("({})", document.display());
        assert!(
            document.components().count() == 1 || readme.contains(&link),
            "README.md has no link to {}",
            document.display()
        );
    }
}

#[test]
fn every_link_of_a_document_leads_somewhere() {
    let mut dead = Vec::new();
    let mut followed = 0;
    for document in documents() {
        for link in links(&text(&document)) {
            if link.starts_with("https://") {
                continue;
            }
            followed += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let folder = document.parent().unwrap();
            let target = match file {
                "" => document.clone(),
                file => folder.join(file),
            };
            let found = top().join(&target).exists()
                && (anchor.is_empty() || anchors(&text(&target)).contains(anchor));
            if !found {
                dead.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(followed > 30, "the search finds the links: {followed}");
    assert!(dead.is_empty(), "{}", dead.join("\n"));
}

/// Each message that docs/troubleshooting.md explains is one of the program's. `…` stands for what differs.
#[test]
fn every_message_that_is_explained_exists() {
    let document = text(Path::new("docs/troubleshooting.md"));
    let (_, tables) = document.split_once("\n## Messages\n").expect("messages");
    let (tables, _) = tables.split_once("\n## ").expect("an end");
    let sources: Vec<String> = sources(&["src"])
        .iter()
        .map(|file| without_breaks(&text(file)))
        .collect();
    let mut explained = 0;
    let mut unknown = Vec::new();
    for row in tables.lines().filter(|line| line.starts_with("| `")) {
        let cell = row.split(" | ").next().unwrap();
        for message in cell.split('`').skip(1).step_by(2) {
            // Not the program's.
            if message.starts_with("curl: ") {
                continue;
            }
            explained += 1;
            let message = message
                .split_once("ferryline: ")
                .map_or(message, |(_, text)| text);
            let parts = message
                .split('…')
                .map(str::trim)
                .filter(|part| part.len() > 1);
            let missing = parts.filter(|part| !sources.iter().any(|source| source.contains(part)));
            unknown.extend(missing.map(|part| format!("{part} (of: {message})")));
        }
    }
    assert!(explained > 25, "the search finds the messages: {explained}");
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));
}

/// A source whose strings have no breaks of lines in them.
fn without_breaks(source: &str) -> String {
    let mut pieces = source.split("\\\n");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| text + piece.trim_start())
}

/// The documents for users and for those who want to change something.
fn documents() -> Vec<PathBuf> {
    let top_level = [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
    ];
    let mut found: Vec<PathBuf> = top_level.iter().map(PathBuf::from).collect();
    let entries = fs::read_dir(top().join("docs")).expect("docs/");
    let names = entries.map(|entry| Path::new("docs").join(entry.unwrap().file_name()));
    found.extend(names.filter(|name| name.extension().is_some_and(|extension| extension == "md")));
    found
}

/// The targets of the links outside blocks of code.
fn links(document: &str) -> Vec<String> {
    let text = without_blocks(document);
    let markdown = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'));
    let pictures = text
        .split("src=\"")
        .skip(1)
        .filter_map(|rest| rest.split_once('"'));
    let targets = markdown.chain(pictures).map(|(link, _)| link.to_owned());
    targets.collect()
}

/// The anchors that a page makes of its headings: letters, digits and hyphens.
fn anchors(document: &str) -> BTreeSet<String> {
    let text = without_blocks(document);
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let heading = line.trim_start_matches('#').trim().to_lowercase();
            let kept = heading.chars().filter_map(|c| match c {
                ' ' => Some('-'),
                c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
                _ => None,
            });
            kept.collect()
        })
        .collect()
}

fn without_blocks(document: &str) -> String {
    let parts = document.split("\n```").step_by(2);
    parts.collect::<Vec<_>>().join("\n")
}

#[test]
fn links_and_anchors_are_found() {
    let document =
        "# A `b`: c, d\n[x](y.md#z)\n```sh\n[no](no.md)\n```\n<img src=\"p.svg\">\n## E-f\n";
    assert_eq!(links(document), ["y.md#z", "p.svg"]);
    let found: Vec<String> = anchors(document).into_iter().collect();
    assert_eq!(found, ["a-b-c-d", "e-f"]);
}
