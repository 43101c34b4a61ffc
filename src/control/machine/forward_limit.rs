//! Limits on the data connections of a session.

use crate::control::{event::ForwardId, machine::Control};

/// Number of data connections that a session may have at a time: one that runs, the next one, and earlier
/// ones whose clients are slow.
const MOST_CONNECTIONS: usize = 8;

impl Control {
    /// Whether the session has as many data connections as it may have (Q85). A client and a server that both
    /// keep them open could otherwise use up all descriptors.
    pub(super) fn has_too_many_connections(&self) -> bool {
        let running = self.data.iter();
        let running = running.filter(|(_, f)| f.is_connected() && !f.is_drained());
        running.count() >= MOST_CONNECTIONS
    }

    /// Closes the oldest of the data connections whose clients have their files and do not close, when there
    /// are too many of them.
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
}
