//! The driver: listeners, a task for each client, data connections.
//!
//! # Layout
//!
//! - `options`: what applies to all forwards, [`Options`]; `context`: what the tasks of one share
//! - `listen`: the listeners of a forward, and the loop that accepts clients
//! - `tunnel`: forwards with one set of options, [`Tunnel`], and what all of a process share, [`Tunnels`]
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
mod tunnel;

use std::net::SocketAddr;

use tokio_util::sync::CancellationToken;

pub(crate) use self::servers::home::{Homes, Reached};
pub use self::{
    listen::{BindError, Listener},
    moved::Moved,
    options::Options,
    policy::{
        allow::{AllowError, Cidr, HostPattern},
        data_ports::{DataPorts, DataPortsError},
        gateway::Gateway,
        reachable::{own_address, reachable},
        spec::{ForwardKind, ForwardSpec, SpecError},
    },
    trace::{
        books::{Books, EndedBy, Entry, Outcome, SessionEnd, Transferred},
        live::{LiveSessions, SessionView, TransferView},
        observe::{Direction, Observer},
        session_facts::SessionFacts,
    },
    tunnel::{Tunnel, Tunnels},
};
use crate::ssh::{self, AddressFamily};

/// Bound listeners that do not accept yet. A program that binds first learns of a port in use before it asks
/// for a password. A clone has the same sockets.
#[derive(Clone, Debug)]
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
        Self::bind_in(specs, AddressFamily::Any).await
    }

    /// As [`bind`](Self::bind), on addresses of this family only.
    ///
    /// # Errors
    ///
    /// The first listener that cannot be bound.
    pub async fn bind_in(specs: &[ForwardSpec], family: AddressFamily) -> Result<Self, BindError> {
        Self::bind_among(specs, family, &[], None).await
    }

    /// As [`bind_in`](Self::bind_in), among sockets that are `there`: one that has a wanted address is used, and
    /// not bound again. Where the service manager has passed one for a forward, it decides at which of the
    /// forward's addresses that listens. A forward that is the same in `before`, and listens at any free port,
    /// keeps its port.
    ///
    /// # Errors
    ///
    /// The first listener that cannot be bound.
    pub async fn bind_among(
        specs: &[ForwardSpec],
        family: AddressFamily,
        there: &[Listener],
        before: Option<&Self>,
    ) -> Result<Self, BindError> {
        let mut forwards: Vec<listen::Bound> = Vec::new();
        let mut before: Vec<&listen::Bound> =
            before.map_or_else(Vec::new, |before| before.forwards.iter().collect());
        for spec in specs {
            let same = |bound: &&listen::Bound| spec.port == 0 && bound.spec.listens_like(spec);
            if let Some(same) = before.iter().position(same) {
                let listeners = before.remove(same).listeners.clone();
                let spec = spec.clone();
                forwards.push(listen::Bound { spec, listeners });
                continue;
            }
            forwards.push(listen::bind(spec, family, there).await?);
        }
        Ok(Self { forwards })
    }

    /// The addresses bound for each forward, in the order of the specifications.
    pub fn addresses(&self) -> Vec<Vec<SocketAddr>> {
        self.forwards.iter().map(listen::Bound::addresses).collect()
    }

    /// Whether both have the same sockets.
    pub fn is_same(&self, other: &Self) -> bool {
        let one: Vec<_> = self.listeners().collect();
        let other: Vec<_> = other.listeners().collect();
        one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.is(other))
    }

    /// The sockets of all forwards.
    pub fn listeners(&self) -> impl Iterator<Item = &Listener> {
        self.forwards.iter().flat_map(|bound| &bound.listeners)
    }

    /// Serves clients until `stop` is cancelled. Then running transfers get [`Options::grace`], and every
    /// client its 421.
    pub async fn run(self, ssh: ssh::Session, options: Options, stop: CancellationToken) {
        let tunnels = Tunnels::new(options.max_sessions, options.refusals);
        // The loops have the sockets, and close them.
        let _tunnel = {
            let bound = self;
            tunnels.open(&bound, &ssh, &options, None)
        };
        stop.cancelled().await;
        tunnels.finish(options.grace).await;
    }
}
