//! Data connections that were refused because their user could not be found out, and that may have been the
//! client's (Q114).
//!
//! The kernel knows the owner of a socket as long as its program has it open. A client that sends a few bytes
//! and closes at once may be gone before ferryline has looked at it, and then nothing tells it from a thief.
//! A client that connects afterwards is still accepted. A client that does not connect, although its transfer
//! command has been sent, waits for an answer: ferryline gives it, and sends the FTP server an ABOR to end
//! the server's own wait.

use std::time::Duration;

use bytes::Bytes;

use crate::control::{
    answers::answer, event::ForwardId, exchange::Stage, key::Key, machine::Control,
    machine::holds::unanswered_transfer, peers::ClientEof, request::Request,
};

const DOUBTFUL: &str = "the data connection was closed before it could be seen whose it was, and is refused; ask for the transfer \
     again, and close the data connection only when the FTP server has said 150";

impl Control {
    /// Notes that a connection to this forward was refused that may have been the client's.
    pub(super) fn doubtful(&mut self, id: ForwardId) {
        if let Some(forward) = self.data.get_mut(id) {
            forward.mark_doubtful();
        }
    }

    /// Starts the client's time to connect once its transfer command has been sent and its connection may
    /// have been refused. To be called after every input.
    pub(super) fn note_doubts(&mut self, now: Duration) {
        if !self.data.iter().any(|(_, forward)| forward.is_doubtful()) {
            return;
        }
        let until = now + self.settings.limits.doubtful_client;
        let doubted: Vec<Key> = self.doubted().map(|(key, _)| key).collect();
        for key in doubted {
            if let Some(transfer) = self.queue.transfer(key) {
                transfer.doubt(until);
            }
        }
    }

    pub(super) fn doubt_deadline(&self) -> Option<Duration> {
        let times = self
            .doubted()
            .filter_map(|(key, _)| self.doubted_until(key));
        times.min()
    }

    pub(super) fn expire_doubts(&mut self, now: Duration) {
        let due: Vec<(Key, ForwardId)> = self
            .doubted()
            .filter(|(key, _)| self.doubted_until(*key).is_some_and(|until| until <= now))
            .collect();
        for (key, id) in due {
            self.close_forward(id);
            self.queue.say(key, answer(425, DOUBTFUL));
            if let Some(transfer) = self.queue.transfer(key) {
                transfer.answered_by_ferryline();
            }
            self.abort_waiting();
        }
    }

    /// Sends an ABOR, because the FTP server waits for a data connection that will not come. Not where
    /// another transfer runs: the ABOR would end that one.
    fn abort_waiting(&mut self) {
        let ended = matches!(self.peers.client_eof(), ClientEof::Sent(_));
        if ended || self.queue.transfer_unfinished() {
            return;
        }
        let key = self.queue.push(Request::OwnAbort, Stage::Sent);
        self.queue.sent(key);
        self.queue.expect_another_final();
        self.outputs.say_to_server(Bytes::from_static(b"ABOR\r\n"));
        self.resync();
    }

    /// Transfers whose client may have been refused and has not connected (again), with their forwards.
    fn doubted(&self) -> impl Iterator<Item = (Key, ForwardId)> {
        let marks = self.marks();
        self.queue.iter().filter_map(move |exchange| {
            let transfer = unanswered_transfer(exchange, &marks)?;
            let id = self.forward_of(exchange, transfer, &marks)?;
            let forward = self.data.get(id)?;
            (forward.is_doubtful() && forward.is_ready()).then_some((exchange.key(), id))
        })
    }

    fn doubted_until(&self, key: Key) -> Option<Duration> {
        self.queue.get(key)?.transfer()?.doubted_until()
    }
}
