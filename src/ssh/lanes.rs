//! The pool of data lanes: further SSH connections, each for one transfer while there are enough.
//!
//! A transfer gets an idle lane, else a new one, else (where there may be no more) it waits a little
//! for one to come free, else it shares the one where that hurts least. One idle lane is kept ready,
//! so that a transfer does not wait for a log-in. Where the server lets nobody in a second time, all
//! share the control connection; and so does a transfer whose lane takes longer than about a second
//! (see `pace`).
//!
//! A lane ends on the host that the control connection ends on: it goes to the same address, and where
//! that is not for this host to choose, it has to prove it (see `place` and `proof`).
//!
//! An idle lane may carry a spare forward (see `spare`). It is as idle as any other: whoever needs it
//! takes it at once, and the spare is thrown away.

mod opening;
mod pace;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::channel::{Channel, Counted, Hold};
use super::connection::{Connection, lock};
use super::error::{ForwardError, OpenError};
use super::establish::Dialer;
use super::forward::{self, Origin, RemoteForward};
use super::place::Place;
use pace::Pace;

/// A lane for one data connection, in use until this and every channel opened on it are dropped.
#[derive(Debug)]
pub struct LaneGuard {
    lease: Arc<Lease>,
    forwards: Arc<AtomicUsize>,
}

impl LaneGuard {
    /// Opens a data connection to `host` and `port` as seen from the SSH server (RFC 4254 section
    /// 7.2); `originator` is who it is opened for.
    ///
    /// # Errors
    ///
    /// The server refused, could not connect, did not answer, or is gone.
    pub async fn open(
        &self,
        host: &str,
        port: u16,
        originator: SocketAddr,
    ) -> Result<Channel, OpenError> {
        let hold = Hold {
            lease: Some(Arc::clone(&self.lease)),
            counted: None,
        };
        self.lease
            .connection
            .open(host, port, originator, hold)
            .await
    }

    /// Asks for a remote forward (RFC 4254 section 7.1) on a free port of `bind`, which is a loopback
    /// address of the SSH server, for a connection from there.
    ///
    /// # Errors
    ///
    /// The server refused, did not answer, or is gone.
    pub async fn remote_forward(&self, bind: IpAddr) -> Result<RemoteForward, ForwardError> {
        self.remote_forward_from(bind, Origin::Loopback).await
    }

    /// As [`remote_forward`](Self::remote_forward), on any address of the SSH server's host, for a
    /// connection from `origin`. Beyond its loopback the SSH server has to allow it (OpenSSH's
    /// `GatewayPorts clientspecified`); OpenSSH's sshd, where it does not, listens on its loopback
    /// without a word.
    ///
    /// # Errors
    ///
    /// The server refused, did not answer, or is gone.
    pub async fn remote_forward_from(
        &self,
        bind: IpAddr,
        origin: Origin,
    ) -> Result<RemoteForward, ForwardError> {
        let lease = Some(Arc::clone(&self.lease));
        let counted = Counted::new(&self.forwards);
        forward::request(&self.lease.connection, bind, origin, lease, counted, None).await
    }

    /// Whether this is the control connection, shared for want of a lane.
    pub fn is_shared_control(&self) -> bool {
        self.lease.lane.is_none()
    }
}

/// One use of a lane.
pub(super) struct Lease {
    pool: Arc<Pool>,
    connection: Arc<Connection>,
    /// `None`: the control connection.
    lane: Option<u64>,
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("lane", &self.lane)
            .finish_non_exhaustive()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(id) = self.lane {
            self.pool.give_back(id);
        }
    }
}

/// All lanes to one destination.
pub(super) struct Pool {
    dialer: Arc<Dialer>,
    state: Mutex<State>,
    changed: watch::Sender<()>,
    logins: Semaphore,
    stop: CancellationToken,
    forwards: Arc<AtomicUsize>,
}

struct State {
    lanes: Vec<Lane>,
    next_id: u64,
    pace: Pace,
    /// The control connection: a lane has to end on its host.
    control: Weak<Connection>,
    /// The place of the control connection.
    place: Place,
    /// Counts the control connections that ended up elsewhere than the one before: lanes are of use to
    /// the one that they were opened for only.
    epoch: u64,
    /// Transfers waiting for a lane.
    waiting: usize,
    /// The server lets nobody in a second time.
    single: bool,
    /// From this moment on it may.
    single_until: Option<Instant>,
    /// That it does not has been told.
    told: bool,
}

struct Lane {
    id: u64,
    connection: Arc<Connection>,
    leases: usize,
    idle_since: Instant,
    /// The control connection went elsewhere: it takes no more transfers.
    retired: bool,
    /// The spare forward on it. Only an idle lane has one.
    spare: Option<SpareMark>,
}

struct SpareMark {
    id: u64,
    /// Tells its holder that it is of no use any more.
    spoilt: CancellationToken,
}

/// An idle lane with a spare forward on it. Dropping it leaves the lane without.
pub(super) struct SpareLane {
    pool: Arc<Pool>,
    connection: Arc<Connection>,
    lane: u64,
    id: u64,
    spoilt: CancellationToken,
}

impl SpareLane {
    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// Cancelled when a transfer has taken the lane, by whoever else finds the spare to be of no
    /// use, or not at all.
    pub(super) fn spoilt(&self) -> &CancellationToken {
        &self.spoilt
    }

    /// One more remote forward.
    pub(super) fn counted(&self) -> Counted {
        Counted::new(&self.pool.forwards)
    }

    /// Takes the lane for a transfer; `None` where another one has it, or it is lost.
    pub(super) fn take(&self) -> Option<Arc<Lease>> {
        let mut state = lock(&self.pool.state);
        let lane = state.lanes.iter_mut().find(|lane| self.marks(lane))?;
        if lane.connection.is_lost() || self.spoilt.is_cancelled() {
            return None;
        }
        lane.spare = None;
        lane.leases += 1;
        lane.connection.shared().touch();
        let guard = self.pool.guard(Arc::clone(&lane.connection), Some(lane.id));
        self.pool.top_up(&mut state);
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

impl Lane {
    fn is_idle(&self) -> bool {
        self.leases == 0 && self.is_usable()
    }

    fn is_usable(&self) -> bool {
        !self.retired && !self.connection.is_lost()
    }

    /// Whether it is to be replaced as soon as it is idle (see `Shared::count_closed_first`).
    fn is_worn_out(&self) -> bool {
        self.retired || self.connection.shared().worn_out().is_cancelled()
    }
}

impl State {
    fn new(patience: Duration) -> Self {
        Self {
            lanes: Vec::new(),
            next_id: 0,
            pace: Pace::new(patience),
            control: Weak::new(),
            place: Place::default(),
            epoch: 0,
            waiting: 0,
            single: false,
            single_until: None,
            told: false,
        }
    }

    /// Takes the lanes out of use that lead elsewhere than the control connection; returns those that
    /// nothing runs on.
    fn retire_all(&mut self) -> Vec<Lane> {
        self.epoch += 1;
        for lane in &mut self.lanes {
            lane.retired = true;
        }
        let all = std::mem::take(&mut self.lanes);
        let (idle, busy) = all.into_iter().partition(|lane| lane.leases == 0);
        self.lanes = busy;
        idle
    }

    fn is_single(&mut self) -> bool {
        if self
            .single_until
            .is_some_and(|until| Instant::now() >= until)
        {
            self.single_until = None;
            self.single = false;
        }
        self.single
    }
}

impl Pool {
    pub(super) fn new(dialer: Arc<Dialer>, stop: CancellationToken) -> Arc<Self> {
        let state = State::new(dialer.settings().lane_patience);
        let this = Arc::new(Self {
            dialer,
            state: Mutex::new(state),
            changed: watch::Sender::new(()),
            logins: Semaphore::new(MAX_LOGINS),
            stop,
            forwards: Arc::default(),
        });
        tokio::spawn(reap(Arc::clone(&this)));
        this
    }

    /// A control connection stands, the first or another one. The server has let us in once more, so it may
    /// again.
    pub(super) fn follow(self: &Arc<Self>, control: &Arc<Connection>) {
        let mut state = lock(&self.state);
        state.control = Arc::downgrade(control);
        let moved = !self.dialer.is_sure() || state.place != *control.place();
        state.place = control.place().clone();
        let retired = match moved {
            true => state.retire_all(),
            false => Vec::new(),
        };
        state.single = false;
        state.told = false;
        state.pace.forgive();
        self.top_up(&mut state);
        drop(state);
        // Dropping the last holder ends the connection.
        drop(retired);
    }

    /// As [`follow`](Self::follow), for one that is known to end on the host of the one before.
    pub(super) fn follow_on_same_host(&self, control: &Arc<Connection>) {
        let mut state = lock(&self.state);
        state.control = Arc::downgrade(control);
        state.place = control.place().clone();
    }

    /// A lane for a transfer; `None` where the control connection must do instead.
    pub(super) async fn acquire(self: &Arc<Self>) -> Option<LaneGuard> {
        self.acquire_within(None).await
    }

    /// A lane; with `patience`, also one whose log-in takes that long.
    pub(super) async fn acquire_within(
        self: &Arc<Self>,
        patience: Option<Duration>,
    ) -> Option<LaneGuard> {
        let began = Instant::now();
        let mut changed = self.changed.subscribe();
        let _waiting = Waiting::new(self);
        loop {
            changed.mark_unchanged();
            let until = {
                let mut state = lock(&self.state);
                state.lanes.retain(|lane| !lane.connection.is_lost());
                if let Some(guard) = self.take_idle(&mut state) {
                    return Some(guard);
                }
                if self.dialer.settings().lanes == 0
                    || state.is_single()
                    || self.stop.is_cancelled()
                {
                    return self.share(&mut state);
                }
                self.top_up(&mut state);
                let pace = &state.pace;
                match (pace.worth_waiting_until(), patience) {
                    (_, Some(patience)) if pace.under_way() > 0 => began + patience,
                    (Some(until), _) => until.min(began + OPEN_PATIENCE),
                    (None, _) if pace.under_way() > 0 || pace.is_failing() => began,
                    (None, _) if state.lanes.is_empty() => began,
                    (None, _) => began + SHARE_AFTER,
                }
            };
            tokio::select! {
                _ = changed.changed() => {}
                () = sleep_until(until.into()) => {
                    let mut state = lock(&self.state);
                    if let Some(guard) = self.take_idle(&mut state) {
                        return Some(guard);
                    }
                    return self.share(&mut state);
                }
            }
        }
    }

    /// An idle lane for a spare forward, where there is one this moment. Nobody waits for it, nor
    /// is a log-in made for it: in the count of idle lanes it stays one.
    pub(super) fn spare(self: &Arc<Self>) -> Option<SpareLane> {
        let mut state = lock(&self.state);
        let id = state.next_id;
        let lane = state
            .lanes
            .iter_mut()
            .filter(|lane| lane.is_idle() && lane.spare.is_none())
            .max_by_key(|lane| lane.idle_since)?;
        let spoilt = CancellationToken::new();
        lane.spare = Some(SpareMark {
            id,
            spoilt: spoilt.clone(),
        });
        let spare = SpareLane {
            pool: Arc::clone(self),
            connection: Arc::clone(&lane.connection),
            lane: lane.id,
            id,
            spoilt,
        };
        state.next_id += 1;
        Some(spare)
    }

    /// The control connection, for a transfer that has no lane.
    pub(super) fn on_control(self: &Arc<Self>, connection: Arc<Connection>) -> LaneGuard {
        self.guard(connection, None)
    }

    pub(super) fn lanes_open(&self) -> usize {
        let state = lock(&self.state);
        state
            .lanes
            .iter()
            .filter(|l| !l.connection.is_lost())
            .count()
    }

    pub(super) fn lanes_busy(&self) -> usize {
        lock(&self.state)
            .lanes
            .iter()
            .filter(|l| l.leases > 0)
            .count()
    }

    /// Whether the server is known to let nobody in a second time.
    pub(super) fn is_single(&self) -> bool {
        lock(&self.state).is_single()
    }

    pub(super) fn remote_forwards(&self) -> usize {
        self.forwards.load(Ordering::Acquire)
    }

    /// The path is in doubt: idle lanes may lead nowhere, so new ones are opened in their place.
    pub(super) fn renew_idle(self: &Arc<Self>) {
        let mut state = lock(&self.state);
        state.lanes.retain(|lane| lane.leases > 0);
        state.pace.forgive();
        self.top_up(&mut state);
    }

    /// Takes all lanes out of the pool.
    pub(super) fn drain(&self) -> Vec<Arc<Connection>> {
        let lanes = std::mem::take(&mut lock(&self.state).lanes);
        self.changed.send_replace(());
        lanes.into_iter().map(|lane| lane.connection).collect()
    }

    fn take_idle(self: &Arc<Self>, state: &mut State) -> Option<LaneGuard> {
        // The one that was used last is the one whose TCP is warm; one with somebody's spare on it
        // only where there is no other.
        let lane = state
            .lanes
            .iter_mut()
            .filter(|lane| lane.is_idle())
            .max_by_key(|lane| (lane.spare.is_none(), lane.idle_since))?;
        if let Some(spare) = lane.spare.take() {
            spare.spoilt.cancel();
        }
        lane.leases = 1;
        lane.connection.shared().touch();
        let guard = self.guard(Arc::clone(&lane.connection), Some(lane.id));
        // Whoever holds this one waits no longer.
        state.waiting = state.waiting.saturating_sub(1);
        self.top_up(state);
        state.waiting += 1;
        Some(guard)
    }

    /// The lane where one more transfer hurts least: one whose data flows before one that stands
    /// still, then the one with the fewest; none that waits to be replaced while there are others.
    fn share(self: &Arc<Self>, state: &mut State) -> Option<LaneGuard> {
        let lane = state
            .lanes
            .iter_mut()
            .filter(|lane| lane.is_usable())
            .min_by_key(|lane| {
                let stalled = lane.connection.shared().quiet_for() > STALLED_AFTER;
                (lane.is_worn_out(), stalled && lane.leases > 0, lane.leases)
            })?;
        lane.leases += 1;
        Some(self.guard(Arc::clone(&lane.connection), Some(lane.id)))
    }

    fn guard(self: &Arc<Self>, connection: Arc<Connection>, lane: Option<u64>) -> LaneGuard {
        LaneGuard {
            lease: Arc::new(Lease {
                pool: Arc::clone(self),
                connection,
                lane,
            }),
            forwards: Arc::clone(&self.forwards),
        }
    }

    fn give_back(&self, id: u64) {
        let mut state = lock(&self.state);
        let Some(at) = state.lanes.iter().position(|lane| lane.id == id) else {
            return;
        };
        let mut worn_out = false;
        if let Some(lane) = state.lanes.get_mut(at) {
            lane.leases = lane.leases.saturating_sub(1);
            lane.idle_since = Instant::now();
            worn_out = lane.leases == 0 && lane.is_worn_out();
        }
        let gone = worn_out.then(|| state.lanes.remove(at));
        drop(state);
        drop(gone);
        self.changed.send_replace(());
    }

    /// Starts as many log-ins as there are transfers waiting, and one more for the next one.
    fn top_up(self: &Arc<Self>, state: &mut State) {
        let max = self.dialer.settings().lanes;
        if state.is_single() || self.stop.is_cancelled() {
            return;
        }
        let now = Instant::now();
        let under_way = state.pace.under_way();
        let idle = state.lanes.iter().filter(|lane| lane.leases == 0).count();
        let wanted = (state.waiting + KEEP_WARM).saturating_sub(idle + under_way);
        let room = max.saturating_sub(state.lanes.len() + under_way);
        for _ in 0..wanted.min(room).min(state.pace.room(now)) {
            state.pace.begin(now);
            tokio::spawn(opening::open_lane(Arc::clone(self), state.epoch));
        }
    }
}

/// A transfer that waits for a lane, as long as this lives.
struct Waiting<'a>(&'a Pool);

impl<'a> Waiting<'a> {
    fn new(pool: &'a Pool) -> Self {
        lock(&pool.state).waiting += 1;
        Self(pool)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.waiting = state.waiting.saturating_sub(1);
    }
}

/// Closes lanes that nobody has used for a while.
async fn reap(pool: Arc<Pool>) {
    loop {
        tokio::select! {
            () = pool.stop.cancelled() => return,
            () = sleep(REAP_EVERY) => {}
        }
        let mut state = lock(&pool.state);
        let mut idle = state.lanes.iter().filter(|lane| lane.leases == 0).count();
        let mut gone = Vec::new();
        let mut kept = Vec::new();
        for lane in state.lanes.drain(..) {
            let old = lane.leases == 0 && lane.idle_since.elapsed() >= IDLE_LIMIT;
            if old && idle > KEEP_IDLE {
                idle -= 1;
                gone.push(lane);
            } else {
                kept.push(lane);
            }
        }
        state.lanes = kept;
        drop(state);
        // Dropping the last holder ends the connection.
        drop(gone);
    }
}

/// At most so many log-ins at a time, for sshd's MaxStartups.
const MAX_LOGINS: usize = 2;
/// So many idle lanes are kept ready for the next transfer.
const KEEP_WARM: usize = 1;
/// Idle lanes beyond this are closed after `IDLE_LIMIT`.
const KEEP_IDLE: usize = 2;
const IDLE_LIMIT: Duration = Duration::from_secs(60);
const REAP_EVERY: Duration = Duration::from_secs(10);
/// With all lanes busy, a transfer waits so long for one before it shares.
const SHARE_AFTER: Duration = Duration::from_secs(2);
/// With lanes being opened one after the other, it waits so long.
const OPEN_PATIENCE: Duration = Duration::from_secs(10);
/// A busy lane counts as stalled when nothing has moved for so long: well below `SHARE_AFTER`, so that
/// who has waited that long does not end up with one.
const STALLED_AFTER: Duration = Duration::from_millis(500);
