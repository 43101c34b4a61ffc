//! Why ferryline ends a session with a 421 of its own: what the client is told, and what the operator can do.

use std::{fmt, time::Duration};

/// The reason of a 421 of ferryline's own. Its text is what the client gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The FTP server sends more than the client takes.
    Flood,
    /// The client has sent no command for this time, and has no transfer.
    Idle(Duration),
    /// The client has not logged in within this time.
    NotLoggedIn(Duration),
    /// A line of the FTP server is longer than this number of bytes.
    LongReply(usize),
    /// The FTP server sent a NUL in a reply.
    NulInReply,
    /// The peer in the FTP server's place speaks another protocol. The text is the beginning of its output,
    /// escaped.
    NotFtpServer(String),
    /// Ferryline stops.
    ShuttingDown,
    /// The SSH connection broke.
    SshLost,
    /// The SSH server was silent.
    SshSilent,
    /// The client has left, and no data has moved for this time.
    StillData(Duration),
    /// The client has left, and the FTP server has been silent for this time.
    SilentServer(Duration),
    /// The client has named too many FTP servers that it cannot have.
    TooManyNames,
    /// Replies wait for an earlier one, and there is no room for more.
    TooManyReplies,
    /// The data connection of an upload broke at the client's side.
    UploadBroke,
}

impl EndReason {
    /// What the operator can do about it, where the reason itself does not say that.
    pub fn remedy(&self) -> Option<&'static str> {
        Some(match self {
            Self::Flood => "look at the client, which does not read its replies",
            Self::Idle(_) => "--idle takes another limit, and 0 for none",
            Self::NotLoggedIn(_) => {
                "--login-time takes another limit; a client that is left at its password question meets it, too"
            }
            Self::LongReply(_) | Self::NulInReply => {
                "check host and port of -L: an FTP server sends no such line"
            }
            Self::NotFtpServer(_) => return None,
            Self::ShuttingDown => {
                "nothing to do: ferryline was told to stop, and the client can come again after its start"
            }
            Self::SshLost | Self::SshSilent => {
                "nothing to do where it is rare: ferryline connects again, and the client can repeat its job; otherwise look \
                 at the path to the SSH server"
            }
            Self::StillData(_) | Self::SilentServer(_) => {
                "look at the FTP server's log: the client had left, and the server did not end what ran"
            }
            Self::TooManyNames => {
                "the client's user name ends in @ and the FTP server's host: see --allow-host"
            }
            Self::TooManyReplies => "look at the FTP server's log: it left a command unanswered",
            Self::UploadBroke => {
                "look at the client: it broke off in the middle of the file, and has to send it again"
            }
        })
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ends = |f: &mut fmt::Formatter<'_>, what: &str, time: &Duration| {
            write!(f, "{what} {} s; the session ends", time.as_secs())
        };
        match self {
            Self::Flood => f.write_str("the FTP server sends more replies than the client takes"),
            Self::Idle(time) => ends(f, "idle for", time),
            Self::NotLoggedIn(time) => ends(f, "not logged in within", time),
            Self::LongReply(limit) => {
                write!(f, "the FTP server sent a reply line longer than {limit} bytes")
            }
            Self::NulInReply => f.write_str("the FTP server sent a NUL in a reply"),
            Self::NotFtpServer(said) => write!(
                f,
                "what answers is not an FTP server, it says '{said}': check host and port of -L"
            ),
            Self::ShuttingDown => f.write_str("the tunnel is being shut down"),
            Self::SshLost => f.write_str("the SSH connection was lost"),
            Self::SshSilent => f.write_str(
                "the SSH connection was lost: the SSH server does not answer any more",
            ),
            Self::StillData(time) => ends(f, "no data has moved for", time),
            Self::SilentServer(time) => ends(f, "the FTP server has been silent for", time),
            Self::TooManyNames => f.write_str("too many FTP servers were named in vain"),
            Self::TooManyReplies => f.write_str("too many replies wait for an earlier one"),
            Self::UploadBroke => f.write_str(
                "the data connection of an upload broke; the session ends, so that the FTP server does not take what \
                 it has for the whole file",
            ),
        }
    }
}
