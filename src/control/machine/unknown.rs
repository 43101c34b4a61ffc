//! Commands of no known verb that turn out to be transfers.
//!
//! New verbs move data (GridFTP's ESTO and ERET, THMB), and no table can list those to come. The reply
//! decides: a 1xx says that a data connection is about to be used (RFC 959 §4.2). From then on the command is
//! a transfer like any other (Q105).

use std::time::Duration;

use crate::control::{
    event::ForwardId,
    exchange::Exchange,
    key::Key,
    machine::Control,
    request::Request,
    transfer::{Transfer, Unreached},
};

/// Number of times that a listener is kept for longer: an hour in all.
const MOST_RENEWALS: u8 = 59;

impl Control {
    /// Handles a 1xx that begins to answer this request. If its verb is unknown and there is a data
    /// connection for it, it is a transfer.
    pub(super) fn begins_unknown(&mut self, now: Duration, key: Key, code: u16) {
        // 120: the service will be ready in N minutes.
        if code == 120 {
            return;
        }
        let has_way = self.data.current().is_some() || self.queue.forward_before(key).is_some();
        let until = now + self.settings.limits.unreached;
        if let Some(exchange) = self.queue.entry(key)
            && let Some(lost) = exchange.lost_mut()
        {
            let unreached = lost.take().map(|reason| Unreached { reason, until });
            if has_way || unreached.is_some() {
                exchange.becomes(Request::Transfer(Transfer::guessed(now, unreached)));
            }
        }
    }

    /// Whether an unanswered command of no known verb may be a transfer over this forward.
    pub(super) fn may_be_unknowns(&self, id: ForwardId) -> bool {
        self.data.is_current(id)
            && self
                .queue
                .iter()
                .any(|exchange| self.may_use_current(exchange))
    }

    /// Notes that the data connection over this forward failed. If one of the commands of no known verb is
    /// its transfer, its client is to be told.
    pub(super) fn lost_for_unknowns(&mut self, id: ForwardId, reason: &str) {
        if !self.data.is_current(id) {
            return;
        }
        let since = self.data.since();
        for exchange in self.queue.iter_mut() {
            if exchange.awaits_reply()
                && exchange.sent_seq() > since
                && let Some(lost) = exchange.lost_mut()
            {
                lost.get_or_insert_with(|| reason.to_owned());
            }
        }
    }

    /// Keeps a listener without a connection for longer, while a command that uses it, or may use it, is
    /// unanswered. A file may have to be fetched from a tape before its client is told to connect (Q104).
    pub(super) fn keeps_for_longer(&mut self, now: Duration, id: ForwardId) -> bool {
        let until = now + self.settings.limits.unused_forward;
        let awaited = self
            .transfer_over(id)
            .is_some_and(|t| !t.is_answered_by_ferryline())
            || self.may_be_unknowns(id);
        match self.data.get_mut(id) {
            Some(forward) if awaited => forward.renew(until, MOST_RENEWALS),
            _ => false,
        }
    }

    fn may_use_current(&self, exchange: &Exchange) -> bool {
        exchange.awaits_reply()
            && exchange.sent_seq() > self.data.since()
            && matches!(exchange.request(), Request::Other { .. })
    }
}
