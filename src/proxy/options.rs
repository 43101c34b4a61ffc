//! What applies to all forwards of a proxy.

use std::{net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use ferryline_grammar::COMMAND_LIMIT;

use super::{
    policy::{admission::Seats, allow::HostPattern, gateway::Gateway},
    trace::{books::Books, live::LiveSessions, observe::Observer},
};
use crate::{
    control::{ActiveMode, DataHost, LOWEST_DATA_PORT, Limits},
    transcript::Keep,
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
    /// The FTP servers that clients may name, where they do
    /// ([`is_user_routed`](super::ForwardSpec::is_user_routed)).
    pub allow_hosts: Vec<HostPattern>,
    /// The bounds of each session.
    pub limits: Limits,
    /// Greatest length of a client's line, in bytes.
    pub command_limit: usize,
    /// How long running transfers may go on after a stop was asked for.
    pub grace: Duration,
    /// Observer that is shown every line of every control connection.
    pub observer: Option<Arc<dyn Observer>>,
    /// Those who keep books of what the sessions do.
    pub books: Vec<Arc<dyn Books>>,
    /// Where the sessions are shown while they last.
    pub live: LiveSessions,
    /// The name of the tunnel; `None`: that of each forward, as `-L` writes it.
    pub tunnel: Option<Arc<str>>,
    /// The folder for a transcript of every session.
    pub record: Option<PathBuf>,
    /// Greatest size of a transcript, in bytes.
    pub record_limit: u64,
    /// What is kept of the transcripts in that folder.
    pub record_keep: Keep,
    /// Greatest number of FTP clients that are served at once, over all forwards. Connections of `tcp/`
    /// forwards have the same number of seats of their own.
    pub max_sessions: usize,
    /// Greatest number of them from one address; 0: no limit of its own.
    pub max_per_client: usize,
    /// Greatest number of refused clients that are waited for at once, until they have read why.
    pub refusals: usize,
    /// The local users, by their numbers, that are served; `None`: all. A client whose user the kernel does
    /// not tell is not served.
    pub only_users: Option<Vec<u32>>,
    /// How long a remote forward is kept ready for a session's next active transfer; zero: none is kept.
    pub ready_time: Duration,
    /// How long a client may keep a data connection open, and send nothing on it, after the FTP server has
    /// ended its own side.
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
            limits: Limits {
                idle: Some(Duration::from_secs(24 * 60 * 60)),
                login: Some(Duration::from_secs(5 * 60)),
                ..Limits::default()
            },
            command_limit: COMMAND_LIMIT,
            grace: Duration::from_secs(10),
            observer: None,
            books: Vec::new(),
            live: LiveSessions::default(),
            tunnel: None,
            record: None,
            record_limit: 64 << 20,
            record_keep: Keep::default(),
            max_sessions: 256,
            refusals: 256,
            max_per_client: 0,
            only_users: None,
            ready_time: Duration::from_secs(5),
            last_word: Duration::from_secs(60),
        }
    }
}

impl Options {
    pub(super) fn seats(&self) -> Seats {
        Seats {
            sessions: self.max_sessions,
            per_client: self.max_per_client,
            only_users: self.only_users.clone(),
        }
    }
}
