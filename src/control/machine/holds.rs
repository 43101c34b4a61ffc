//! Commands that wait for a transfer before them, so that the FTP server sees both in the order in which one
//! TCP stream would have shown them.
//!
//! Control and data run on separate SSH connections, so a line can overtake a data connection that its client
//! had opened before it. Several things depend on that order:
//!
//! - A server may close its passive port on the next command. So a command behind a transfer command waits
//!   until the data connection has been opened at the SSH server, or has failed there (Q112).
//! - A server may break an upload off as soon as its control connection can be read. So QUIT, and the
//!   client's end of its control connection, wait for the final reply of an upload before them (Q111). Where
//!   that end was a reset, an upload whose data ended in order is complete: it goes on to its end (Q113).
//! - A server may drop a data connection that carries data before the server has read the command that it is
//!   for. So the client's data, and its EOF, wait in the driver until the server has sent a reply to the
//!   transfer ([`Control::takes_data`], Q118).
//! - An SSH server that has both EOFs may end the data connection at any time. So the client's own EOF in a
//!   download stays here until the server's has come ([`Control::keeps_end`], Q130).
//!
//! ABOR and STAT are for the transfer that runs, and wait for nothing. All waits are bounded: for a client
//! that has not connected, by [`Limits::late_client`](super::Limits::late_client); otherwise by
//! [`Limits::unanswered`](super::Limits::unanswered) without a line of the server or an event of a data
//! connection. Then what waits is passed on.

use std::time::Duration;

use crate::control::{
    data::{Forward, ForwardState},
    event::ForwardId,
    exchange::Exchange,
    key::Key,
    machine::Control,
    request::Request,
    transfer::Transfer,
    wait::{Hold, Wait},
};

impl Control {
    /// Whether this command, the next to be sent, waits for a transfer before it.
    pub(super) fn command_waits(&mut self, now: Duration, key: Key) -> bool {
        let farewell = match self.queue.get(key).map(|exchange| exchange.request()) {
            None | Some(Request::Abort | Request::Status) => return false,
            Some(request) => matches!(request, Request::Quit),
        };
        let awaited = self.awaited(Some(key), farewell);
        self.hold(now, awaited)
    }

    /// Whether the client's end of its control connection waits for a transfer before it.
    pub(super) fn end_waits(&mut self, now: Duration) -> bool {
        let awaited = self.awaited(None, true);
        self.hold(now, awaited)
    }

    /// Notes that the data connection over this forward has ended in order.
    pub(super) fn note_data_ended(&mut self, id: ForwardId) {
        if self.data.is_connected(id)
            && let Some(transfer) = self.transfer_over(id)
        {
            transfer.bind_to(id);
            transfer.note_data_ended();
        }
    }

    pub(super) fn hold_deadline(&self) -> Option<Duration> {
        let hold = self.hold?;
        let limits = &self.settings.limits;
        Some(match hold.wait() {
            Wait::Client => hold.since() + limits.late_client,
            Wait::Opening | Wait::Reply => {
                hold.since().max(self.peers.last_activity()) + limits.unanswered
            }
        })
    }

    /// Lets go what has waited for long enough.
    pub(super) fn expire_hold(&mut self, now: Duration) {
        if self.hold_deadline().is_none_or(|at| now < at) {
            return;
        }
        if let Some(hold) = self.hold.take()
            && let Some(transfer) = self.queue.transfer(hold.transfer())
        {
            transfer.waited_for(hold.wait());
        }
    }

    fn hold(&mut self, now: Duration, awaited: Option<(Key, Wait)>) -> bool {
        let Some((transfer, wait)) = awaited else {
            return false;
        };
        let begun = self.hold.filter(|hold| hold.is_for(transfer, wait));
        self.hold = Some(begun.unwrap_or_else(|| Hold::new(now, transfer, wait)));
        true
    }

    /// What something waits for that stands behind all transfers before `key`; `None`: behind all.
    fn awaited(&self, key: Option<Key>, farewell: bool) -> Option<(Key, Wait)> {
        let marks = self.marks();
        let before = self
            .queue
            .iter()
            .take_while(|exchange| Some(exchange.key()) != key);
        let mut waits = before.filter_map(|exchange| {
            let transfer = unanswered_transfer(exchange, &marks)?;
            let wait = self.wait_for(exchange, transfer, &marks, farewell)?;
            transfer
                .may_be_waited_for(wait)
                .then_some((exchange.key(), wait))
        });
        waits.next()
    }

    pub(super) fn upload_awaited(&self) -> bool {
        let marks = self.marks();
        self.queue.iter().any(|exchange| {
            unanswered_transfer(exchange, &marks).is_some_and(|transfer| {
                transfer.may_be_upload()
                    && self.wait_for(exchange, transfer, &marks, true).is_some()
            })
        })
    }

    fn wait_for(
        &self,
        exchange: &Exchange,
        transfer: &Transfer,
        marks: &Marks,
        farewell: bool,
    ) -> Option<Wait> {
        let forward = self
            .forward_of(exchange, transfer, marks)
            .and_then(|id| self.data.get(id));
        if let Some(forward) = forward
            && forward.is_passive()
        {
            match forward.state() {
                ForwardState::Ready { .. } => return Some(Wait::Client),
                ForwardState::Claimed => return Some(Wait::Opening),
                _ => {}
            }
        }
        let data = transfer.data_ended() || forward.is_some_and(Forward::is_connected);
        (farewell && transfer.may_be_upload() && data).then_some(Wait::Reply)
    }

    /// Forward of a transfer's data connection, if it is known.
    pub(super) fn forward_of(
        &self,
        exchange: &Exchange,
        transfer: &Transfer,
        marks: &Marks,
    ) -> Option<ForwardId> {
        let uses_current =
            self.data.since() < exchange.sent_seq() && exchange.sent_seq() < marks.renewed;
        let current = self.data.current().filter(|_| uses_current);
        transfer.forward().or(current)
    }

    /// Finds the marks, once, before the transfers are gone through.
    pub(super) fn marks(&self) -> Marks {
        Marks {
            last_abort: self.queue.last_abort(),
            renewed: self.queue.renewed_behind(self.data.since()),
        }
    }
}

/// Places in the send order.
pub(super) struct Marks {
    /// The last ABOR that is still unanswered.
    last_abort: u64,
    /// The next request for another data connection: what is sent behind it uses that one.
    renewed: u64,
}

/// The transfer in this entry, if the server has been sent it and has not answered it yet.
pub(super) fn unanswered_transfer<'a>(
    exchange: &'a Exchange,
    marks: &Marks,
) -> Option<&'a Transfer> {
    match exchange.request() {
        Request::Transfer(transfer)
            if exchange.awaits_reply()
                && !transfer.bars_success()
                && marks.last_abort <= exchange.sent_seq() =>
        {
            Some(transfer)
        }
        _ => None,
    }
}
