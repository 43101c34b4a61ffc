//! How a transfer comes to its lane: an idle one, one that comes free or is opened, or a share.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::time::sleep_until;

use super::{LaneGuard, MOMENT, Pool, State, lane::Sharing};
use crate::{lock::lock, ssh::error::Error};

impl Pool {
    /// A lane for a transfer; `None` where the control connection must do instead.
    ///
    /// # Errors
    ///
    /// No further lanes may be opened, and those there are have clients that read slowly.
    pub(in crate::ssh) async fn acquire(self: &Arc<Self>) -> Result<Option<LaneGuard>, Error> {
        self.acquire_within(None).await
    }

    /// A lane; with `patience`, also one whose log-in takes that long.
    pub(in crate::ssh) async fn acquire_within(
        self: &Arc<Self>,
        patience: Option<Duration>,
    ) -> Result<Option<LaneGuard>, Error> {
        let began = Instant::now();
        let mut changed = self.changed.subscribe();
        let (waiting, mut given) = {
            let mut state = lock(&self.state);
            if state.queue.is_empty()
                && let Some(lane) = self.take_idle(&mut state)
            {
                return Ok(Some(lane));
            }
            let (id, given) = state.queue.join();
            (Waiting { pool: self, id }, given)
        };
        loop {
            changed.mark_unchanged();
            let until = {
                let mut state = lock(&self.state);
                if let Ok(lane) = given.try_recv() {
                    return Ok(Some(lane));
                }
                match self.decide(&mut state, waiting.id, began, patience) {
                    Decision::Wait(until) => until,
                    Decision::Control => return Ok(None),
                    Decision::Lane(lane) => return Ok(Some(lane)),
                    Decision::HeldUp => return Err(self.held_up(&state)),
                }
            };
            tokio::select! {
                biased;
                Ok(lane) = &mut given => return Ok(Some(lane)),
                _ = changed.changed() => {}
                () = sleep_until(until.into()) => {}
            }
        }
    }

    /// Gives lanes that have come free to the transfers that wait, in their order.
    pub(super) fn serve(self: &Arc<Self>, state: &mut State) {
        while !state.queue.is_empty() {
            let Some(lane) = self.take_idle(state) else {
                return;
            };
            if let Err(lane) = state.queue.serve(lane) {
                // No transfer waited any more. The lane is given back under the lock that is held here.
                if let Some(id) = lane.disarm() {
                    state.lanes.given_back(id, Instant::now());
                }
            }
        }
        state.lanes.all_are_busy(Instant::now());
    }

    fn take_idle(self: &Arc<Self>, state: &mut State) -> Option<LaneGuard> {
        let lane = self.guard(state.lanes.take_idle()?);
        self.keep_warm(state);
        Some(lane)
    }

    fn decide(
        self: &Arc<Self>,
        state: &mut State,
        id: u64,
        began: Instant,
        patience: Option<Duration>,
    ) -> Decision {
        let now = Instant::now();
        let only_control =
            self.dialer.settings().lanes == 0 || state.is_single() || self.stop.is_cancelled();
        let until = if only_control {
            began
        } else if !state.lanes.is_empty() && now < began + MOMENT {
            return Decision::Wait(began + MOMENT);
        } else if state.one_is_free_soon(now) {
            return Decision::Wait(now + MOMENT);
        } else {
            state.queue.press(id);
            self.top_up(state, 0);
            let pace = &state.pace;
            match (pace.worth_waiting_until(), patience) {
                (_, Some(patience)) if pace.under_way() > 0 => began + patience,
                (Some(until), _) => until.min(began + OPEN_PATIENCE),
                (None, _) if pace.under_way() > 0 || pace.is_failing() => began,
                (None, _) if state.lanes.is_empty() => began,
                (None, _) => began + SHARE_AFTER,
            }
        };
        if now < until {
            return Decision::Wait(until);
        }
        let is_opening = state.pace.under_way() > 0 && !state.pace.is_failing();
        let last = began
            + match is_opening {
                true => OPEN_PATIENCE,
                false => HELD_UP_PATIENCE,
            };
        match state.lanes.share(now >= last) {
            Sharing::Lane(lane) => Decision::Lane(self.guard(lane)),
            Sharing::NoLane => Decision::Control,
            Sharing::AllHeldUp if now < last => Decision::Wait((now + LOOK_AGAIN).min(last)),
            Sharing::AllHeldUp => Decision::HeldUp,
        }
    }

    fn held_up(&self, state: &State) -> Error {
        Error::HeldUp {
            destination: self.dialer.settings().destination(),
            lanes: state.lanes.len(),
        }
    }
}

/// What becomes of a transfer that has no lane yet.
enum Decision {
    /// It waits, and looks again at this time at the latest.
    Wait(Instant),
    /// It shares this lane.
    Lane(LaneGuard),
    /// It shares the control connection.
    Control,
    HeldUp,
}

/// A transfer that waits for a lane, as long as this lives.
struct Waiting<'a> {
    pool: &'a Pool,
    id: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        lock(&self.pool.state).queue.leave(self.id);
    }
}

/// How long a transfer waits for a lane before it shares one, while all are busy and no more are allowed.
const SHARE_AFTER: Duration = Duration::from_millis(250);
/// How long it waits while lanes are being opened one after the other.
const OPEN_PATIENCE: Duration = Duration::from_secs(10);
/// How long it waits for a lane that is not held up, where all that could be shared are.
const HELD_UP_PATIENCE: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(250);
