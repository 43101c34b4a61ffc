//! The dialogue with a client before its FTP server is known: the client names it, `USER name@host`.
//!
//! Sans-IO, like the machine itself. [`Greeter`] says what to answer. The driver looks the named server up
//! and opens its control connection. The session that follows is a [`Control`](super::Control) whose
//! [`Settings::routed`](super::Settings::routed) is set.

use bytes::Bytes;
use ferryline_grammar::{Command, Frame, Verb};

use super::{
    answers::{answer, refusal},
    end_reason::EndReason,
    event::Ending,
    other_protocol::{OtherProtocol, other_protocol},
    route::UserAtHost,
};

/// Number of servers that a client may name and cannot have. People mistype less often, and a search for
/// hosts should be slow.
const TRIES: u8 = 10;

/// Text of replies that says how to name the server.
const HOW: &str = "log in as USER@FTPHOST or USER@FTPHOST:PORT";

/// State of the dialogue. It gets each frame of the client until [`Step::Named`] leads to a server.
#[derive(Debug)]
pub struct Greeter {
    /// Number of servers that the client may still name in vain.
    tries: u8,
    /// Number of Telnet options that are still refused, as in [`Control`](super::Control).
    refusals: u8,
    /// The client has sent no command yet.
    first: bool,
}

/// What the driver does next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing: an empty line, or a Telnet option too many.
    Nothing,
    /// Write this to the client: the answer to a command.
    Say(Bytes),
    /// Write this to the client: the refusal of a Telnet option.
    Refuse(Bytes),
    /// Look up this server, in the form in which the client typed it. Where the client cannot have it:
    /// [`Greeter::refuse`].
    Named(Vec<u8>),
    /// Write the answer, if there is one, and the last line, if there is one, and close.
    Goodbye {
        /// The answer to the client's last command.
        answer: Option<Bytes>,
        /// The line that follows it.
        last_word: Option<Bytes>,
    },
    /// The client speaks this other protocol: close without an answer.
    OtherProtocol(OtherProtocol),
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
    /// The greeting to the client.
    pub fn greeting() -> Bytes {
        answer(
            220,
            &format!("{HOW}; ferryline takes you there through SSH"),
        )
    }

    /// Takes one frame of the client.
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
                answer: None,
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
            // FEAT, SYST, OPTS and all other commands are for the FTP server to answer. A client that gets
            // 530 asks again after the log-in (RFC 2389 §3.2 leaves it to the server when to answer).
            _ => Step::Say(answer(530, "log in as user@host first")),
        }
    }

    /// Refuses the server that the client has named, for this reason.
    pub fn refuse(&mut self, reason: &str) -> Step {
        let refused = answer(530, reason);
        self.tries = self.tries.saturating_sub(1);
        match self.tries {
            0 => Step::Goodbye {
                answer: Some(refused),
                last_word: Some(refusal(&EndReason::TooManyNames.to_string())),
            },
            _ => Step::Say(refused),
        }
    }

    /// Whether the client has named too many servers in vain. Its last word says so.
    pub fn gives_up(&self) -> bool {
        self.tries == 0
    }

    /// Refuses like [`refuse`](Self::refuse), where the name cannot mean any server.
    pub fn refuse_name(&mut self, reason: &str) -> Step {
        self.refuse(&format!("{reason}; {HOW}"))
    }

    /// The last word to a client whose side ended before it had a server; `None`: it is told nothing.
    pub fn last_word(ending: Ending) -> Option<Bytes> {
        ending.command_fault().map(|fault| answer(500, &fault))
    }
}
