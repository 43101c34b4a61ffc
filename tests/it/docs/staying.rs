//! A program that stays until it is stopped: `ferryline forward`, or `ferryline demo`.

use std::process::Stdio;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::watch;
use tokio::time::timeout;

use super::blocks::is_shown;
use super::stage::Stage;
use super::terminal::environment;
use crate::common::PATIENCE;

pub(super) struct Staying {
    child: Child,
    place: String,
    log: Arc<Mutex<String>>,
    /// Changes when the log has grown, and closes when it has ended.
    grown: watch::Receiver<()>,
    /// The reading end of its output, which it may go on to write to.
    _stdout: Lines<BufReader<ChildStdout>>,
}

impl Staying {
    /// Whether a command stays.
    pub(super) fn is_one(line: &str) -> bool {
        line.starts_with("ferryline forward ") || line == "ferryline demo"
    }

    /// Starts it. Returns it with what it has printed until it was ready.
    pub(super) async fn start(stage: &Stage, place: &str, line: &str) -> (Self, String) {
        // The shell leaves its place to the program, so that a signal reaches that.
        let mut child = environment(stage, Command::new("/bin/sh"))
            .args(["-c", &format!("exec {line}")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let (grow, grown) = watch::channel(());
        let kept = log.clone();
        tokio::spawn(async move {
            while let Ok(Some(line)) = stderr.next_line().await {
                kept.lock().unwrap().push_str(&format!("{line}\n"));
                let _ = grow.send(());
            }
        });
        // One line for each forward; the demo says how to end it.
        let (sign, wanted) = match line {
            "ferryline demo" => ("Ctrl-C", 1),
            forward => ("://", forward.matches("-L ").count()),
        };
        let mut printed = String::new();
        let read = async {
            while printed.matches(sign).count() < wanted {
                let Some(next) = stdout.next_line().await.unwrap() else {
                    return false;
                };
                printed.push_str(&format!("{next}\n"));
            }
            true
        };
        let ready = timeout(PATIENCE, read).await.unwrap_or_default();
        let mut started = Self {
            child,
            place: place.to_owned(),
            log,
            grown,
            _stdout: stdout,
        };
        if !ready {
            let _ = started.child.start_kill();
            started.until(|_| false).await;
            let log = started.log.lock().unwrap();
            panic!("{place}: {line}\nis not ready:\n{printed}{log}");
        }
        (started, printed)
    }

    /// Waits until its log has a line like this.
    pub(super) async fn logs(&mut self, stage: &Stage, place: &str, shown: &str) {
        // In a file, each line begins with the time; the documents show it as a terminal does.
        let undated = |line: &str| match line.split_once("Z ") {
            Some((time, rest)) if time.starts_with(|c: char| c.is_ascii_digit()) => rest.to_owned(),
            _ => line.to_owned(),
        };
        let is_there = |log: &str| {
            let mut lines = log.lines().map(undated);
            lines.any(|line| is_shown(shown, &stage.there(line.trim_start())))
        };
        let found = self.until(is_there).await;
        let log = self.log.lock().unwrap();
        assert!(found, "{place}: the log has no\n{shown}\nbut\n{log}");
    }

    /// Waits until its log is as wanted, or has ended. Returns whether it is as wanted.
    async fn until(&mut self, wanted: impl Fn(&str) -> bool) -> bool {
        let log = self.log.clone();
        let is_wanted = || wanted(&log.lock().unwrap());
        let wait = async {
            while !is_wanted() {
                if self.grown.changed().await.is_err() {
                    break;
                }
            }
        };
        let _ = timeout(PATIENCE, wait).await;
        is_wanted()
    }

    /// Stops it as Ctrl-C does.
    pub(super) async fn stop(mut self) {
        let place = &self.place;
        let id = self.child.id();
        let id = id.unwrap_or_else(|| panic!("{place}: it has ended by itself"));
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -INT {id}")])
            .status()
            .await;
        assert!(sent.unwrap().success());
        let ended = timeout(PATIENCE, self.child.wait()).await;
        let status = ended.expect("it did not end").unwrap();
        let log = self.log.lock().unwrap();
        assert!(status.success(), "{place}: {status}\n{log}");
    }
}
