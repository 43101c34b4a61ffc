//! The reply of the server that is coming in, line by line.

use ferryline_grammar::{Place, ReplyCode, ReplyFraming};

use super::{feat::FeatFilter, key::Key};

/// Which reply the server's next line belongs to, and how its lines are handled.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    framing: ReplyFraming,
    reply: Option<IncomingReply>,
}

/// A reply that has begun.
#[derive(Debug)]
struct IncomingReply {
    /// The request that it answers.
    key: Key,
    code: ReplyCode,
    handling: ReplyHandling,
}

/// How the lines of a reply are handled.
#[derive(Debug)]
pub(super) enum ReplyHandling {
    /// Each line passes as it comes. `last`: the reply is the request's final one.
    Pass { last: bool },
    /// Buffered until the reply is complete: a passive reply.
    Collect,
    /// Dropped; then ferryline asks PASV in place of EPSV, or EPSV in place of PASV.
    RetryPassiveForm,
    /// Buffered, in case that no better reply comes; then the next form of PORT is tried.
    RetryPortForm,
    /// Kept back: the answer to an EPSV in whose place PASV was asked meanwhile.
    LateEpsv,
    /// Dropped, and not the request's final one.
    Dropped,
    /// Dropped: ferryline has answered in its place.
    Withheld,
    /// A FEAT reply.
    Feat(FeatFilter),
}

impl Incoming {
    /// Place of the server's next line in a reply.
    pub(super) fn place(&mut self, text: &[u8]) -> Place {
        self.framing.place(text)
    }

    /// Code of the multi-line reply that is open.
    pub(super) fn open(&self) -> Option<ReplyCode> {
        self.framing.open()
    }

    /// Lets the next line begin another reply, although one is open (Q29).
    pub(super) fn may_begin_anew(&mut self) {
        self.framing.command_sent();
    }

    pub(super) fn begin(&mut self, key: Key, code: ReplyCode, handling: ReplyHandling) {
        self.reply = Some(IncomingReply {
            key,
            code,
            handling,
        });
    }

    /// The reply that has begun, whose lines may change how the rest of it is handled.
    pub(super) fn reply(&mut self) -> Option<(Key, ReplyCode, &mut ReplyHandling)> {
        let reply = self.reply.as_mut()?;
        Some((reply.key, reply.code, &mut reply.handling))
    }

    /// Request whose reply is coming in.
    pub(super) fn key(&self) -> Option<Key> {
        self.reply.as_ref().map(|reply| reply.key)
    }

    /// Drops what is still to come of the reply to this request.
    pub(super) fn withhold_rest(&mut self, key: Key) {
        if let Some(reply) = self.reply.as_mut().filter(|reply| reply.key == key) {
            reply.handling = ReplyHandling::Withheld;
        }
    }

    /// Ends the reply, which is complete or is taken for complete.
    pub(super) fn end(&mut self) -> Option<(Key, ReplyCode, ReplyHandling)> {
        let reply = self.reply.take()?;
        Some((reply.key, reply.code, reply.handling))
    }
}
