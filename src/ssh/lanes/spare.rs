//! A lane that a spare forward stands on.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::{Lane, Lease, Pool};
use crate::lock::lock;
use crate::ssh::connection::channel::Counted;
use crate::ssh::connection::handle::Connection;

/// An idle lane with a spare forward on it. Dropping it leaves the lane without.
pub(crate) struct SpareLane {
    pub(super) pool: Arc<Pool>,
    pub(super) connection: Arc<Connection>,
    pub(super) lane: u64,
    pub(super) id: u64,
    pub(super) spoilt: CancellationToken,
}

impl SpareLane {
    pub(crate) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// Cancelled when a transfer has taken the lane, by whoever else finds the spare to be of no
    /// use, or not at all.
    pub(crate) fn spoilt(&self) -> &CancellationToken {
        &self.spoilt
    }

    /// One more remote forward.
    pub(crate) fn counted(&self) -> Counted {
        Counted::new(&self.pool.forwards)
    }

    /// Takes the lane for a transfer; `None` where another one has it, or it is lost.
    pub(crate) fn take(&self) -> Option<Arc<Lease>> {
        let mut state = lock(&self.pool.state);
        let lane = state.lanes.iter_mut().find(|lane| self.marks(lane))?;
        if lane.connection.is_lost() || self.spoilt.is_cancelled() {
            return None;
        }
        lane.spare = None;
        lane.leases += 1;
        let guard = self.pool.guard(Arc::clone(&lane.connection), Some(lane.id));
        self.pool.keep_warm(&mut state);
        Some(guard.lease)
    }

    fn marks(&self, lane: &Lane) -> bool {
        lane.id == self.lane && lane.spare.as_ref().is_some_and(|spare| spare.id == self.id)
    }
}

impl Drop for SpareLane {
    fn drop(&mut self) {
        let mut state = lock(&self.pool.state);
        if let Some(lane) = state.lanes.iter_mut().find(|lane| self.marks(lane)) {
            lane.spare = None;
        }
    }
}
