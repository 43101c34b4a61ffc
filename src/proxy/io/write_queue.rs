//! Writing without waiting: what is to be written is put in a queue, and the session's loop goes on.

use std::{future::Future, pin::Pin};

use bytes::{Bytes, BytesMut};
use tokio::{io::AsyncWriteExt, net::tcp::OwnedWriteHalf};

use crate::ssh::ChannelWriter;

/// The other side cannot be written to any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WriteFailed;

/// A sink for bytes.
pub(crate) trait Sink: Send + Sized + 'static {
    fn write(self, bytes: Bytes) -> impl Future<Output = (Self, Result<(), WriteFailed>)> + Send;
    /// Sends the end of file; nothing is written after it.
    fn finish(self) -> impl Future<Output = (Self, Result<(), WriteFailed>)> + Send;
}

impl Sink for OwnedWriteHalf {
    async fn write(mut self, bytes: Bytes) -> (Self, Result<(), WriteFailed>) {
        let result = self.write_all(&bytes).await.map_err(|_| WriteFailed);
        (self, result)
    }

    async fn finish(mut self) -> (Self, Result<(), WriteFailed>) {
        let result = self.shutdown().await.map_err(|_| WriteFailed);
        (self, result)
    }
}

impl Sink for ChannelWriter {
    async fn write(mut self, bytes: Bytes) -> (Self, Result<(), WriteFailed>) {
        let result = Self::write(&mut self, bytes).await.map_err(|_| WriteFailed);
        (self, result)
    }

    async fn finish(mut self) -> (Self, Result<(), WriteFailed>) {
        let result = Self::finish(&mut self).await.map_err(|_| WriteFailed);
        (self, result)
    }
}

type Write<S> = Pin<Box<dyn Future<Output = (S, Result<(), WriteFailed>)> + Send>>;

enum State<S> {
    Idle(S),
    Writing(Write<S>),
    /// Only while a write is begun.
    Taken,
}

/// A queue in front of a [`Sink`].
pub(crate) struct WriteQueue<S> {
    /// One buffer, not a list of lines: a line costs its bytes and nothing else (Q129).
    waiting: BytesMut,
    finish: bool,
    state: State<S>,
}

/// Limit of the queue: above this the other side is not read, so that the queue stays bounded.
const FULL: usize = 256 * 1024;

impl<S: Sink> WriteQueue<S> {
    pub(crate) fn new(sink: S) -> Self {
        Self {
            waiting: BytesMut::new(),
            finish: false,
            state: State::Idle(sink),
        }
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// Queues an end of file after all that was pushed.
    pub(crate) fn finish(&mut self) {
        self.finish = true;
    }

    pub(crate) fn is_full(&self) -> bool {
        self.waiting.len() >= FULL
    }

    /// Goes on writing. Returns after each piece, and never while there is nothing to write. Cancel-safe: a
    /// write that was begun goes on with the next call.
    pub(crate) async fn progress(&mut self) -> Result<(), WriteFailed> {
        if !self.begin() {
            return std::future::pending().await;
        }
        self.step().await
    }

    /// Writes all that is left.
    pub(crate) async fn drain(&mut self) -> Result<(), WriteFailed> {
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

    async fn step(&mut self) -> Result<(), WriteFailed> {
        let State::Writing(write) = &mut self.state else {
            return Ok(());
        };
        let (sink, result) = write.await;
        self.state = State::Idle(sink);
        result
    }

    /// All that waits, in one piece, so that several lines go out in one segment.
    fn gather(&mut self) -> Option<Bytes> {
        let all = std::mem::take(&mut self.waiting);
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
        async fn write(self, _bytes: Bytes) -> (Self, Result<(), WriteFailed>) {
            std::future::pending().await
        }

        async fn finish(self) -> (Self, Result<(), WriteFailed>) {
            std::future::pending().await
        }
    }

    #[test]
    fn q129_lines_of_one_byte_cost_no_more_than_their_bytes() {
        let mut queue = WriteQueue::new(Stuck);
        let mut lines = 0;
        while !queue.is_full() {
            queue.push(b"\n");
            lines += 1;
        }
        assert_eq!(lines, 256 * 1024);
        assert!(queue.waiting.capacity() <= 2 * FULL);
        assert_eq!(queue.gather().map(|all| all.len()), Some(FULL));
        assert!(queue.gather().is_none() && !queue.is_full());
    }

    /// Writes down what it takes.
    #[derive(Clone, Default)]
    struct Takes(Arc<Mutex<Vec<String>>>);

    impl Sink for Takes {
        async fn write(self, bytes: Bytes) -> (Self, Result<(), WriteFailed>) {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            self.0.lock().unwrap().push(text);
            (self, Ok(()))
        }

        async fn finish(self) -> (Self, Result<(), WriteFailed>) {
            self.0.lock().unwrap().push("EOF".into());
            (self, Ok(()))
        }
    }

    #[tokio::test]
    async fn what_waits_goes_out_in_one_piece_and_the_end_of_file_behind_it() {
        let taken = Takes::default();
        let seen = || std::mem::take(&mut *taken.0.lock().unwrap());
        let mut queue = WriteQueue::new(taken.clone());
        let mut idle = Context::from_waker(Waker::noop());
        assert!(pin!(queue.progress()).poll(&mut idle).is_pending());
        queue.push(b"220 ");
        queue.push(b"ready");
        assert_eq!(queue.progress().await, Ok(()));
        assert_eq!(seen(), ["220 ready"]);
        queue.finish();
        queue.push(b"221 bye");
        assert_eq!(queue.drain().await, Ok(()));
        assert_eq!(seen(), ["221 bye", "EOF"]);
        assert!(pin!(queue.progress()).poll(&mut idle).is_pending());
    }
}
