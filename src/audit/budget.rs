//! How many lines strangers may cause: they must not fill the disk at the rate at which they can connect.

use std::time::{Duration, Instant};

/// Number of lines that may come at once.
const AT_ONCE: u32 = 200;

/// The time in which one more may come.
const EACH: Duration = Duration::from_millis(500);

/// Counts the lines about clients that are not logged in: refused clients, refused log-ins, sessions that never had
/// one.
#[derive(Debug, Default)]
pub(super) struct Budget {
    /// The lines so far are paid for from this time on.
    paid: Option<Instant>,
    left_out: u64,
}

impl Budget {
    /// Takes one line; returns the number of those left out before it, or nothing where it is to be left out, too.
    pub(super) fn take(&mut self, now: Instant) -> Option<u64> {
        let paid = self.paid.unwrap_or(now).max(now) + EACH;
        if paid.saturating_duration_since(now) > EACH * AT_ONCE {
            self.left_out = self.left_out.saturating_add(1);
            return None;
        }
        self.paid = Some(paid);
        Some(self.take_left_out())
    }

    /// The number of lines that were left out since it was told last.
    pub(super) fn take_left_out(&mut self) -> u64 {
        std::mem::take(&mut self.left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_cut_and_the_next_line_says_so() {
        let mut budget = Budget::default();
        let now = Instant::now();
        let taken = (0..1000).filter(|_| budget.take(now) == Some(0)).count();
        assert_eq!(taken, 200);
        assert_eq!(budget.take(now + EACH), Some(800));
        assert_eq!(budget.take(now + EACH), None);
        assert_eq!(budget.take(now + Duration::from_secs(3600)), Some(1));
    }
}
