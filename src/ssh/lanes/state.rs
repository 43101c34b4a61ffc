//! What the pool knows of its lanes.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::admission::Admission;
use super::pace::Pace;
use super::queue::Queue;
use super::turns::Turns;
use crate::ssh::connection::handle::Connection;
use crate::ssh::connection::place::Place;

/// All of it, under one lock.
pub(super) struct State {
    pub(super) lanes: Vec<Lane>,
    last_id: u64,
    pub(super) pace: Pace,
    /// The control connection: a lane has to end on its host.
    pub(super) control: Weak<Connection>,
    /// The place of the control connection.
    pub(super) place: Place,
    /// Number of control connections so far that ended up elsewhere than the one before. A lane is of use
    /// only to the control connection that it was opened for.
    pub(super) epoch: u64,
    /// Transfers that wait for a lane.
    pub(super) queue: Queue,
    turns: Turns,
    /// Since when no lane has been idle.
    pub(super) busy_since: Option<Instant>,
    /// Whether a task sees to an idle lane.
    pub(super) warming: bool,
    /// Whether the server accepts a further log-in.
    pub(super) admission: Admission,
}

/// A further SSH connection.
pub(super) struct Lane {
    pub(super) id: u64,
    pub(super) connection: Arc<Connection>,
    pub(super) leases: usize,
    pub(super) idle_since: Instant,
    /// The control connection went elsewhere: this lane takes no more transfers.
    retired: bool,
    /// The prefetched forward on it. Only an idle lane has one.
    pub(super) prefetch: Option<PrefetchMark>,
}

/// A prefetched forward that stands on a lane.
pub(super) struct PrefetchMark {
    pub(super) id: u64,
    /// Tells its holder that it is of no use any more.
    spoilt: CancellationToken,
}

impl Lane {
    fn is_idle(&self) -> bool {
        self.leases == 0 && self.is_usable()
    }

    fn is_usable(&self) -> bool {
        !self.retired && !self.connection.is_lost()
    }

    /// Whether it is to be replaced as soon as it is idle (see `Shared::count_closed_first`).
    fn should_replace(&self) -> bool {
        self.retired || self.connection.shared().should_replace().is_cancelled()
    }

    /// Notes a prefetched forward that stands on it from now on; returns the forward's number.
    pub(super) fn mark(&mut self, id: u64, spoilt: &CancellationToken) -> u64 {
        self.prefetch = Some(PrefetchMark {
            id,
            spoilt: spoilt.clone(),
        });
        id
    }
}

impl State {
    pub(super) fn new(patience: Duration) -> Self {
        Self {
            lanes: Vec::new(),
            last_id: 0,
            pace: Pace::new(patience),
            control: Weak::new(),
            place: Place::default(),
            epoch: 0,
            queue: Queue::default(),
            turns: Turns::default(),
            busy_since: None,
            warming: false,
            admission: Admission::default(),
        }
    }

    pub(super) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Adds a lane that is not in use yet; returns its number.
    pub(super) fn add(&mut self, connection: Arc<Connection>) -> u64 {
        let id = self.next_id();
        self.lanes.push(Lane {
            id,
            connection,
            leases: 0,
            idle_since: Instant::now(),
            retired: false,
            prefetch: None,
        });
        id
    }

    /// Number of lanes that are not in use.
    pub(super) fn idle(&self) -> usize {
        self.lanes.iter().filter(|lane| lane.is_idle()).count()
    }

    /// Whether no lane is idle; remembers since when.
    pub(super) fn all_are_busy(&mut self, now: Instant) -> bool {
        match self.lanes.iter().any(Lane::is_idle) {
            true => self.busy_since = None,
            false => _ = self.busy_since.get_or_insert(now),
        }
        self.busy_since.is_some()
    }

    /// Whether the transfers that wait are about to get lanes that come free.
    pub(super) fn one_is_free_soon(&mut self, now: Instant) -> bool {
        self.turns.soon(now) * 2 > self.queue.len()
    }

    /// Takes an idle lane into use: the one that was used last, because its TCP is warm. A lane with a
    /// prefetched forward is taken only where there is no other.
    pub(super) fn take_idle(&mut self) -> Option<&Lane> {
        let idle = self.lanes.iter_mut().filter(|lane| lane.is_idle());
        let lane = idle.max_by_key(|lane| (lane.prefetch.is_none(), lane.idle_since))?;
        if let Some(prefetch) = lane.prefetch.take() {
            prefetch.spoilt.cancel();
        }
        lane.leases = 1;
        Some(lane)
    }

    pub(super) fn warmest_without_prefetch(&mut self) -> Option<&mut Lane> {
        let lanes = self.lanes.iter_mut();
        let fit = lanes.filter(|lane| lane.is_idle() && lane.prefetch.is_none());
        fit.max_by_key(|lane| lane.idle_since)
    }

    /// Puts one more transfer on a lane that has some. Of the lanes whose clients keep up it takes the one
    /// with the fewest transfers, and none that waits to be replaced while there are others. With `slow` it
    /// also takes a lane whose clients do not keep up, and of those the fastest.
    pub(super) fn share(&mut self, slow: bool) -> Sharing<'_> {
        let mut any = false;
        let mut best: Option<(Rank, &mut Lane)> = None;
        for lane in self.lanes.iter_mut().filter(|lane| lane.is_usable()) {
            any = true;
            let rank = Rank::of(lane);
            if best
                .as_ref()
                .is_none_or(|(found, _)| rank.is_better_than(found))
            {
                best = Some((rank, lane));
            }
        }
        match best {
            Some((rank, lane)) if rank.keeps_up() || slow && rank.moves() => {
                lane.leases += 1;
                Sharing::Lane(lane)
            }
            _ if any => Sharing::AllHeldUp,
            _ => Sharing::NoLane,
        }
    }

    /// Notes that a transfer has ended. Returns its lane if that is of no more use.
    pub(super) fn given_back(&mut self, id: u64, now: Instant) -> Option<Lane> {
        let at = self.lanes.iter().position(|lane| lane.id == id)?;
        let lane = self.lanes.get_mut(at)?;
        lane.leases = lane.leases.saturating_sub(1);
        lane.idle_since = now;
        if lane.is_idle() {
            self.turns.count(now);
        }
        let should_replace = lane.leases == 0 && lane.should_replace();
        should_replace.then(|| self.lanes.remove(at))
    }

    /// Takes lanes that lead elsewhere than the control connection out of use; returns those that nothing
    /// runs on.
    pub(super) fn retire_all(&mut self) -> Vec<Lane> {
        self.epoch += 1;
        for lane in &mut self.lanes {
            lane.retired = true;
        }
        let all = std::mem::take(&mut self.lanes);
        let (idle, busy) = all.into_iter().partition(|lane| lane.leases == 0);
        self.lanes = busy;
        idle
    }

    /// Takes out the lanes that have not been used for a while, except for a few.
    pub(super) fn take_unused(&mut self, now: Instant) -> Vec<Lane> {
        let mut idle = self.idle();
        let mut gone = Vec::new();
        let mut kept = Vec::new();
        for lane in self.lanes.drain(..) {
            // A channel whose client has not hung up keeps its connection: the lane still counts towards the
            // limit.
            let unused = lane.leases == 0 && Arc::strong_count(&lane.connection) == 1;
            let old = unused && now.duration_since(lane.idle_since) >= IDLE_LIMIT;
            if old && idle > KEEP_IDLE {
                idle -= 1;
                gone.push(lane);
            } else {
                kept.push(lane);
            }
        }
        self.lanes = kept;
        gone
    }

    /// Whether the server is known to refuse a further log-in.
    pub(super) fn is_single(&mut self) -> bool {
        self.admission.is_refused(Instant::now())
    }
}

/// How good it is to share a lane.
struct Rank {
    /// Bytes a second of its slowest reader.
    rate: f64,
    should_replace: bool,
    leases: usize,
}

impl Rank {
    fn of(lane: &Lane) -> Self {
        let slowest = lane.connection.shared().slowest_reader();
        Self {
            rate: slowest.unwrap_or(f64::INFINITY),
            should_replace: lane.should_replace(),
            leases: lane.leases,
        }
    }

    fn keeps_up(&self) -> bool {
        self.rate >= FAST
    }

    fn moves(&self) -> bool {
        self.rate >= LEAST
    }

    fn is_better_than(&self, other: &Self) -> bool {
        match (self.keeps_up(), other.keeps_up()) {
            (true, true) => {
                (self.should_replace, self.leases) < (other.should_replace, other.leases)
            }
            (false, false) => self.rate > other.rate,
            (keeps_up, _) => keeps_up,
        }
    }
}

/// Bytes a second. At this rate, what may be queued for one reader (8 MiB at most) is gone in two seconds.
const FAST: f64 = 4.0 * 1024.0 * 1024.0;
/// Bytes a second. At this rate it is gone in eight.
const LEAST: f64 = 1024.0 * 1024.0;

/// Where one more transfer may run beside others.
pub(super) enum Sharing<'a> {
    Lane(&'a Lane),
    /// Each of them has a client that reads too slowly, or not at all.
    AllHeldUp,
    NoLane,
}

/// Idle lanes beyond this are closed after `IDLE_LIMIT`.
const KEEP_IDLE: usize = 2;
const IDLE_LIMIT: Duration = Duration::from_secs(60);
