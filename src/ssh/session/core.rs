//! What the handles of a session share: the control connection and its state, the lanes, the clients that
//! wait.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    lock::lock,
    ssh::{
        connection::{handle::Connection, shared::Shared},
        dial::Dialer,
        error::{Error, OpenError},
        facts::{ServerFacts, Watcher},
        lanes::Pool,
    },
};

/// What the handles of a session share.
pub(super) struct Core {
    pub(super) destination: String,
    pub(super) dialer: Arc<Dialer>,
    control: watch::Sender<ControlState>,
    /// There has been a control connection.
    was_up: AtomicBool,
    /// Who the last control connection is, or was, with.
    facts: Mutex<Option<Arc<ServerFacts>>>,
    watchers: Mutex<Vec<Arc<dyn Watcher>>>,
    pub(super) pool: Arc<Pool>,
    /// The number of clients that wait for the control connection.
    waiting: watch::Sender<usize>,
    /// Notified when one more client has come.
    came: Notify,
    /// Notified when what an attempt failed for may have changed.
    retry: Notify,
    /// Asks the task that keeps the connection up whether it still runs.
    pings: mpsc::UnboundedSender<Ping>,
    /// No person sees the first attempt fail: the session goes on, and tries again by itself.
    pub(super) unattended: bool,
    pub(super) stop: CancellationToken,
    pub(super) control_channels: Arc<AtomicUsize>,
    /// The number of times that a lost or silent control connection was replaced.
    reconnects: AtomicU64,
}

/// A question whether a task still runs: it answers, or lets go of this where it has ended.
pub(super) type Ping = oneshot::Sender<()>;

/// The control connection.
#[derive(Default)]
pub(super) struct ControlState {
    /// `None`: lost, and not made again yet.
    connection: Option<Arc<Connection>>,
    /// Why the last attempt to make one failed.
    failed: Option<Error>,
    /// Since when every attempt has been answered with a refusal, by the server or its host.
    answered_since: Option<Instant>,
}

impl ControlState {
    fn up(connection: Arc<Connection>) -> Self {
        Self {
            connection: Some(connection),
            ..Self::default()
        }
    }

    pub(super) fn live(&self) -> Option<&Arc<Connection>> {
        self.connection
            .as_ref()
            .filter(|connection| !connection.is_lost())
    }

    /// Why there will be no connection for this client: a refusal is not over in a few seconds.
    pub(super) fn refusal(&self) -> Option<&Error> {
        let failed = self.failed.as_ref()?;
        (self.live().is_none() && !failed.is_transient()).then_some(failed)
    }
}

impl Core {
    /// The core of a session whose first control connection is up, or, without one, of a session that makes
    /// its first control connection in the background. The other result gets the questions whether the task
    /// still runs that keeps the connection up.
    pub(super) fn new(
        dialer: Arc<Dialer>,
        first: Option<Arc<Connection>>,
        pool: Arc<Pool>,
        stop: CancellationToken,
    ) -> (Self, mpsc::UnboundedReceiver<Ping>) {
        let (pings, pinged) = mpsc::unbounded_channel();
        let this = Self {
            destination: dialer.settings().destination(),
            facts: Mutex::new(first.as_ref().map(|first| Arc::new(dialer.facts_of(first)))),
            watchers: Mutex::default(),
            dialer,
            unattended: first.is_none(),
            was_up: AtomicBool::new(first.is_some()),
            control: watch::Sender::new(first.map_or_else(ControlState::default, ControlState::up)),
            pool,
            waiting: watch::Sender::new(0),
            came: Notify::new(),
            retry: Notify::new(),
            pings,
            stop,
            control_channels: Arc::default(),
            reconnects: AtomicU64::default(),
        };
        (this, pinged)
    }

    /// The state of the control connection, and its changes.
    pub(super) fn watch(&self) -> watch::Receiver<ControlState> {
        self.control.subscribe()
    }

    /// Returns the control connection; waits for it while it is being made again.
    pub(super) async fn control(&self) -> Result<Arc<Connection>, Error> {
        let mut control = self.control.subscribe();
        let _waiting = Waiting::new(self);
        let up = async {
            loop {
                if self.stop.is_cancelled() {
                    return Err(self.closed());
                }
                {
                    let control = control.borrow_and_update();
                    if let Some(connection) = control.live() {
                        return Ok(Arc::clone(connection));
                    }
                    if let Some(error) = control.refusal() {
                        return Err(self.lost_because(error));
                    }
                }
                tokio::select! {
                    _ = control.changed() => {}
                    () = self.stop.cancelled() => {}
                }
            }
        };
        let waited = timeout(DATA_PATIENCE, up).await;
        waited.unwrap_or_else(|_| Err(self.lost()))
    }

    /// When a client that came at `began` is turned away. Where the server refuses, that is soon. Where the
    /// path is silent, it may come back. Where it is just coming back, the client waits for it.
    pub(super) fn deadline(&self, began: Instant, control: &ControlState) -> Instant {
        let silent = began + self.dialer.settings().client_patience;
        let deadline = match control.answered_since {
            Some(since) if control.live().is_none() => silent.min(since.max(began) + NO_PATIENCE),
            _ => silent,
        };
        let coming_back = control.answered_since.is_none();
        match self.dialer.reached_ago() {
            Some(ago) if coming_back && ago < COMING_BACK => deadline
                .max(Instant::now() + COMING_BACK.saturating_sub(ago))
                .min(deadline + MOST_COMING_BACK),
            _ => deadline,
        }
    }

    /// The state of the control connection, unless there is none.
    pub(super) fn control_shared(&self) -> Option<Arc<Shared>> {
        let control = self.control.borrow();
        let connection = control.connection.as_ref()?;
        Some(Arc::clone(connection.shared()))
    }

    /// The control connection, unless there is none.
    pub(super) fn control_connection(&self) -> Option<Arc<Connection>> {
        self.control.borrow().connection.clone()
    }

    /// Puts a new control connection in place.
    pub(super) fn put(&self, connection: Arc<Connection>) {
        self.was_up.store(true, Ordering::Relaxed);
        let facts = Arc::new(self.dialer.facts_of(&connection));
        // Under the lock, so that a watcher that comes meanwhile hears of this connection once.
        let watchers = lock(&self.watchers);
        *lock(&self.facts) = Some(Arc::clone(&facts));
        watchers.iter().for_each(|watcher| watcher.up(&facts));
        self.control.send_replace(ControlState::up(connection));
    }

    /// Whether there has been a control connection.
    pub(super) fn was_up(&self) -> bool {
        self.was_up.load(Ordering::Relaxed)
    }

    /// Has a watcher told of the present control connection and of all further ones.
    pub(super) fn watch_by(&self, watcher: Arc<dyn Watcher>) {
        let mut watchers = lock(&self.watchers);
        if let Some(facts) = self.facts().filter(|_| self.control_connection().is_some()) {
            watcher.up(&facts);
        }
        watchers.push(watcher);
    }

    /// Takes the control connection out, because it is lost, and tells the watchers why.
    pub(super) fn lose(&self, reason: &str) {
        let watchers = lock(&self.watchers);
        self.take_down();
        if let Some(facts) = self.facts() {
            watchers
                .iter()
                .for_each(|watcher| watcher.lost(&facts, reason));
        }
    }

    /// Who the last control connection is, or was, with.
    pub(super) fn facts(&self) -> Option<Arc<ServerFacts>> {
        lock(&self.facts).clone()
    }

    /// Puts a new control connection in the place of one that was lost, or is silent.
    pub(super) fn put_again(&self, connection: Arc<Connection>) {
        self.reconnects.fetch_add(1, Ordering::Relaxed);
        self.put(connection);
    }

    /// The number of times that a lost or silent control connection was replaced.
    pub(super) fn reconnects(&self) -> u64 {
        self.reconnects.load(Ordering::Relaxed)
    }

    /// Ends the session: there is no control connection any more, and there will be none. Returns the last
    /// one.
    pub(super) fn shut(&self) -> Option<Arc<Connection>> {
        let shut = ControlState {
            failed: Some(self.closed()),
            ..ControlState::default()
        };
        self.control.send_replace(shut).connection
    }

    /// Takes the control connection out.
    pub(super) fn take_down(&self) {
        // Not dropped under the watch's lock.
        let mut taken = None;
        self.control
            .send_modify(|control| taken = control.connection.take());
    }

    /// Notes that an attempt to make a control connection has failed.
    pub(super) fn failed(&self, error: Error) {
        self.control.send_modify(|control| {
            control.answered_since = match control.answered_since {
                _ if !error.is_an_answer() => None,
                None => Some(Instant::now()),
                since => since,
            };
            control.failed = Some(error);
        });
    }

    /// Whether the last attempt has failed.
    pub(super) fn has_failed(&self) -> bool {
        self.control.borrow().failed.is_some()
    }

    /// Why the last attempt to connect has failed, where there is no connection.
    pub(super) fn failure(&self) -> Option<String> {
        let control = self.control.borrow();
        let failed = control.failed.as_ref().filter(|_| control.live().is_none());
        failed.map(ToString::to_string)
    }

    /// Waits until a client waits for the control connection.
    pub(super) async fn client_waits(&self) {
        let mut waiting = self.waiting.subscribe();
        // The sender lives as long as this.
        let _ = waiting.wait_for(|count| *count > 0).await;
    }

    /// Has an attempt made at once, where the next one is put off.
    pub(super) fn retry(&self) {
        self.retry.notify_waiters();
    }

    /// Waits until what an attempt failed for may have changed.
    pub(super) async fn may_have_changed(&self) {
        self.retry.notified().await;
    }

    /// Returns when the task that keeps the connection up has answered, or has ended.
    pub(super) async fn answers(&self) {
        let (ping, answer) = oneshot::channel();
        if self.pings.send(ping).is_ok() {
            let _ = answer.await;
        }
    }

    /// Waits until a client comes that wants the control connection, also one that does not wait for it.
    pub(super) async fn client_came(&self) {
        self.came.notified().await;
    }

    pub(super) fn closed(&self) -> Error {
        Error::Closed {
            destination: self.destination.clone(),
        }
    }

    fn lost(&self) -> Error {
        let control = self.control.borrow();
        match (&control.failed, &control.connection) {
            (Some(error), _) => self.lost_because(error),
            (None, None) if self.was_up() => self.lost_because("connecting again takes its time"),
            (None, None) => self.lost_because("it is still being made"),
            (None, Some(connection)) => self.lost_because(connection.shared().lost_reason()),
        }
    }

    /// The error for a client that is turned away after it has waited as long as it may.
    pub(super) fn turned_away(&self) -> OpenError {
        let control = self.control.borrow();
        let Some(connection) = control.live() else {
            drop(control);
            return OpenError::Away(self.lost().to_string());
        };
        let silent = format!(
            "the SSH server {} has not been heard for {} s",
            self.destination,
            connection.shared().heard().ago().as_secs()
        );
        OpenError::Away(match &control.failed {
            Some(error) => format!("{silent}, and another connection cannot be made: {error}"),
            None => silent,
        })
    }

    pub(super) fn lost_because(&self, reason: impl fmt::Display) -> Error {
        let (destination, reason) = (self.destination.clone(), reason.to_string());
        match self.was_up() {
            true => Error::Lost {
                destination,
                reason,
            },
            false => Error::NotUp {
                destination,
                reason,
            },
        }
    }
}

/// A client that wants the control connection, as long as this lives.
pub(super) struct Waiting<'a>(&'a Core);

impl<'a> Waiting<'a> {
    pub(super) fn new(core: &'a Core) -> Self {
        core.waiting.send_modify(|count| *count += 1);
        core.came.notify_one();
        Self(core)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0
            .waiting
            .send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// How long data waits for a lost control connection to come back.
const DATA_PATIENCE: Duration = Duration::from_secs(10);
/// How long a client waits where the server, or its host, refuses each time.
const NO_PATIENCE: Duration = Duration::from_secs(10);
/// An attempt that has reached the server is waited for this long.
const COMING_BACK: Duration = Duration::from_secs(5);
/// All such attempts together extend a client's time by no more than this.
const MOST_COMING_BACK: Duration = Duration::from_secs(10);
