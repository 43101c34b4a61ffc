//! What there is at the moment, as JSON.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{
    direction::Direction,
    process,
    sources::{Sources, SshState, TunnelState},
};
use crate::{
    printable::printable,
    proxy::{LiveSessions, SessionView, TransferView},
};

/// What there is at the moment.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Now {
    /// The version of ferryline.
    pub version: String,
    /// The time, in seconds since 1970.
    pub now: f64,
    /// When the process was started, in seconds since 1970.
    pub started: f64,
    /// Whether clients can end sessions here.
    pub may_end: bool,
    /// The tunnels.
    pub tunnels: Vec<Tunnel>,
    /// The SSH connections.
    pub ssh: Vec<Ssh>,
    /// The sessions, in the order in which they began.
    pub sessions: Vec<Session>,
}

/// A tunnel.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Tunnel {
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub listens: Vec<SocketAddr>,
    /// The FTP server.
    pub server: String,
    /// The name of its SSH connection.
    pub ssh: String,
}

/// An SSH connection.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Ssh {
    /// Its name.
    pub name: String,
    /// The destination, as shown to people.
    pub destination: String,
    /// Whether it is up.
    pub up: bool,
    /// Why it is not, where that is known.
    pub failure: Option<String>,
    /// The number of times that it was lost or silent, and replaced.
    pub reconnects: u64,
    /// SSH connections that carry data.
    pub lanes_busy: usize,
    /// SSH connections that could.
    pub lanes_idle: usize,
}

/// A session.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Session {
    /// Its number in the log.
    pub number: u64,
    /// The tunnel.
    pub tunnel: String,
    /// The client's address.
    pub client: SocketAddr,
    /// The client's local user, where the kernel tells.
    pub local_user: Option<u32>,
    /// The FTP user, once the client has named it.
    pub user: Option<String>,
    /// The FTP server.
    pub server: String,
    /// The number of seconds that it has lasted.
    pub age: f64,
    /// The number of transfers that are over.
    pub transfers: u64,
    /// The transfer that runs.
    pub transfer: Option<Transfer>,
}

/// A transfer.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Transfer {
    /// The client's command; empty where its verb is unknown.
    pub command: String,
    /// `download`, `upload` or `listing`.
    pub direction: String,
    /// How its data connection was asked for by the client, once it is known: `PASV`, `EPSV`, `PORT` or `EPRT`.
    pub asked_as: Option<String>,
    /// How the FTP server was asked for it.
    pub sent_as: Option<String>,
    /// The number of seconds that it has lasted.
    pub age: f64,
    /// The size of its file in bytes, where that is known.
    pub size: Option<u64>,
    /// The number of bytes that have moved.
    pub bytes: u64,
}

/// What there is at the moment.
pub(super) fn now(live: &LiveSessions, sources: &dyn Sources, may_end: bool) -> Now {
    Now {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        now: process::now(),
        started: process::began(),
        may_end,
        tunnels: sources.tunnels().into_iter().map(Tunnel::from).collect(),
        ssh: sources.ssh().into_iter().map(Ssh::from).collect(),
        sessions: live.list().iter().map(Session::from).collect(),
    }
}

impl From<TunnelState> for Tunnel {
    fn from(state: TunnelState) -> Self {
        Self {
            name: state.name.to_string(),
            listens: state.listens,
            server: state.server,
            ssh: state.ssh,
        }
    }
}

impl From<SshState> for Ssh {
    fn from(state: SshState) -> Self {
        let stats = state.stats;
        Self {
            name: state.name,
            destination: state.destination,
            up: stats.control_is_up,
            failure: state.failure.filter(|_| !stats.control_is_up),
            reconnects: stats.reconnects,
            lanes_busy: stats.lanes_busy,
            lanes_idle: stats.lanes_open.saturating_sub(stats.lanes_busy),
        }
    }
}

impl From<&SessionView> for Session {
    fn from(view: &SessionView) -> Self {
        let facts = &view.facts;
        Self {
            number: facts.number,
            tunnel: facts.tunnel.to_string(),
            client: facts.peer,
            local_user: facts.local_user,
            user: view.user.clone(),
            // A client may have named it.
            server: printable(facts.server.as_bytes()),
            age: view.age.as_secs_f64(),
            transfers: view.transfers,
            transfer: view.transfer.as_ref().map(Transfer::from),
        }
    }
}

impl From<&TransferView> for Transfer {
    fn from(view: &TransferView) -> Self {
        let asked = view.asked_by;
        Self {
            command: view.command.clone(),
            direction: Direction::of(view.command.as_bytes(), view.moved)
                .name()
                .to_owned(),
            asked_as: asked.map(|asked| asked.client.to_string()),
            sent_as: asked.map(|asked| asked.server.to_string()),
            age: view.age.as_secs_f64(),
            size: view.size,
            bytes: view.moved.bytes(),
        }
    }
}
