//! The transfers that wait for a lane, first come, first served.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use super::LaneGuard;

/// Those who wait.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<Waiter>,
    next: u64,
}

#[derive(Debug)]
struct Waiter {
    id: u64,
    /// It has waited so long that a log-in is worth while.
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

    /// One more waits; its number, and where its lane will be.
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

    /// It waits no longer.
    pub(super) fn leave(&mut self, id: u64) {
        self.waiting.retain(|waiter| waiter.id != id);
    }

    /// It has waited long enough to be opened a lane for.
    pub(super) fn press(&mut self, id: u64) {
        let waiter = self.waiting.iter_mut().find(|waiter| waiter.id == id);
        if let Some(waiter) = waiter {
            waiter.pressing = true;
        }
    }

    /// How many are worth a log-in.
    pub(super) fn pressing(&self) -> usize {
        self.waiting.iter().filter(|waiter| waiter.pressing).count()
    }

    /// The lane goes to the first who still waits; back where nobody does.
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
