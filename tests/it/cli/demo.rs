//! `ferryline demo` with visitors: what they paste works, and what they did is told.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use ferryline::demo::ftp_client::{FtpClient, Mode};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

use crate::common::{PATIENCE, Running};

/// A demo that waits for visitors.
struct Demo {
    running: Running,
    address: SocketAddr,
    /// What it shows to be pasted.
    commands: Vec<String>,
    _home: tempfile::TempDir,
}

impl Demo {
    async fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let mut running = Running::start(home.path(), &["demo"]);
        let mut commands = Vec::new();
        let address = loop {
            let line = running.line().await;
            if let Some(command) = line.strip_prefix("    ") {
                commands.push(command.to_owned());
            }
            if line.starts_with("The FTP server's files: ") {
                break commands
                    .iter()
                    .find_map(|command| command.strip_prefix("ftp "))
                    .and_then(|rest| {
                        let mut words = rest.split_whitespace();
                        let (host, port) = (words.next()?, words.next()?);
                        format!("{host}:{port}").parse().ok()
                    })
                    .unwrap_or_else(|| panic!("no line with ftp: {commands:?}"));
            }
        };
        Self {
            running,
            address,
            commands,
            _home: home,
        }
    }

    fn command(&self, name: &str) -> &str {
        let part = format!("ferryline {name} ");
        let found = self.commands.iter().find(|line| line.contains(&part));
        found.unwrap_or_else(|| panic!("no '{part}' in {:?}", self.commands))
    }

    /// The next line with this text.
    async fn says(&mut self, part: &str) -> String {
        loop {
            let line = self.running.line().await;
            assert!(!line.contains('\r'), "no terminal, nothing moves: {line}");
            if line.contains(part) {
                return line;
            }
        }
    }
}

fn shell(line: &str) -> Command {
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("exec {line}")])
        .env_clear()
        .env("HOME", "/nonexistent")
        .env("LC_ALL", "C.UTF-8")
        .current_dir(Path::new("/"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

#[tokio::test]
async fn the_commands_that_it_shows_work_when_they_are_pasted() {
    let demo = Demo::start().await;
    let checked = timeout(PATIENCE, shell(demo.command("check")).output()).await;
    let checked = checked.expect("it did not end").unwrap();
    assert!(checked.status.success(), "{checked:?}");

    let mut forward = shell(demo.command("forward")).spawn().unwrap();
    let mut lines = BufReader::new(forward.stdout.take().unwrap()).lines();
    let ready = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
    let ready = ready.expect("it did not get ready");
    let at = ready.strip_prefix("ftp://").unwrap().split(' ').next();
    let mut client = FtpClient::connect(at.unwrap().parse().unwrap())
        .await
        .unwrap();
    client.login("any", "any").await.unwrap();
    let listing = client.list(Mode::Passive).await.unwrap();
    assert!(String::from_utf8_lossy(&listing).contains("hello.txt"));
    client.quit().await.unwrap();
}

#[tokio::test]
async fn a_visitors_session_ends_with_what_was_carried() {
    let mut demo = Demo::start().await;
    let mut client = FtpClient::connect(demo.address).await.unwrap();
    client.login("visitor", "any").await.unwrap();
    let file = client.retrieve(Mode::Passive, "hello.txt").await.unwrap();
    client.quit().await.unwrap();
    let line = demo.says(" ended after ").await;
    let carried = format!(
        "✓ #5 visitor: 1 transfer, {} B to the client, 0 B",
        file.len()
    );
    assert!(
        line.starts_with(&carried) && line.ends_with(": QUIT"),
        "{line}"
    );
}

#[tokio::test]
async fn a_client_that_insists_on_tls_is_given_a_command_that_works() {
    let mut demo = Demo::start().await;
    let works = format!("curl ftp://demo:demo@{}/", demo.address);
    // The head of a ClientHello (RFC 8446 section 4.1.2), and a refused AUTH.
    for first in [
        &b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03"[..],
        b"AUTH TLS\r\n",
    ] {
        let mut client = TcpStream::connect(demo.address).await.unwrap();
        client.write_all(first).await.unwrap();
        let mut lines = BufReader::new(&mut client).lines();
        // The greeting, and the refusal.
        while let Ok(Some(line)) = lines.next_line().await {
            if line.starts_with("502 ") {
                break;
            }
        }
        drop(client);
        demo.says("insists on TLS").await;
        let line = demo.says("curl ").await;
        assert_eq!(line.trim(), works);
    }
}
