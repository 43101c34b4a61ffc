//! Whether the one who reads a channel keeps up with what comes.
//!
//! russh's session loop waits for a reader whose queue is full, and everything else on that SSH connection
//! waits with it. So before a transfer is put beside others, it is asked how fast those are read.

use std::future::poll_fn;
use std::sync::Mutex;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::connection::lock;

/// How what comes on one channel is read.
#[derive(Debug, Default)]
pub(super) struct Flow(Mutex<State>);

#[derive(Debug, Default)]
enum State {
    /// The reader waits for more: nothing is queued.
    #[default]
    KeepsUp,
    /// The reader is at work on what it took last; more may be queued.
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
}

impl Flow {
    /// The reader takes so many bytes.
    pub(super) fn takes(&self, bytes: usize) {
        self.takes_at(bytes, Instant::now());
    }

    /// The reader has taken all there is. Never comes back twice without something taken between; before
    /// that it is ready at once.
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

    /// The reader has come to the end.
    pub(super) fn ends(&self) {
        *lock(&self.0) = State::Ended;
    }

    /// Whether what is queued here holds up others that share its SSH connection: it is not read at all, or
    /// slowly.
    pub(super) fn holds_up(&self) -> bool {
        self.holds_up_at(Instant::now())
    }

    fn takes_at(&self, bytes: usize, now: Instant) {
        let mut state = lock(&self.0);
        let fresh = Pace {
            began: now,
            taken: 0,
            last: now,
        };
        let mut pace = match *state {
            State::Behind(pace) if now.duration_since(pace.began) < PERIOD => pace,
            _ => fresh,
        };
        pace.taken = pace.taken.saturating_add(bytes);
        pace.last = now;
        *state = State::Behind(pace);
    }

    fn holds_up_at(&self, now: Instant) -> bool {
        let State::Behind(pace) = *lock(&self.0) else {
            return false;
        };
        let time = now.saturating_duration_since(pace.began);
        if now.saturating_duration_since(pace.last) > STANDS_STILL {
            return true;
        }
        // The period may have just begun.
        time > JUDGED_AFTER && (pace.taken as f64) < SLOWEST * time.as_secs_f64()
    }
}

/// A reader that has taken nothing for so long, with more at hand, stands still.
const STANDS_STILL: Duration = Duration::from_millis(200);
/// Bytes a second: what may be queued for one reader (8 MiB at most) is gone in two seconds then.
const SLOWEST: f64 = 4.0 * 1024.0 * 1024.0;
/// What a reader does is looked at for so long, and then anew.
const PERIOD: Duration = Duration::from_secs(1);
const JUDGED_AFTER: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: usize = 32 * 1024;

    /// Takes packets for `time`, at `rate` bytes a second.
    fn reads(flow: &Flow, from: Instant, time: Duration, rate: f64) -> Instant {
        let each = Duration::from_secs_f64(PACKET as f64 / rate);
        let mut now = from;
        while now < from + time {
            flow.takes_at(PACKET, now);
            now += each;
        }
        now
    }

    #[test]
    fn only_who_reads_slowly_holds_up_others() {
        let start = Instant::now();
        for (rate, slow) in [(200e3, true), (2e6, true), (8e6, false), (700e6, false)] {
            let flow = Flow::default();
            assert!(!flow.holds_up_at(start));
            let now = reads(&flow, start, 4 * PERIOD, rate);
            let judged = now.max(start + JUDGED_AFTER * 2);
            assert_eq!(flow.holds_up_at(judged), slow, "{rate}");
        }
    }

    #[tokio::test]
    async fn who_waits_or_has_it_all_holds_up_nobody() {
        let start = Instant::now() - Duration::from_secs(10);
        let flow = Flow::default();
        let now = reads(&flow, start, PERIOD, 200e3);
        assert!(flow.holds_up_at(now));
        flow.waits().await;
        assert!(!flow.holds_up_at(now));
        // It is told once.
        let again = tokio::time::timeout(Duration::ZERO, flow.waits()).await;
        assert!(again.is_err());
        flow.takes_at(PACKET, now);
        flow.ends();
        assert!(!flow.holds_up_at(now + Duration::from_secs(60)));
    }

    #[test]
    fn who_was_fast_and_stands_still_holds_up_others() {
        let start = Instant::now();
        let flow = Flow::default();
        let now = reads(&flow, start, 3 * PERIOD, 700e6);
        assert!(!flow.holds_up_at(now));
        assert!(flow.holds_up_at(now + STANDS_STILL * 2));
    }
}
