//! Whether the loops run: the service manager is told so only when all of them have answered.

use std::{future::Future, time::Duration};

use tokio::time::{MissedTickBehavior, interval, timeout};

/// Calls `fed` twice in each `time`, if `answer` is done within a quarter of it.
pub(super) async fn feed<F: Future<Output = ()>>(
    time: Duration,
    mut answer: impl FnMut() -> F,
    mut fed: impl FnMut(),
) {
    let mut ticks = interval(time / 2);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match timeout(time / 4, answer()).await {
            Ok(()) => fed(),
            Err(_) => tracing::error!(
                "a loop of this service has not answered for {} ms: the service manager is not told that it runs",
                (time / 4).as_millis()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::sync::mpsc;

    use super::*;

    const TIME: Duration = Duration::from_millis(40);

    #[tokio::test]
    async fn it_is_fed_while_all_answer() {
        let (sender, mut fed) = mpsc::unbounded_channel();
        let feeding = feed(TIME, || ready(()), || sender.send(()).unwrap());
        let three = async {
            for _ in 0..3 {
                fed.recv().await.unwrap();
            }
        };
        tokio::select! {
            () = feeding => {}
            () = three => {}
        }
    }

    /// It gets no further than the answer that does not come, for as long as it is looked at.
    #[tokio::test]
    async fn it_is_not_fed_while_a_loop_stands_still() {
        let (sender, mut asked) = mpsc::unbounded_channel();
        let stuck = || {
            sender.send(()).unwrap();
            pending::<()>()
        };
        let mut fed = false;
        let feeding = feed(TIME, stuck, || fed = true);
        let three = async {
            for _ in 0..3 {
                asked.recv().await.unwrap();
            }
        };
        tokio::select! {
            () = feeding => {}
            () = three => {}
        }
        assert!(!fed);
    }
}
