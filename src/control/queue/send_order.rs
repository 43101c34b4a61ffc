//! What stands before a request, or behind it, in the order in which requests were sent.

use crate::control::{event::ForwardId, key::Key, queue::Queue, request::Request};

impl Queue {
    /// Send order of the first unanswered request for another data connection behind this place: what is sent
    /// behind that one uses its data connection.
    pub(in crate::control) fn renewed_behind(&self, order: u64) -> u64 {
        let renewals = self
            .entries
            .iter()
            .filter(|exchange| exchange.renews_connection());
        let orders = renewals
            .map(|exchange| exchange.sent_seq())
            .filter(|renewed| *renewed > order);
        orders.min().unwrap_or(u64::MAX)
    }

    /// Whether the server has been sent a transfer behind the request with this send order, and has not
    /// answered it.
    pub(in crate::control) fn has_transfer_behind(&self, order: u64) -> bool {
        self.entries.iter().any(|exchange| {
            matches!(exchange.request(), Request::Transfer(_))
                && exchange.awaits_reply()
                && exchange.sent_seq() > order
        })
    }

    /// Whether the server has been sent an ABOR behind this request.
    pub(in crate::control) fn is_aborted(&self, key: Key) -> bool {
        let order = self.get(key).map_or(0, |exchange| exchange.sent_seq());
        self.last_abort() > order
    }

    /// Send order of the last ABOR in the queue; 0: there is none.
    pub(in crate::control) fn last_abort(&self) -> u64 {
        let aborts = self.entries.iter();
        let aborts = aborts.filter(|exchange| matches!(exchange.request(), Request::Abort));
        aborts
            .map(|exchange| exchange.sent_seq())
            .max()
            .unwrap_or(0)
    }

    /// Forward of the last passive request before this one whose answer still waits for it, with that
    /// request's send order.
    pub(in crate::control) fn forward_before(&self, key: Key) -> Option<(u64, ForwardId)> {
        self.entries
            .iter()
            .take_while(|exchange| exchange.key() != key)
            .filter(|exchange| exchange.is_held())
            .filter_map(|exchange| Some((exchange.sent_seq(), exchange.passive()?.forward()?)))
            .max_by_key(|(order, _)| *order)
    }
}
