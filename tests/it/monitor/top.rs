//! `ferryline top`, on a terminal and without one.

use super::Watched;
use super::web_client::Door;
use crate::common::{ScriptedClient, ScriptedServer, begins_file, noise, run};

async fn server() -> ScriptedServer {
    ScriptedServer::new()
        .on("SIZE", "213 140000\r\n")
        .on("RETR", begins_file(noise(70_000)))
        .start()
        .await
}

/// A client with a download that stands at the half.
async fn half_way(watched: &Watched, name: &str) -> (ScriptedClient, tokio::net::TcpStream) {
    let mut client = ScriptedClient::logged_in(watched.ftp).await;
    client.ask(&format!("SIZE {name}"), "213 ").await;
    let mut data = client.passive().await;
    client.ask(&format!("RETR {name}"), "150 ").await;
    let mut part = vec![0; 70_000];
    tokio::io::AsyncReadExt::read_exact(&mut data, &mut part)
        .await
        .unwrap();
    (client, data)
}

#[tokio::test]
async fn without_a_terminal_it_prints_what_runs_once() {
    let server = server().await;
    let watched = Watched::start(&server, &[]).await;
    let _half = half_way(&watched, "big\x1b[2J\u{9b}").await;
    let Door::Tcp(address) = &watched.door else {
        panic!("a port");
    };
    let place = address.to_string();
    for arguments in [
        &["top", "--socket", &place][..],
        &["top", "--once", "--socket", &format!("http://{place}/")],
    ] {
        let shown = run(watched.shore.home(), arguments).await;
        assert_eq!(
            (shown.code, shown.stderr.as_str()),
            (Some(0), ""),
            "{shown:?}"
        );
        let line = shown.stdout.lines().find(|line| line.starts_with("#1 "));
        let line = line.unwrap_or_else(|| panic!("{}", shown.stdout));
        for part in [
            "demo",
            "RETR big\\x1b[2J\\xc2\\x9b",
            "[#####.....]  50% 140.0kB",
            "PASV",
        ] {
            assert!(line.contains(part), "{part} in {line}");
        }
        assert!(!shown.stdout.contains('\x1b'), "{shown:?}");
    }
}

#[tokio::test]
async fn where_nothing_answers_it_says_what_to_do() {
    let home = tempfile::tempdir().unwrap();
    let shown = run(home.path(), &["top", "--socket", "/nowhere/socket"]).await;
    let line = shown.one_line(1);
    assert!(line.contains("--metrics unix:/nowhere/socket"), "{line}");
    // An FTP server is no monitor.
    let server = server().await;
    let place = server.address().to_string();
    let shown = run(home.path(), &["top", "--socket", &place]).await;
    let line = shown.one_line(1);
    assert!(line.contains("does not answer as ferryline does"), "{line}");
}

#[cfg(unix)]
mod on_a_terminal {
    use std::path::Path;
    use std::process::Stdio;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::process::{Child, Command};
    use tokio::time::timeout;

    use super::{Watched, half_way, server};
    use crate::common::{PATIENCE, skipped};

    /// A terminal, made by script(1).
    struct Screen {
        child: Child,
        shown: String,
    }

    impl Screen {
        fn start(home: &Path, socket: &str) -> Option<Self> {
            let program = env!("CARGO_BIN_EXE_ferryline");
            let command = format!("stty cols 160 rows 40; exec {program} top --socket {socket}");
            let child = Command::new("script")
                .args([
                    "--quiet",
                    "--return",
                    "--flush",
                    "--command",
                    &command,
                    "/dev/null",
                ])
                .env("HOME", home)
                .env("LC_ALL", "C.UTF-8")
                .env("TERM", "xterm")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
                .ok()?;
            let shown = String::new();
            Some(Self { child, shown })
        }

        /// Waits until this has been shown since the last wait.
        async fn shows(&mut self, part: &str) {
            let out = self.child.stdout.as_mut().unwrap();
            let read = timeout(PATIENCE, async {
                let mut bytes = [0; 4096];
                while !self.shown.contains(part) {
                    let read = out.read(&mut bytes).await.unwrap();
                    assert!(read > 0, "it ended: {}", self.shown);
                    self.shown
                        .push_str(&String::from_utf8_lossy(&bytes[..read]));
                }
            });
            let read = read.await;
            assert!(read.is_ok(), "no {part} in {:?}", self.shown);
            self.shown.clear();
        }

        async fn press(&mut self, keys: &str) {
            let keyboard = self.child.stdin.as_mut().unwrap();
            keyboard.write_all(keys.as_bytes()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_session_is_ended_after_a_question() {
        let server = server().await;
        let home = tempfile::tempdir().unwrap();
        let socket = format!("unix:{}/socket", home.path().display());
        let watched = Watched::start_at(&server, &socket, &[]).await;
        let (mut client, _data) = half_way(&watched, "big").await;
        let Some(mut screen) = Screen::start(home.path(), &socket) else {
            return skipped("script(1) of util-linux, which makes a terminal, is not installed");
        };
        screen.shows("RETR big").await;
        screen.press("k").await;
        screen.shows("choose a session first").await;
        screen.press("\x1b[B").await;
        screen.shows("\x1b[7m#1 ").await;
        screen.press("k").await;
        screen
            .shows("end session #1 of demo, which cuts RETR big? y/n")
            .await;
        screen.press("n").await;
        screen.shows("q quits").await;
        // Nothing has happened to it.
        client.nothing_came();
        screen.press("k").await;
        screen.shows("y/n").await;
        screen.press("y").await;
        client.expect("421 ").await;
        screen.shows("session 1 is ended").await;
        screen.press("q").await;
        screen.shows("\x1b[?1049l").await;
        let ended = timeout(PATIENCE, screen.child.wait()).await.unwrap();
        assert_eq!(ended.unwrap().code(), Some(0));
    }
}
