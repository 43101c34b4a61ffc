//! How often lanes come free.
//!
//! Where transfers are short, those that wait take turns on a few lanes, and each waits only for a moment. A
//! log-in takes longer than that, and costs the processors of both hosts more than many such transfers.

use std::time::{Duration, Instant};

/// Number of times that a lane came free, by [`WINDOW`].
#[derive(Debug, Default)]
pub(super) struct Turns {
    began: Option<Instant>,
    now: usize,
    before: usize,
}

impl Turns {
    /// Notes that a lane came free.
    pub(super) fn count(&mut self, now: Instant) {
        self.move_on(now);
        self.now += 1;
    }

    /// Number of lanes that come free within [`WINDOW`], judged by the present window and the one before.
    pub(super) fn soon(&mut self, now: Instant) -> usize {
        self.move_on(now);
        self.now.max(self.before)
    }

    fn move_on(&mut self, now: Instant) {
        let began = *self.began.get_or_insert(now);
        let windows = now.saturating_duration_since(began).as_nanos() / WINDOW.as_nanos();
        match windows {
            0 => return,
            1 => self.before = self.now,
            _ => self.before = 0,
        }
        self.now = 0;
        self.began = Some(now);
    }
}

/// A wait that does no harm where many take turns.
pub(super) const WINDOW: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_of_late_is_what_is_expected() {
        let start = Instant::now();
        let mut turns = Turns::default();
        assert_eq!(turns.soon(start), 0);
        for number in 0..10 {
            turns.count(start + WINDOW * number / 10);
        }
        assert_eq!(turns.soon(start + WINDOW * 9 / 10), 10);
        // The window after that has only begun.
        turns.count(start + WINDOW);
        assert_eq!(turns.soon(start + WINDOW), 10);
        assert_eq!(turns.soon(start + WINDOW * 2), 1);
        assert_eq!(turns.soon(start + WINDOW * 5), 0);
    }
}
