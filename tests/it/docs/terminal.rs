//! A command at a terminal, and a person who answers what it asks.

use std::process::Stdio;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::time::timeout;

use super::stage::{Stage, program};
use crate::common::PATIENCE;

/// Whether the program that makes terminals is missing.
pub(super) fn missing() -> bool {
    program("script").is_none()
}

/// Runs a command of a shell, in the stage's home. `answers`: a part of each question that
/// it may ask, in their order, and what is typed then. Returns what the terminal shows, and the exit code.
pub(super) async fn run(
    stage: &Stage,
    command: &str,
    answers: &[(&str, &str)],
) -> (String, Option<i32>) {
    let script = program("script").expect("script(1)");
    let mut child = environment(stage, Command::new(script))
        .args([
            "--quiet",
            "--return",
            "--flush",
            "--command",
            command,
            "/dev/null",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut keyboard = child.stdin.take().unwrap();
    let mut screen = child.stdout.take().unwrap();
    let mut answers = answers.iter().peekable();
    let mut shown = String::new();
    let mut answered = 0;
    let run = async {
        let mut part = [0; 4096];
        loop {
            let read = screen.read(&mut part).await.unwrap();
            if read == 0 {
                break child.wait().await.unwrap();
            }
            shown.push_str(&String::from_utf8_lossy(&part[..read]));
            while let Some((asked, answer)) = answers.peek() {
                let Some(at) = shown[answered..].find(asked) else {
                    break;
                };
                answered += at + asked.len();
                keyboard
                    .write_all(format!("{answer}\n").as_bytes())
                    .await
                    .unwrap();
                answers.next();
            }
        }
    };
    let status = timeout(PATIENCE, run).await;
    let status = status.unwrap_or_else(|_| panic!("{command} does not end; it shows:\n{shown}"));
    (plain(&shown), status.code())
}

/// Starts a program in the stage's home, with nothing of the environment.
pub(super) fn environment(stage: &Stage, mut command: Command) -> Command {
    command
        .env_clear()
        .env("HOME", stage.home())
        .env("LC_ALL", "C.UTF-8")
        .env("PATH", stage.home().join("bin"))
        .env("SHELL", "/bin/sh")
        .env("TERM", "dumb")
        .env("USER", "tester")
        .current_dir(stage.home())
        .kill_on_drop(true);
    command
}

/// Without colours and without carriage returns.
fn plain(shown: &str) -> String {
    let mut parts = shown.split('\u{1b}');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // A sequence ends with its first letter.
        let end = part.find(|c: char| c.is_ascii_alphabetic());
        out.push_str(end.map_or(part, |end| &part[end + 1..]));
    }
    out.replace('\r', "")
}
