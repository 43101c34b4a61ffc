//! The form of the log: JSON for machines, priorities for systemd's journal, and no colours where none belong.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use crate::common::{ScriptedClient, ScriptedServer, Shore, sends_file};

/// Runs a session with a transfer and a refused log-in through a program whose standard error is this file. Returns
/// what is in it in the end.
async fn log_of(stderr: &Path, options: &[&str], journal: Option<String>) -> String {
    let server = ScriptedServer::new()
        .on("RETR", sends_file("hello"))
        .on("PASS wrong", "530 no\r\n")
        .start()
        .await;
    let shore = Shore::new().await;
    let forward = format!("0:localhost:{}", server.address().port());
    let arguments = shore.arguments(&[&["-F", "none", "-L", &forward], options].concat());
    let file = std::fs::OpenOptions::new()
        .append(true)
        .open(stderr)
        .unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_ferryline"))
        .args(arguments)
        .env_clear()
        .env("HOME", shore.home())
        .env("LC_ALL", "C.UTF-8")
        .envs(journal.map(|stream| ("JOURNAL_STREAM", stream)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(file)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = tokio::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    tokio::io::AsyncBufReadExt::read_line(&mut lines, &mut line)
        .await
        .unwrap();
    let address = line.strip_prefix("ftp://").unwrap().split(' ').next();
    let address = address.unwrap().parse().unwrap();
    let mut client = ScriptedClient::connect(address).await;
    client.expect("220 ").await;
    client.ask("USER demo", "331 ").await;
    client.ask("PASS wrong", "530 ").await;
    let mut client = ScriptedClient::logged_in(address).await;
    let data = client.passive().await;
    client.ask("RETR \"a\"\x1b[31m", "150 ").await;
    crate::common::read_to_end(data).await.unwrap();
    client.expect("226 ").await;
    client.ask("QUIT", "221 ").await;
    client.expect_end().await;
    let id = child.id().unwrap();
    let stopped = Command::new("kill").arg(id.to_string()).status().await;
    assert!(stopped.unwrap().success());
    child.wait().await.unwrap();
    std::fs::read_to_string(stderr).unwrap()
}

fn file(folder: &Path) -> std::path::PathBuf {
    let path = folder.join("stderr");
    std::fs::write(&path, "").unwrap();
    path
}

fn stream(path: &Path) -> String {
    let stat = std::fs::metadata(path).unwrap();
    format!("{}:{}", stat.dev(), stat.ino())
}

#[tokio::test]
async fn each_line_is_a_json_object() {
    let home = tempfile::tempdir().unwrap();
    let log = log_of(&file(home.path()), &["--log-format", "json"], None).await;
    let lines: Vec<serde_json::Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
        .collect();
    for line in &lines {
        let time = line["time"].as_str().unwrap();
        assert!(time.starts_with("20") && time.ends_with('Z'), "{line}");
        assert!(
            line["target"].as_str().unwrap().starts_with("ferryline"),
            "{line}"
        );
    }
    let said = |part: &str| {
        let mut found = lines
            .iter()
            .filter(|line| line["message"].as_str().unwrap().contains(part));
        found.next().unwrap_or_else(|| panic!("no {part} in {log}"))["level"].clone()
    };
    assert_eq!(said("RETR \"a\"\\x1b[31m: 5 bytes"), "INFO");
    assert_eq!(said("is not logged in as demo"), "WARN");
    assert!(!log.contains('\x1b'), "{log:?}");
}

/// `JOURNAL_STREAM` names the stream that the journal reads. A program that inherited it, and writes elsewhere, is not
/// read by the journal.
#[tokio::test]
async fn the_journal_is_told_how_grave_a_line_is_and_nobody_else_is() {
    let home = tempfile::tempdir().unwrap();
    let path = file(home.path());
    let log = log_of(&path, &[], Some(stream(&path))).await;
    assert!(
        log.lines()
            .any(|line| line.starts_with("<6> INFO #2 demo RETR")),
        "{log}"
    );
    assert!(
        log.lines().any(|line| line.starts_with("<4> WARN #1")),
        "{log}"
    );
    assert!(log.lines().all(|line| line.starts_with('<')), "{log}");

    let other = home.path().join("other");
    std::fs::write(&other, "").unwrap();
    let path = file(home.path());
    let log = log_of(&path, &[], Some(stream(&other))).await;
    assert!(log.lines().all(|line| line.starts_with("20")), "{log}");
}

#[tokio::test]
async fn the_last_error_is_in_the_form_of_the_log() {
    let home = tempfile::tempdir().unwrap();
    let path = file(home.path());
    for (options, start) in [
        (&["--log-format", "json"][..], "<3>{\"time\":\""),
        (&[], "<3>ferryline: "),
    ] {
        let stderr = std::fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .unwrap();
        let arguments = [
            &["forward", "-F", "none", "-L", "0:localhost:21"],
            options,
            &["-p", "1", "me@127.0.0.1"],
        ]
        .concat();
        let ended = Command::new(env!("CARGO_BIN_EXE_ferryline"))
            .args(arguments)
            .env_clear()
            .env("HOME", home.path())
            .env("JOURNAL_STREAM", stream(&path))
            .stdin(Stdio::null())
            .stderr(stderr)
            .status()
            .await
            .unwrap();
        assert_eq!(ended.code(), Some(1));
        let log = std::fs::read_to_string(&path).unwrap();
        let last = log.lines().last().unwrap();
        assert!(last.starts_with(start), "{last}");
    }
}
