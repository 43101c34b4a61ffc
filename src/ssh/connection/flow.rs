//! Whether the reader of a channel keeps up with what comes.
//!
//! russh's session loop waits for a reader whose queue is full, and everything else on that SSH connection
//! waits with it. So before a transfer is put beside others, the pool looks at how fast those are read.

use std::{
    future::poll_fn,
    sync::{Arc, Mutex},
    task::Poll,
    time::{Duration, Instant},
};

use crate::lock::lock;

/// How the reader of one channel gets on.
#[derive(Debug)]
pub(super) struct Flow(Mutex<State>);

#[derive(Debug)]
enum State {
    /// The reader waits for more: nothing is queued.
    KeepsUp,
    /// The reader is at work on what it took last, or has not begun. More may be queued.
    Behind(Pace),
    /// Nothing more comes.
    Ended,
}

/// The reader's work since it waited last, or since [`PERIOD`] began.
#[derive(Clone, Copy, Debug)]
struct Pace {
    began: Instant,
    taken: usize,
    last: Instant,
    /// Its rate in the period before, if it was behind then, too.
    before: Option<f64>,
}

impl Flow {
    /// The flow of a channel that has not been read yet.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(State::Behind(Pace::new(Instant::now())))))
    }

    /// Notes that the reader takes `bytes` bytes.
    pub(super) fn takes(&self, bytes: usize) {
        self.takes_at(bytes, Instant::now());
    }

    /// Notes that the reader has taken all there is. Ready once, until it takes something again.
    pub(super) async fn waits(&self) {
        poll_fn(|_| {
            let mut state = lock(&self.0);
            match *state {
                State::Behind(_) => {
                    *state = State::KeepsUp;
                    Poll::Ready(())
                }
                State::KeepsUp | State::Ended => Poll::Pending,
            }
        })
        .await;
    }

    /// Notes that the reader has come to the end.
    pub(super) fn ends(&self) {
        *lock(&self.0) = State::Ended;
    }

    /// Bytes a second that the reader takes while it is behind; `None` while it keeps up.
    pub(super) fn behind(&self) -> Option<f64> {
        self.behind_at(Instant::now())
    }

    fn takes_at(&self, bytes: usize, now: Instant) {
        let mut state = lock(&self.0);
        let mut pace = match *state {
            State::Behind(pace) => pace.moved_on(now),
            State::KeepsUp | State::Ended => Pace::new(now),
        };
        pace.taken = pace.taken.saturating_add(bytes);
        pace.last = now;
        *state = State::Behind(pace);
    }

    fn behind_at(&self, now: Instant) -> Option<f64> {
        match *lock(&self.0) {
            State::Behind(pace) => pace.rate(now),
            State::KeepsUp | State::Ended => None,
        }
    }
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self {
            began: now,
            taken: 0,
            last: now,
            before: None,
        }
    }

    fn moved_on(self, now: Instant) -> Self {
        match now.saturating_duration_since(self.began) < PERIOD {
            true => self,
            false => Self {
                before: self.rate(now),
                ..Self::new(now)
            },
        }
    }

    /// Bytes a second, at first those of the period before; `None` where there was none.
    fn rate(self, now: Instant) -> Option<f64> {
        if now.saturating_duration_since(self.last) > STANDS_STILL {
            return Some(0.0);
        }
        match now.saturating_duration_since(self.began) {
            time if time > JUDGED_AFTER => Some(self.taken as f64 / time.as_secs_f64()),
            _ => self.before,
        }
    }
}

/// Time after which a reader that has taken nothing, with more at hand, is stalled.
const STANDS_STILL: Duration = Duration::from_millis(200);
/// Time for which a reader's work is measured, before the measurement starts anew.
const PERIOD: Duration = Duration::from_secs(1);
const JUDGED_AFTER: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: usize = 32 * 1024;
    const MOMENT: Duration = Duration::from_millis(10);

    /// Takes packets for `time`, at `rate` bytes a second. Every 10 ms `each` is given what is known.
    fn reads(
        flow: &Flow,
        time: Duration,
        rate: f64,
        mut each: impl FnMut(Duration, Option<f64>),
    ) -> Instant {
        let start = Instant::now();
        let pause = Duration::from_secs_f64(PACKET as f64 / rate);
        let (mut now, mut looked) = (start, start);
        while now < start + time {
            flow.takes_at(PACKET, now);
            now += pause;
            while looked < now {
                each(looked - start, flow.behind_at(looked));
                looked += MOMENT;
            }
        }
        now
    }

    #[test]
    fn the_rate_of_who_is_behind_is_known_at_every_moment() {
        for rate in [250e3, 1e6, 3e6, 8e6, 100e6] {
            let flow = Flow::new();
            reads(&flow, PERIOD * 4, rate, |at, known| {
                // In the first moments there is nothing to judge by.
                if at > JUDGED_AFTER + MOMENT {
                    let known = known.unwrap();
                    assert!(
                        (0.7 * rate..1.7 * rate).contains(&known),
                        "{rate} at {at:?}: {known}"
                    );
                }
            });
        }
    }

    #[tokio::test]
    async fn who_waits_or_has_it_all_is_not_behind() {
        let flow = Flow::new();
        let now = reads(&flow, PERIOD, 200e3, |_, _| {});
        assert!(flow.behind_at(now).is_some());
        flow.waits().await;
        assert_eq!(flow.behind_at(now + PERIOD), None);
        // Notified once.
        assert!(
            tokio::time::timeout(Duration::ZERO, flow.waits())
                .await
                .is_err()
        );
        flow.takes_at(PACKET, now);
        assert_eq!(flow.behind_at(now), None, "as far as can be known");
        assert!(flow.behind_at(now + PERIOD).is_some());
        flow.ends();
        assert_eq!(flow.behind_at(now + PERIOD), None);
    }

    #[test]
    fn who_was_fast_and_stands_still_takes_nothing() {
        let flow = Flow::new();
        let now = reads(&flow, PERIOD * 3, 700e6, |_, _| {});
        assert!(flow.behind_at(now).unwrap() > 100e6);
        assert_eq!(flow.behind_at(now + STANDS_STILL * 2), Some(0.0));
    }

    /// The task that opened the channel may be busy with other things while the queue fills.
    #[test]
    fn a_channel_that_nobody_reads_stands_still() {
        let flow = Flow::new();
        assert_eq!(flow.behind_at(Instant::now() + PERIOD), Some(0.0));
    }
}
