//! A session whose client has ended its side of the control connection: how long it still stands.
//!
//! A client may end its side and still want what runs: the rest of a file, the answer to an upload. A client
//! that is gone for good looks the same. So the session stays as long as data moves or the FTP server sends
//! something, and no longer: many FTP servers wait without a limit for a data connection, or for the rest of
//! one, and do not look at the end of their control connection meanwhile.

use std::time::Duration;

use crate::control::{
    end_reason::EndReason,
    event::{DataAtEnd, ForwardId, Output},
    machine::Control,
    peers::ClientEof,
};

impl Control {
    /// Handles the loss of the client's control connection. The client's upload may be complete all the same:
    /// the system of a client that ends without having read all replies sends a reset.
    pub(super) fn client_lost(&mut self, now: Duration) {
        let waits = self.upload_awaited();
        if !waits {
            self.end(DataAtEnd::Abort);
            return;
        }
        self.peers.note_activity(now);
        self.peers.owe_client_eof();
        let running = self.data.iter().filter(|(_, f)| f.is_connected());
        let running: Vec<ForwardId> = running.map(|(id, _)| id).collect();
        for id in running {
            self.outputs.push(Output::Settle(id));
        }
    }

    /// Time at which a session that its client has left ends, if nothing happens before.
    pub(super) fn abandoned_deadline(&self) -> Option<Duration> {
        match self.peers.client_eof() {
            ClientEof::None if !self.peers.client_has_left() => None,
            ClientEof::Sent(at) if !self.queue.transfer_unfinished() => {
                // A transfer that ended after the client's EOF was not bounded while it ran: count from its
                // end.
                let since = at.max(self.activity.since());
                Some(since + self.settings.limits.farewell)
            }
            _ => Some(self.peers.last_activity() + self.patience()),
        }
    }

    pub(super) fn expire_abandoned(&mut self, now: Duration) {
        if self.abandoned_deadline().is_none_or(|at| now < at) {
            return;
        }
        if matches!(self.peers.client_eof(), ClientEof::Sent(_))
            && !self.queue.transfer_unfinished()
        {
            self.end_in_order();
            return;
        }
        let reason = match self.has_data() {
            true => EndReason::StillData(self.patience()),
            false => EndReason::SilentServer(self.patience()),
        };
        // Data that does not move is cut before the control connection is closed: a server that sees that
        // close ends its downloads in order, as if they were complete.
        self.end_for(reason);
    }

    fn patience(&self) -> Duration {
        let limits = &self.settings.limits;
        if self.has_data() {
            limits.still_data
        } else {
            limits.unanswered
        }
    }

    fn has_data(&self) -> bool {
        self.data.iter().any(|(_, forward)| forward.is_connected())
    }
}
