//! Transfers whose data was cut on its way, and what the client is told of them.
//!
//! The FTP server cannot tell. An SSH server turns every end of a data connection into an end of file, also
//! that of a lost SSH connection. So the FTP server says 226 for an upload that was cut. It also says 226 for
//! a download that it has handed to the SSH server, whether or not a client was there to take it. Ferryline
//! therefore does not pass such a success on. Where the server says nothing (its end of the way may stand for
//! long), ferryline answers.

use std::time::Duration;

use bytes::Bytes;

use crate::control::{
    answers::answer, data::Forward, end_reason::EndReason, event::ForwardId, exchange::Exchange,
    machine::Control, queue::Queue, transfer::Transfer,
};

impl Control {
    /// Handles a data connection over this forward that was cut on its way through SSH.
    pub(super) fn cut_off(&mut self, now: Duration, id: ForwardId) {
        let until = now + self.settings.limits.missing_reply;
        self.fell_short(id, CUT, Some(until));
    }

    /// Handles a client's side of a data connection that broke. An upload must not be taken for complete: the
    /// server's control connection is closed before the way of the data, so that the server knows.
    pub(super) fn broken(&mut self, now: Duration, id: ForwardId) {
        let upload = self
            .transfer_over(id)
            .is_some_and(|transfer| transfer.may_be_upload());
        if upload {
            self.end_for(EndReason::UploadBroke);
        } else if self.data.contains(id) {
            self.client_side_broke(id);
            self.close_forward(id);
            self.gone(now, id);
        }
    }

    /// Handles a client's side of a data connection that broke, or never came. The server sees that, and will
    /// reply.
    pub(super) fn client_side_broke(&mut self, id: ForwardId) {
        self.fell_short(id, BROKE, None);
    }

    fn fell_short(&mut self, id: ForwardId, reason: &'static str, overdue: Option<Duration>) {
        let has_all = self.data.get(id).is_some_and(Forward::is_drained);
        let current = self.data.is_current(id);
        match self.transfer_over(id) {
            // The client has its whole file, and it was the client's own side that was cut.
            Some(transfer) if transfer.may_be_download() && has_all => {}
            Some(transfer) => {
                transfer.cut(reason, overdue);
                transfer.bind_to(id);
                self.withdraw_successes_over(id, reason);
            }
            // The client has seen its data connection break, and the FTP server may have seen an end of file:
            // a transfer that is asked for now would fail, or move an empty file.
            None if current => {
                self.lost_for_unknowns(id, reason);
                self.data.mark_dead(reason);
            }
            None => {}
        }
        for exchange in self.queue.iter_mut() {
            if let Some(active) = exchange.active_mut()
                && active.forward() == Some(id)
            {
                active.lose(reason);
            }
        }
    }

    /// Handles a PORT or EPRT, sent at `order`, that the server accepted after its data connection was lost:
    /// the transfer that is to use it fails.
    pub(super) fn accepted_too_late(&mut self, order: u64, reason: &'static str) {
        if self.data.current().is_some() || self.data.since() != order {
            return;
        }
        self.data.mark_dead(reason);
        let renewed = self.queue.renewed_behind(order);
        for (place, transfer) in self.queue.transfers_mut() {
            if place.awaits_reply() && place.sent_seq() > order && place.sent_seq() < renewed {
                transfer.cut_unless_known(reason);
            }
        }
    }

    /// Withdraws a success that the server sent for the transfer over this forward, while it is still held.
    pub(super) fn withdraw_successes_over(&mut self, id: ForwardId, reason: &'static str) {
        for exchange in self.queue.iter_mut() {
            if exchange.uses(id) && exchange.withdraw_success(reason, cut_short(reason)) {
                self.incoming.withhold_rest(exchange.key());
            }
        }
    }

    /// Answers in place of a server that sends no final reply for a transfer whose data was cut.
    pub(super) fn expire_cuts(&mut self, now: Duration) {
        let incoming = self.incoming.key();
        let mut overdue = Vec::new();
        for (place, transfer) in self.queue.transfers_mut() {
            if transfer.answer_by().is_some_and(|until| until <= now) {
                transfer.stop_awaiting_answer();
                // What is coming in is that answer.
                if let Some(reason) = transfer.cut_reason()
                    && place.awaits_reply()
                    && incoming != Some(place.key())
                {
                    transfer.answered_by_ferryline();
                    overdue.push((place.key(), reason));
                }
            }
        }
        for (key, reason) in overdue {
            self.queue.say(key, cut_short(reason));
        }
    }
}

/// Time at which the first of these answers is overdue.
pub(super) fn cut_deadline(queue: &Queue) -> Option<Duration> {
    let transfers = queue.iter().filter_map(Exchange::transfer);
    transfers.filter_map(Transfer::answer_by).min()
}

/// Renders the final reply of a transfer whose data was cut.
pub(super) fn cut_short(reason: &str) -> Bytes {
    answer(426, reason)
}

pub(super) const CUT: &str =
    "the data connection was cut on its way through SSH; not all of the data has come";
pub(super) const ENDED: &str = "the data connection has ended before its transfer began";
const BROKE: &str = "the client's side of the data connection broke; not all of the data has come";
