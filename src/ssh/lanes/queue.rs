//! The transfers that wait for a lane, first come, first served.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use super::LaneGuard;

/// The transfers that wait.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<Waiter>,
    next: u64,
}

#[derive(Debug)]
struct Waiter {
    id: u64,
    /// Whether it has waited long enough to be worth a log-in.
    pressing: bool,
    lane: oneshot::Sender<LaneGuard>,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Adds a transfer. Returns its number, and where its lane will arrive.
    pub(super) fn join(&mut self) -> (u64, oneshot::Receiver<LaneGuard>) {
        let (lane, given) = oneshot::channel();
        let id = self.next;
        self.next += 1;
        self.waiting.push_back(Waiter {
            id,
            pressing: false,
            lane,
        });
        (id, given)
    }

    /// Removes a transfer, which waits no longer.
    pub(super) fn leave(&mut self, id: u64) {
        self.waiting.retain(|waiter| waiter.id != id);
    }

    /// Marks a transfer that has waited long enough for a lane to be opened for it.
    pub(super) fn press(&mut self, id: u64) {
        let waiter = self.waiting.iter_mut().find(|waiter| waiter.id == id);
        if let Some(waiter) = waiter {
            waiter.pressing = true;
        }
    }

    /// Number of transfers that are worth a log-in.
    pub(super) fn pressing(&self) -> usize {
        self.waiting.iter().filter(|waiter| waiter.pressing).count()
    }

    /// Gives the lane to the first transfer that still waits; returns it where none does.
    pub(super) fn serve(&mut self, mut lane: LaneGuard) -> Result<(), LaneGuard> {
        while let Some(waiter) = self.waiting.pop_front() {
            match waiter.lane.send(lane) {
                Ok(()) => return Ok(()),
                Err(back) => lane = back,
            }
        }
        Err(lane)
    }
}
