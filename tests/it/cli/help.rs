//! What the program says of itself: help, version, man pages, completions.

use crate::common::{Ended, run};

async fn said(arguments: &[&str]) -> String {
    let home = tempfile::tempdir().unwrap();
    let Ended {
        code,
        stdout,
        stderr,
    } = run(home.path(), arguments).await;
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{arguments:?}");
    stdout
}

#[tokio::test]
async fn options_stand_under_headings_and_the_short_help_is_short() {
    let long = said(&["forward", "--help"]).await;
    let short = said(&["forward", "-h"]).await;
    // The others hold what is needed rarely.
    let common = ["Listening:", "SSH:", "Other hosts:", "Log:", "Examples:"];
    let has = |help: &str, heading: &str| help.lines().any(|line| line == heading);
    for heading in common {
        assert!(has(&short, heading), "{heading}: {short}");
    }
    for heading in common.iter().chain(&["FTP:", "Limits:"]) {
        assert!(has(&long, heading), "{heading}: {long}");
    }
    let (short, long) = (short.lines().count(), long.lines().count());
    assert!(short <= 38 && short * 2 < long, "{short} of {long} lines");
}

#[tokio::test]
async fn examples_in_the_help_are_commands_that_are_understood() {
    for subcommand in ["forward", "check"] {
        let help = said(&[subcommand, "-h"]).await;
        let examples: Vec<&str> = help
            .lines()
            .filter_map(|line| line.strip_prefix("  ferryline "))
            .collect();
        assert_eq!(examples.len(), 3, "{help}");
        for example in examples {
            let words = example
                .split("  #")
                .next()
                .unwrap()
                .split(" #")
                .next()
                .unwrap();
            // A file that is not there is read after all that is on the line.
            let mut words: Vec<&str> = words
                .split_whitespace()
                .map(|word| word.trim_matches('\''))
                .collect();
            words.extend(["-F", "no-such-file"]);
            let home = tempfile::tempdir().unwrap();
            let ended = run(home.path(), &words).await;
            assert_eq!(ended.code, Some(2), "{example}: {ended:?}");
            assert!(
                ended.stderr.contains("no-such-file"),
                "{example}: {ended:?}"
            );
        }
    }
}

#[tokio::test]
async fn the_help_of_check_has_what_concerns_it() {
    let long = said(&["check", "--help"]).await;
    for name in ["--data-host", "--ftp-user", "--json", "-J", "--allow-from"] {
        assert!(long.contains(name), "{name}");
    }
    for name in ["--record", "--only-user", "--max-line", "--idle"] {
        assert!(!long.contains(name), "{name}");
    }
}

#[tokio::test]
async fn the_version_tells_the_features_at_every_subcommand() {
    let version = said(&["--version"]).await;
    let start = format!("ferryline {} (", env!("CARGO_PKG_VERSION"));
    assert!(version.starts_with(&start), "{version}");
    assert!(version.contains("features: demo)"), "{version}");
    let of_forward = said(&["forward", "--version"]).await;
    let (_, number) = version.split_once(' ').unwrap();
    assert!(of_forward.ends_with(number), "{of_forward}");
}

#[tokio::test]
async fn there_is_a_man_page_for_each_subcommand() {
    let page = said(&["man"]).await;
    assert!(page.contains(".TH ferryline 1"), "{page}");
    for subcommand in [
        "forward",
        "serve",
        "check",
        "demo",
        "replay",
        "audit",
        "man",
        "completions",
    ] {
        assert!(page.contains(subcommand), "{subcommand}");
        let page = said(&["man", subcommand]).await;
        let title = format!(".TH ferryline-{subcommand} 1");
        assert!(page.contains(&title), "{page}");
        assert!(page.is_ascii(), "{page}");
        // Each option is described: its name is not followed by nothing.
        let lines: Vec<&str> = page.lines().collect();
        for (number, _) in lines.iter().enumerate().filter(|(_, line)| **line == ".TP") {
            assert!(!lines[number + 2].is_empty(), "{}", lines[number + 1]);
        }
    }
    let page = said(&["man", "forward"]).await;
    assert!(page.contains("ferryline forward [OPTIONS] \\-L"), "{page}");
    let home = tempfile::tempdir().unwrap();
    let ended = run(home.path(), &["man", "nonsense"]).await;
    assert!(
        ended.one_line(2).contains("forward, serve, check"),
        "{ended:?}"
    );
}

/// ferryline.toml(5) has the keys that `serve --keys` prints, and all pages together are those of the program, of each
/// subcommand and of the file.
#[tokio::test]
async fn all_man_pages_can_be_written_and_the_file_has_one() {
    let page = said(&["man", "ferryline.toml"]).await;
    assert!(page.starts_with(".TH ferryline.toml 5 "), "{page}");
    assert!(page.is_ascii(), "{page}");
    let keys = said(&["serve", "--keys"]).await;
    let (mut tables, mut names) = (0, 0);
    for line in keys.lines() {
        if let Some(name) = line
            .strip_prefix("  ")
            .and_then(|key| key.split(" = ").next())
            .filter(|name| !name.starts_with(' '))
        {
            let name = format!(".TP\n\\fB\\&{} = ", name.replace('-', "\\-"));
            assert!(page.contains(&name), "{name}: {page}");
            names += 1;
        } else if line.starts_with('[') {
            assert!(page.contains(&format!(".SS \\&{line}")), "{line}");
            tables += 1;
        }
    }
    assert!(tables >= 4 && names > 20, "{tables} {names}: {keys}");
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().to_str().unwrap();
    assert_eq!(said(&["man", "--into", into]).await, "");
    let written = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    assert_eq!(written("man5/ferryline.toml.5"), page);
    assert_eq!(written("man1/ferryline.1"), said(&["man"]).await);
    let serve = said(&["man", "serve"]).await;
    assert_eq!(written("man1/ferryline-serve.1"), serve);
    let main = said(&["man"]).await;
    let named = main
        .lines()
        .filter_map(|line| line.strip_suffix("(1)"))
        .count();
    let pages = std::fs::read_dir(folder.path().join("man1")).unwrap();
    let pages = pages.count();
    // The program's own, and those of subcommands of subcommands.
    assert!(named >= 7 && pages > named, "{named} {pages}: {main}");
}

#[tokio::test]
async fn completions_name_the_options() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = said(&["completions", shell]).await;
        for name in ["forward", "data-host"] {
            assert!(script.contains(name), "{shell}: {name}");
        }
    }
}
