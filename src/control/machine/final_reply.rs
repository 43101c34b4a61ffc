//! Final replies that are held until their data is known to be complete.
//!
//! The end of the data connection shows that, so the reply waits for it. But some FTP servers do not end the
//! data connection before their next command, and some paths fall silent, and the two look the same from
//! here. So ferryline asks the SSH connection that carries the data for a keepalive reply ([`Output::Ask`]). The
//! answer comes after all data that the SSH server had.
//!
//! | transfer | what lets its success pass | what turns it into a 426 |
//! |---|---|---|
//! | download | the EOF; [`ForwardEvent::AllReceived`]; a client that takes none of what waits for it for [`stalled_data`] | the loss of the data connection |
//! | upload | the end of the data connection; [`ForwardEvent::AllSent`] | the loss of the data connection; neither event within [`stalled_data`] |
//!
//! [`stalled_data`]: super::Limits::stalled_data
//! [`ForwardEvent::AllReceived`]: super::ForwardEvent::AllReceived
//! [`ForwardEvent::AllSent`]: super::ForwardEvent::AllSent

use std::time::Duration;

use crate::control::{
    event::{ForwardId, Notice, Output},
    exchange::Exchange,
    gate::{Due, Gate},
    key::Key,
    machine::Control,
    machine::cuts::CUT,
    transfer::{ABORTED, Transfer},
};

impl Control {
    /// Holds the final reply of the transfer over this forward, which comes in now.
    pub(super) fn hold_reply(&mut self, now: Duration, key: Key, id: ForwardId, code: u16) {
        let [download, upload] = [false, true].map(|upload| self.new_gate(now, id, upload));
        if let Some(exchange) = self.queue.entry(key) {
            exchange.hold_final_reply(code < 300, |transfer| match transfer.may_be_upload() {
                true => upload,
                false => download,
            });
        }
    }

    /// Gate of a transfer whose final reply comes in now.
    fn new_gate(&self, now: Duration, id: ForwardId, upload: bool) -> Gate {
        let limits = &self.settings.limits;
        let stalled = now + limits.stalled_data;
        let connected = self.data.get(id).filter(|f| f.is_connected());
        match connected {
            Some(_) if self.data.is_stream() && upload => {
                Gate::asking(Some(stalled), now + limits.quiet_data)
            }
            Some(forward) if self.data.is_stream() => {
                // The TCP of an FTP server on another host may have to retransmit some of the data.
                let quiet = match self.settings.server_on_ssh_host {
                    true => limits.quiet_data,
                    false => limits.quiet_far_data,
                };
                Gate::asking(forward.is_blocked().then_some(stalled), now + quiet)
            }
            _ => Gate::until(stalled),
        }
    }

    /// Renews the gate, because the final reply waits for something else from now on: the forward's data
    /// connection is being made, or the client begins or stops to take its data.
    pub(super) fn renew_gate(&mut self, now: Duration, id: ForwardId) {
        let [download, upload] = [false, true].map(|upload| self.new_gate(now, id, upload));
        for (_, transfer) in self.queue.transfers_mut() {
            let renewed = match transfer.may_be_upload() {
                true => upload,
                false => download,
            };
            if transfer.forward() == Some(id)
                && let Some(gate) = transfer.gate_mut()
            {
                gate.renew(renewed, now + self.settings.limits.stalled_data);
            }
        }
    }

    /// Handles a client that takes none of the data that waits for it.
    pub(super) fn blocked(&mut self, now: Duration, id: ForwardId) {
        if let Some(forward) = self.data.get_mut(id) {
            forward.set_blocked(true);
            self.renew_gate(now, id);
        }
    }

    pub(super) fn progress(&mut self, now: Duration, id: ForwardId) {
        self.activity.note(now);
        if let Some(forward) = self.data.get_mut(id) {
            forward.set_blocked(false);
        }
        self.renew_gate(now, id);
    }

    /// Handles the report that all data has arrived, as far as can be told. Where the FTP server has sent its
    /// final reply too, that passes, although the server has not ended the data connection.
    pub(super) fn arrived(&mut self, id: ForwardId, upload: bool) {
        let stream = self.data.is_stream();
        let gated = self.transfer_over(id).is_some_and(|transfer| {
            transfer.may_be_upload() == upload && transfer.gate().is_some()
        });
        if stream
            && gated
            && let Some(forward) = self.data.get_mut(id)
            && forward.is_connected()
        {
            forward.drained();
            self.outputs.notice(Notice::LeftOpen(id));
            self.release(id);
        }
    }

    pub(super) fn gate_deadline(&self) -> Option<Duration> {
        let transfers = self.queue.iter().filter_map(Exchange::transfer);
        let gates = transfers.filter_map(Transfer::gate);
        gates.filter_map(Gate::deadline).min()
    }

    pub(super) fn expire_gates(&mut self, now: Duration) {
        let note_at = now + self.settings.limits.stalled_data;
        let (mut ask, mut silent, mut stalled) = (Vec::new(), Vec::new(), Vec::new());
        for (_, transfer) in self.queue.transfers_mut() {
            let id = transfer.forward();
            if let (Some(gate), Some(id)) = (transfer.gate_mut(), id) {
                match gate.expire(now, note_at) {
                    Some(Due::Ask) => ask.push(id),
                    Some(Due::Note) => silent.push(id),
                    Some(Due::Open) => stalled.push(id),
                    None => {}
                }
            }
        }
        for id in ask {
            self.outputs.push(Output::Ask(id));
        }
        for id in silent {
            self.outputs.notice(Notice::SilentWay(id));
        }
        for id in stalled {
            // A client that is slow to take its file sees for itself how that ends. For an upload, and for a
            // data connection that never came, it has only the reply.
            let waits_for_itself = self.data.is_connected(id)
                && self.transfer_over(id).is_some_and(|t| !t.may_be_upload());
            if waits_for_itself {
                if let Some(forward) = self.data.get_mut(id) {
                    forward.mark_outliving();
                }
                self.outputs.notice(Notice::StalledTransfer(id));
            } else {
                self.outputs.notice(Notice::UnconfirmedTransfer(id));
                self.withdraw_successes_over(id, CUT);
            }
            self.release(id);
        }
    }

    /// Passes all held replies on, because the client does not want the rest of its data.
    pub(super) fn release_all(&mut self) {
        let gated: Vec<ForwardId> = self
            .queue
            .iter()
            .filter_map(Exchange::transfer)
            .filter(|transfer| transfer.gate().is_some())
            .filter_map(Transfer::forward)
            .collect();
        for id in gated {
            // The end of the upload has not been seen yet.
            if self.transfer_over(id).is_some_and(|t| t.may_be_upload()) {
                self.withdraw_successes_over(id, ABORTED);
            }
            self.release(id);
        }
    }

    /// Passes on the final reply that waits for this forward's data.
    pub(super) fn release(&mut self, id: ForwardId) {
        let mut over = false;
        for exchange in self.queue.iter_mut() {
            if exchange.uses(id) && exchange.release_final_reply() {
                over |= exchange.is_answered();
            }
        }
        if over && self.data.is_stream() {
            self.data.forget(id);
            // Only an active forward that never got its data connection can still be unused here.
            self.close_unused(id);
        }
    }
}
