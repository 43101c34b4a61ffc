//! Time limits that do not run while a person is asked.

use std::time::{Duration, Instant};

use tokio::sync::watch;

/// Tells the server's time apart from the time that a person takes: time limits run only while no person is
/// being asked.
#[derive(Debug)]
pub(crate) struct Patience {
    limit: Duration,
    clock: watch::Sender<Clock>,
}

#[derive(Clone, Copy, Debug)]
struct Clock {
    asking: usize,
    since: Instant,
}

impl Patience {
    /// A clock that starts now.
    pub(crate) fn new(limit: Duration) -> Self {
        let clock = Clock {
            asking: 0,
            since: Instant::now(),
        };
        Self {
            limit,
            clock: watch::Sender::new(clock),
        }
    }

    /// Stops the clock until the guard is dropped.
    pub(crate) fn asking(&self) -> Asking<'_> {
        self.clock.send_modify(|c| c.asking += 1);
        Asking(self)
    }

    /// Runs `work` until it is done or the limit has passed since the last answer; `None` then.
    pub(crate) async fn bound<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut clock = self.clock.subscribe();
        let mut work = std::pin::pin!(work);
        loop {
            let now = *clock.borrow_and_update();
            let out = async {
                if now.asking > 0 {
                    std::future::pending::<()>().await;
                }
                let left = (now.since + self.limit).saturating_duration_since(Instant::now());
                tokio::time::sleep(left).await;
            };
            tokio::select! {
                biased;
                done = &mut work => return Some(done),
                _ = clock.changed() => {}
                () = out => return None,
            }
        }
    }
}

/// A person is being asked as long as this lives.
pub(crate) struct Asking<'a>(&'a Patience);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.clock.send_modify(|c| {
            c.asking = c.asking.saturating_sub(1);
            c.since = Instant::now();
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_clock_stands_still_while_somebody_is_asked() {
        let patience = Patience::new(Duration::from_millis(20));
        assert_eq!(patience.bound(std::future::pending::<()>()).await, None);
        let slow_answer = async {
            let _asking = patience.asking();
            tokio::time::sleep(Duration::from_millis(80)).await;
            7
        };
        assert_eq!(patience.bound(slow_answer).await, Some(7));
    }
}
