//! Sessions that are not used: not logged in in time, or idle.

use std::time::Duration;

use crate::control::{end_reason::EndReason, machine::Control};

impl Control {
    pub(super) fn idle_or_login_deadline(&self) -> Option<Duration> {
        let times = [self.login_deadline(), self.idle_deadline()];
        times.into_iter().flatten().min()
    }

    pub(super) fn expire_idle(&mut self, now: Duration) {
        let is_due = |deadline: Option<Duration>| deadline.is_some_and(|at| at <= now);
        let limits = self.settings.limits;
        let reason = if is_due(self.login_deadline()) {
            EndReason::NotLoggedIn(limits.login.unwrap_or_default())
        } else if is_due(self.idle_deadline()) {
            EndReason::Idle(limits.idle.unwrap_or_default())
        } else {
            return;
        };
        self.end_for(reason);
    }

    fn login_deadline(&self) -> Option<Duration> {
        self.activity.login_deadline(self.settings.limits.login)
    }

    fn idle_deadline(&self) -> Option<Duration> {
        self.activity.idle_deadline(self.settings.limits.idle)
    }
}
