//! Runs the commands of a document, in order.
//!
//! `ferryline forward` and `ferryline demo` stay, as they would in another window, until the next of them begins, or a
//! `ferryline replay` or `ferryline audit` of what they recorded; then they are stopped, and have to end well. The other commands have to end
//! with 0. A password is typed where one is asked for. `lftp` and `ftp`, which ask for commands, list the folder and
//! leave.

use std::path::Path;

use super::blocks::{Block, Command, Kind, is_shown};
use super::door::PASSWORD;
use super::stage::Stage;
use super::staying::Staying;
use super::terminal::run;
use crate::common::skipped;

/// Number of what a document has shown to work.
#[derive(Debug, Default)]
pub(super) struct Played {
    pub(super) commands: usize,
    /// Files that were carried.
    pub(super) files: usize,
    /// Commands whose program is not installed.
    pub(super) skipped: usize,
}

/// Plays a document.
pub(super) async fn play(stage: &Stage, document: &Path, blocks: &[Block]) -> Played {
    let mut player = Player {
        stage,
        staying: None,
        played: Played::default(),
    };
    for block in blocks {
        let place = format!("{}:{}", document.display(), block.line);
        match &block.kind {
            Kind::Commands(commands) => {
                for command in commands {
                    player.command(&place, command).await;
                }
            }
            Kind::Log(lines) => player.log(&place, lines).await,
            Kind::NotRun { .. } | Kind::Text { .. } => {}
        }
    }
    player.stop().await;
    player.played
}

struct Player<'a> {
    stage: &'a Stage,
    staying: Option<Staying>,
    played: Played,
}

impl Player<'_> {
    async fn command(&mut self, place: &str, command: &Command) {
        let program = command.text.split_whitespace().next().unwrap_or_default();
        if let Some(missing) = self.missing(&command.text) {
            skipped(&format!("{place}: {missing} is not installed"));
            self.played.skipped += 1;
            return;
        }
        let line = self.stage.here(&command.text);
        println!("{place}: {line}");
        let printed = if Staying::is_one(&line) {
            self.stop().await;
            let (started, printed) = Staying::start(self.stage, place, &line).await;
            self.staying = Some(started);
            printed
        } else {
            if ["ferryline replay", "ferryline audit"]
                .iter()
                .any(|reader| line.starts_with(reader))
            {
                self.stop().await;
            }
            let (printed, code) = run(self.stage, &line, answers(program, &line)).await;
            assert_eq!(code, Some(0), "{place}: {line}\n{printed}");
            printed
        };
        // These end with 0 whatever they could do.
        if ["ftp", "lftp"].contains(&program) && !line.contains(" -e ") {
            assert!(printed.contains("a.csv"), "{place}: {line}\n{printed}");
        }
        self.compare(place, command, &printed);
        self.played.files += self.stage.whole_files(&line);
        self.played.commands += 1;
    }

    /// The client that this command needs, itself or in the script that it runs, and that is not installed.
    fn missing(&self, command: &str) -> Option<&'static str> {
        let script = command.strip_prefix("sh ").map(|name| {
            let script = std::fs::read_to_string(self.stage.home().join(name));
            script.unwrap_or_else(|error| panic!("{name}: {error}"))
        });
        let text = script.as_deref().unwrap_or(command);
        let most = if script.is_some() { usize::MAX } else { 1 };
        let lines = text.lines().take(most);
        let mut programs = lines.filter_map(|line| line.split_whitespace().next());
        programs.find_map(|program| {
            let client = CLIENTS.into_iter().find(|client| *client == program);
            client.filter(|client| !self.stage.has(client))
        })
    }

    /// Each line that the document shows has to be printed.
    fn compare(&self, place: &str, command: &Command, printed: &str) {
        let lines = printed.lines().map(|line| self.stage.there(line));
        let printed: Vec<String> = lines.collect();
        for shown in &command.prints {
            assert!(
                printed.iter().any(|line| is_shown(shown, line)),
                "{place}: {} does not print\n{shown}\nbut\n{}",
                command.text,
                printed.join("\n")
            );
        }
    }

    async fn log(&mut self, place: &str, lines: &[String]) {
        let running = self.staying.as_mut();
        let running = running.unwrap_or_else(|| panic!("{place}: nothing runs that could log"));
        for line in lines {
            running.logs(self.stage, place, line).await;
        }
    }

    async fn stop(&mut self) {
        if let Some(staying) = self.staying.take() {
            staying.stop().await;
        }
    }
}

/// Programs that a machine may be without.
const CLIENTS: [&str; 4] = ["curl", "ftp", "lftp", "wget"];

/// What is typed at a program that asks. The parts are of the question itself: what is typed before a program has put
/// the terminal into its own mode is lost.
fn answers(program: &str, line: &str) -> &'static [(&'static str, &'static str)] {
    match program {
        "curl" => &[("password for user", PASSWORD)],
        "ferryline" if line.contains("--ftp-user") => &[("assword", PASSWORD)],
        "ftp" => &[
            ("Name (", "name"),
            ("Password:", PASSWORD),
            ("ftp> ", "ls"),
            ("ftp> ", "quit"),
        ],
        "lftp" => &[("Password:", PASSWORD), ("> ", "ls"), ("> ", "bye")],
        _ => &[],
    }
}
