//! What those who keep books of a proxy are told: the audit record, the metrics.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use super::session_facts::SessionFacts;
use crate::{control::TransferReport, proxy::moved::Moved};

/// Keeps books of what sessions do. Sessions call it from their own tasks: it must return at once, and it gets no
/// second call for the same event.
pub trait Books: Send + Sync {
    /// Takes an entry.
    fn enter(&self, entry: &Entry<'_>);

    /// Whether [`Transferred::sha256`] is wanted, which costs processor time for every byte.
    fn wants_hashes(&self) -> bool {
        false
    }
}

/// Tells all of them.
pub(crate) fn tell(books: &[Arc<dyn Books>], entry: &Entry<'_>) {
    for keeper in books {
        keeper.enter(entry);
    }
}

/// What happened.
#[derive(Debug)]
pub enum Entry<'a> {
    /// A client was accepted, and its session began.
    SessionBegan(&'a SessionFacts),
    /// The FTP server has accepted a log-in.
    LoggedIn {
        /// The session.
        session: &'a SessionFacts,
        /// The FTP user, as it may be shown.
        user: &'a str,
    },
    /// The FTP server has refused a log-in.
    LogInRefused {
        /// The session.
        session: &'a SessionFacts,
        /// The FTP user, as it may be shown.
        user: &'a str,
        /// The reply, as it may be shown.
        reply: &'a str,
    },
    /// A transfer is over.
    Transferred {
        /// The session.
        session: &'a SessionFacts,
        /// The transfer.
        transfer: &'a Transferred<'a>,
    },
    /// A session is over.
    SessionEnded {
        /// The session.
        session: &'a SessionFacts,
        /// How it went.
        end: &'a SessionEnd<'a>,
    },
    /// A client was not served.
    ClientRefused {
        /// The tunnel that it connected to.
        tunnel: &'a Arc<str>,
        /// Its address.
        peer: SocketAddr,
        /// Why.
        reason: &'a str,
    },
}

/// A transfer that is over.
#[derive(Debug)]
pub struct Transferred<'a> {
    /// The FTP user, as it may be shown; `None` before the first USER.
    pub user: Option<&'a str>,
    /// Whether the FTP server has accepted a log-in.
    pub logged_in: bool,
    /// What the control connections have shown of it.
    pub report: &'a TransferReport,
    /// How it ended.
    pub outcome: Outcome,
    /// Time from the command to its final reply.
    pub time: Duration,
    /// Bytes over its data connection.
    pub moved: Moved,
    /// SHA-256 of those bytes, where it was wanted, where the transfer was not refused, and where the data connection
    /// carried this transfer alone.
    pub sha256: Option<[u8; 32]>,
}

/// How a transfer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// The client was told of a success.
    Complete,
    /// It had begun, and the client was told of a failure, or was told nothing.
    Cut,
    /// It was refused before it had begun.
    Refused,
}

/// How a session ended.
#[derive(Debug)]
pub struct SessionEnd<'a> {
    /// The FTP user, as it may be shown; `None` before the first USER.
    pub user: Option<&'a str>,
    /// Whether the FTP server had accepted a log-in.
    pub logged_in: bool,
    /// Who ended it.
    pub by: EndedBy,
    /// Why it ended, in words.
    pub reason: &'a str,
    /// How long it lasted.
    pub time: Duration,
    /// The number of its transfers.
    pub transfers: u64,
    /// The number of those that failed.
    pub failed: u64,
    /// Bytes over its data connections.
    pub moved: Moved,
}

/// Who ended a session, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EndedBy {
    /// The client said QUIT, and was answered.
    Quit,
    /// The client closed its control connection without a QUIT.
    ClientClosed,
    /// The client's control connection broke, or the client did not answer any more.
    ClientLost,
    /// The client sent what is no FTP.
    ClientInvalid,
    /// The FTP server closed its control connection.
    ServerClosed,
    /// The FTP server's control connection broke, or the FTP server did not answer any more.
    ServerLost,
    /// The FTP server sent what is no FTP.
    ServerInvalid,
    /// Ferryline told the client why.
    Ferryline,
    /// Ferryline was stopped.
    Stopped,
    /// No control connection with the FTP server could be made.
    NotConnected,
}

impl EndedBy {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Quit,
        Self::ClientClosed,
        Self::ClientLost,
        Self::ClientInvalid,
        Self::ServerClosed,
        Self::ServerLost,
        Self::ServerInvalid,
        Self::Ferryline,
        Self::Stopped,
        Self::NotConnected,
    ];
}
