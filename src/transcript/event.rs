//! What a line of a transcript can stand for.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use ferryline_grammar::Frame;

use crate::control::{
    ActiveMode, DataHost, Ending, ForwardEvent, ForwardId, Knowledge, LOWEST_DATA_PORT, Limits,
    Output, Settings,
};

/// One line of a file, if it means anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number in the file, from 1.
    pub number: usize,
    /// The time since the session began, where it is given.
    pub at: Option<Duration>,
    /// Its meaning.
    pub event: Event,
}

/// What went into the state machine, or came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// `C> `: from the client.
    Client(Frame),
    /// The client's side ended.
    ClientEnded(Ending),
    /// The client has ended its side, although some of what it sent has not been read yet.
    ClientLeft,
    /// Ferryline was told to stop at once.
    Cut,
    /// What became of a forward.
    Forward(ForwardId, ForwardEvent),
    /// The facts the session began with.
    Header(Header),
    /// An output of the state machine.
    Output(Output),
    /// The session went on, and the recording ended.
    RecordingEnded(Incomplete),
    /// `S< `: from the server.
    Server(Frame),
    /// The server's side ended.
    ServerEnded(Ending),
    /// Ferryline was asked to stop.
    Stop,
    /// A deadline had passed.
    Timeout,
    /// The last line has no end: the recording was cut off within it. It means nothing.
    Torn,
}

/// Why a recording ends before its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Incomplete {
    /// It reached its size limit.
    SizeLimit,
    /// The file system did not keep up.
    TooSlow,
    /// The file system accepted no more.
    NotWritten,
}

impl Event {
    /// Whether it is an output of the state machine, and not an input.
    pub fn is_output(&self) -> bool {
        matches!(self, Self::Output(_))
    }
}

/// The facts a session began with: [`Settings`], of whose limits only these four can be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The client's end of its control connection.
    pub client: SocketAddr,
    /// Our end of it.
    pub local: SocketAddr,
    /// The FTP server's host.
    pub server: String,
    /// Addresses that the FTP server's name stands for, where there are several.
    pub addresses: Vec<IpAddr>,
    /// Host that passive data connections go to.
    pub data_host: DataHost,
    /// The lowest port that a passive reply may name.
    pub lowest_data_port: u16,
    /// How active data connections are carried.
    pub active: ActiveMode,
    /// Whether the FTP server is on the SSH server's host.
    pub on_ssh_host: bool,
    /// Address of the SSH host for remote forwards to FTP servers on other hosts.
    pub remote_bind: Option<IpAddr>,
    /// Host by which the client named its FTP server, in its user name.
    pub routed: Option<String>,
    /// How long the client may be idle, where that is limited.
    pub idle: Option<Duration>,
    /// How long it may take to log in, where that is limited.
    pub login: Option<Duration>,
    /// Number of requests that may be under way at once.
    pub requests: usize,
    /// How long ferryline waits for a passive data connection.
    pub unused_forward: Duration,
    /// What was known of the FTP server.
    pub knowledge: Knowledge,
}

impl Header {
    /// The facts of a session that is about to begin.
    pub fn new(settings: &Settings, knowledge: Knowledge) -> Self {
        Self {
            client: settings.client_peer,
            local: settings.client_local,
            server: settings.server_host.clone(),
            addresses: settings.server_addresses.clone(),
            data_host: settings.data_host,
            lowest_data_port: settings.lowest_data_port,
            active: settings.active,
            on_ssh_host: settings.server_on_ssh_host,
            remote_bind: settings.remote_bind,
            routed: settings.routed.clone(),
            idle: settings.limits.idle,
            login: settings.limits.login,
            requests: settings.limits.requests,
            unused_forward: settings.limits.unused_forward,
            knowledge,
        }
    }

    /// The settings of the session, to begin it again.
    pub fn settings(&self) -> Settings {
        Settings {
            client_peer: self.client,
            client_local: self.local,
            server_host: self.server.clone(),
            server_addresses: self.addresses.clone(),
            data_host: self.data_host,
            lowest_data_port: self.lowest_data_port,
            active: self.active,
            server_on_ssh_host: self.on_ssh_host,
            remote_bind: self.remote_bind,
            routed: self.routed.clone(),
            limits: Limits {
                idle: self.idle,
                login: self.login,
                requests: self.requests,
                unused_forward: self.unused_forward,
                ..Limits::default()
            },
        }
    }
}

impl Default for Header {
    /// A client on 127.0.0.1 and an FTP server on the SSH server's host. A file that holds only the peers'
    /// lines is replayed with these facts.
    fn default() -> Self {
        Self {
            client: SocketAddr::from(([127, 0, 0, 1], 50000)),
            local: SocketAddr::from(([127, 0, 0, 1], 2121)),
            server: "localhost".into(),
            addresses: Vec::new(),
            data_host: DataHost::Control,
            lowest_data_port: LOWEST_DATA_PORT,
            active: ActiveMode::Auto,
            on_ssh_host: true,
            remote_bind: None,
            routed: None,
            idle: None,
            login: None,
            requests: Limits::default().requests,
            unused_forward: Limits::default().unused_forward,
            knowledge: Knowledge::default(),
        }
    }
}
