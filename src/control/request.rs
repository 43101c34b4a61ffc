//! What the state machine knows of each request.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use bytes::Bytes;

use super::{event::ForwardId, held, transfer::Transfer};

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
        /// Ferryline has greeted the client already; it does not see this one, unless the server
        /// sends it away.
        withheld: bool,
    },
    /// A reply of ferryline's own: it comes when all earlier ones have come.
    Local {
        /// Since when it waits.
        since: Duration,
    },
    /// USER or PASS.
    Login {
        /// What is sent in its place.
        plain: Option<Bytes>,
    },
    /// MODE with its argument.
    Mode(u8),
    /// Anything else.
    Other {
        /// What has become of the data connection that it may have been meant for.
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
    /// A reply that answers nothing.
    Unasked,
}

/// A PORT or EPRT on its way.
#[derive(Debug)]
pub(super) struct Active {
    /// The client's own verb was EPRT.
    pub(super) extended: bool,
    /// The client's listener.
    pub(super) deliver_to: SocketAddr,
    /// The remote forward that was asked for last.
    pub(super) forward: Option<ForwardId>,
    /// The remote forward's address, once it stands.
    pub(super) address: Option<SocketAddr>,
    /// What was sent to the server last.
    pub(super) sent_as: Option<ActiveForm>,
    /// What the server answered to the form before.
    pub(super) refusal: BufferedReply,
    /// The data connection over the forward came and was lost, for this reason, before the server's
    /// answer had.
    pub(super) lost: Option<&'static str>,
}

/// The ways to name an active data port to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ActiveForm {
    Port,
    EprtIpv4,
    EprtIpv6,
}

impl ActiveForm {
    /// The loopback address of the SSH server's host that goes with the form.
    pub(super) fn bind(self) -> IpAddr {
        match self {
            Self::Port | Self::EprtIpv4 => IpAddr::from([127, 0, 0, 1]),
            Self::EprtIpv6 => std::net::Ipv6Addr::LOCALHOST.into(),
        }
    }
}

/// A passive request on its way.
#[derive(Debug)]
pub(super) struct Passive {
    /// The client expects a 229, not a 227.
    pub(super) extended: bool,
    /// What was sent to the server last was an EPSV.
    pub(super) asked_extended: bool,
    /// It has been asked in the other form already.
    pub(super) asked_again: bool,
    /// The client has been given the refusal of the first form: what comes of the other is no second answer.
    pub(super) refused: bool,
    /// The argument is one that ferryline makes nothing of: the request goes to the server as the
    /// client typed it, in no other form, and the server's refusal is the client's answer (Q96).
    pub(super) as_typed: bool,
    /// When it was sent.
    pub(super) since: Duration,
    /// What has become of an EPSV that was not answered in time.
    pub(super) silence: Silence,
    /// The forward that the answer waits for.
    pub(super) forward: Option<ForwardId>,
    /// The client asked for an active data connection, to this listener of its own.
    pub(super) join: Option<SocketAddr>,
    /// The lines of the server's reply, while it comes in.
    pub(super) reply: BufferedReply,
    /// What the server answered to PASV, where it was then asked EPSV.
    pub(super) refusal: BufferedReply,
}

/// An EPSV that the server left unanswered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Silence {
    /// None was.
    None,
    /// PASV was asked in its place; its own answer may still come.
    Asked,
    /// Its answer came late, and was kept back: the PASV's is waited for until then.
    Broken(Duration),
}

/// The lines of a reply that are kept until it is complete.
#[derive(Debug, Default)]
pub(super) struct BufferedReply {
    lines: Vec<Bytes>,
    /// What it costs to keep them, or would if they were not too many.
    cost: usize,
}

impl BufferedReply {
    /// A reply that costs more is none of those that are kept (Q12, Q37).
    const LIMIT: usize = 128 * 1024;

    pub(super) fn push(&mut self, line: Bytes) {
        self.cost = self.cost.saturating_add(held::cost(&line));
        if self.cost <= Self::LIMIT {
            self.lines.push(line);
        }
    }

    /// All lines; none where they were too many.
    pub(super) fn take(&mut self) -> Vec<Bytes> {
        let kept = std::mem::take(self);
        if kept.cost <= Self::LIMIT {
            kept.lines
        } else {
            Vec::new()
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.cost == 0
    }
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_of_empty_lines_is_bounded_too() {
        let mut kept = BufferedReply::default();
        for _ in 0..1_000_000 {
            kept.push(Bytes::new());
        }
        assert!(kept.lines.len() <= BufferedReply::LIMIT / held::LINE_COST);
        assert!(!kept.is_empty());
        assert!(kept.take().is_empty());
    }
}
