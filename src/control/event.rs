//! What the state machine is told, and what it asks for.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use bytes::Bytes;

use super::settings::Knowledge;

/// Names one forward of a session: the way of one data connection. Never used twice in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ForwardId(u32);

impl ForwardId {
    /// The number by which logs and transcripts call the forward.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The forward that a transcript calls so.
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

/// A host and port as the SSH server is asked to reach it.
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

/// What became of a forward: the driver's side of an [`Output::OpenLocal`],
/// [`Output::OpenRemote`] or [`Output::OpenJoined`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForwardEvent {
    /// The answer to [`Output::Ask`], about a download: the SSH server has given signs of life, nothing came
    /// from the FTP server between them, and all that came before was handed to the client.
    AllReceived,
    /// The answer to [`Output::Ask`], about an upload: the client has ended its side in order, and the SSH
    /// server has given a sign of life behind all that the client sent and the end of it, while the
    /// data connection stood.
    AllSent,
    /// Bytes wait to be handed to the client, which has taken none for a second. When it takes some again,
    /// [`Progress`](Self::Progress) says so at once.
    Blocked,
    /// The client's side broke, not by an end of file. The way to the server still stands, until
    /// [`Output::Close`]: closing it would tell the server that the file is complete.
    Broken,
    /// Somebody uses it: the client has connected (local forward) or the SSH server has passed on a
    /// connection of the FTP server's (remote forward), and the other half of the way is being
    /// made. From here on the FTP server may speak of a transfer over it.
    Claimed,
    /// The data connection stands, end to end. For a local forward, `target` is the place in the
    /// list of targets of the one that was reached; 0 for a remote forward.
    Connected {
        /// Index into the targets of the [`Output::OpenLocal`].
        target: usize,
    },
    /// Somebody connected whose user could not be found out, because the connection was closed at once: it
    /// was refused, and may have been the client's.
    Doubtful,
    /// It was cut before all that the server sent was handed to the client, whose side was reset.
    /// The forward is gone.
    Cut,
    /// All that the server sent was handed to the client, up to the end of file, or (as the answer
    /// to an [`Output::Drain`]) all that had come in by then.
    Drained,
    /// The forward is gone: its data connection ended, its listener closed, or it was cut.
    Ended,
    /// It could not be made; a short reason in ASCII that names who refused.
    Failed(String),
    /// Data moved, in either direction, since the last time this was said. Told at most once a second
    /// for each direction.
    Progress,
    /// The client has connected (local forward), and none of the targets could be reached: its
    /// connection was reset. The reason, as for [`Failed`](Self::Failed). The forward is gone.
    Unreachable(String),
    /// It stands: the listener is bound (local forward), the SSH server has bound its own (remote
    /// forward), or the FTP server has been reached (joined). The address is the one to be told to
    /// the peer; for a joined one it is the client's listener.
    Ready(SocketAddr),
}

/// How one side of the control connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// An orderly end of file.
    Eof,
    /// The server sent far more than the client took: the driver could hold no more of it.
    Flood,
    /// A line longer than its limit, of so many bytes.
    LineTooLong(usize),
    /// The connection broke (towards the server: the SSH session was lost).
    Lost,
    /// A NUL where FTP allows none.
    Nul,
    /// Towards the server: the SSH session was given up because the SSH server was silent.
    Silent,
}

/// What is to become of data connections that still run when the session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataAtEnd {
    /// Reset: neither side may take what it has for a complete file.
    Abort,
    /// Let them run to their end.
    Finish,
}

/// What the driver is to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// The FTP server has said how the transfer went, and has not ended the data connection: ask the
    /// SSH server for signs of life on the connection that carries it, until one of
    /// [`ForwardEvent::AllReceived`] and [`ForwardEvent::AllSent`] can be said, or both.
    Ask(ForwardId),
    /// Close this forward: the listener, the remote forward, and, where one stands, the data
    /// connection, by a reset. Answered by [`ForwardEvent::Ended`] or not at all. Where
    /// [`Output::End`] follows, the server's control connection is to be closed first.
    Close(ForwardId),
    /// Say [`ForwardEvent::Drained`] as soon as nothing that came from the server is left to hand
    /// to the client (transfer modes that keep the data connection open).
    Drain(ForwardId),
    /// The session is over: write what is left to write, close both control connections.
    End(DataAtEnd),
    /// The client will send no more: pass its end of file on to the server.
    FinishServer,
    /// The transfer over this joined forward has begun: connect to the client's listener, if data
    /// has not made that necessary before.
    Join(ForwardId),
    /// Something was learned of this FTP server that its next sessions can start from.
    Learned(Knowledge),
    /// A word for the log.
    Notice(Notice),
    /// The client's control connection broke. Where the client has ended its side of this data
    /// connection in order, let that run to its end; otherwise say [`ForwardEvent::Broken`].
    Settle(ForwardId),
    /// Connect to the first target that can be reached through the SSH server; connect it to the
    /// client's listener on [`Join`](Self::Join), or when the first data comes.
    OpenJoined {
        /// The forward's name.
        id: ForwardId,
        /// Where the FTP server listens, in the order of preference.
        targets: Vec<Target>,
        /// The client's listener.
        deliver_to: SocketAddr,
    },
    /// Listen for the client; when it connects, connect it to the first target that can be
    /// reached through the SSH server.
    OpenLocal {
        /// The forward's name.
        id: ForwardId,
        /// Where the FTP server listens, in the order of preference.
        targets: Vec<Target>,
    },
    /// Have the SSH server listen on this address (its loopback, unless `--remote-bind` says
    /// otherwise); what connects there is connected to
    /// the client's listener.
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
}

/// Something an operator may want to read in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Remote forwards do not work here; active data connections are carried as passive ones.
    CarriedAsPassive(String),
    /// A passive reply names a port that is too low.
    LowDataPort {
        /// The port.
        port: u16,
        /// The lowest that is taken.
        lowest: u16,
    },
    /// A final reply was let go although the FTP server has not ended the data connection: the SSH server
    /// has nothing more of its data.
    LeftOpen(ForwardId),
    /// The client's first line is another protocol's.
    NotFtp(&'static str),
    /// What answers in the FTP server's place speaks another protocol: its first words, escaped.
    NotFtpServer(String),
    /// A passive reply named another address than the control connection's host.
    OtherDataHost {
        /// What the reply named.
        named: IpAddr,
        /// The host that is used instead.
        used: String,
    },
    /// A final reply is held, for the SSH connection that carries the data does not answer.
    SilentWay(ForwardId),
    /// A final reply was let go although the client had not taken all of its data.
    StalledTransfer(ForwardId),
    /// The server insists on TLS: its words, escaped.
    TlsRequired(String),
    /// The FTP server told of a success, but the data connection did not come, or (an upload's) was
    /// not seen to end: the client is told of a failure.
    UnconfirmedTransfer(ForwardId),
    /// The client connected, and the FTP server's port could not be reached: the reason.
    Unreachable(ForwardId, String),
    /// A forward that nobody used in time was closed.
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
            Self::NotFtp(what) => write!(
                f,
                "the client speaks {what}, not FTP; its session is ended (a browser or another \
                 program was pointed at this port)"
            ),
            Self::NotFtpServer(said) => write!(
                f,
                "what answers is not an FTP server, it says '{said}': check host and port of -L"
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
                write!(f, "data connection {id}: nobody connected in time; closed")
            }
            Self::Withheld(code) => write!(
                f,
                "the FTP server sent a {code} that answers no request; its text was withheld"
            ),
        }
    }
}
