//! When the SSH server was last heard.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

/// The times at which bytes of the server arrived on one connection.
#[derive(Debug)]
pub(crate) struct Heard {
    born: Instant,
    /// The last time, in milliseconds since `born`.
    last: AtomicU64,
    /// The end of the last silence that was longer than `LONG_SILENCE`.
    steady_since: AtomicU64,
    again: Notify,
}

impl Default for Heard {
    fn default() -> Self {
        Self {
            born: Instant::now(),
            last: AtomicU64::new(0),
            steady_since: AtomicU64::new(0),
            again: Notify::new(),
        }
    }
}

impl Heard {
    /// Notes that bytes have just arrived.
    pub(crate) fn now(&self) {
        self.at(self.age());
    }

    /// How long ago bytes arrived last.
    pub(crate) fn ago(&self) -> Duration {
        Duration::from_millis(self.age().saturating_sub(self.last.load(Ordering::Relaxed)))
    }

    /// For how long bytes have been arriving without a long silence in between, the present one included.
    pub(crate) fn steady_for(&self) -> Duration {
        if self.ago() > LONG_SILENCE {
            return Duration::ZERO;
        }
        let since = self.steady_since.load(Ordering::Relaxed);
        Duration::from_millis(self.age().saturating_sub(since))
    }

    /// Waits for the next bytes.
    pub(crate) async fn again(&self) {
        self.again.notified().await;
    }

    fn at(&self, age: u64) {
        let last = self.last.swap(age, Ordering::Relaxed);
        if u128::from(age.saturating_sub(last)) > LONG_SILENCE.as_millis() {
            self.steady_since.store(age, Ordering::Relaxed);
        }
        self.again.notify_waiters();
    }

    fn age(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Longer than the 15 s between the keepalive replies that are asked for by default.
const LONG_SILENCE: Duration = Duration::from_secs(25);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_silence_ends_steadiness_and_a_short_one_does_not() {
        let heard = Heard::default();
        for age in [10_000, 25_000, 49_000] {
            heard.at(age);
        }
        assert_eq!(heard.steady_since.load(Ordering::Relaxed), 0);
        heard.at(75_000);
        assert_eq!(heard.steady_since.load(Ordering::Relaxed), 75_000);
        heard.at(80_000);
        assert_eq!(heard.steady_since.load(Ordering::Relaxed), 75_000);
    }

    #[tokio::test]
    async fn whoever_waits_hears_of_the_next_bytes() {
        let heard = Heard::default();
        let again = heard.again();
        tokio::pin!(again);
        tokio::select! {
            biased;
            () = &mut again => panic!("nothing has come"),
            () = std::future::ready(()) => {}
        }
        heard.now();
        again.await;
    }
}
