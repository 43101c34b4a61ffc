//! The machine's inputs and outputs about forwards, endings and the log.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use bytes::Bytes;
use ferryline_grammar::Verb;

use super::{
    end_reason::EndReason, other_protocol::OtherProtocol, parameters::FileParameters,
    settings::Knowledge,
};

/// Name of one forward of a session: the way of one data connection. Never used twice in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ForwardId(u32);

impl ForwardId {
    /// Number of the forward in logs and transcripts.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The forward that has this number in a transcript.
    pub const fn from_number(number: u32) -> Self {
        Self(number)
    }

    pub(super) const fn first() -> Self {
        Self(1)
    }

    pub(super) const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

impl fmt::Display for ForwardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Host and port, in the form in which the SSH server is asked to reach them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// A name, resolved by the SSH server, or an address.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// What became of a forward. The driver answers an [`Output::OpenLocal`], [`Output::OpenRemote`] or
/// [`Output::OpenJoined`] with these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForwardEvent {
    /// Answer to [`Output::Ask`] about a download: the SSH server has given keepalive replies, no data came from
    /// the FTP server between them, and all that came before was handed to the client.
    AllReceived,
    /// Answer to [`Output::Ask`] about an upload: the client has ended its side in order, and the SSH server
    /// has given a keepalive reply after all that the client sent and its EOF, while the data connection stood.
    AllSent,
    /// Bytes wait to be handed to the client, which has taken none for a second. When it takes some again,
    /// [`Progress`](Self::Progress) follows at once.
    Blocked,
    /// The client's side broke, without an EOF. The way to the server still stands, until [`Output::Close`]:
    /// closing it would tell the server that the file is complete.
    Broken,
    /// It is in use: the client has connected (local forward), or the SSH server has passed on a connection
    /// of the FTP server (remote forward). The other half of the way is being made. From here on the FTP
    /// server may send replies about a transfer over it.
    Claimed,
    /// The data connection stands, end to end. For a local forward, `target` is the index of the target that
    /// was reached; 0 for a remote forward.
    Connected {
        /// Index into the targets of the [`Output::OpenLocal`].
        target: usize,
    },
    /// A connection was refused because its user could not be found out: it was closed at once. It may have
    /// been the client's.
    Doubtful,
    /// It was cut before all that the server sent was handed to the client, and the client's side was reset.
    /// The forward is gone.
    Cut,
    /// All that the server sent was handed to the client, up to the EOF; or, as the answer to an
    /// [`Output::Drain`], all that had come in by then.
    Drained,
    /// The forward is gone: its data connection ended, its listener closed, or it was cut.
    Ended,
    /// It could not be made. The text is a short reason in ASCII that names who refused.
    Failed(String),
    /// Data moved, in either direction, since the last such event. At most one a second for each direction.
    Progress,
    /// The client has connected (local forward), and none of the targets could be reached: its connection was
    /// reset. The text is the reason, as for [`Failed`](Self::Failed). The forward is gone.
    Unreachable(String),
    /// It stands: the listener is bound (local forward), the SSH server has bound its own (remote forward),
    /// or the FTP server has been reached (joined). The address is the one to name to the peer; for a joined
    /// forward it is the client's listener.
    Ready(SocketAddr),
}

/// How one side of the control connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// An orderly end of file.
    Eof,
    /// The server sent far more than the client took: the driver could hold no more of it.
    Flood,
    /// A line longer than its limit. The number is that limit in bytes.
    LineTooLong(usize),
    /// The connection broke (towards the server: the SSH session was lost).
    Lost,
    /// A NUL where FTP allows none.
    Nul,
    /// Towards the server: the SSH session was given up because the SSH server was silent.
    Silent,
    /// Towards the client: its first bytes are those of TLS (RFC 8446 §5.1), as of a client that was told
    /// `ftps://`.
    Tls,
}

impl Ending {
    /// What is wrong with the client's line, where that is why its side ended; for the text of a 500.
    pub(super) fn command_fault(self) -> Option<String> {
        match self {
            Self::LineTooLong(limit) => Some(format!(
                "a command line longer than {limit} bytes; the session ends"
            )),
            Self::Nul => Some("a NUL in a command line; the session ends".to_owned()),
            Self::Eof | Self::Flood | Self::Lost | Self::Silent | Self::Tls => None,
        }
    }
}

/// What becomes of the data connections that still run when the session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataAtEnd {
    /// They are reset: neither side may take what it has for a complete file.
    Abort,
    /// They run to their end.
    Finish,
}

/// What the driver is to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// The FTP server has sent the final reply of the transfer, and has not ended the data connection. Ask
    /// the SSH server for keepalive replies on the connection that carries it, until
    /// [`ForwardEvent::AllReceived`], [`ForwardEvent::AllSent`] or both can be reported.
    Ask(ForwardId),
    /// Close this forward: the listener, the remote forward, and, where one stands, the data connection, by a
    /// reset. Answered by [`ForwardEvent::Ended`] or not at all.
    Close(ForwardId),
    /// Report [`ForwardEvent::Drained`] as soon as no data from the server is left to hand to the client. For
    /// the transfer modes that keep the data connection open.
    Drain(ForwardId),
    /// The session is over: write what is left to write, and close both control connections.
    End {
        /// What becomes of the data connections.
        data: DataAtEnd,
        /// The forwards that are to close, as by [`Close`](Self::Close), once the server has seen the end of
        /// its control connection. To the server the end of a data connection is the end of a file.
        close_after_control: Vec<ForwardId>,
    },
    /// The client will send no more: pass its EOF on to the server.
    FinishServer,
    /// The transfer over this joined forward has begun: connect to the client's listener, unless data has
    /// made that necessary before.
    Join(ForwardId),
    /// Something was learned of this FTP server that the next sessions with it can start from.
    Learned(Knowledge),
    /// A notice for the log.
    Notice(Notice),
    /// The client's control connection broke. Where the client has ended its side of this data connection in
    /// order, let that run to its end; otherwise report [`ForwardEvent::Broken`].
    Settle(ForwardId),
    /// Connect to the first target that can be reached through the SSH server. Connect it to the client's
    /// listener on [`Join`](Self::Join), or when the first data comes.
    OpenJoined {
        /// The forward's name.
        id: ForwardId,
        /// Where the FTP server listens, in order of preference.
        targets: Vec<Target>,
        /// The client's listener.
        deliver_to: SocketAddr,
    },
    /// Listen for the client. When it connects, connect it to the first target that can be reached through
    /// the SSH server.
    OpenLocal {
        /// The forward's name.
        id: ForwardId,
        /// Where the FTP server listens, in order of preference.
        targets: Vec<Target>,
    },
    /// Have the SSH server listen on this address (its loopback, unless `--remote-bind` says otherwise).
    /// Connect what connects there to the client's listener.
    OpenRemote {
        /// The forward's name.
        id: ForwardId,
        /// The address to bind on the SSH server's host.
        bind: IpAddr,
        /// The client's listener.
        deliver_to: SocketAddr,
    },
    /// Write to the client's control connection.
    ToClient(Bytes),
    /// Write to the server's control connection.
    ToServer(Bytes),
    /// A transfer is over: its client has had its final reply, or gets none. Comes once for each transfer.
    Transferred(TransferReport),
}

/// Greatest number of bytes of a command that a [`TransferReport`] has: more than a path has on Linux (`PATH_MAX`), and
/// so few that the commands of many pipelined transfers need no bound of their own.
pub const REPORTED: usize = 4352;

/// How a transfer went, as far as the control connections show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferReport {
    /// The client's command without the end of the line, the first [`REPORTED`] bytes of it; empty where its verb is
    /// unknown.
    pub command: Bytes,
    /// The forward of its data connection, if it had one.
    pub forward: Option<ForwardId>,
    /// How that data connection was asked for, on both sides.
    pub asked_by: Option<DataCommands>,
    /// Whether the FTP server has begun it, by a 1xx or by a 200 in its place.
    pub begun: bool,
    /// What its file depends on besides the name; `None` where the FTP server did not answer it.
    pub parameters: Option<FileParameters>,
    /// When the FTP server was sent the command, since the session began.
    pub sent_at: Duration,
    /// The last line of the final reply as the client got it; `None`: it got none.
    pub answer: Option<Bytes>,
}

/// A transfer that runs: the FTP server has been sent the command, and the client has no final reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunningTransfer<'a> {
    /// The client's command without the end of the line; empty where its verb is unknown.
    pub command: &'a [u8],
    /// The forward of its data connection, as far as it is known.
    pub forward: Option<ForwardId>,
    /// How that data connection was asked for, on both sides.
    pub asked_by: Option<DataCommands>,
    /// When the FTP server was sent the command, since the session began.
    pub sent_at: Duration,
}

/// A command that asks for a data connection, and says who connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataCommand {
    /// EPRT (RFC 2428 §2).
    Eprt,
    /// EPSV (RFC 2428 §3).
    Epsv,
    /// PASV (RFC 959 §4.1.2), or a verb that is answered as it is.
    Pasv,
    /// PORT (RFC 959 §4.1.2).
    Port,
}

impl fmt::Display for DataCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Eprt => "EPRT",
            Self::Epsv => "EPSV",
            Self::Pasv => "PASV",
            Self::Port => "PORT",
        })
    }
}

/// The commands that asked for one data connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataCommands {
    /// The client's.
    pub client: DataCommand,
    /// The one that the FTP server got in its place.
    pub server: DataCommand,
}

/// What a data connection that does not move waits for, as far as ferryline knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stalled {
    /// The client has not connected to its data port.
    ClientConnection,
    /// The FTP server has not connected to the port that the SSH server listens on.
    ServerConnection,
    /// The client has connected, and the SSH server has not reached the FTP server's data port yet.
    WayToServer,
    /// The FTP server has connected, and the client's data port has not been reached yet.
    WayToClient,
    /// The client takes none of the data that waits for it.
    ClientTakesNothing,
    /// The FTP server sends nothing.
    ServerSendsNothing,
    /// The client sends nothing, or the FTP server takes nothing.
    Upload,
}

/// What an operator may want to read in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Remote forwards do not work here; active data connections are carried as passive ones.
    CarriedAsPassive(String),
    /// A passive reply names a port that is too low.
    LowDataPort {
        /// The port.
        port: u16,
        /// The lowest port that ferryline accepts.
        lowest: u16,
    },
    /// A final reply was passed on although the FTP server has not ended the data connection: the SSH server
    /// has no more of its data.
    LeftOpen(ForwardId),
    /// The FTP server has sent no greeting for this time, and the client waits for it.
    NoGreeting(Duration),
    /// The client's first line is in another protocol.
    NotFtp(OtherProtocol),
    /// A passive reply named another address than the control connection's host.
    OtherDataHost {
        /// What the reply named.
        named: IpAddr,
        /// The host that is used instead.
        used: String,
    },
    /// The session ends for this reason, of which the client is told by a 421.
    Ended(EndReason),
    /// A final reply is held, because the SSH connection that carries the data does not answer.
    SilentWay(ForwardId),
    /// The data connection of a transfer has not moved for this time.
    StalledData {
        /// The forward.
        id: ForwardId,
        /// The verb of the client's command.
        verb: Verb,
        /// For how long.
        time: Duration,
        /// What it waits for.
        stalled: Stalled,
    },
    /// A final reply was passed on although the client had not taken all of its data.
    StalledTransfer(ForwardId),
    /// The server insists on TLS. The text is its reply, escaped.
    TlsRequired(String),
    /// The FTP server has not answered a command with this verb for this time.
    Unanswered(Verb, Duration),
    /// The FTP server reported a success, but the data connection did not come, or the end of an upload's was
    /// not seen: the client is told of a failure.
    UnconfirmedTransfer(ForwardId),
    /// The client connected, and the FTP server's port could not be reached. The text is the reason.
    Unreachable(ForwardId, String),
    /// A forward that was not used in time was closed.
    UnusedForward(ForwardId),
    /// A passive reply that answers no request was withheld.
    Withheld(u16),
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CarriedAsPassive(reason) => write!(
                f,
                "active data connections are carried as passive ones from now on: {reason}"
            ),
            Self::LowDataPort { port, lowest } => write!(
                f,
                "the FTP server's passive reply names port {port}, below {lowest}: refused \
                 (--lowest-data-port {port} takes it, if it is the server's own)"
            ),
            Self::NoGreeting(time) => write!(
                f,
                "the FTP server has sent no greeting for {} s, and the client waits: it may look up the name of \
                 the SSH server's host in vain (reverse_lookup_enable=NO in vsftpd, UseReverseDNS off in ProFTPD), \
                 or have all its connections in use",
                time.as_secs()
            ),
            Self::Unanswered(verb, time) => write!(
                f,
                "the FTP server has not answered {} for {} s, and the client waits: look at that server's log and \
                 load; 'ferryline check' tells whether it answers others",
                Named(*verb),
                time.as_secs()
            ),
            Self::StalledData {
                id,
                verb,
                time,
                stalled,
            } => write!(
                f,
                "data connection {id} ({}): nothing has moved for {} s: {stalled}",
                Named(*verb),
                time.as_secs()
            ),
            Self::NotFtp(what) => write!(
                f,
                "the client speaks {what}, not FTP; its session is ended ({})",
                match what {
                    OtherProtocol::Tls =>
                        "use ftp:// in it and not ftps://, plain FTP and not implicit TLS: its connection \
                              is inside SSH already",
                    OtherProtocol::Http | OtherProtocol::Ssh =>
                        "a browser or another program was pointed at this port",
                }
            ),
            Self::OtherDataHost { named, used } => write!(
                f,
                "the FTP server's passive reply names {named}; the data connection goes to {used}, \
                 the host of the control connection (--data-host reply follows the reply)"
            ),
            Self::LeftOpen(id) => write!(
                f,
                "data connection {id}: the FTP server has sent its final reply and leaves it open; the \
                 SSH server has nothing more of its data, so the reply is passed on"
            ),
            Self::Ended(reason) => {
                write!(f, "421 to the client: {reason}")?;
                reason
                    .remedy()
                    .map_or(Ok(()), |remedy| write!(f, " ({remedy})"))
            }
            Self::SilentWay(id) => write!(
                f,
                "data connection {id}: the FTP server has sent its final reply, but the SSH connection \
                 that carries the data does not answer; the reply is held until it does, or is lost"
            ),
            Self::StalledTransfer(id) => write!(
                f,
                "data connection {id}: the client has not taken any of the data that waits for it for a \
                 while; the final reply is passed on before the data"
            ),
            Self::TlsRequired(said) => write!(
                f,
                "the FTP server insists on TLS (it says: {said:.200}); inside TLS nothing could be \
                 rewritten, so ferryline lets none through, and this connection is inside SSH already: \
                 have the FTP server allow plain FTP to connections from the SSH server's host"
            ),
            Self::UnconfirmedTransfer(id) => write!(
                f,
                "data connection {id}: the FTP server says that all went well, but the end of the \
                 data connection was not seen; the client is told that it was cut"
            ),
            Self::Unreachable(id, reason) => write!(f, "data connection {id}: {reason}"),
            Self::UnusedForward(id) => {
                write!(
                    f,
                    "data connection {id}: the client did not connect in time; closed"
                )
            }
            Self::Withheld(code) => write!(
                f,
                "the FTP server sent a {code} that answers no request; its text was withheld"
            ),
        }
    }
}

/// A verb in a sentence. What stands in place of an unknown one is not shown: it may be a secret.
struct Named(Verb);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Verb::Other => f.write_str("a command that ferryline does not know"),
            verb => f.write_str(verb.name()),
        }
    }
}

impl fmt::Display for Stalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClientConnection => {
                "the client has not connected to its data port: a firewall between it and ferryline may forbid that \
                 (--data-ports says which ports to open)"
            }
            Self::ServerConnection => {
                "the FTP server has not connected to the port that the SSH server listens on: use passive mode in \
                 the client, or --active passive"
            }
            Self::WayToServer => {
                "the SSH server has not reached the FTP server's data port yet: a firewall before that may drop \
                 connections from the SSH server's host"
            }
            Self::WayToClient => {
                "the client's data port has not been reached yet: a firewall before the client may drop connections \
                 from ferryline's host"
            }
            Self::ClientTakesNothing => {
                "the client takes none of the data that waits for it: look at that program, and at what it writes to"
            }
            Self::ServerSendsNothing => {
                "the FTP server sends nothing: look at its log and its storage"
            }
            Self::Upload => {
                "the client sends nothing, or the FTP server takes nothing: look at both, and at the server's storage"
            }
        })
    }
}
