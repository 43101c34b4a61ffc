//! Warnings that strangers can cause: their rate must not be the rate at which the log grows.

use std::{
    fmt,
    sync::Mutex,
    time::{Duration, Instant},
};

use crate::lock::lock;

/// One kind of warning. The first is shown. Further ones are shown only at debug level, until a minute has
/// passed since the last that was shown; then the next is shown, with the number of those left out.
#[derive(Debug)]
pub(crate) struct LogLimit(Mutex<Shown>);

/// How long nothing more is shown.
const QUIET: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct Shown {
    last: Option<Instant>,
    left_out: u64,
}

impl LogLimit {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(Shown {
            last: None,
            left_out: 0,
        }))
    }

    /// Shows the warning, or leaves it out.
    pub(crate) fn warn(&self, text: fmt::Arguments<'_>) {
        match self.pass(Instant::now()) {
            Some(0) => tracing::warn!("{text}"),
            Some(left_out) => {
                tracing::warn!("{text} ({left_out} more like this since the last that was shown)");
            }
            None => tracing::debug!("{text}"),
        }
    }

    /// Returns how many were left out before this one, if it is to be shown.
    fn pass(&self, now: Instant) -> Option<u64> {
        let mut shown = lock(&self.0);
        // Since the last that was shown, not the last that happened: otherwise one warning a minute would
        // keep the log silent without end.
        if let Some(last) = shown.last
            && now.saturating_duration_since(last) < QUIET
        {
            shown.left_out = shown.left_out.saturating_add(1);
            return None;
        }
        shown.last = Some(now);
        Some(std::mem::take(&mut shown.left_out))
    }
}

impl Default for LogLimit {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_many_there_are_one_a_minute_is_shown_and_says_so() {
        let limit = LogLimit::new();
        let began = Instant::now();
        let shown: Vec<_> = (0..1000)
            .filter_map(|number| limit.pass(began + Duration::from_millis(number)))
            .collect();
        assert_eq!(shown, [0]);
        assert_eq!(limit.pass(began + QUIET - Duration::from_nanos(1)), None);
        assert_eq!(limit.pass(began + QUIET), Some(1000));
        // An hour of them, four a second.
        let hour = began + 2 * QUIET;
        let shown = (0..14_400)
            .filter_map(|number| limit.pass(hour + Duration::from_millis(250 * number)))
            .count();
        assert_eq!(shown, 60);
    }

    #[test]
    fn what_is_rare_is_always_shown() {
        let limit = LogLimit::new();
        let began = Instant::now();
        for minute in 0..10 {
            assert_eq!(limit.pass(began + minute * QUIET), Some(0));
        }
    }

    #[test]
    fn kinds_do_not_hide_each_other() {
        let (one, other) = (LogLimit::new(), LogLimit::new());
        let now = Instant::now();
        assert_eq!((one.pass(now), other.pass(now)), (Some(0), Some(0)));
        assert_eq!((one.pass(now), other.pass(now)), (None, None));
    }
}
