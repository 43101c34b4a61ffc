//! The rest of a client's data, after its control connection broke (Q113).

use std::{future::Future, io, pin::Pin, time::Duration};

/// Bounds what is still read of a client's data after its control connection broke. A client that had ended
/// its data in order has sent all of it: what is not here yet arrives by itself, with its end.
pub(super) struct Rest<F> {
    settle: Pin<Box<F>>,
    /// Number of bytes that may still come; `None`: the control connection is open.
    left: Option<usize>,
}

/// How long to wait for the rest of a client's data: it is in the client's system already.
const REST_PAUSE: Duration = Duration::from_secs(1);

/// Limit of the rest: more than two systems' socket buffers hold. A client that sends more has not ended.
const MOST_REST: usize = 64 * 1024 * 1024;

impl<F: Future<Output = ()>> Rest<F> {
    pub(super) fn new(settle: F) -> Self {
        Self {
            settle: Box::pin(settle),
            left: None,
        }
    }

    pub(super) async fn of(
        &mut self,
        read: impl Future<Output = io::Result<usize>>,
    ) -> io::Result<usize> {
        tokio::pin!(read);
        if self.left.is_none() {
            tokio::select! {
                biased;
                count = &mut read => return count,
                () = &mut self.settle => self.left = Some(MOST_REST),
            }
        }
        let count = match tokio::time::timeout(REST_PAUSE, read).await {
            Ok(count) => count?,
            Err(_) => return Err(unended()),
        };
        self.left = self.left.and_then(|left| left.checked_sub(count));
        match self.left {
            Some(_) => Ok(count),
            None => Err(unended()),
        }
    }
}

fn unended() -> io::Error {
    let text = "its control connection broke before it had ended its data";
    io::Error::new(io::ErrorKind::ConnectionAborted, text)
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    /// `count` bytes come, but are not there yet.
    async fn comes(count: usize) -> io::Result<usize> {
        tokio::task::yield_now().await;
        Ok(count)
    }

    #[tokio::test]
    async fn q113_what_a_client_had_not_ended_is_broken_off() {
        let mut standing = Rest::new(pending());
        assert_eq!(standing.of(comes(7)).await.unwrap(), 7);
        let mut broken = Rest::new(ready(()));
        assert_eq!(broken.of(comes(7)).await.unwrap(), 7);
        // Longer than any machine is busy.
        let nothing_comes = tokio::time::timeout(REST_PAUSE * 30, broken.of(pending()));
        let error = nothing_comes.await.expect("an end").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    }

    #[tokio::test]
    async fn q113_a_client_that_sends_without_end_has_not_ended() {
        let mut standing = Rest::new(pending());
        assert_eq!(standing.of(comes(MOST_REST)).await.unwrap(), MOST_REST);
        assert_eq!(standing.of(comes(1)).await.unwrap(), 1);
        let mut broken = Rest::new(ready(()));
        assert_eq!(broken.of(comes(MOST_REST)).await.unwrap(), MOST_REST);
        let error = broken.of(comes(1)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    }
}
