//! The driver: listeners, one task a client, data connections.
//!
//! # Layout
//!
//! - `listen`: the listeners of a forward, and the loop that accepts clients
//! - `dial_server`, `greeter`: from a client's connection to one with its FTP server; `greeter` where the
//!   client names it
//! - `session`: one FTP client: pumps lines into the state machine, carries out what it asks
//! - `plain`: a `tcp/` forward
//! - `data/`: the data connections
//! - `servers/`: what is known of each FTP server
//! - `policy/`: what users asked for, and who may come, and go where
//! - `trace/`: what others get to see of a session: the log, observers, transcripts
//! - `io/`: reading, writing and sockets

mod data;
mod dial_server;
mod greeter;
mod io;
mod listen;
mod plain;
mod policy;
mod servers;
mod session;
mod trace;

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use ferryline_grammar::COMMAND_LIMIT;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use self::servers::home::{Homes, Reached};
pub use self::{
    listen::BindError,
    policy::{
        allow::{AllowError, Cidr, HostPattern},
        data_ports::{DataPorts, DataPortsError},
        gateway::Gateway,
        spec::{ForwardKind, ForwardSpec, SpecError},
    },
    trace::observe::{Direction, Observer},
};
use self::{
    policy::{admission::Admission, gateway},
    servers::known::Servers,
    trace::{record, warnings::Warnings},
};
use crate::{
    control::{ActiveMode, DataHost, LOWEST_DATA_PORT, Limits},
    ssh,
    transcript::Scribe,
};

/// What applies to all forwards of a proxy.
#[derive(Clone)]
pub struct Options {
    /// Which host passive data connections go to.
    pub data_host: DataHost,
    /// The lowest port that a passive reply may name.
    pub lowest_data_port: u16,
    /// How active data connections are carried.
    pub active: ActiveMode,
    /// The address of the SSH server's host that FTP servers on other hosts can reach, where the SSH
    /// server allows remote forwards there (OpenSSH's `GatewayPorts clientspecified`).
    pub remote_bind: Option<IpAddr>,
    /// The clients' side.
    pub gateway: Gateway,
    /// The FTP servers that clients may name, where they do ([`ForwardSpec::is_user_routed`]).
    pub allow_hosts: Vec<HostPattern>,
    /// The bounds of each session.
    pub limits: Limits,
    /// How many bytes a client's line may have.
    pub command_limit: usize,
    /// How long running transfers may go on after a stop was asked for.
    pub grace: Duration,
    /// Is shown every line of every control connection.
    pub observer: Option<Arc<dyn Observer>>,
    /// The folder that gets a transcript of every session.
    pub record: Option<PathBuf>,
    /// How many bytes a transcript may have.
    pub record_limit: u64,
    /// How many FTP clients are served at once, over all forwards; and as many connections of `tcp/`
    /// forwards, which have seats of their own.
    pub max_sessions: usize,
    /// How many of them from one address; 0: as many as there may be.
    pub max_per_client: usize,
    /// How many clients that are refused may be waited for at once, until they have read why.
    pub refusals: usize,
    /// The local users, by their numbers, that are served; `None`: everybody. Nobody whose user the
    /// kernel does not tell.
    pub only_users: Option<Vec<u32>>,
    /// How long a control connection may be idle: no command, and no transfer.
    pub idle: Option<Duration>,
    /// How long a client may take to log in.
    pub login_time: Option<Duration>,
    /// How long a remote forward is kept ready for a session's next active transfer; zero: none is.
    pub ready_time: Duration,
    /// How long a client may keep a data connection open, and send nothing on it, once the FTP server
    /// has ended its own side.
    pub last_word: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            data_host: DataHost::default(),
            lowest_data_port: LOWEST_DATA_PORT,
            active: ActiveMode::default(),
            remote_bind: None,
            gateway: Gateway::default(),
            allow_hosts: Vec::new(),
            limits: Limits::default(),
            command_limit: COMMAND_LIMIT,
            grace: Duration::from_secs(10),
            observer: None,
            record: None,
            record_limit: 64 << 20,
            max_sessions: 256,
            refusals: 256,
            max_per_client: 0,
            only_users: None,
            idle: Some(Duration::from_secs(24 * 60 * 60)),
            login_time: Some(Duration::from_secs(5 * 60)),
            ready_time: Duration::from_secs(5),
            last_word: Duration::from_secs(60),
        }
    }
}

/// Bound listeners, not yet accepting: whoever binds first learns of a port in use before it asks
/// for a password.
#[derive(Debug)]
pub struct Proxy {
    forwards: Vec<listen::Bound>,
}

impl Proxy {
    /// Binds the listeners of all forwards.
    ///
    /// # Errors
    ///
    /// The first listener that cannot be bound.
    pub async fn bind(specs: &[ForwardSpec]) -> Result<Self, BindError> {
        let mut forwards = Vec::new();
        for spec in specs {
            forwards.push(listen::bind(spec).await?);
        }
        Ok(Self { forwards })
    }

    /// The addresses bound for each forward, in the order of the specifications.
    pub fn addresses(&self) -> Vec<Vec<SocketAddr>> {
        self.forwards.iter().map(listen::Bound::addresses).collect()
    }

    /// Serves clients until `stop` is cancelled; then running transfers get [`Options::grace`],
    /// and every client its 421.
    pub async fn run(self, ssh: ssh::Session, options: Options, stop: CancellationToken) {
        let tasks = TaskTracker::new();
        let abort = CancellationToken::new();
        let sessions = Arc::new(AtomicU64::new(0));
        let admission = Admission::new(&options);
        let warnings = Arc::new(Warnings::default());
        let scribe = record::scribe(&options, &warnings);
        for bound in self.forwards {
            let context = Arc::new(Context {
                ssh: ssh.clone(),
                spec: bound.spec.clone(),
                options: options.clone(),
                stop: stop.clone(),
                abort: abort.clone(),
                tasks: tasks.clone(),
                sessions: Arc::clone(&sessions),
                servers: Servers::default(),
                homes: Homes::default(),
                admission: Arc::clone(&admission),
                warnings: Arc::clone(&warnings),
                scribe: scribe.clone(),
            });
            options.gateway.warn(&bound.spec, &bound.addresses());
            if let Some(bind) = options.remote_bind {
                gateway::warn_remote_bind(&bound.spec, bind);
            }
            listen::accept(bound, &context);
        }
        stop.cancelled().await;
        tasks.close();
        if tokio::time::timeout(options.grace, tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                "transfers still running after {} s are cut",
                options.grace.as_secs()
            );
            abort.cancel();
            // What is left is bounded by the time a last word to a client may take.
            if tokio::time::timeout(Duration::from_secs(8), tasks.wait())
                .await
                .is_err()
            {
                tracing::warn!("{} tasks did not end in time", tasks.len());
            }
        }
        if let Some(scribe) = scribe {
            record::finish(&scribe).await;
        }
    }
}

/// What the tasks of one forward share.
struct Context {
    ssh: ssh::Session,
    spec: ForwardSpec,
    options: Options,
    /// No new clients; running transfers may end.
    stop: CancellationToken,
    /// Everything ends now.
    abort: CancellationToken,
    tasks: TaskTracker,
    sessions: Arc<AtomicU64>,
    /// What is known of the FTP servers.
    servers: Servers,
    /// Where those of them are that are called by a loopback name.
    homes: Homes,
    admission: Arc<Admission>,
    warnings: Arc<Warnings>,
    /// Where sessions are recorded.
    scribe: Option<Scribe>,
}

impl Context {
    /// A number for the next client, for the log.
    fn next_session(&self) -> u64 {
        self.sessions.fetch_add(1, Ordering::Relaxed) + 1
    }
}
