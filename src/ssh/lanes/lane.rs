//! The lanes and what runs on each.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use super::turns::Turns;
use crate::ssh::connection::handle::Connection;

/// The lanes of a pool.
#[derive(Default)]
pub(super) struct Lanes {
    all: Vec<Lane>,
    last_id: u64,
    /// Number of control connections so far that ended up elsewhere than the one before.
    epoch: u64,
    turns: Turns,
    /// Since when no lane has been idle.
    busy_since: Option<Instant>,
    /// Whether a task sees to an idle lane.
    warming: bool,
}

/// A further SSH connection.
pub(super) struct Lane {
    id: u64,
    connection: Arc<Connection>,
    leases: usize,
    idle_since: Instant,
    /// The control connection went elsewhere: this lane takes no more transfers.
    retired: bool,
    /// The prefetched forward on it. Only an idle lane has one.
    prefetch: Option<Prefetch>,
}

/// A prefetched forward that stands on a lane.
struct Prefetch {
    mark: PrefetchMark,
    /// Tells its holder that it is of no use any more.
    spoilt: CancellationToken,
}

/// Names a lane with the prefetched forward that stands on it, for as long as it does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct PrefetchMark {
    lane: u64,
    forward: u64,
}

impl Lane {
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    fn is_marked(&self, mark: PrefetchMark) -> bool {
        self.prefetch
            .as_ref()
            .is_some_and(|prefetch| prefetch.mark == mark)
    }

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
}

impl Lanes {
    /// Number of lanes, with those whose connection was lost a moment ago.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Number of lanes that are connected.
    pub(super) fn open(&self) -> usize {
        let open = |lane: &&Lane| !lane.connection.is_lost();
        self.all.iter().filter(open).count()
    }

    /// Number of lanes that are in use.
    pub(super) fn busy(&self) -> usize {
        self.all.iter().filter(|lane| lane.leases > 0).count()
    }

    /// Grows with each control connection that ends up elsewhere than the one before. A lane is of use only
    /// to the control connection that it was opened for.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Adds a lane that is not in use yet; returns its number.
    pub(super) fn add(&mut self, connection: Arc<Connection>) -> u64 {
        let id = self.next_id();
        self.all.push(Lane {
            id,
            connection,
            leases: 0,
            idle_since: Instant::now(),
            retired: false,
            prefetch: None,
        });
        id
    }

    /// Takes out a lane whose connection is lost.
    pub(super) fn remove(&mut self, id: u64) {
        self.all.retain(|lane| lane.id != id);
    }

    /// Takes out the lanes that are not in use.
    pub(super) fn remove_idle(&mut self) {
        self.all.retain(|lane| lane.leases > 0);
    }

    /// Takes out all lanes; returns their connections.
    pub(super) fn take_all(&mut self) -> Vec<Arc<Connection>> {
        let all = std::mem::take(&mut self.all);
        all.into_iter().map(|lane| lane.connection).collect()
    }

    /// Number of lanes that are not in use and can be used.
    pub(super) fn idle(&self) -> usize {
        self.all.iter().filter(|lane| lane.is_idle()).count()
    }

    /// Whether no lane is idle; remembers since when.
    pub(super) fn all_are_busy(&mut self, now: Instant) -> bool {
        match self.all.iter().any(Lane::is_idle) {
            true => self.busy_since = None,
            false => _ = self.busy_since.get_or_insert(now),
        }
        self.busy_since.is_some()
    }

    /// How long no lane has been idle; `None` where one was at the last look.
    pub(super) fn busy_for(&self) -> Option<Duration> {
        self.busy_since.map(|since| since.elapsed())
    }

    /// Whether a task must see to an idle lane from now on: none is idle, and no task sees to it yet.
    pub(super) fn begins_warming(&mut self, now: Instant) -> bool {
        self.all_are_busy(now) && !std::mem::replace(&mut self.warming, true)
    }

    /// Notes that the task that saw to an idle lane has ended.
    pub(super) fn end_warming(&mut self) {
        self.warming = false;
    }

    /// Whether this number of transfers is about to get lanes that come free.
    pub(super) fn are_free_soon(&mut self, transfers: usize, now: Instant) -> bool {
        self.turns.soon(now) * 2 > transfers
    }

    /// Takes an idle lane into use: the one that was used last, because its TCP is warm. A lane with a
    /// prefetched forward is taken only where there is no other.
    pub(super) fn take_idle(&mut self) -> Option<&Lane> {
        let idle = self.all.iter_mut().filter(|lane| lane.is_idle());
        let lane = idle.max_by_key(|lane| (lane.prefetch.is_none(), lane.idle_since))?;
        if let Some(prefetch) = lane.prefetch.take() {
            prefetch.spoilt.cancel();
        }
        lane.leases = 1;
        Some(lane)
    }

    /// Notes a prefetched forward on an idle lane, the one that was used last, if there is one without.
    pub(super) fn mark_prefetch(
        &mut self,
        spoilt: &CancellationToken,
    ) -> Option<(PrefetchMark, Arc<Connection>)> {
        let forward = self.next_id();
        let lanes = self.all.iter_mut();
        let fit = lanes.filter(|lane| lane.is_idle() && lane.prefetch.is_none());
        let lane = fit.max_by_key(|lane| lane.idle_since)?;
        let mark = PrefetchMark {
            lane: lane.id,
            forward,
        };
        lane.prefetch = Some(Prefetch {
            mark,
            spoilt: spoilt.clone(),
        });
        Some((mark, Arc::clone(&lane.connection)))
    }

    /// Takes the lane with this prefetched forward into use, unless it is lost, or another transfer has it.
    pub(super) fn take_prefetched(&mut self, mark: PrefetchMark) -> Option<&Lane> {
        let lane = self.all.iter_mut().find(|lane| lane.is_marked(mark))?;
        let prefetch = lane.prefetch.as_ref()?;
        if lane.connection.is_lost() || prefetch.spoilt.is_cancelled() {
            return None;
        }
        lane.prefetch = None;
        lane.leases += 1;
        Some(lane)
    }

    /// Notes that a prefetched forward is gone.
    pub(super) fn unmark_prefetch(&mut self, mark: PrefetchMark) {
        if let Some(lane) = self.all.iter_mut().find(|lane| lane.is_marked(mark)) {
            lane.prefetch = None;
        }
    }

    /// Puts one more transfer on a lane that has some. Of the lanes whose clients keep up it takes the one
    /// with the fewest transfers, and none that waits to be replaced while there are others. With `slow` it
    /// also takes a lane whose clients do not keep up, and of those the fastest.
    pub(super) fn share(&mut self, slow: bool) -> Sharing<'_> {
        let mut any = false;
        let mut best: Option<(Rank, &mut Lane)> = None;
        for lane in self.all.iter_mut().filter(|lane| lane.is_usable()) {
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
        let at = self.all.iter().position(|lane| lane.id == id)?;
        let lane = self.all.get_mut(at)?;
        lane.leases = lane.leases.saturating_sub(1);
        lane.idle_since = now;
        if lane.is_idle() {
            self.turns.count(now);
        }
        let should_replace = lane.leases == 0 && lane.should_replace();
        should_replace.then(|| self.all.remove(at))
    }

    /// Takes lanes that lead elsewhere than the control connection out of use; returns those that nothing
    /// runs on.
    pub(super) fn retire_all(&mut self) -> Vec<Lane> {
        self.epoch += 1;
        for lane in &mut self.all {
            lane.retired = true;
        }
        let all = std::mem::take(&mut self.all);
        let (idle, busy) = all.into_iter().partition(|lane| lane.leases == 0);
        self.all = busy;
        idle
    }

    /// Takes out the lanes that have not been used for a while, except for a few.
    pub(super) fn take_unused(&mut self, now: Instant) -> Vec<Lane> {
        let mut idle = self.idle();
        let mut gone = Vec::new();
        let mut kept = Vec::new();
        for lane in self.all.drain(..) {
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
        self.all = kept;
        gone
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
