//! Transfers: the forward that each uses, and what becomes of the replies to it.
//!
//! Control and data take different ways through the tunnel, so a 226 often overtakes the data that it
//! reports, and some clients drop what has not come by then (Q43). So a download's final reply is held until
//! the data connection's EOF has been handed to the client. An upload's is held until its data connection has
//! ended on the server's side too, because the server also says 226 where the data was cut on the way
//! (`cuts`).

use std::time::Duration;

use crate::control::{
    data::ForwardState,
    event::{ForwardId, Output},
    exchange::{Exchange, Stage},
    incoming::ReplyHandling,
    key::Key,
    machine::Control,
    machine::cuts::{ENDED, cut_short},
    request::Request,
    transfer::{FinalReplyFate, Transfer},
};

impl Control {
    /// The transfer that runs over this forward, or will run over it.
    pub(super) fn transfer_over(&mut self, id: ForwardId) -> Option<&mut Transfer> {
        let next = self.data.is_current(id);
        // The server may begin before ferryline has read its acceptance of the line that names the forward.
        let named =
            self.queue
                .iter()
                .find_map(|exchange| match (exchange.request(), exchange.stage()) {
                    (Request::Active(active), Stage::Sent) if active.forward() == Some(id) => {
                        Some(exchange.sent_seq())
                    }
                    _ => None,
                });
        let renewed = self.queue.renewed_behind(self.data.since());
        let uses = |order| next && order < renewed || named.is_some_and(|named| named < order);
        let sent = self
            .queue
            .transfers_mut()
            .filter(|(place, _)| !place.is_unsent());
        let mut transfers = sent.filter(|(place, transfer)| match transfer.forward() {
            Some(used) => used == id,
            None => uses(place.sent_seq()),
        });
        transfers.next().map(|(_, transfer)| transfer)
    }

    /// Decides what is done with a reply with this code, which begins to answer a transfer.
    pub(super) fn transfer_reply(&mut self, now: Duration, key: Key, code: u16) -> ReplyHandling {
        if code < 300 {
            self.activity.logged_in();
        }
        let last = ReplyHandling::Pass { last: true };
        let preliminary = ReplyHandling::Pass { last: false };
        let forward = match (self.queue.forward_before(key), self.data.current()) {
            (Some((order, id)), Some(_)) if order > self.data.since() => Some(id),
            (Some((_, id)), None) => Some(id),
            (_, current) => current,
        };
        let aborted = self.queue.is_aborted(key);
        // Its reply is coming in, so it is still there.
        let Some(transfer) = self.queue.transfer(key) else {
            return last;
        };
        transfer.note_parameters(|| self.parameters.take_for_transfer());
        if let Some(id) = forward {
            transfer.bind_if_unbound(id);
        }
        if transfer.unreached().is_some() {
            return self.unreached_reply(key, code);
        }
        if transfer.is_answered_by_ferryline() {
            // The server works on it all the same, and may answer other commands meanwhile.
            if code < 200 {
                transfer.begins();
                return ReplyHandling::Dropped;
            }
            return ReplyHandling::Withheld;
        }
        if code < 200 {
            let begun = transfer.begins();
            // It was sent behind a request for another data connection, which the server has passed over.
            if begun && transfer.forward().is_none() && self.data.dead().is_some() {
                transfer.cut_unless_known(ENDED);
            }
            if let Some(id) = transfer.forward().filter(|_| begun) {
                self.join(id);
            }
            return preliminary;
        }
        // Some servers send 200 first, then 150, then 226 (Q42).
        if matches!(code, 200 | 202) && transfer.begins_by_200() {
            return preliminary;
        }
        let forward = transfer
            .forward()
            .and_then(|id| Some((id, self.data.get(id)?)));
        match transfer.decide_final_reply(code, aborted, forward, self.data.is_stream()) {
            FinalReplyFate::Passes => last,
            FinalReplyFate::Cut(reason) => {
                self.queue.say(key, cut_short(reason));
                ReplyHandling::Withheld
            }
            FinalReplyFate::Waits(id) => {
                self.hold_reply(now, key, id, code);
                if !self.data.is_stream() {
                    self.outputs.push(Output::Drain(id));
                }
                last
            }
        }
    }

    /// Handles a transfer whose final reply is complete.
    pub(super) fn transfer_done(&mut self, key: Key, code: u16) {
        self.queue.answered(key);
        let gated = self.queue.get(key).is_some_and(Exchange::is_held);
        let transfer = self.queue.get(key).and_then(Exchange::transfer);
        let begun = code < 300 || transfer.is_some_and(Transfer::has_begun);
        let used = transfer.and_then(Transfer::forward);
        let stream = self.data.is_stream();
        // Without a data connection there is nothing to tidy up.
        let Some((id, forward)) = used.and_then(|id| Some((id, self.data.get_mut(id)?))) else {
            return;
        };
        if code >= 400 && !begun {
            forward.mark_refused();
        }
        if stream && !gated {
            if forward.state() == ForwardState::Opening {
                // Its passive reply is still to be handed to the client.
            } else if forward.is_connected() {
                // It ends by itself, with its data. After a refusal (no such file, file busy) no data has
                // flowed, and the next transfer may use it.
                if begun {
                    self.data.forget(id);
                }
            } else if (200..500).contains(&code) {
                // The transfer is over, and no connection will come any more (Q45, Q57). After a 5xx the
                // server still listens, and so does ferryline.
                self.active_unreached(id, code);
                self.close_forward(id);
            }
        }
    }
}
