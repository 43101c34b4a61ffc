//! Transfers whose data connection could not be made, because the SSH server did not reach the FTP server's
//! port.
//!
//! The client's own connection is reset at once, so that it can try another way (Q24). The FTP server answers
//! first: a server that refuses a transfer closes its listener at the same moment, so the port is often gone
//! before the refusal has arrived (Q100). So ferryline waits a moment for the server's reply, and a refusal
//! passes unchanged. Ferryline answers only where none comes.

use std::time::Duration;

use crate::control::{
    answers::answer,
    event::{ForwardId, Notice},
    exchange::Exchange,
    incoming::ReplyHandling,
    key::Key,
    machine::Control,
    machine::cuts::CUT,
    queue::Queue,
    request::Request,
    transfer::Unreached,
};

impl Control {
    /// Handles a client that has connected to this forward while the server's port could not be reached.
    pub(super) fn unreachable(&mut self, now: Duration, id: ForwardId, reason: String) {
        let refused = self.data.remove(id).is_some_and(|f| f.is_refused());
        let current = self.data.is_current(id);
        self.lost_for_unknowns(id, &reason);
        let found = self.transfer_over(id).is_some();
        self.data.forget(id);
        if !found {
            if current {
                self.data.mark_dead(&reason);
            }
            // The server refused the transfer that the port was for, and closed the port with that.
            if !refused {
                self.outputs.notice(Notice::Unreachable(id, reason));
            }
            return;
        }
        // The SSH server may have made the connection and lost us before it could say so: then the FTP server
        // may have reported a success by now.
        if self.transfer_over(id).is_some_and(|t| !t.moved_nothing()) {
            self.withdraw_successes_over(id, CUT);
        }
        self.release(id);
        let until = now + self.settings.limits.unreached;
        let transfer = self.queue.iter_mut().find_map(|exchange| {
            let sent = exchange.awaits_reply();
            exchange.transfer_mut().filter(|transfer| {
                sent && !transfer.is_answered_by_ferryline()
                    && (transfer.forward() == Some(id) || (transfer.forward().is_none() && current))
            })
        });
        match transfer {
            Some(transfer) => {
                transfer.bind_to(id);
                transfer.not_reached(Unreached { reason, until });
            }
            None => self.outputs.notice(Notice::Unreachable(id, reason)),
        }
    }

    /// Decides on a reply with this code, which begins to answer a transfer whose data connection could not
    /// be made.
    pub(super) fn unreached_reply(&mut self, key: Key, code: u16) -> ReplyHandling {
        // The caller has just found it.
        let Some(transfer) = self.queue.transfer(key) else {
            return ReplyHandling::Withheld;
        };
        match code {
            200..300 if transfer.moved_nothing() && !matches!(code, 200 | 202) => {
                transfer.take_unreached();
                ReplyHandling::Pass { last: true }
            }
            // It waits for the client to connect, and may still notice in time.
            0..200 => {
                transfer.begins();
                ReplyHandling::Dropped
            }
            200..300 => {
                self.speak_for_unreached(key);
                ReplyHandling::Withheld
            }
            _ => {
                transfer.take_unreached();
                ReplyHandling::Pass { last: true }
            }
        }
    }

    /// Answers the transfers before a later request that the server goes on to answer, where their data
    /// connections could not be made.
    pub(super) fn overtake_unreached(&mut self, key: Key) {
        let order = self
            .queue
            .get(key)
            .map_or(0, |exchange| exchange.sent_seq());
        let earlier = |exchange: &&Exchange| {
            exchange.key() != key
                && (order == 0 || exchange.sent_seq() < order)
                && unreached(exchange.request()).is_some()
        };
        let overtaken: Vec<Key> = self
            .queue
            .iter()
            .filter(earlier)
            .map(|exchange| exchange.key())
            .collect();
        for key in overtaken {
            self.speak_for_unreached(key);
        }
    }

    /// Answers in place of servers that send no reply in time.
    pub(super) fn expire_unreached(&mut self, now: Duration) {
        let due =
            |exchange: &&Exchange| unreached(exchange.request()).is_some_and(|u| u.until <= now);
        let due: Vec<Key> = self
            .queue
            .iter()
            .filter(due)
            .map(|exchange| exchange.key())
            .collect();
        for key in due {
            self.speak_for_unreached(key);
        }
    }

    /// Tells the client in the server's place.
    fn speak_for_unreached(&mut self, key: Key) {
        if let Some(transfer) = self.queue.transfer(key)
            && let Some(Unreached { reason, .. }) = transfer.take_unreached()
        {
            transfer.answered_by_ferryline();
            let id = transfer.forward();
            self.queue.say(key, answer(425, &reason));
            if let Some(id) = id {
                self.outputs.notice(Notice::Unreachable(id, reason));
            }
        }
    }
}

fn unreached(request: &Request) -> Option<&Unreached> {
    match request {
        Request::Transfer(transfer) => transfer.unreached(),
        _ => None,
    }
}

/// Time at which the first of them has waited long enough for the server's reply.
pub(super) fn unreached_deadline(queue: &Queue) -> Option<Duration> {
    let waiting = queue
        .iter()
        .filter_map(|exchange| unreached(exchange.request()));
    waiting.map(|unreached| unreached.until).min()
}
