//! The systemd unit of docs/service.md: systemd finds no fault with it, and what it starts does start.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::blocks::{self, Kind};
use super::stage::Stage;
use super::{play, text};
use crate::common::skipped;

const DOCUMENT: &str = "docs/service.md";

/// The greatest exposure that systemd may find, of 100. A unit without hardening has 93.
const MOST_EXPOSED: &str = "25";

/// The unit, and the unit for several servers: the same with other lines in place of its ExecStart.
fn units() -> [(&'static str, String); 2] {
    let texts: Vec<String> = blocks::of(&text(Path::new(DOCUMENT)))
        .into_iter()
        .filter_map(|block| match block.kind {
            Kind::Text { language, text } if language == "ini" => Some(text),
            _ => None,
        })
        .collect();
    let [unit, several] = &texts[..] else {
        panic!("{DOCUMENT} has {} blocks of ini, not 2", texts.len());
    };
    let start = format!("ExecStart={}", exec_start(unit));
    assert!(unit.contains(&start), "{unit}");
    [
        ("ferryline.service", unit.clone()),
        ("ferryline@.service", unit.replace(&start, several)),
    ]
}

/// The command of a unit, with the line ends that are in it.
fn exec_start(unit: &str) -> &str {
    let (_, rest) = unit.split_once("ExecStart=").expect("an ExecStart");
    let mut end = 0;
    for line in rest.split_inclusive('\n') {
        end += line.len();
        if !line.trim_end().ends_with('\\') {
            break;
        }
    }
    rest[..end].trim_end()
}

#[test]
fn systemd_finds_no_fault_with_the_unit() {
    let folder = tempfile::tempdir().unwrap();
    for (name, unit) in units() {
        let file = folder.path().join(name);
        let unit = unit.replace("/usr/local/bin/ferryline", env!("CARGO_BIN_EXE_ferryline"));
        fs::write(&file, unit).unwrap();
        let ask = |arguments: &[&str]| {
            let asked = Command::new("systemd-analyze")
                .args(arguments)
                .arg(&file)
                .output();
            asked.map(|asked| {
                let said = [&asked.stdout[..], &asked.stderr].concat();
                let said = String::from_utf8_lossy(&said).into_owned();
                (asked.status.success(), said)
            })
        };
        let Ok((right, said)) = ask(&["verify"]) else {
            return skipped("systemd-analyze, which checks the unit, is not installed");
        };
        assert!(right && said.trim().is_empty(), "{name}: {said}");
        let threshold = format!("--threshold={MOST_EXPOSED}");
        let (right, said) = ask(&["security", "--no-pager", "--offline=true", &threshold]).unwrap();
        // Older ones look only at units that are loaded.
        if said.contains("unrecognized option") {
            return skipped("systemd-analyze is too old to look at the exposure of a file");
        }
        assert!(right, "{name}: {said}");
    }
}

#[tokio::test]
async fn what_the_unit_starts_does_start() {
    let [(_, unit), _] = units();
    let stage = Stage::new().await;
    let command = exec_start(&unit).replace("/usr/local/bin/ferryline", "ferryline");
    let block = blocks::of(&format!("```sh\n{command}\n```\n"));
    let played = play::play(&stage, Path::new(DOCUMENT), &block).await;
    assert_eq!(played.commands, 1);
}
