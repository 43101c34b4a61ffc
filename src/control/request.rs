//! What the state machine knows of each request.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;

use super::{event::ForwardId, held::BufferedReply, port::Active, transfer::Transfer};

/// What a request is to the state machine.
#[derive(Debug)]
pub(super) enum Request {
    /// ABOR: one reply, or two with the transfer's own.
    Abort,
    /// PORT or EPRT.
    Active(Active),
    /// EPSV ALL.
    EpsvAll,
    /// FEAT.
    Feat,
    /// The server's first reply, which answers the connection itself.
    Greeting {
        /// Ferryline has greeted the client already. The client does not get this greeting, unless the server
        /// sends it away.
        withheld: bool,
    },
    /// An answer of ferryline's own. It goes out when all earlier answers have gone out.
    Local {
        /// Time since which it waits.
        since: Duration,
    },
    /// USER or PASS.
    Login {
        /// The line that is sent in its place.
        plain: Option<Bytes>,
    },
    /// MODE with its argument.
    Mode(u8),
    /// Anything else.
    Other {
        /// Why the data connection that it may have been meant for failed, if it did.
        lost: Option<String>,
    },
    /// An ABOR of ferryline's own: the client gets no answer.
    OwnAbort,
    /// A passive request.
    Passive(Passive),
    /// QUIT.
    Quit,
    /// REIN.
    Rein,
    /// A blank line: servers do not answer it.
    Silent,
    /// STAT.
    Status,
    /// A command that moves data.
    Transfer(Transfer),
    /// A reply that answers no request.
    Unasked,
}

/// A passive request on its way.
#[derive(Debug)]
pub(super) struct Passive {
    /// The client expects a 229, not a 227.
    pub(super) extended: bool,
    /// The last form sent to the server was EPSV.
    pub(super) asked_extended: bool,
    /// It was already asked in the other form.
    pub(super) asked_again: bool,
    /// The client has been given the refusal of the first form: the reply to the other is no second answer.
    pub(super) refused: bool,
    /// Ferryline cannot read the argument: the request goes to the server as the client typed it, in no other
    /// form, and the server's refusal is the client's answer (Q96).
    pub(super) as_typed: bool,
    /// When it was sent.
    pub(super) since: Duration,
    /// State of an EPSV that was not answered in time.
    pub(super) silence: Silence,
    /// The forward that the answer waits for.
    pub(super) forward: Option<ForwardId>,
    /// The client asked for an active data connection, to this listener of its own.
    pub(super) join: Option<SocketAddr>,
    /// The lines of the server's reply, while it comes in.
    pub(super) reply: BufferedReply,
    /// The server's reply to PASV, where EPSV was asked after it.
    pub(super) refusal: BufferedReply,
}

/// An EPSV that the server left unanswered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// The server left none unanswered.
    None,
    /// PASV was asked in its place; its own answer may still come.
    Asked,
    /// Its answer came late and was kept back. The answer to the PASV is awaited until this time.
    Broken(Duration),
}

impl Passive {
    pub(super) fn new(extended: bool, asked_extended: bool) -> Self {
        Self {
            extended,
            asked_extended,
            asked_again: false,
            refused: false,
            as_typed: false,
            since: Duration::ZERO,
            silence: Silence::None,
            forward: None,
            join: None,
            reply: BufferedReply::default(),
            refusal: BufferedReply::default(),
        }
    }

    /// Changes to the other form after a refusal. Returns the line for the server.
    pub(super) fn ask_in_other_form(&mut self) -> Bytes {
        self.asked_again = true;
        self.asked_extended = !self.asked_extended;
        passive_line(self.asked_extended)
    }
}

/// The request for a passive data connection, in the form in which the server gets it.
pub(super) fn passive_line(extended: bool) -> Bytes {
    Bytes::from_static(match extended {
        true => b"EPSV\r\n",
        false => b"PASV\r\n",
    })
}
