//! What a command, or the client's end of file, waits for before it goes to the FTP server.

use std::time::Duration;

use super::key::Key;

/// What is waited for, in the order in which it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wait {
    /// The data port is open, and its client may be about to connect.
    Client,
    /// The client has connected; the SSH server opens the way to the FTP server.
    Opening,
    /// The data of an upload are under way, or have ended in order: its final reply.
    Reply,
}

/// A wait that has begun.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hold {
    transfer: Key,
    wait: Wait,
    since: Duration,
}

impl Hold {
    pub(super) fn new(now: Duration, transfer: Key, wait: Wait) -> Self {
        Self {
            transfer,
            wait,
            since: now,
        }
    }

    /// Whether this transfer is waited for, for this.
    pub(super) fn is_for(&self, transfer: Key, wait: Wait) -> bool {
        self.transfer == transfer && self.wait == wait
    }

    pub(super) fn transfer(&self) -> Key {
        self.transfer
    }

    pub(super) fn wait(&self) -> Wait {
        self.wait
    }

    pub(super) fn since(&self) -> Duration {
        self.since
    }
}
