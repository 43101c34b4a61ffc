//! Pauses between attempts. Each is twice as long as the one before, with a random part, so that many clients
//! of a server that restarts do not come back all at once.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// The pauses of one series of attempts.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    first: Duration,
    last: Duration,
    taken: usize,
}

impl Backoff {
    /// Makes pauses from about `first` to about `last`.
    pub(super) fn new(first: Duration, last: Duration) -> Self {
        Self {
            first,
            last,
            taken: 0,
        }
    }

    /// Number of pauses so far.
    pub(super) fn taken(&self) -> usize {
        self.taken
    }

    /// The next pause: between half of its full length and all of it.
    pub(super) fn next_pause(&mut self) -> Duration {
        let doubled = 1_u32 << self.taken.min(20);
        self.taken += 1;
        let full = self.first.saturating_mul(doubled).min(self.last);
        let chance = RandomState::new().hash_one(self.taken) % 1000;
        full / 2 + full / 2 * u32::try_from(chance).unwrap_or(0) / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_in_their_bounds() {
        let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
        for n in 0..100 {
            let pause = backoff.next_pause();
            let full = Duration::from_millis(500 << n.min(6)).min(Duration::from_secs(30));
            assert!(pause <= full && pause >= full / 2, "{n}: {pause:?}");
        }
    }
}
