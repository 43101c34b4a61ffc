//! One upload, followed as long as there is no doubt which command a reply answers: once its data
//! connection was cut, its success must not reach the client.

use ferryline_grammar::{Command, ReplyLine, Verb, lax_code};

/// How far the one upload of a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upload {
    /// None was sent yet, and all that was said is plain.
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
        let plain = match verb {
            Some(Verb::User | Verb::Pass | Verb::Pasv | Verb::Epsv) => *self == Self::Awaited,
            Some(Verb::Stor | Verb::Appe | Verb::Stou) => *self == Self::Awaited,
            Some(Verb::Abor) => matches!(self, Self::Running | Self::Cut),
            _ => false,
        };
        if !plain {
            *self = Self::Unclear;
        }
    }

    /// The server was sent this line. `ready`: there is one data port, and the client knows it.
    pub fn told_server(&mut self, line: &[u8], ready: bool) {
        let verb = Command::parse(line).map(|command| command.verb);
        if matches!(verb, Some(Verb::Stor | Verb::Appe | Verb::Stou)) {
            *self = match (*self, ready) {
                (Self::Awaited, true) => Self::Running,
                _ => Self::Unclear,
            };
        }
    }

    /// The server has sent this line.
    pub fn server_said(&mut self, line: &[u8]) {
        let plain = match ReplyLine::parse(line) {
            ReplyLine::Single(code) => *self != Self::Running || code.value() < 200,
            _ => false,
        };
        // Once the data was cut, whatever comes first is about the upload; but a longer number, which few
        // clients cut down to a code, is about nothing (Q36).
        let number = matches!(ReplyLine::parse(line), ReplyLine::Other) && lax_code(line).is_some();
        if number || !plain && *self != Self::Cut {
            *self = Self::Unclear;
        }
    }

    /// The data connection was cut.
    pub fn cut(&mut self) {
        if *self == Self::Running {
            *self = Self::Cut;
        }
    }

    /// The client was told this line.
    pub fn told_client(&mut self, line: &[u8]) {
        let code = lax_code(line).map_or(0, |code| code.value());
        // A 200 ahead of the 150 is not the last word (Q42).
        if *self == Self::Cut && code > 202 {
            assert!(
                !matches!(code, 226 | 250),
                "a success of an upload that was cut: {}",
                line.escape_ascii()
            );
            *self = Self::Unclear;
        }
    }
}
