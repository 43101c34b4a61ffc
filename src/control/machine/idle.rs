//! Sessions that are not used: not logged in in time, or idle.

use std::time::Duration;

use crate::control::machine::Control;

impl Control {
    pub(super) fn idle_or_login_deadline(&self) -> Option<Duration> {
        let times = [self.login_deadline(), self.idle_deadline()];
        times.into_iter().flatten().min()
    }

    pub(super) fn expire_idle(&mut self, now: Duration) {
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
        self.activity.login_deadline(self.settings.limits.login)
    }

    fn idle_deadline(&self) -> Option<Duration> {
        self.activity.idle_deadline(self.settings.limits.idle)
    }
}
