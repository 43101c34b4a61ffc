//! Types between the FTP client and its caller: transfer modes, replies, errors.

use std::{
    fmt::{self, Write as _},
    io,
    net::SocketAddr,
    time::Duration,
};

use ferryline_grammar::{LineError, PassiveReplyError, ReplyCode};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};

/// Transfer mode: which side connects for data, and the command that agrees on it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// PASV: the client connects, to the address in the 227 (RFC 959 §4.1.2). IPv4 only.
    Passive,
    /// EPSV: the client connects, to the port in the 229 (RFC 2428 §3).
    ExtendedPassive,
    /// PORT: the server connects (RFC 959 §4.1.2). IPv4 only.
    Active,
    /// EPRT: the server connects (RFC 2428 §2).
    ExtendedActive,
}

impl Mode {
    /// All four.
    pub const ALL: [Self; 4] = [
        Self::Passive,
        Self::ExtendedPassive,
        Self::Active,
        Self::ExtendedActive,
    ];

    /// The command that asks for it.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Passive => "PASV",
            Self::ExtendedPassive => "EPSV",
            Self::Active => "PORT",
            Self::ExtendedActive => "EPRT",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.verb())
    }
}

/// A data connection that is agreed on.
#[derive(Debug)]
pub enum DataPort {
    /// The client has connected to the server.
    Connected(TcpStream),
    /// The server is to connect here.
    Listening(TcpListener),
    /// The client has connected, and the connection was reset at once.
    Reset(io::Error),
}

/// A reply of the server.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reply {
    /// Its code.
    pub code: ReplyCode,
    /// Its lines without their line ends, codes included.
    pub lines: Vec<Vec<u8>>,
}

impl Reply {
    /// Returns the reply itself, if its code is of this class; otherwise the step has failed.
    ///
    /// # Errors
    ///
    /// [`Problem::Answer`].
    pub fn wanted(&self, step: &str, class: u16) -> Result<&Self, ClientError> {
        match self.code.class() == class {
            true => Ok(self),
            false => Err(fail(step, Problem::Answer(self.clone()))),
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, line) in self.lines.iter().enumerate() {
            let gap = if number == 0 { "" } else { " / " };
            f.write_str(gap)?;
            readable(line, f)?;
        }
        Ok(())
    }
}

/// Writes what a peer said as a person can read it, quotes and all; what a terminal would obey is escaped.
fn readable(line: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    line.iter().try_for_each(|byte| match byte {
        b' '..=b'~' => f.write_char(char::from(*byte)),
        other => write!(f, "{}", other.escape_ascii()),
    })
}

/// Which step failed, and how.
#[derive(Debug, Error)]
#[error("{step}: {problem}")]
pub struct ClientError {
    /// The command, or another name of the step. Passwords are left out.
    pub step: String,
    /// How it failed.
    pub problem: Problem,
}

/// How a step failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Problem {
    /// The server sent another reply than expected.
    #[error("the server answered \"{0}\"")]
    Answer(Reply),
    /// The server closed the control connection.
    #[error("the server closed the control connection")]
    Closed,
    /// The control connection could not be made, or broke.
    #[error("the control connection failed: {0}")]
    Control(#[source] LineError),
    /// The data connection could not be made, or broke.
    #[error("the data connection failed after {bytes} B: {source}")]
    Data {
        /// Number of bytes of the file that it had carried.
        bytes: usize,
        /// Error of the system.
        source: io::Error,
    },
    /// PORT was asked for over IPv6.
    #[error("PORT cannot name an IPv6 address; use EPRT")]
    Family,
    /// A passive reply without an address.
    #[error("{0}: \"{1}\"")]
    NoAddress(PassiveReplyError, Reply),
    /// A line that belongs to no reply.
    #[error("a reply was expected, came \"{0}\"")]
    NoReply(String),
    /// Nothing moved for too long.
    #[error("nothing happened for {} s", .0.as_secs())]
    Stalled(Duration),
    /// A data connection came from another host than the server.
    #[error("somebody else connected for the data: {0}")]
    Stranger(SocketAddr),
}

pub(super) fn fail(step: &str, problem: Problem) -> ClientError {
    let step = step.to_owned();
    ClientError { step, problem }
}
