//! The log in a file (`-E`), with the real program.

use std::fs;
use std::path::Path;

use crate::common::{PATIENCE, ScriptedClient, ScriptedServer, Shore};

/// Waits until the file has a line with this, which a thread of the program writes.
async fn has(file: &Path, part: &str) -> String {
    let find = async {
        loop {
            let text = fs::read_to_string(file).unwrap_or_default();
            if text.contains(part) {
                return text;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, find)
        .await
        .unwrap_or_else(|_| panic!("no '{part}' in {}", file.display()))
}

#[tokio::test]
async fn the_log_goes_to_the_end_of_the_file_and_standard_error_is_silent() {
    let shore = Shore::new().await;
    let server = ScriptedServer::new().start().await;
    let forward = format!("0:localhost:{}", server.address().port());
    let file = shore.home().join("log");
    fs::write(&file, "before\n").unwrap();
    for option in [["-E", "log"], ["--log-file", "log"]] {
        let mut ferry = shore.start(&[&option[..], &["-L", &forward]].concat());
        let at = ferry.ftp_address().await;
        let mut client = ScriptedClient::logged_in(at).await;
        client.ask("QUIT", "221 ").await;
        let text = has(&file, " ended after ").await;
        assert!(text.starts_with("before\n"), "{text}");
        // Nobody else notes when a line was written.
        let dated = text.lines().nth(1).unwrap();
        assert!(dated.contains("Z ") && dated.starts_with("20"), "{text}");
        assert!(!text.contains('\x1b'), "{text}");
        ferry.signal("TERM").await;
        let ended = ferry.ended().await;
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
        fs::write(&file, "before\n").unwrap();
    }
}

#[tokio::test]
async fn a_file_that_is_moved_away_is_begun_anew_and_one_on_a_full_disk_stops_nothing() {
    let shore = Shore::new().await;
    let server = ScriptedServer::new().start().await;
    let forward = format!("0:localhost:{}", server.address().port());
    let file = shore.home().join("log");
    let mut ferry = shore.start(&["-v", "-E", "log", "-L", &forward]);
    let at = ferry.ftp_address().await;
    has(&file, "logged in to").await;
    fs::rename(&file, shore.home().join("log.1")).unwrap();
    let mut client = ScriptedClient::logged_in(at).await;
    client.ask("QUIT", "221 ").await;
    has(&file, " ended after ").await;
    fs::remove_file(&file).unwrap();
    ScriptedClient::logged_in(at).await;
    has(&file, "#2 ").await;

    if cfg!(target_os = "linux") {
        let mut ferry = shore.start(&["-vv", "-E", "/dev/full", "-L", &forward]);
        let at = ferry.ftp_address().await;
        let mut client = ScriptedClient::logged_in(at).await;
        client.ask("NOOP", "200 ").await;
        client.ask("QUIT", "221 ").await;
        ferry.signal("TERM").await;
        let ended = ferry.ended().await;
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    }
}

#[tokio::test]
async fn the_error_that_ends_the_program_is_in_both() {
    let shore = Shore::new().await;
    let file = shore.home().join("log");
    let ended = shore
        .run(&["-E", "log", "-l", "somebody", "-L", "0:localhost:21"])
        .await;
    let line = ended.one_line(1);
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.ends_with(&format!("ferryline: {line}\n")), "{text}");

    let ended = shore
        .run(&["-E", "no/such/folder", "-L", "0:localhost:21"])
        .await;
    let line = ended.one_line(1);
    assert!(line.starts_with("cannot log to no/such/folder: "), "{line}");
}
