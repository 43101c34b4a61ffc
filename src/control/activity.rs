//! What tells a session that is used from one that is not.

use std::time::Duration;

/// When the client was last active, and whether it has logged in.
#[derive(Debug)]
pub(super) struct Activity {
    /// Last client activity: a command, or the end of a transfer. `None` until a session whose client has
    /// named its server (`USER name@host`) has been handed that first command again.
    since: Option<Duration>,
    transferring: bool,
    logged_in: bool,
}

impl Activity {
    /// For a session that begins with its client's first command, or with one that the client has given
    /// before.
    pub(super) fn new(heard_before: bool) -> Self {
        Self {
            since: (!heard_before).then_some(Duration::ZERO),
            transferring: false,
            logged_in: false,
        }
    }

    /// The client has said something, or data has moved.
    pub(super) fn note(&mut self, now: Duration) {
        self.since = Some(now);
    }

    /// Whether a transfer runs: idleness begins at its end.
    pub(super) fn note_transfers(&mut self, now: Duration, running: bool) {
        if std::mem::replace(&mut self.transferring, running) || running {
            self.note(now);
        }
    }

    /// A reply shows that the client is logged in: 230 and 232 say so, and servers that ask for no log-in
    /// begin a transfer without.
    pub(super) fn logged_in(&mut self) {
        self.logged_in = true;
    }

    /// Last client activity.
    pub(super) fn since(&self) -> Duration {
        self.since.unwrap_or_default()
    }

    /// When a client that has not logged in is sent away.
    pub(super) fn login_deadline(&self, limit: Option<Duration>) -> Option<Duration> {
        limit.filter(|_| !self.logged_in)
    }

    /// When a client that does nothing is sent away.
    pub(super) fn idle_deadline(&self, limit: Option<Duration>) -> Option<Duration> {
        let deadline = self.since?.saturating_add(limit?);
        (!self.transferring).then_some(deadline)
    }
}
