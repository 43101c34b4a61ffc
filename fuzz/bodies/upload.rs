//! One upload, followed as long as there is no doubt which command a reply answers: once its data
//! connection was cut, its success must not reach the client.

use ferryline_grammar::{Command, ReplyLine, Verb, lax_code};

/// The one upload of a session.
#[derive(Clone, Copy, Debug, Default)]
pub struct Upload {
    stage: Stage,
    /// Requests for a passive data connection ahead of it that the server has not answered.
    unanswered: u32,
    /// The server has begun to answer it by a 1xx.
    begun: bool,
}

/// How far the upload is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// None was sent yet, and all that was said is plain.
    #[default]
    Awaited,
    /// Its command is with the server, which has not said how it went.
    Running,
    /// Likewise, and its data connection was cut.
    Cut,
    /// What a reply answers is no longer known, or the client has had the upload's.
    Unclear,
}

impl Upload {
    /// The client has sent this line.
    pub fn client_said(&mut self, line: &[u8]) {
        let verb = Command::parse(line).map(|command| command.verb);
        let awaited = self.stage == Stage::Awaited;
        let plain = match verb {
            Some(Verb::Pasv | Verb::Epsv) => {
                self.unanswered += 1;
                awaited
            }
            Some(Verb::User | Verb::Pass | Verb::Stor | Verb::Appe | Verb::Stou) => awaited,
            Some(Verb::Abor) => matches!(self.stage, Stage::Running | Stage::Cut),
            _ => false,
        };
        if !plain {
            self.stage = Stage::Unclear;
        }
    }

    /// The server was sent this line. `ready`: there is one data port, and the client knows it.
    pub fn told_server(&mut self, line: &[u8], ready: bool) {
        let verb = Command::parse(line).map(|command| command.verb);
        if matches!(verb, Some(Verb::Stor | Verb::Appe | Verb::Stou)) {
            self.stage = match (self.stage, ready) {
                (Stage::Awaited, true) => Stage::Running,
                _ => Stage::Unclear,
            };
        }
    }

    /// The server has sent this line.
    pub fn server_said(&mut self, line: &[u8]) {
        let code = match ReplyLine::parse(line) {
            ReplyLine::Single(code) => Some(code.value()),
            // A longer number, which few clients cut down to a code, is about nothing (Q36).
            ReplyLine::Other if lax_code(line).is_some() => {
                self.stage = Stage::Unclear;
                return;
            }
            _ => None,
        };
        let plain = match (self.stage, code) {
            (Stage::Awaited, Some(code)) => {
                let passive = matches!(code, 227 | 229);
                self.unanswered = self.unanswered.saturating_sub(passive.into());
                true
            }
            (Stage::Running, Some(code)) if code < 200 => {
                self.begun = true;
                true
            }
            (Stage::Cut, Some(code)) if code < 200 => {
                self.begun = true;
                true
            }
            // Without a 1xx it may as well be the answer to a request before.
            (Stage::Cut, _) => self.begun || self.unanswered == 0,
            _ => false,
        };
        // Once the data was cut, whatever comes first is about the upload.
        if !plain {
            self.stage = Stage::Unclear;
        }
    }

    /// The data connection was cut.
    pub fn cut(&mut self) {
        if self.stage == Stage::Running {
            self.stage = Stage::Cut;
        }
    }

    /// The client was told this line.
    pub fn told_client(&mut self, line: &[u8]) {
        let code = lax_code(line).map_or(0, |code| code.value());
        // A 200 ahead of the 150 is not the last word (Q42).
        if self.stage == Stage::Cut && code > 202 {
            assert!(
                !matches!(code, 226 | 250),
                "a success of an upload that was cut: {}",
                line.escape_ascii()
            );
            self.stage = Stage::Unclear;
        }
    }
}
