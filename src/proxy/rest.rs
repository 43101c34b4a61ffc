//! The rest of a client's data, once its control connection broke (Q113).

use std::{future::Future, io, pin::Pin, time::Duration};

/// What comes of a client's data once its control connection broke. A client that had ended its data in
/// order has sent all of it: what is not here yet comes by itself, with its end.
pub(super) struct Rest<F> {
    settle: Pin<Box<F>>,
    /// How many bytes more may come; `None`: the control connection stands.
    left: Option<usize>,
}

/// How long the rest of a client's data may keep one waiting: it is in the client's system already.
const REST_PAUSE: Duration = Duration::from_secs(1);

/// How much the rest may be: more than two systems' socket buffers hold. Who sends more has not ended.
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
