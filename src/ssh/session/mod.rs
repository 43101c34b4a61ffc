//! One SSH destination: the control connection that is kept alive, and the lanes.
//!
//! - `core`: what the handles of a session share
//! - `redial`: keeping the control connection up: reconnection, and another one beside it where it is silent

mod core;
mod redial;

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::{
    task::JoinSet,
    time::{sleep, sleep_until},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::core::{Core, Waiting};
use crate::ssh::{
    connection::{
        arrival::Origin,
        channel::Channel,
        handle::Connection,
        keep_alive::{Counted, Hold},
        open::{OPEN_TIMEOUT, open_patiently},
    },
    dial::{Dialer, Role},
    error::{Error, OpenError},
    facts::{ServerFacts, Watcher},
    findings::Findings,
    lanes::{
        LaneGuard, Pool,
        prefetch::{PrefetchLane, PrefetchedForward},
    },
    prompt::{NoPerson, Prompt},
    settings::Settings,
};
use redial::keep_up;

/// One SSH destination: the control connection, shared by all FTP control channels, and a pool of
/// data lanes. A handle that is cheap to clone; when the last one is dropped the session ends.
#[derive(Clone)]
pub struct Session {
    core: Arc<Core>,
    _last_one_out: Arc<DropGuard>,
}

/// What a session holds at the moment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Stats {
    /// Whether the control connection is there.
    pub control_is_up: bool,
    /// Data lanes that are connected.
    pub lanes_open: usize,
    /// Data lanes that are in use.
    pub lanes_busy: usize,
    /// Channels on the control connection opened by [`Session::open_control`].
    pub control_channels: usize,
    /// Remote forwards registered with the SSH server.
    pub remote_forwards: usize,
    /// The number of times that a lost or silent control connection was replaced by another.
    pub reconnects: u64,
}

impl Session {
    /// Connects, verifies the host key and logs in, asking a person where it must. Then begins to open one
    /// data lane in the background.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub async fn connect(settings: Settings, prompt: Arc<dyn Prompt>) -> Result<Self, Error> {
        Self::connect_and_tell(settings, prompt, Findings::default()).await
    }

    /// As [`Session::connect`], and puts what is found out on the way into `findings`, also where it ends
    /// with an error.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub async fn connect_and_tell(
        settings: Settings,
        prompt: Arc<dyn Prompt>,
        findings: Findings,
    ) -> Result<Self, Error> {
        let dialer = Arc::new(Dialer::new(settings, prompt, findings));
        let first = dialer.dial(Role::Control, None).await?;
        Ok(Self::new(dialer, Some(first)))
    }

    /// Begins to connect in the background, asks nothing, and goes on trying, as after a lost connection, with
    /// pauses that grow. [`open_control`](Self::open_control) waits meanwhile, as in an outage.
    ///
    /// It must be called in a tokio runtime.
    pub fn start(settings: Settings, findings: Findings) -> Self {
        let settings = settings.unattended();
        let dialer = Arc::new(Dialer::new(settings, Arc::new(NoPerson), findings));
        Self::new(dialer, None)
    }

    fn new(dialer: Arc<Dialer>, first: Option<Arc<Connection>>) -> Self {
        let stop = CancellationToken::new();
        let pool = Pool::new(Arc::clone(&dialer), stop.clone());
        if let Some(first) = &first {
            pool.follow(first);
        }
        let (core, pinged) = Core::new(dialer, first, pool, stop.clone());
        let core = Arc::new(core);
        tokio::spawn(keep_up(Arc::clone(&core), pinged));
        Self {
            core,
            _last_one_out: Arc::new(stop.drop_guard()),
        }
    }

    /// Has keys, certificates and known hosts read anew for the next log-in, and has it tried at once where it
    /// is put off. What is connected stays.
    pub fn forget_log_in(&self) {
        self.core.dialer.forget_log_in();
        self.core.retry();
    }

    /// Returns when the task that keeps the connection up has shown that it runs, or has ended.
    pub async fn answers(&self) {
        self.core.answers().await;
    }

    /// Why the last attempt to connect has failed, where there is no connection.
    pub fn failure(&self) -> Option<String> {
        self.core.failure()
    }

    /// Opens a channel for an FTP control connection to `host` and `port` as seen from the SSH server (RFC
    /// 4254 section 7.2), over the shared control connection. Where that is lost or silent, waits up to
    /// `Settings::client_patience` for another one. The first of them that answers is used.
    ///
    /// # Errors
    ///
    /// The server refused, could not connect, did not answer, or is gone.
    pub async fn open_control(
        &self,
        host: &str,
        port: u16,
        originator: SocketAddr,
    ) -> Result<Channel, OpenError> {
        let core = &self.core;
        let began = Instant::now();
        let mut control = core.watch();
        let _waiting = Waiting::new(core);
        let mut asked: Option<Arc<Connection>> = None;
        let mut openings = JoinSet::new();
        loop {
            if core.stop.is_cancelled() {
                return Err(OpenError::Away(core.closed().to_string()));
            }
            let deadline = {
                let control = control.borrow_and_update();
                if let Some(error) = control.refusal() {
                    return Err(OpenError::Away(core.lost_because(error).to_string()));
                }
                let live = control.live();
                if let Some(connection) = live.filter(|live| !is_same(asked.as_ref(), live)) {
                    let hold = Hold::counted(Counted::new(&core.control_channels));
                    openings.spawn(open_on(
                        Arc::clone(connection),
                        (host.to_owned(), port),
                        originator,
                        hold,
                        core.dialer.settings().unanswered,
                    ));
                    asked = Some(Arc::clone(connection));
                }
                core.deadline(began, &control)
            };
            tokio::select! {
                biased;
                Some(opened) = openings.join_next() => match opened {
                    // Another connection is being made.
                    Ok(Err(OpenError::Lost)) | Err(_) => {}
                    Ok(opened) => return opened,
                },
                _ = control.changed() => {}
                () = core.stop.cancelled() => {}
                () = sleep_until(deadline.into()) => {
                    // The deadline is later by now if the path is coming back.
                    if core.deadline(began, &control.borrow()) <= Instant::now() {
                        return Err(core.turned_away());
                    }
                }
            }
        }
    }

    /// A lane for one data connection. Where no lane can be had this is the control connection. Waits up to
    /// 10 s for a control connection that was lost.
    ///
    /// # Errors
    ///
    /// The connection to the server is lost, the session was closed, or no more lanes may be opened and each
    /// has a client that reads slowly.
    pub async fn lane(&self) -> Result<LaneGuard, Error> {
        if self.core.stop.is_cancelled() {
            return Err(self.core.closed());
        }
        // While the control connection is away the server is, too: old lanes are of no use, and new ones
        // would only wait.
        let control = self.core.control().await?;
        Ok(match self.core.pool.acquire().await? {
            Some(lane) => lane,
            None => self.core.pool.on_control(control),
        })
    }

    /// As [`lane`](Self::lane), for a caller that would rather wait for a lane of its own than share one: as
    /// long as its log-in takes, up to `patience`.
    ///
    /// # Errors
    ///
    /// As for [`lane`](Self::lane).
    pub async fn lane_within(&self, patience: Duration) -> Result<LaneGuard, Error> {
        let control = self.core.control().await?;
        let pool = &self.core.pool;
        Ok(match pool.acquire_within(Some(patience)).await? {
            Some(lane) => lane,
            None => pool.on_control(control),
        })
    }

    /// Asks for a remote forward ahead of its transfer, as [`LaneGuard::remote_forward_from`] does, on an
    /// idle lane. `None` where there is none, as where all data shares the control connection.
    pub fn prefetch_forward(&self, bind: IpAddr, origin: Origin) -> Option<PrefetchedForward> {
        if self.core.stop.is_cancelled() {
            return None;
        }
        let lane = PrefetchLane::find(&self.core.pool)?;
        Some(PrefetchedForward::ask(lane, bind, origin))
    }

    /// Ends everything in order (`SSH_MSG_DISCONNECT`), within about 2 s.
    pub async fn close(&self) {
        let core = &self.core;
        core.stop.cancel();
        let mut connections = core.pool.drain();
        connections.extend(core.shut());
        let mut goodbyes = JoinSet::new();
        for connection in connections {
            goodbyes.spawn(async move { connection.disconnect().await });
        }
        goodbyes.join_all().await;
    }

    /// `user@host`, as shown to people.
    pub fn destination(&self) -> &str {
        &self.core.destination
    }

    /// Who the control connection is with, or was with where it is lost; `None`: there has been none.
    pub fn server_facts(&self) -> Option<Arc<ServerFacts>> {
        self.core.facts()
    }

    /// Has a watcher told of the control connection that is up, if one is, and of each further one and each loss.
    pub fn watch_by(&self, watcher: Arc<dyn Watcher>) {
        self.core.watch_by(watcher);
    }

    /// What it holds at the moment.
    pub fn stats(&self) -> Stats {
        Stats {
            control_is_up: self.core.watch().borrow().live().is_some(),
            lanes_open: self.core.pool.lanes_open(),
            lanes_busy: self.core.pool.lanes_busy(),
            control_channels: self.core.control_channels.load(Ordering::Acquire),
            remote_forwards: self.core.pool.remote_forwards(),
            reconnects: self.core.reconnects(),
        }
    }
}

fn is_same(one: Option<&Arc<Connection>>, other: &Arc<Connection>) -> bool {
    one.is_some_and(|one| Arc::ptr_eq(one, other))
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("destination", &self.core.destination)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// Opens a control channel. Without an answer or any keepalive reply, the connection is doubted. Time counts
/// only while the server is heard, because the path may be silent for a while and come back.
async fn open_on(
    connection: Arc<Connection>,
    target: (String, u16),
    originator: SocketAddr,
    hold: Hold,
    unanswered: Duration,
) -> Result<Channel, OpenError> {
    let (host, port) = target;
    let too_late = async {
        let mut heard = Duration::ZERO;
        while heard < OPEN_TIMEOUT {
            let began = Instant::now();
            sleep(unanswered).await;
            if connection.answers(unanswered).await {
                heard += began.elapsed();
            } else {
                connection.shared().doubt();
            }
        }
    };
    tokio::select! {
        biased;
        opened = open_patiently(&connection, &host, port, originator, hold) => opened,
        () = too_late => Err(OpenError::Timeout),
    }
}
