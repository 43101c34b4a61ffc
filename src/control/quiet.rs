//! Sessions that nobody uses: not logged in in time, or idle.

use std::time::Duration;

use super::machine::Control;

/// What tells a session that is used from one that is not.
#[derive(Debug)]
pub(super) struct Quiet {
    /// When the client was last heard, or a transfer of its had just ended; `None`: it has been heard
    /// before the session began, and that is still to come.
    since: Option<Duration>,
    transferring: bool,
    logged_in: bool,
}

impl Quiet {
    /// For a session that begins with its client's first word, or with a command that the client has
    /// given before, as late as it may have been.
    pub(super) fn new(heard_before: bool) -> Self {
        Self {
            since: (!heard_before).then_some(Duration::ZERO),
            transferring: false,
            logged_in: false,
        }
    }

    pub(super) fn since(&self) -> Duration {
        self.since.unwrap_or_default()
    }
}

impl Control {
    /// The client said something, or data moved.
    pub(super) fn heard_client(&mut self, now: Duration) {
        self.quiet.since = Some(now);
    }

    /// A reply shows that the client is logged in: 230 and 232 say so, and servers that ask for no
    /// log-in begin a transfer without.
    pub(super) fn logged_in(&mut self) {
        self.quiet.logged_in = true;
    }

    /// To be called with everything that happens: the end of a transfer is when idleness begins.
    pub(super) fn note_transfers(&mut self, now: Duration) {
        let running = self.queue.transfer_running();
        if std::mem::replace(&mut self.quiet.transferring, running) || running {
            self.quiet.since = Some(now);
        }
    }

    pub(super) fn quiet_deadline(&self) -> Option<Duration> {
        let times = [self.login_deadline(), self.idle_deadline()];
        times.into_iter().flatten().min()
    }

    pub(super) fn expire_quiet(&mut self, now: Duration) {
        let is_due = |deadline: Option<Duration>| deadline.is_some_and(|at| at <= now);
        let limits = self.settings.limits;
        let (reason, limit) = if is_due(self.login_deadline()) {
            ("not logged in within", limits.login)
        } else if is_due(self.idle_deadline()) {
            ("idle for", limits.idle)
        } else {
            return;
        };
        let seconds = limit.unwrap_or_default().as_secs();
        self.end_with(421, &format!("{reason} {seconds} s; the session ends"));
    }

    fn login_deadline(&self) -> Option<Duration> {
        self.settings.limits.login.filter(|_| !self.quiet.logged_in)
    }

    fn idle_deadline(&self) -> Option<Duration> {
        let idle = self.settings.limits.idle?;
        let since = self.quiet.since?;
        (!self.quiet.transferring).then(|| since.saturating_add(idle))
    }
}
