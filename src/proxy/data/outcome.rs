//! How a data connection ended.

use std::{fmt, io};

use crate::{
    proxy::moved::Moved,
    ssh::{ChannelReader, LostReason},
};

/// How a data connection ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Both sides ended in order.
    Complete(Moved),
    /// The client's socket broke, or nothing came from it any more. The channel stays open, without an end of
    /// file, as long as this half of it lives.
    ClientLost(Moved, io::Error, ChannelReader),
    /// The session had it cut: the client's socket was reset, unless the client had all of its file. The
    /// channel stays open, as above.
    Cut(Moved, ChannelReader),
    /// It had outlived its session and stood still. The client's socket was reset, unless the client had all
    /// of its file.
    Forsaken(Moved),
    /// The channel or its SSH connection broke. The client's socket was reset.
    ServerLost(Moved, LostReason),
    /// The server takes no more, although the client has more to send. The client's socket was reset.
    ServerClosed(Moved),
}

/// The text for the log.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete(moved) => write!(
                f,
                "complete, {} bytes to the client, {} to the server",
                moved.to_client, moved.to_server
            ),
            // A program that wants only the head of a file closes so, and so does one that breaks down.
            Self::ClientLost(moved, error, _) if moved.is_download() => write!(
                f,
                "the client closed its data connection before the end of the file, after {} bytes to it: {error}",
                moved.to_client
            ),
            Self::ClientLost(moved, error, _) => write!(
                f,
                "the client's side broke after {} bytes to it and {} from it: {error}",
                moved.to_client, moved.to_server
            ),
            Self::Cut(moved, _) => write!(
                f,
                "cut with its session after {} bytes to the client and {} from it",
                moved.to_client, moved.to_server
            ),
            Self::Forsaken(moved) => write!(
                f,
                "cut after {} bytes to the client and {} from it: its session is over, and nothing has \
             moved for long; the client's side was reset",
                moved.to_client, moved.to_server
            ),
            Self::ServerLost(moved, reason) => write!(
                f,
                "cut after {} bytes to the client and {} from it: {reason}; the client's side was reset",
                moved.to_client, moved.to_server
            ),
            Self::ServerClosed(moved) => write!(
                f,
                "the FTP server closed it after {} bytes from the client, which had more to send",
                moved.to_server
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_says_how_a_data_connection_ended_and_how_far_it_came() {
        let moved = Moved {
            to_client: 17,
            to_server: 4,
        };
        for (outcome, said) in [
            (Outcome::Complete(moved), "complete, 17 bytes to the client"),
            (
                Outcome::Forsaken(moved),
                "cut after 17 bytes to the client and 4 from it",
            ),
            (
                Outcome::ServerLost(moved, LostReason::Closed),
                "cut after 17 bytes to the client and 4 from it",
            ),
            (
                Outcome::ServerClosed(moved),
                "the FTP server closed it after 4 bytes from the client",
            ),
        ] {
            let text = outcome.to_string();
            assert!(text.starts_with(said), "{text}");
        }
    }
}
