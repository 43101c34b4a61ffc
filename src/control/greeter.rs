//! The dialogue with a client before its FTP server is known: the client names it, `USER name@host`.
//!
//! Sans-IO, as the machine itself. [`Greeter`] says what to answer; the driver looks the named server up
//! and opens its control connection. The session that follows is a [`Control`](super::Control) whose
//! [`Settings::routed`](super::Settings::routed) is set.

use bytes::Bytes;
use ferryline_grammar::{Command, Frame, Verb};

use super::{
    answers::{answer, refusal},
    commands::other_protocol,
    event::Ending,
    route::UserAtHost,
};

/// How many servers a client may name that it cannot have: people mistype less often, and a search for
/// hosts should be slow.
const TRIES: u8 = 10;

/// How to name the server, for the texts of replies.
const HOW: &str = "log in as USER@FTPHOST or USER@FTPHOST:PORT";

/// Follows the dialogue. To be handed each frame of the client until [`Step::Named`] leads to a server.
#[derive(Debug)]
pub struct Greeter {
    /// Servers that the client may still name in vain.
    tries: u8,
    /// Telnet options that are still refused, as in [`Control`](super::Control).
    refusals: u8,
    /// The client has sent no command yet.
    first: bool,
}

/// What the driver does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: a blank line, or a Telnet option too many.
    Nothing,
    /// Write this to the client: a reply to a command.
    Say(Bytes),
    /// Write this to the client: the refusal of a Telnet option.
    Refuse(Bytes),
    /// The client asks for this server, as it typed it. Where it cannot have that:
    /// [`Greeter::refuse`].
    Named(Vec<u8>),
    /// Write the reply, if there is one, and the last word, if there is one, and close.
    Goodbye {
        /// The reply to the client's last command.
        reply: Option<Bytes>,
        /// What is said to it after that.
        last_word: Option<Bytes>,
    },
    /// The client speaks this other protocol: close without a word.
    OtherProtocol(&'static str),
}

impl Default for Greeter {
    fn default() -> Self {
        Self {
            tries: TRIES,
            refusals: u8::MAX,
            first: true,
        }
    }
}

impl Greeter {
    /// The first thing that the client is told.
    pub fn greeting() -> Bytes {
        answer(
            220,
            &format!("{HOW}; ferryline takes you there through SSH"),
        )
    }

    /// What the client sent.
    pub fn client(&mut self, frame: &Frame) -> Step {
        let line = match frame {
            Frame::Line(line) => line,
            Frame::Negotiation(asked) => {
                let Some(left) = self.refusals.checked_sub(1) else {
                    return Step::Nothing;
                };
                self.refusals = left;
                return Step::Refuse(Bytes::copy_from_slice(&asked.refusal()));
            }
        };
        let Some(command) = Command::parse(line.text()) else {
            return Step::Nothing;
        };
        if std::mem::take(&mut self.first)
            && let Some(what) = other_protocol(line.text())
        {
            return Step::OtherProtocol(what);
        }
        match command.verb {
            Verb::User => match UserAtHost::parse(command.argument) {
                Some(named) => Step::Named(named.host.to_vec()),
                None => self.refuse(&format!("this port leads to many FTP servers: {HOW}")),
            },
            Verb::Quit => Step::Goodbye {
                reply: None,
                last_word: Some(answer(221, "goodbye")),
            },
            Verb::Noop => Step::Say(answer(200, "nothing done")),
            Verb::Adat
            | Verb::Auth
            | Verb::Ccc
            | Verb::Conf
            | Verb::Enc
            | Verb::Mic
            | Verb::Pbsz
            | Verb::Prot => Step::Say(answer(
                502,
                &format!(
                    "{} is refused: this port speaks plain FTP, and SSH protects the rest of the way",
                    command.verb.name()
                ),
            )),
            // FEAT, SYST, OPTS and all others are the FTP server's to answer. A client that reads 530 asks
            // again after the log-in (RFC 2389 §3.2 leaves it to the server when to answer).
            _ => Step::Say(answer(530, "log in as user@host first")),
        }
    }

    /// The client cannot have the server that it has named, for this reason.
    pub fn refuse(&mut self, reason: &str) -> Step {
        let reply = answer(530, reason);
        self.tries = self.tries.saturating_sub(1);
        match self.tries {
            0 => Step::Goodbye {
                reply: Some(reply),
                last_word: Some(refusal("too many FTP servers were named in vain")),
            },
            _ => Step::Say(reply),
        }
    }

    /// As [`refuse`](Self::refuse), for what the client has named in a way that no server can be meant.
    pub fn refuse_name(&mut self, reason: &str) -> Step {
        self.refuse(&format!("{reason}; {HOW}"))
    }

    /// The client's side ended before it had a server.
    pub fn client_ended(&self, ending: Ending) -> Step {
        let last_word = match ending {
            Ending::Eof | Ending::Flood | Ending::Lost | Ending::Silent => None,
            Ending::LineTooLong(limit) => Some(answer(
                500,
                &format!("a command line longer than {limit} bytes; the session ends"),
            )),
            Ending::Nul => Some(answer(500, "a NUL in a command line; the session ends")),
        };
        Step::Goodbye {
            reply: None,
            last_word,
        }
    }
}
