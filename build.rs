//! Finds out which commit a release build is made from, for `ferryline --version`.

use std::{env, fs, path::Path, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // A debug build does not name its commit: every commit would build it anew.
    if env::var("PROFILE").as_deref() != Ok("release") {
        return;
    }
    let Some(top) = env::var_os("CARGO_MANIFEST_DIR") else {
        return;
    };
    let top = Path::new(&top);
    if let Some(commit) = of_repository(top).or_else(|| of_package(top)) {
        println!("cargo::rustc-env=FERRYLINE_COMMIT={commit}");
    }
}

/// The commit that is checked out, where this is the top of a repository, and git is there to ask.
fn of_repository(top: &Path) -> Option<String> {
    // Elsewhere, as in a vendored copy, git would tell of a repository around it.
    if !top.join(".git").exists() {
        return None;
    }
    let log = git(top, &["rev-parse", "--git-path", "logs/HEAD"])?;
    if top.join(&log).exists() {
        println!("cargo::rerun-if-changed={log}");
    }
    git(top, &["rev-parse", "--short=12", "HEAD"])
}

fn git(top: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(top)
        .output()
        .ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| said.trim().to_owned())
}

/// The commit that a published crate was packaged from: cargo writes it into this file.
fn of_package(top: &Path) -> Option<String> {
    let text = fs::read_to_string(top.join(".cargo_vcs_info.json")).ok()?;
    let (_, rest) = text.split_once("\"sha1\"")?;
    let commit = rest.split('"').nth(1)?.get(..12)?;
    let hexadecimal = commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    hexadecimal.then(|| commit.to_owned())
}
