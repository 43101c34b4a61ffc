//! What a command, or the client's EOF, waits for before it goes to the FTP server.

use std::time::Duration;

use super::key::Key;

/// What is waited for, in the order in which it comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wait {
    /// The client, which may be about to connect: the data port is open.
    Client,
    /// The SSH server, which opens the way to the FTP server: the client has connected.
    Opening,
    /// The final reply of an upload whose data is under way, or has ended in order.
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

    /// Whether this wait is for this transfer and this step.
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
