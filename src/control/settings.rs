//! What a session knows before its first line.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// Fixed facts and choices of one session.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The client's end of its control connection: where active data connections are delivered.
    pub client_peer: SocketAddr,
    /// Our end of the client's control connection: the address that a 227 names.
    pub client_local: SocketAddr,
    /// The FTP server's host, as the SSH server is asked to reach it.
    pub server_host: String,
    /// The addresses that this name stands for, where they are known and more than one; otherwise empty. A
    /// passive reply may tell which of them the control connection has reached.
    pub server_addresses: Vec<IpAddr>,
    /// Which host a passive data connection goes to.
    pub data_host: DataHost,
    /// Lowest port that a passive reply may name (`--lowest-data-port`). Below 1024 other servers listen than
    /// a client means when it fetches a file.
    pub lowest_data_port: u16,
    /// How active data connections are carried.
    pub active: ActiveMode,
    /// Whether the FTP server is on the SSH server's host, so that it reaches a remote forward on that host's
    /// loopback.
    pub server_on_ssh_host: bool,
    /// Address of the SSH server's host that an FTP server on another host can reach, where the SSH server
    /// may be asked for remote forwards there (`--remote-bind`).
    pub remote_bind: Option<IpAddr>,
    /// The part behind the `@`, where the client named its FTP server in its user name, `USER name@host`. The
    /// client has been greeted, so it does not get the server's greeting; the server gets the plain name.
    pub routed: Option<String>,
    /// The bounds of this session.
    pub limits: Limits,
}

/// Lowest port of a passive data connection, unless `--lowest-data-port` says otherwise.
pub const LOWEST_DATA_PORT: u16 = 1024;

/// Host that a passive data connection goes to (`--data-host`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DataHost {
    /// The control connection's host; where that is refused, the address in the reply.
    Auto,
    /// The host of the control connection, with the port of the reply.
    #[default]
    Control,
    /// The address in the 227.
    Reply,
}

/// How active data connections (PORT, EPRT) are carried (`--active`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ActiveMode {
    /// By a remote forward where the FTP server is on the SSH server's host; as passive ones where it is not,
    /// and where a remote forward or its address is refused.
    #[default]
    Auto,
    /// As passive ones: the FTP server is asked for a passive data connection, which is joined to the
    /// client's listener.
    Passive,
    /// By a remote forward only.
    Remote,
}

/// Bounds on what a session may hold and how long it waits.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Number of requests that may be under way at once; more wait in the client's socket. Each input costs a
    /// look at four times as many at most.
    pub requests: usize,
    /// Limit on the cost of the lines that wait to go to the client: their bytes, and 128 for each line. More
    /// wait in the server's socket. Also the limit on the bytes of commands that wait; more wait in the
    /// client's socket.
    pub held_bytes: usize,
    /// How long a command behind a transfer command waits for the client to connect to its data port. By then
    /// a client that opened its data connection before the command is there.
    pub late_client: Duration,
    /// How long a client's data over a passive data connection waits for the server's reply to the transfer
    /// that it is for ([`Control::takes_data`](super::Control::takes_data)).
    pub early_data: Duration,
    /// How long a client whose data connection may have been refused has to connect (again) before its
    /// transfer is answered.
    pub doubtful_client: Duration,
    /// How long ferryline waits for a passive data connection.
    pub unused_forward: Duration,
    /// How long a download's final reply waits for a client that takes none of the data that waits for it,
    /// and any other final reply for data that does not move.
    pub stalled_data: Duration,
    /// Time between a final reply and the question to the SSH server whether it has all of the data, where
    /// the data connection has not ended by then.
    pub quiet_data: Duration,
    /// The same, for a download from an FTP server on another host than the SSH server's.
    pub quiet_far_data: Duration,
    /// How long an answer of ferryline's own waits for an earlier reply of the server that may never come (an
    /// `ABOR` that was answered by one reply where two are customary).
    pub missing_reply: Duration,
    /// How long ferryline waits for the server's own final reply to a transfer whose data connection could
    /// not be made.
    pub unreached: Duration,
    /// How long an EPSV with no unanswered request before it may stay unanswered before PASV is asked in its
    /// place, and how long that may stay unanswered after a late answer to the EPSV.
    pub silent_epsv: Duration,
    /// How long the client may neither send a command nor have a transfer run; `None`: without limit.
    pub idle: Option<Duration>,
    /// How long the client may take to log in; `None`: without limit.
    pub login: Option<Duration>,
    /// How long the server may take to close after the client's EOF, or after the transfer that still ran
    /// then.
    pub farewell: Duration,
    /// How long, after the client's EOF, the server may be silent while a transfer without a data connection
    /// is unanswered, or while a command cannot be sent yet. Also how long a command waits for a transfer
    /// before it while nothing happens.
    pub unanswered: Duration,
    /// How long a client that is there waits for its FTP server, or a data connection stands still, before
    /// the log says so ([`Notice`](super::Notice)). Nothing else happens then.
    pub overdue: Duration,
    /// How long a data connection may stand still once its client has ended its control connection, or the
    /// session is over. While both sides of the control connection stand, that is for the client and the FTP
    /// server to decide.
    pub still_data: Duration,
}

impl Limits {
    /// The same limits, each short enough to be added to another.
    pub(super) fn addable(mut self) -> Self {
        for time in [
            &mut self.unused_forward,
            &mut self.stalled_data,
            &mut self.quiet_data,
            &mut self.quiet_far_data,
            &mut self.missing_reply,
            &mut self.silent_epsv,
            &mut self.farewell,
            &mut self.unanswered,
            &mut self.overdue,
            &mut self.still_data,
        ] {
            *time = (*time).min(LONGEST);
        }
        for time in [&mut self.idle, &mut self.login].into_iter().flatten() {
            *time = (*time).min(LONGEST);
        }
        self
    }
}

/// A time that is as good as no limit: a hundred years.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests: 64,
            held_bytes: 512 * 1024,
            late_client: Duration::from_secs(3),
            early_data: Duration::from_secs(1),
            doubtful_client: Duration::from_secs(1),
            unused_forward: Duration::from_secs(60),
            stalled_data: Duration::from_secs(30),
            quiet_data: Duration::from_secs(1),
            quiet_far_data: Duration::from_secs(10),
            missing_reply: Duration::from_secs(5),
            unreached: Duration::from_secs(1),
            silent_epsv: Duration::from_secs(10),
            idle: None,
            login: None,
            farewell: Duration::from_secs(30),
            unanswered: Duration::from_secs(60),
            overdue: Duration::from_secs(30),
            still_data: Duration::from_secs(5 * 60),
        }
    }
}

/// What earlier sessions with the same FTP server found out. It saves round trips and nothing else: a session
/// that starts without it learns the same again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Knowledge {
    /// The server does not serve EPSV, or does not answer it: PASV is asked at once.
    pub no_epsv: bool,
    /// The server does not serve EPRT with an IPv4 address: PORT is sent at once.
    pub no_eprt: bool,
    /// The server is reached over IPv6 and refuses an IPv4 PORT: EPRT with `::1` is sent at once.
    pub active_over_ipv6: bool,
    /// Remote forwards, or their addresses, are refused: active data connections are carried as
    /// passive ones at once.
    pub active_as_passive: bool,
    /// With [`DataHost::Auto`]: the control connection's host was refused and the reply's address
    /// worked.
    pub reply_address_works: bool,
}

impl Knowledge {
    /// Adds what another session has learned of the same server meanwhile.
    pub fn add(&mut self, other: Self) {
        self.no_epsv |= other.no_epsv;
        self.no_eprt |= other.no_eprt;
        self.active_over_ipv6 |= other.active_over_ipv6;
        self.active_as_passive |= other.active_as_passive;
        self.reply_address_works |= other.reply_address_works;
    }
}
