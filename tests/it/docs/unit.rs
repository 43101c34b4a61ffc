//! The systemd units of `packaging/`: systemd finds no fault with them, and what the service starts does start.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::text;
use crate::common::skipped;

/// The greatest exposure that systemd may find, of 100. A unit without hardening has 93.
const MOST_EXPOSED: &str = "20";

/// What the unit runs.
const PROGRAM: &str = "/usr/bin/ferryline";

#[test]
fn systemd_finds_no_fault_with_the_units() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str| {
        let unit = text(&Path::new("packaging").join(name));
        let unit = unit.replace(PROGRAM, env!("CARGO_BIN_EXE_ferryline"));
        let file = folder.path().join(name);
        fs::write(&file, unit).unwrap();
        file
    };
    let (service, socket) = (write("ferryline.service"), write("ferryline.socket"));
    let ask = |arguments: &[&str], files: &[&Path]| {
        let asked = Command::new("systemd-analyze")
            .args(arguments)
            .args(files)
            .output();
        asked.map(|asked| {
            let said = [&asked.stdout[..], &asked.stderr].concat();
            let said = String::from_utf8_lossy(&said).into_owned();
            (asked.status.success(), said)
        })
    };
    // The manual pages are not installed here.
    let Ok((right, said)) = ask(&["verify", "--man=no"], &[&service, &socket]) else {
        return skipped("systemd-analyze, which checks the units, is not installed");
    };
    assert!(right && said.trim().is_empty(), "{said}");
    let threshold = format!("--threshold={MOST_EXPOSED}");
    let security = ["security", "--no-pager", "--offline=true", &threshold];
    let (right, said) = ask(&security, &[&service]).unwrap();
    // Older ones look only at units that are loaded.
    if said.contains("unrecognized option") {
        return skipped("systemd-analyze is too old to look at the exposure of a file");
    }
    assert!(right, "{said}");
}

/// The unit's command is one that the program knows, and its file is where the program looks for it.
#[test]
fn what_the_unit_starts_is_the_program_with_its_usual_file() {
    let unit = text(Path::new("packaging/ferryline.service"));
    let start = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="))
        .expect("an ExecStart");
    let words: Vec<&str> = start.split(' ').collect();
    let [PROGRAM, "serve", "-c", file] = words[..] else {
        panic!("{start}");
    };
    let help = Command::new(env!("CARGO_BIN_EXE_ferryline"))
        .args(["serve", "--help"])
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains(&format!("[default: {file}]")), "{help}");
    for line in ["Type=notify", "ExecReload=/bin/kill -HUP $MAINPID"] {
        assert!(unit.lines().any(|found| found == line), "{line}");
    }
}
