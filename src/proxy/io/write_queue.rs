//! Writing without waiting: what is to be written stands in a queue, and the session's loop goes on.

use std::{future::Future, pin::Pin};

use bytes::{Bytes, BytesMut};
use tokio::{io::AsyncWriteExt, net::tcp::OwnedWriteHalf};

use crate::ssh::ChannelWriter;

/// The other side cannot be written to any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// Where bytes go.
pub(crate) trait Sink: Send + Sized + 'static {
    fn write(self, bytes: Bytes) -> impl Future<Output = (Self, Result<(), Broken>)> + Send;
    /// The end of file; nothing is written after it.
    fn finish(self) -> impl Future<Output = (Self, Result<(), Broken>)> + Send;
}

impl Sink for OwnedWriteHalf {
    async fn write(mut self, bytes: Bytes) -> (Self, Result<(), Broken>) {
        let result = self.write_all(&bytes).await.map_err(|_| Broken);
        (self, result)
    }

    async fn finish(mut self) -> (Self, Result<(), Broken>) {
        let result = self.shutdown().await.map_err(|_| Broken);
        (self, result)
    }
}

impl Sink for ChannelWriter {
    async fn write(mut self, bytes: Bytes) -> (Self, Result<(), Broken>) {
        let result = Self::write(&mut self, bytes).await.map_err(|_| Broken);
        (self, result)
    }

    async fn finish(mut self) -> (Self, Result<(), Broken>) {
        let result = Self::finish(&mut self).await.map_err(|_| Broken);
        (self, result)
    }
}

type Write<S> = Pin<Box<dyn Future<Output = (S, Result<(), Broken>)> + Send>>;

enum State<S> {
    Idle(S),
    Writing(Write<S>),
    /// Only while a write is begun.
    Taken,
}

/// A queue in front of a [`Sink`].
pub(crate) struct Outbox<S> {
    /// One buffer, not a list of lines: a line costs its bytes and nothing else (Q129).
    queue: BytesMut,
    finish: bool,
    state: State<S>,
}

/// Above this the other side is not read, so that the queue stays bounded.
const FULL: usize = 256 * 1024;

impl<S: Sink> Outbox<S> {
    pub(crate) fn new(sink: S) -> Self {
        Self {
            queue: BytesMut::new(),
            finish: false,
            state: State::Idle(sink),
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.queue.extend_from_slice(bytes);
    }

    /// An end of file behind all that was pushed.
    pub(crate) fn finish(&mut self) {
        self.finish = true;
    }

    pub(crate) fn is_full(&self) -> bool {
        self.queue.len() >= FULL
    }

    /// Writes on; comes back after each piece, and never while there is nothing to write.
    /// Cancel-safe: a write that was begun goes on with the next call.
    pub(crate) async fn progress(&mut self) -> Result<(), Broken> {
        if !self.begin() {
            return std::future::pending().await;
        }
        self.step().await
    }

    /// Writes all that is left.
    pub(crate) async fn drain(&mut self) -> Result<(), Broken> {
        while self.begin() {
            self.step().await?;
        }
        Ok(())
    }

    /// Makes sure that a write is under way, if there is anything to write.
    fn begin(&mut self) -> bool {
        let sink = match std::mem::replace(&mut self.state, State::Taken) {
            State::Idle(sink) => sink,
            other => {
                let writing = matches!(other, State::Writing(_));
                self.state = other;
                return writing;
            }
        };
        self.state = if let Some(bytes) = self.gather() {
            State::Writing(Box::pin(sink.write(bytes)))
        } else if std::mem::take(&mut self.finish) {
            State::Writing(Box::pin(sink.finish()))
        } else {
            State::Idle(sink)
        };
        matches!(self.state, State::Writing(_))
    }

    async fn step(&mut self) -> Result<(), Broken> {
        let State::Writing(write) = &mut self.state else {
            return Ok(());
        };
        let (sink, result) = write.await;
        self.state = State::Idle(sink);
        result
    }

    /// All that waits, in one piece: several lines go out in one segment.
    fn gather(&mut self) -> Option<Bytes> {
        let all = std::mem::take(&mut self.queue);
        (!all.is_empty()).then(|| all.freeze())
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        sync::{Arc, Mutex},
        task::{Context, Waker},
    };

    use super::*;

    /// Takes nothing, as a client that does not read.
    struct Stuck;

    impl Sink for Stuck {
        async fn write(self, _bytes: Bytes) -> (Self, Result<(), Broken>) {
            std::future::pending().await
        }

        async fn finish(self) -> (Self, Result<(), Broken>) {
            std::future::pending().await
        }
    }

    #[test]
    fn q129_lines_of_one_byte_cost_no_more_than_their_bytes() {
        let mut outbox = Outbox::new(Stuck);
        let mut lines = 0;
        while !outbox.is_full() {
            outbox.push(b"\n");
            lines += 1;
        }
        assert_eq!(lines, 256 * 1024);
        assert!(outbox.queue.capacity() <= 2 * FULL);
        assert_eq!(outbox.gather().map(|all| all.len()), Some(FULL));
        assert!(outbox.gather().is_none() && !outbox.is_full());
    }

    /// Writes down what it takes.
    #[derive(Clone, Default)]
    struct Takes(Arc<Mutex<Vec<String>>>);

    impl Sink for Takes {
        async fn write(self, bytes: Bytes) -> (Self, Result<(), Broken>) {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            self.0.lock().unwrap().push(text);
            (self, Ok(()))
        }

        async fn finish(self) -> (Self, Result<(), Broken>) {
            self.0.lock().unwrap().push("EOF".into());
            (self, Ok(()))
        }
    }

    #[tokio::test]
    async fn what_waits_goes_out_in_one_piece_and_the_end_of_file_behind_it() {
        let taken = Takes::default();
        let seen = || std::mem::take(&mut *taken.0.lock().unwrap());
        let mut outbox = Outbox::new(taken.clone());
        let mut idle = Context::from_waker(Waker::noop());
        assert!(pin!(outbox.progress()).poll(&mut idle).is_pending());
        outbox.push(b"220 ");
        outbox.push(b"ready");
        assert_eq!(outbox.progress().await, Ok(()));
        assert_eq!(seen(), ["220 ready"]);
        outbox.finish();
        outbox.push(b"221 bye");
        assert_eq!(outbox.drain().await, Ok(()));
        assert_eq!(seen(), ["221 bye", "EOF"]);
        assert!(pin!(outbox.progress()).poll(&mut idle).is_pending());
    }
}
