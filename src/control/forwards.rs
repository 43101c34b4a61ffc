//! How many forwards a session may have, and the end of those that nothing uses (any more).

use super::{event::ForwardId, machine::Control};

/// The data connections that a session may have at the same time: one that runs, the next one, and those
/// before whose clients are slow.
const MOST_CONNECTIONS: usize = 8;

impl Control {
    /// Whether the session has as many data connections as it may have (Q85): a client and a server that
    /// both keep them open could otherwise use up all descriptors.
    pub(super) fn has_too_many_connections(&self) -> bool {
        let running = self.data.iter();
        let running = running.filter(|(_, f)| f.is_connected() && !f.is_drained());
        running.count() >= MOST_CONNECTIONS
    }

    /// Of those whose clients have had their files and do not hang up, the oldest goes when they are
    /// too many.
    pub(super) fn close_forsaken(&mut self) {
        let drained: Vec<ForwardId> = self
            .data
            .iter()
            .filter(|(id, f)| {
                f.is_drained() && !self.data.is_current(*id) && !self.queue.needs(*id)
            })
            .map(|(id, _)| id)
            .collect();
        if drained.len() >= MOST_CONNECTIONS
            && let Some(oldest) = drained.first()
        {
            self.close_forward(*oldest);
        }
    }

    /// Closes the forward that the next transfer would have used.
    pub(super) fn close_current(&mut self) {
        if let Some(id) = self.data.current() {
            self.data.forget(id);
            self.close_unused(id);
        }
    }

    /// Closes what no data connection uses yet, and nothing will any more: the forwards of requests
    /// that came to nothing.
    pub(super) fn close_forgotten(&mut self) {
        let forgotten: Vec<ForwardId> = self
            .data
            .iter()
            .filter(|(id, forward)| {
                !forward.is_connected() && !self.data.is_current(*id) && !self.queue.needs(*id)
            })
            .map(|(id, _)| id)
            .collect();
        for id in forgotten {
            self.close_forward(id);
        }
    }
}
