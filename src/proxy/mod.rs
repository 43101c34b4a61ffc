//! The driver: listeners, a task for each client, data connections.
//!
//! # Layout
//!
//! - `options`: what applies to all forwards, [`Options`]; `context`: what the tasks of one share
//! - `listen`: the listeners of a forward, and the loop that accepts clients
//! - `dial_server`, `greeter`: from a client's connection to one with its FTP server; `greeter` where the
//!   client names it
//! - `session`: one FTP client: pumps lines into the state machine, carries out what it asks
//! - `plain`: a `tcp/` forward
//! - `data/`: the data connections
//! - `servers/`: what is known of each FTP server
//! - `policy/`: what users asked for, which clients may come, and where they may go
//! - `trace/`: what can be seen of a session: the log, observers, transcripts
//! - `io/`: reading, writing and sockets

mod context;
mod data;
mod dial_server;
mod greeter;
mod io;
mod listen;
mod moved;
mod options;
mod plain;
mod policy;
mod servers;
mod session;
mod trace;

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub(crate) use self::servers::home::{Homes, Reached};
use self::{
    context::Context,
    policy::{admission::Admission, gateway},
    servers::known::Servers,
    trace::{record::Recording, warnings::Warnings},
};
pub use self::{
    listen::BindError,
    moved::Moved,
    options::Options,
    policy::{
        allow::{AllowError, Cidr, HostPattern},
        data_ports::{DataPorts, DataPortsError},
        gateway::Gateway,
        spec::{ForwardKind, ForwardSpec, SpecError},
    },
    trace::{
        books::{Books, Entry, Outcome, SessionEnd, Transferred},
        live::{LiveSessions, SessionView, TransferView},
        observe::{Direction, Observer},
        session_facts::SessionFacts,
    },
};
use crate::ssh;

/// Bound listeners that do not accept yet. A program that binds first learns of a port in use before it asks
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

    /// Serves clients until `stop` is cancelled. Then running transfers get [`Options::grace`], and every
    /// client its 421.
    pub async fn run(self, ssh: ssh::Session, options: Options, stop: CancellationToken) {
        let tasks = TaskTracker::new();
        let abort = CancellationToken::new();
        let sessions = Arc::new(AtomicU64::new(0));
        let admission = Admission::new(options.seats());
        let warnings = Arc::new(Warnings::default());
        let recording = options.record.as_deref().and_then(|folder| {
            Recording::start(folder, options.record_limit, options.record_keep, &warnings)
        });
        for bound in self.forwards {
            let context = Arc::new(Context {
                ssh: ssh.clone(),
                tunnel: options
                    .tunnel
                    .clone()
                    .unwrap_or_else(|| bound.spec.to_string().into()),
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
                recording: recording.clone(),
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
            // What is left is bounded by the time that a last reply to a client may take.
            if tokio::time::timeout(Duration::from_secs(8), tasks.wait())
                .await
                .is_err()
            {
                tracing::warn!("{} tasks did not end in time", tasks.len());
            }
        }
        if let Some(recording) = recording {
            recording.finish().await;
        }
    }
}
