//! What the state machine knows of each request.

use std::time::Duration;

use bytes::Bytes;

use super::{
    active_request::ActiveRequest, parameters::Setting, passive_request::PassiveRequest,
    transfer::Transfer,
};

/// What a request is to the state machine.
#[derive(Debug)]
pub(super) enum Request {
    /// ABOR: one reply, or two with the transfer's own.
    Abort,
    /// PORT or EPRT.
    Active(ActiveRequest),
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
        /// What it sets if the server accepts it.
        sets: Option<Setting>,
    },
    /// An ABOR of ferryline's own: the client gets no answer.
    OwnAbort,
    /// A passive request.
    Passive(PassiveRequest),
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
