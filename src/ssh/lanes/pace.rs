//! When log-ins for lanes may be made, and how long a transfer waits for one.
//!
//! An SSH server may accept one log-in of a client and then drop or refuse further connections for a while
//! (`ufw limit`, fail2ban, MaxStartups). No transfer pays for that: a transfer waits only for a log-in that
//! may still be quick, and after a failure none waits. The next attempts are then made in the background, at
//! pauses that grow to minutes.

use std::time::{Duration, Instant};

use crate::ssh::backoff::Backoff;

/// The log-ins that are under way, and what became of those before.
#[derive(Debug)]
pub(super) struct Pace {
    /// How long a log-in may take before transfers stop waiting for it.
    patience: Duration,
    under_way: usize,
    /// When the first log-in under way began, or the last one succeeded.
    progress: Option<Instant>,
    /// The pauses since the last success.
    pauses: Backoff,
    not_before: Option<Instant>,
    /// Whether the operator was told that no lane can be had.
    reported: bool,
}

/// A log-in has succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Recovered(pub(super) bool);

/// A log-in has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failed {
    /// Whether it is the first failure since a success.
    pub(super) first: bool,
    /// How long no other log-in is begun.
    pub(super) pause: Duration,
}

impl Pace {
    pub(super) fn new(patience: Duration) -> Self {
        Self {
            patience,
            under_way: 0,
            progress: None,
            pauses: Backoff::new(FIRST_PAUSE, LAST_PAUSE),
            not_before: None,
            reported: false,
        }
    }

    /// Number of log-ins under way.
    pub(super) fn under_way(&self) -> usize {
        self.under_way
    }

    /// Whether the last log-in failed.
    pub(super) fn is_failing(&self) -> bool {
        self.pauses.taken() > 0
    }

    /// Number of further log-ins that may begin: after a failure one at a time, and none before its pause is
    /// over.
    pub(super) fn room(&self, now: Instant) -> usize {
        match self.not_before {
            Some(at) if now < at => 0,
            _ if self.is_failing() => usize::from(self.under_way == 0),
            _ => usize::MAX,
        }
    }

    /// Until when a lane is worth waiting for; `None`: it is not.
    pub(super) fn worth_waiting_until(&self) -> Option<Instant> {
        let progress = self.progress.filter(|_| self.under_way > 0)?;
        (!self.is_failing()).then(|| progress + self.patience)
    }

    pub(super) fn begin(&mut self, now: Instant) {
        if self.under_way == 0 {
            self.progress = Some(now);
        }
        self.under_way += 1;
    }

    /// Notes that a log-in has ended, in whatever way.
    pub(super) fn end(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// Notes a log-in that succeeded. Returns whether that ends a time in which none did.
    pub(super) fn succeeded(&mut self, now: Instant) -> Recovered {
        self.progress = Some(now);
        Recovered(self.forgive())
    }

    /// Forgets failures: the SSH server has accepted a log-in, so it may accept further ones. Returns whether
    /// the operator was told of a failure.
    pub(super) fn forgive(&mut self) -> bool {
        self.pauses = Backoff::new(FIRST_PAUSE, LAST_PAUSE);
        self.not_before = None;
        std::mem::take(&mut self.reported)
    }

    /// Notes a log-in that failed. Several that fail together count as one.
    pub(super) fn failed(&mut self, now: Instant) -> Failed {
        let first = !std::mem::replace(&mut self.reported, true);
        let until = match self.not_before.filter(|at| now < *at) {
            Some(until) => until,
            None => now + self.pauses.next_pause(),
        };
        self.not_before = Some(until);
        Failed {
            first,
            pause: until.saturating_duration_since(now),
        }
    }
}

/// Long enough that `ufw limit` (six connections in thirty seconds) lets the next one in.
const FIRST_PAUSE: Duration = Duration::from_secs(4);
const LAST_PAUSE: Duration = Duration::from_secs(5 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(1);
    const MOMENT: Duration = Duration::from_millis(1);

    #[test]
    fn q122_a_transfer_waits_for_a_log_in_that_is_quick_and_for_no_other() {
        let now = Instant::now();
        let mut pace = Pace::new(PATIENCE);
        assert_eq!(pace.worth_waiting_until(), None);
        pace.begin(now);
        // The wait is the log-in's, not each transfer's: a transfer that comes later waits no longer.
        pace.begin(now + PATIENCE / 2);
        assert_eq!(pace.worth_waiting_until(), Some(now + PATIENCE));
        // Where lanes come one after the other, the next may be as quick.
        let later = now + PATIENCE - MOMENT;
        pace.end();
        pace.succeeded(later);
        assert_eq!(pace.worth_waiting_until(), Some(later + PATIENCE));
        pace.end();
        assert_eq!(pace.worth_waiting_until(), None);
    }

    #[test]
    fn q122_after_a_failure_no_transfer_waits_and_attempts_back_off_to_minutes() {
        let mut now = Instant::now();
        let mut pace = Pace::new(PATIENCE);
        let mut attempts = 0;
        let began = now;
        while now < began + Duration::from_secs(60 * 60) {
            assert!(pace.room(now) > 0);
            pace.begin(now);
            attempts += 1;
            assert_eq!(pace.worth_waiting_until().is_some(), attempts == 1);
            if attempts > 1 {
                assert_eq!(pace.room(now), 0, "one at a time");
            }
            pace.end();
            let failed = pace.failed(now);
            assert_eq!(failed.first, attempts == 1);
            assert_eq!(pace.room(now + failed.pause - MOMENT), 0);
            now += failed.pause;
        }
        // 3600 s at 4, 8 … 256, 300 s or half of that each.
        assert!((16..40).contains(&attempts), "{attempts}");
        assert_eq!(pace.succeeded(now), Recovered(true));
        assert!(!pace.is_failing());
        assert_eq!(pace.room(now), usize::MAX);
        assert_eq!(pace.succeeded(now), Recovered(false));
        assert!(pace.failed(now).pause <= FIRST_PAUSE);
    }

    #[test]
    fn q122_log_ins_that_fail_together_count_as_one() {
        let now = Instant::now();
        let mut pace = Pace::new(PATIENCE);
        for _ in 0..16 {
            pace.begin(now);
        }
        let first = pace.failed(now);
        for _ in 1..16 {
            assert_eq!(pace.failed(now).pause, first.pause);
        }
        assert!(first.pause <= FIRST_PAUSE);
    }
}
