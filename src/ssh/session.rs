//! One SSH destination: the control connection that is kept alive, and the lanes.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::backoff::Backoff;
use super::channel::{Channel, Counted, Hold};
use super::connection::{Connection, Shared};
use super::error::{Error, OpenError};
use super::establish::{Dialer, Role};
use super::findings::Findings;
use super::forward::Origin;
use super::lanes::{LaneGuard, Pool};
use super::prompt::Prompt;
use super::settings::Settings;
use super::spare::SpareForward;

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
    /// Data lanes that are connected.
    pub lanes_open: usize,
    /// Those of them in use.
    pub lanes_busy: usize,
    /// Channels on the control connection opened by [`Session::open_control`].
    pub control_channels: usize,
    /// Remote forwards registered with the SSH server.
    pub remote_forwards: usize,
}

impl Session {
    /// Connects, verifies the host key and logs in, asking where it must; then begins to open one
    /// data lane in the background.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub async fn connect(settings: Settings, prompt: Arc<dyn Prompt>) -> Result<Self, Error> {
        Self::connect_and_tell(settings, prompt, Findings::default()).await
    }

    /// As [`Session::connect`], and what is found out on the way is put into `findings`, also where
    /// it ends with an error.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub async fn connect_and_tell(
        settings: Settings,
        prompt: Arc<dyn Prompt>,
        findings: Findings,
    ) -> Result<Self, Error> {
        let destination = settings.destination();
        let dialer = Arc::new(Dialer::new(settings, prompt, findings));
        let first = dialer.dial(Role::Control).await?;
        let stop = CancellationToken::new();
        let pool = Pool::new(Arc::clone(&dialer), stop.clone());
        let (control, _) = watch::channel(Control::Up(first));
        let core = Arc::new(Core {
            destination,
            dialer,
            control,
            pool,
            wanted: Notify::new(),
            stop: stop.clone(),
            control_channels: Arc::default(),
        });
        tokio::spawn(keep_up(Arc::clone(&core)));
        core.pool.warm();
        Ok(Self {
            core,
            _last_one_out: Arc::new(stop.drop_guard()),
        })
    }

    /// Opens a channel for an FTP control connection to `host` and `port` as seen from the SSH
    /// server (RFC 4254 section 7.2), over the shared control connection. Waits up to 10 s for that where
    /// it was lost, and asks again where it is lost within 10 s of the call, before it has answered.
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
        let began = Instant::now();
        loop {
            let connection = self.core.control().await.map_err(|_| OpenError::Lost)?;
            let hold = Hold {
                lease: None,
                counted: Some(Counted::new(&self.core.control_channels)),
            };
            match connection.open(host, port, originator, hold).await {
                Err(OpenError::Lost)
                    if connection.is_lost() && began.elapsed() < CONTROL_PATIENCE => {}
                opened => return opened,
            }
        }
    }

    /// A lane for one data connection. Where no lane can be had this is the control connection;
    /// waits up to 10 s where that was lost.
    ///
    /// # Errors
    ///
    /// The connection to the server is lost, or the session was closed.
    pub async fn lane(&self) -> Result<LaneGuard, Error> {
        if self.core.stop.is_cancelled() {
            return Err(self.core.closed());
        }
        // While the control connection is away the server is, too: lanes of old are of no use, and
        // new ones would only wait.
        let control = self.core.control().await?;
        Ok(match self.core.pool.acquire().await {
            Some(lane) => lane,
            None => self.core.pool.on_control(control),
        })
    }

    /// Asks ahead for a remote forward as [`LaneGuard::remote_forward_from`] does, on a lane that is
    /// idle. `None` where there is none, as where all data shares the control connection.
    pub fn spare_forward(&self, bind: IpAddr, origin: Origin) -> Option<SpareForward> {
        if self.core.stop.is_cancelled() {
            return None;
        }
        let lane = self.core.pool.spare()?;
        Some(SpareForward::ask(lane, bind, origin))
    }

    /// Ends everything in order (`SSH_MSG_DISCONNECT`), within about 2 s.
    pub async fn close(&self) {
        let core = &self.core;
        core.stop.cancel();
        let mut connections = core.pool.drain();
        let closed = Control::Down(Some(core.closed()));
        if let Control::Up(control) = core.control.send_replace(closed) {
            connections.push(control);
        }
        let mut goodbyes = tokio::task::JoinSet::new();
        for connection in connections {
            goodbyes.spawn(async move { connection.disconnect().await });
        }
        goodbyes.join_all().await;
    }

    /// `user@host`, as shown to people.
    pub fn destination(&self) -> &str {
        &self.core.destination
    }

    /// Whether the control connection is there at this moment.
    pub fn is_up(&self) -> bool {
        matches!(&*self.core.control.borrow(), Control::Up(c) if !c.is_lost())
    }

    /// What it holds at the moment.
    pub fn stats(&self) -> Stats {
        Stats {
            lanes_open: self.core.pool.lanes_open(),
            lanes_busy: self.core.pool.lanes_busy(),
            control_channels: self.core.control_channels.load(Ordering::Acquire),
            remote_forwards: self.core.pool.remote_forwards(),
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("destination", &self.core.destination)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

struct Core {
    destination: String,
    dialer: Arc<Dialer>,
    control: watch::Sender<Control>,
    pool: Arc<Pool>,
    /// Somebody waits for the control connection.
    wanted: Notify,
    stop: CancellationToken,
    control_channels: Arc<AtomicUsize>,
}

/// The control connection.
enum Control {
    /// Not there; why the last attempt failed.
    Down(Option<Error>),
    Up(Arc<Connection>),
}

impl Core {
    /// The control connection; waits for it where it is being made again.
    async fn control(&self) -> Result<Arc<Connection>, Error> {
        let mut control = self.control.subscribe();
        let up = async {
            loop {
                if self.stop.is_cancelled() {
                    return Err(self.closed());
                }
                match &*control.borrow_and_update() {
                    Control::Up(connection) if !connection.is_lost() => {
                        return Ok(Arc::clone(connection));
                    }
                    // A refusal is not over in ten seconds; the next attempt is for the next one.
                    Control::Down(Some(error)) if !error.is_transient() => {
                        self.wanted.notify_one();
                        return Err(self.lost_because(error));
                    }
                    Control::Up(_) | Control::Down(_) => {}
                }
                self.wanted.notify_one();
                tokio::select! {
                    _ = control.changed() => {}
                    () = self.stop.cancelled() => {}
                }
            }
        };
        let waited = timeout(CONTROL_PATIENCE, up).await;
        waited.unwrap_or_else(|_| Err(self.lost()))
    }

    fn closed(&self) -> Error {
        Error::Closed {
            destination: self.destination.clone(),
        }
    }

    fn lost(&self) -> Error {
        match &*self.control.borrow() {
            Control::Down(Some(error)) => self.lost_because(error),
            Control::Down(None) => self.lost_because("connecting again takes its time"),
            Control::Up(connection) => self.lost_because(connection.shared().lost_reason()),
        }
    }

    fn lost_because(&self, reason: impl fmt::Display) -> Error {
        Error::Lost {
            destination: self.destination.clone(),
            reason: reason.to_string(),
        }
    }
}

/// Keeps the control connection up until the session ends.
async fn keep_up(core: Arc<Core>) {
    let mut pauses = Backoff::new(FIRST_PAUSE, SHORT_LIVED_PAUSE);
    let mut connected = Instant::now();
    loop {
        let shared = match &*core.control.borrow() {
            Control::Up(connection) => Arc::clone(connection.shared()),
            Control::Down(_) => return,
        };
        tokio::select! {
            () = core.stop.cancelled() => break,
            () = shared.lost_token().cancelled() => {}
            connection = renew(&core, &shared) => {
                // What stands on the old one keeps it until it ends.
                tracing::debug!(destination = %core.destination, "further sessions get a new SSH connection");
                core.control.send_replace(Control::Up(connection));
                connected = Instant::now();
                continue;
            }
        }
        if core.stop.is_cancelled() {
            break;
        }
        let reason = shared.lost_reason();
        tracing::warn!(destination = %core.destination, "{reason}; connecting again");
        core.control.send_replace(Control::Down(None));
        let again = async {
            // A server that lets us in and hangs up is not to be knocked at as fast as it can do so.
            if shared.was_used() || connected.elapsed() >= LAST_PAUSE {
                pauses = Backoff::new(FIRST_PAUSE, SHORT_LIVED_PAUSE);
            } else {
                sleep(pauses.next_pause()).await;
            }
            reconnect(&core).await
        };
        let connection = tokio::select! {
            () = core.stop.cancelled() => break,
            connection = again => connection,
        };
        connected = Instant::now();
        tracing::info!(destination = %core.destination, "connected again");
        core.control.send_replace(Control::Up(connection));
        core.pool.try_again();
    }
    // Nobody holds the session any more, or it was closed: let go of what it held.
    core.control.send_replace(Control::Down(None));
    drop(core.pool.drain());
}

/// A connection in the place of one that is worn out (see `Shared::count_closed_first`), which is
/// good enough until there is one, and for good where nobody is let in a second time.
async fn renew(core: &Core, worn: &Shared) -> Arc<Connection> {
    worn.worn_out().cancelled().await;
    while !core.pool.is_single() {
        match core.dialer.dial(Role::Control).await {
            Ok(connection) => return connection,
            Err(error) => {
                tracing::debug!(%error, "no new connection in the place of the old one");
                if !error.is_transient() {
                    break;
                }
            }
        }
        sleep(LAST_PAUSE).await;
    }
    std::future::pending().await
}

/// Tries until it works. Somebody who waits for the connection cuts the pause short; a refusal is
/// tried again only then, and not often, for servers lock out those who knock too much.
async fn reconnect(core: &Core) -> Arc<Connection> {
    let mut backoff = Backoff::new(FIRST_PAUSE, LAST_PAUSE);
    loop {
        let began = Instant::now();
        let error = match core.dialer.dial(Role::Control).await {
            Ok(connection) => return connection,
            Err(error) => error,
        };
        let pause = backoff.next_pause();
        if error.is_transient() {
            // Once, for the reason; what comes after is the same as a rule.
            if backoff.taken() == 1 {
                tracing::warn!(%error, "not connected again yet");
            } else {
                tracing::debug!(%error, ?pause, "not connected again yet");
            }
            core.control.send_replace(Control::Down(Some(error)));
            sleep(FIRST_PAUSE).await;
            let left = pause.saturating_sub(FIRST_PAUSE);
            tokio::select! {
                () = sleep(left) => {}
                () = core.wanted.notified() => {}
            }
        } else {
            tracing::error!(%error, "cannot connect again");
            core.control.send_replace(Control::Down(Some(error)));
            let left = LAST_PAUSE.saturating_sub(began.elapsed());
            sleep(left).await;
            core.wanted.notified().await;
        }
    }
}

/// How long somebody waits for a lost control connection to come back.
const CONTROL_PATIENCE: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(30);
/// The longest pause after connections that were of no use: short enough for whoever waits meanwhile.
const SHORT_LIVED_PAUSE: Duration = Duration::from_secs(8);
