//! The pool of data lanes: further SSH connections, each for one transfer while there are enough.
//!
//! A transfer gets an idle lane, else the next one that comes free or is opened. Transfers are served in the
//! order in which they came. Lanes grow with demand: a log-in is made for each transfer that has waited for
//! more than a moment, unless it is about to get a lane that comes free, as where many short transfers take
//! turns (see `turns`). One idle lane is kept ready. A lane that has been idle for a minute is closed. The
//! lane of a download is free again as soon as the SSH server has sent EOF for it: from then on it can hold
//! up no other transfer.
//!
//! Where no further lane can be had, a transfer shares one (see `taking`), but none whose client reads
//! slowly: russh's session loop waits for that client, and all that shares the lane waits with it. Where the
//! clients of all lanes read slowly, the transfer fails and says so. Where the server refuses a further
//! log-in, all transfers share the control connection. So does a transfer whose first lane takes longer than
//! about a second (see `pace`).
//!
//! A lane ends on the host that the control connection ends on: it goes to the same address. Where this host
//! does not choose the address, the lane has to prove it (see `place` and `proof`).
//!
//! An idle lane may carry a prefetched forward (see `prefetch`). It is as idle as any other: a transfer that
//! needs it takes it at once, and the prefetched forward is thrown away.
//!
//! The pool's state is private to this module and its children, and each part of it to a module of its own:
//!
//! - `lane`: the lanes and what runs on each; `admission`: whether the server accepts a further log-in
//! - `queue`: the transfers that wait; `taking`: how each comes to its lane
//! - `opening`: log-ins for lanes; `pace`: when they may be made
//! - `turns`: how often lanes come free
//! - `prefetch`: a remote forward asked for ahead

mod admission;
mod lane;
mod opening;
mod pace;
pub(super) mod prefetch;
mod queue;
mod taking;
mod turns;

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    lock::lock,
    ssh::{
        connection::{
            arrival::Origin,
            channel::Channel,
            forward::{self, RemoteForward},
            handle::Connection,
            keep_alive::{Counted, Hold, KeepAlive},
            open::open,
            place::Place,
        },
        dial::Dialer,
        error::{ForwardError, OpenError},
    },
};
use admission::Admission;
use lane::{Lane, Lanes};
use pace::Pace;
use queue::Queue;

/// A lane for one data connection. It is in use until this is dropped and every channel opened on it has
/// brought a download to its end, or is dropped.
#[derive(Debug)]
pub struct LaneGuard {
    lease: Arc<Lease>,
    forwards: Arc<AtomicUsize>,
}

impl LaneGuard {
    /// Opens a data connection to `host` and `port` as seen from the SSH server (RFC 4254 section 7.2);
    /// `originator` is the peer that it is opened for.
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
        let hold = Hold::until_downloaded(self.keep_alive());
        open(&self.lease.connection, host, port, originator, hold).await
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

    /// As [`remote_forward`](Self::remote_forward), on any address of the SSH server's host, for a connection
    /// from `origin`. Beyond its loopback the SSH server has to allow it (OpenSSH's `GatewayPorts
    /// clientspecified`). Where it does not, OpenSSH's sshd listens on its loopback instead and reports no
    /// error.
    ///
    /// # Errors
    ///
    /// The server refused, did not answer, or is gone.
    pub async fn remote_forward_from(
        &self,
        bind: IpAddr,
        origin: Origin,
    ) -> Result<RemoteForward, ForwardError> {
        let counted = Counted::new(&self.forwards);
        let kept = self.keep_alive();
        forward::request(&self.lease.connection, bind, origin, kept, counted, None).await
    }

    /// Keeps the lane in use until it is dropped.
    fn keep_alive(&self) -> KeepAlive {
        KeepAlive::of(Arc::clone(&self.lease))
    }

    /// Whether this is the control connection, shared for want of a lane.
    pub fn is_shared_control(&self) -> bool {
        self.lease.lane.is_none()
    }
}

/// One use of a lane.
pub(crate) struct Lease {
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

impl LaneGuard {
    /// Disarms this: dropping it no longer gives its lane back. Returns the lane, unless another holder
    /// shares this use of it.
    fn disarm(self) -> Option<u64> {
        Arc::into_inner(self.lease).and_then(|mut lease| lease.lane.take())
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
    stop: CancellationToken,
    forwards: Arc<AtomicUsize>,
}

/// What the pool knows, under one lock.
struct State {
    lanes: Lanes,
    /// Transfers that wait for a lane.
    queue: Queue,
    /// When log-ins may be made.
    pace: Pace,
    /// Whether the server accepts a further log-in.
    admission: Admission,
    /// The control connection: a lane has to end on its host.
    control: Weak<Connection>,
    /// The place of the control connection.
    place: Place,
}

impl State {
    fn new(patience: Duration) -> Self {
        Self {
            lanes: Lanes::default(),
            queue: Queue::default(),
            pace: Pace::new(patience),
            admission: Admission::default(),
            control: Weak::new(),
            place: Place::default(),
        }
    }

    /// Whether the transfers that wait are about to get lanes that come free.
    fn one_is_free_soon(&mut self, now: Instant) -> bool {
        self.lanes.are_free_soon(self.queue.len(), now)
    }

    /// Whether the server is known to refuse a further log-in.
    fn is_single(&mut self) -> bool {
        self.admission.is_refused(Instant::now())
    }
}

impl Pool {
    pub(super) fn new(dialer: Arc<Dialer>, stop: CancellationToken) -> Arc<Self> {
        let state = State::new(dialer.settings().lane_patience);
        let this = Arc::new(Self {
            dialer,
            state: Mutex::new(state),
            changed: watch::Sender::new(()),
            stop,
            forwards: Arc::default(),
        });
        tokio::spawn(reap(Arc::clone(&this)));
        this
    }

    /// Follows a control connection that is established, the first or another one. The server has accepted
    /// one more log-in, so it may accept further ones again.
    pub(super) fn follow(self: &Arc<Self>, control: &Arc<Connection>) {
        let mut state = lock(&self.state);
        state.control = Arc::downgrade(control);
        let moved = !self.dialer.is_sure() || state.place != *control.place();
        state.place = control.place().clone();
        let retired = match moved {
            true => state.lanes.retire_all(),
            false => Vec::new(),
        };
        state.admission = Admission::default();
        state.pace.forgive();
        self.top_up(&mut state, KEEP_WARM);
        drop(state);
        // Dropping the last holder ends the connection.
        drop(retired);
    }

    /// As [`follow`](Self::follow), for a connection that is known to end on the host of the one before.
    pub(super) fn follow_on_same_host(&self, control: &Arc<Connection>) {
        let mut state = lock(&self.state);
        state.control = Arc::downgrade(control);
        state.place = control.place().clone();
    }

    /// The control connection, for a transfer that has no lane.
    pub(super) fn on_control(self: &Arc<Self>, connection: Arc<Connection>) -> LaneGuard {
        self.guard_of(connection, None)
    }

    pub(super) fn lanes_open(&self) -> usize {
        lock(&self.state).lanes.open()
    }

    pub(super) fn lanes_busy(&self) -> usize {
        lock(&self.state).lanes.busy()
    }

    /// Whether the server is known to refuse a further log-in.
    pub(super) fn is_single(&self) -> bool {
        lock(&self.state).is_single()
    }

    pub(super) fn remote_forwards(&self) -> usize {
        self.forwards.load(Ordering::Acquire)
    }

    /// Opens new lanes in place of the idle ones, which may lead nowhere because the path is in doubt.
    pub(super) fn renew_idle(self: &Arc<Self>) {
        let mut state = lock(&self.state);
        state.lanes.remove_idle();
        state.pace.forgive();
        self.top_up(&mut state, KEEP_WARM);
    }

    /// Takes all lanes out of the pool.
    pub(super) fn drain(&self) -> Vec<Arc<Connection>> {
        let connections = lock(&self.state).lanes.take_all();
        self.changed.send_replace(());
        connections
    }

    /// The use of a lane that counts it already.
    fn guard(self: &Arc<Self>, lane: &Lane) -> LaneGuard {
        self.guard_of(Arc::clone(lane.connection()), Some(lane.id()))
    }

    fn guard_of(self: &Arc<Self>, connection: Arc<Connection>, lane: Option<u64>) -> LaneGuard {
        LaneGuard {
            lease: Arc::new(Lease {
                pool: Arc::clone(self),
                connection,
                lane,
            }),
            forwards: Arc::clone(&self.forwards),
        }
    }

    fn give_back(self: &Arc<Self>, id: u64) {
        let mut state = lock(&self.state);
        let gone = state.lanes.given_back(id, Instant::now());
        if gone.is_some() {
            self.top_up(&mut state, KEEP_WARM);
        }
        self.serve(&mut state);
        drop(state);
        drop(gone);
    }

    /// Starts a log-in for each transfer that has waited for more than a moment, and for `warm` idle lanes.
    fn top_up(self: &Arc<Self>, state: &mut State, warm: usize) {
        let max = self.dialer.settings().lanes;
        if state.is_single() || self.stop.is_cancelled() {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let now = Instant::now();
        let under_way = state.pace.under_way();
        let pressing = match state.one_is_free_soon(now) {
            true => 0,
            false => state.queue.pressing(),
        };
        let wanted = (pressing + warm).saturating_sub(state.lanes.idle() + under_way);
        let room = max.saturating_sub(state.lanes.len() + under_way);
        // What is wanted is known better when these are done.
        let at_once = MAX_LOGINS.saturating_sub(under_way);
        let begun = wanted.min(room).min(at_once);
        for _ in 0..begun.min(state.pace.room(now)) {
            state.pace.begin(now);
            runtime.spawn(opening::open_lane(Arc::clone(self), state.lanes.epoch()));
        }
    }

    /// Makes sure that there is an idle lane again, unless one comes free in a moment: short transfers take
    /// turns on a few lanes.
    fn keep_warm(self: &Arc<Self>, state: &mut State) {
        // A lane may also be given back while the runtime shuts down.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if state.lanes.begins_warming(Instant::now()) {
            runtime.spawn(warm(Arc::clone(self)));
        }
    }
}

/// Opens a lane when there has been no idle one for a while.
async fn warm(pool: Arc<Pool>) {
    loop {
        let left = {
            let mut state = lock(&pool.state);
            let busy_for = state.lanes.busy_for();
            let left = busy_for.map(|busy| MOMENT.saturating_sub(busy));
            match left {
                Some(left) if !left.is_zero() => left,
                Some(_) if state.one_is_free_soon(Instant::now()) => MOMENT,
                over => {
                    state.lanes.end_warming();
                    if over.is_some() {
                        pool.top_up(&mut state, KEEP_WARM);
                    }
                    return;
                }
            }
        };
        tokio::select! {
            () = pool.stop.cancelled() => return,
            () = sleep(left) => {}
        }
    }
}

/// Closes lanes that have been idle for a while.
async fn reap(pool: Arc<Pool>) {
    loop {
        tokio::select! {
            () = pool.stop.cancelled() => return,
            () = sleep(REAP_EVERY) => {}
        }
        let gone = lock(&pool.state).lanes.take_unused(Instant::now());
        // Dropping the last holder ends the connection.
        drop(gone);
    }
}

/// Log-ins at a time: sshd begins to drop some at ten (MaxStartups), counting those of all its clients.
const MAX_LOGINS: usize = 4;
/// Number of idle lanes that are kept ready for the next transfer.
const KEEP_WARM: usize = 1;
/// Time after which a waiting transfer is worth a log-in, which takes longer.
const MOMENT: Duration = Duration::from_millis(20);
const REAP_EVERY: Duration = Duration::from_secs(10);
