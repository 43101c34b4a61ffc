//! What tells a session in use from an idle one.

use std::time::Duration;

/// When the client was last active, and whether it has logged in.
#[derive(Debug)]
pub(super) struct Activity {
    /// Last client activity: a command, or the end of a transfer. `None` until a routed session
    /// (`USER name@host`) has replayed its first command.
    since: Option<Duration>,
    transferring: bool,
    logged_in: bool,
}

impl Activity {
    /// `heard_before`: the client gave its first command before the session began, and it will be replayed.
    pub(super) fn new(heard_before: bool) -> Self {
        Self {
            since: (!heard_before).then_some(Duration::ZERO),
            transferring: false,
            logged_in: false,
        }
    }

    /// Notes client activity: a command, or data that moved.
    pub(super) fn note(&mut self, now: Duration) {
        self.since = Some(now);
    }

    /// Notes whether a transfer runs. Idle time begins when it ends.
    pub(super) fn note_transfers(&mut self, now: Duration, running: bool) {
        if std::mem::replace(&mut self.transferring, running) || running {
            self.note(now);
        }
    }

    /// Notes a reply that shows the client logged in: 230 or 232, or a 1xx of a transfer, because some
    /// servers ask for no log-in.
    pub(super) fn logged_in(&mut self) {
        self.logged_in = true;
    }

    /// Last client activity.
    pub(super) fn since(&self) -> Duration {
        self.since.unwrap_or_default()
    }

    /// Time at which a client that has not logged in is sent away.
    pub(super) fn login_deadline(&self, limit: Option<Duration>) -> Option<Duration> {
        limit.filter(|_| !self.logged_in)
    }

    /// Time at which a client that does nothing is sent away.
    pub(super) fn idle_deadline(&self, limit: Option<Duration>) -> Option<Duration> {
        let deadline = self.since?.saturating_add(limit?);
        (!self.transferring).then_some(deadline)
    }
}
