//! Reading lines: from a socket, or from an SSH channel.

use std::{future::Future, io, time::Duration};

use bytes::BytesMut;
use ferryline_grammar::{Frame, LineCodec, LineError};
use tokio::{io::Interest, net::tcp::OwnedReadHalf, task::coop::consume_budget};
use tokio_util::codec::Decoder;

use crate::{
    control::Ending,
    ssh::{ChannelReader, LostReason, Received},
};

/// A source of bytes whose end is told apart from its loss.
pub(crate) trait Source: Send {
    /// Puts what comes next into `buffer`. Cancel-safe.
    fn fill(&mut self, buffer: &mut BytesMut) -> impl Future<Output = Result<(), Ending>> + Send;
}

impl Source for OwnedReadHalf {
    async fn fill(&mut self, buffer: &mut BytesMut) -> Result<(), Ending> {
        loop {
            buffer.reserve(4096);
            // Not `read_buf`, which takes a short read for the last of what has come. A read that stops at
            // urgent data is short with more behind it, and the rest of an ABOR would wait for whatever the
            // client sends next (Q58).
            let read = match self.readable().await {
                Ok(()) => self.try_read_buf(buffer),
                Err(error) => Err(error),
            };
            match read {
                Ok(0) => return Err(Ending::Eof),
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Err(Ending::Lost),
            }
        }
    }
}

impl Source for ChannelReader {
    async fn fill(&mut self, buffer: &mut BytesMut) -> Result<(), Ending> {
        match self.read().await {
            Received::Data(data) => {
                buffer.extend_from_slice(&data);
                Ok(())
            }
            Received::Eof | Received::Closed => Err(Ending::Eof),
            Received::Lost(reason) => Err(loss(&reason)),
        }
    }
}

fn loss(reason: &LostReason) -> Ending {
    match reason {
        // Some SSH servers close a channel without an end of file when its connection ends. The
        // SSH connection itself is not lost then, and a reply has its own end.
        LostReason::Closed => Ending::Eof,
        reason if reason.is_silence() => Ending::Silent,
        _ => Ending::Lost,
    }
}

/// The control connection of one side, in lines.
pub(crate) struct LineReader<S> {
    source: S,
    codec: LineCodec,
    buffer: BytesMut,
    ending: Option<Ending>,
    ahead: Option<Frame>,
    /// Nothing has come yet, and TLS is to be seen before its bytes are taken for lines.
    looks_for_tls: bool,
}

/// The first bytes of a TLS connection: a handshake record (RFC 8446 §5.1).
const TLS_HANDSHAKE: [u8; 2] = [0x16, 0x03];

impl<S: Source> LineReader<S> {
    pub(crate) fn new(source: S, codec: LineCodec) -> Self {
        Self {
            source,
            codec,
            buffer: BytesMut::new(),
            ending: None,
            ahead: None,
            looks_for_tls: false,
        }
    }

    /// For a client's side: one that begins with TLS ends with [`Ending::Tls`].
    pub(crate) fn of_client(source: S, codec: LineCodec) -> Self {
        Self {
            looks_for_tls: true,
            ..Self::new(source, codec)
        }
    }

    /// The next line, or how the side ended. Not to be called after the end. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<Frame, Ending> {
        if let Some(frame) = self.ahead.take() {
            return Ok(frame);
        }
        loop {
            if self.looks_for_tls && self.ending.is_none() {
                if self.buffer.starts_with(&TLS_HANDSHAKE) {
                    return Err(Ending::Tls);
                }
                // An empty buffer, or one byte that may be the first of TLS.
                if TLS_HANDSHAKE.starts_with(&self.buffer) {
                    if let Err(ending) = self.source.fill(&mut self.buffer).await {
                        self.ending = Some(ending);
                    }
                    continue;
                }
                self.looks_for_tls = false;
            }
            let decoded = match self.ending {
                None => self.codec.decode(&mut self.buffer),
                Some(_) => self.codec.decode_eof(&mut self.buffer),
            };
            match (decoded, self.ending) {
                (Ok(Some(frame)), _) => return Ok(frame),
                (Err(error), _) => return Err(ending(&error)),
                (Ok(None), Some(ending)) => return Err(ending),
                (Ok(None), None) => {
                    if let Err(ending) = self.source.fill(&mut self.buffer).await {
                        self.ending = Some(ending);
                    }
                }
            }
        }
    }

    /// Puts a line back, so that another reader gets it next.
    pub(crate) fn put_back(&mut self, frame: Frame) {
        self.ahead = Some(frame);
    }

    /// Takes what comes without looking at it, while no line is wanted: an SSH channel that is not read stops
    /// all others of its connection. Returns when there is more than may wait, and never otherwise.
    /// Cancel-safe.
    pub(crate) async fn buffer_unread(&mut self) -> Ending {
        while self.ending.is_none() {
            if self.buffer.len() > MOST_WAITING {
                return Ending::Flood;
            }
            if let Err(ending) = self.source.fill(&mut self.buffer).await {
                self.ending = Some(ending);
            }
        }
        std::future::pending().await
    }

    /// Throws away all that comes. Never returns.
    pub(crate) async fn discard(&mut self) {
        while self.ending.is_none() {
            self.buffer.clear();
            if let Err(ending) = self.source.fill(&mut self.buffer).await {
                self.ending = Some(ending);
            }
        }
        std::future::pending().await
    }

    pub(crate) fn into_source(self) -> S {
        self.source
    }
}

impl LineReader<OwnedReadHalf> {
    /// Returns some time after the client has ended its side, whether or not what it sent before has been
    /// read. Cancel-safe.
    pub(crate) async fn wait_for_client_eof(&self) {
        // Something to read may stand there for long, and must not keep this loop busy.
        while let Ok(ready) = self.source.ready(Interest::READABLE).await
            && !ready.is_read_closed()
        {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

/// Yields to other sessions when enough has been done for this one, measured by the length of the line that
/// was handled. Otherwise lines that are in the buffer already would be taken one after another: they wait
/// for nothing.
pub(crate) async fn give_way(bytes: usize) {
    for _ in 0..=bytes / STEP {
        consume_budget().await;
    }
}

/// Number of bytes of a line that are as much work as a short line. The runtime grants 128 such steps at
/// once.
const STEP: usize = 512;

/// Interval of the checks whether a client that is not read has ended its side.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Number of bytes from one side that may wait for the other to take them: more than all replies of any
/// session that makes sense, and little enough for many sessions.
const MOST_WAITING: usize = 4 * 1024 * 1024;

fn ending(error: &LineError) -> Ending {
    match error {
        LineError::TooLong { limit } => Ending::LineTooLong(*limit),
        LineError::Nul => Ending::Nul,
        LineError::Io(_) => Ending::Lost,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::{Context, Waker},
    };

    use tokio::{
        io::AsyncWriteExt,
        net::{TcpListener, TcpStream},
    };

    use super::*;

    /// A peer that never stops sending.
    struct Endless {
        sent: usize,
    }

    impl Source for Endless {
        async fn fill(&mut self, buffer: &mut BytesMut) -> Result<(), Ending> {
            self.sent += 64 * 1024;
            assert!(
                self.sent <= 2 * MOST_WAITING,
                "{} bytes were taken while the other side takes nothing",
                self.sent
            );
            buffer.resize(buffer.len() + 64 * 1024, b'x');
            Ok(())
        }
    }

    #[tokio::test]
    async fn q85_what_waits_for_the_other_side_is_bounded() {
        let source = Endless { sent: 0 };
        let mut lines = LineReader::new(source, LineCodec::replies());
        assert_eq!(lines.buffer_unread().await, Ending::Flood);
        // 4 MiB, and the piece that exceeded them.
        assert_eq!(lines.buffer.len(), (4 * 1024 + 64) * 1024);
    }

    /// Number of times that another task runs while this number of lines is taken.
    async fn turns(lines: usize, bytes: usize) -> usize {
        let turns = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&turns);
        let other = tokio::spawn(async move {
            loop {
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        });
        for _ in 0..lines {
            give_way(bytes).await;
        }
        other.abort();
        turns.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn q129_lines_that_wait_for_nothing_let_others_have_their_turn() {
        let (short, long) = (turns(1280, 1).await, turns(1280, 8 * 1024).await);
        assert!(short >= 5, "{short} turns");
        assert!(long >= 100, "{long} turns");
    }

    /// A client that has left is cut off in the end. One that has not must not look like it.
    #[tokio::test]
    async fn a_client_that_is_not_read_has_left_when_it_has_ended_its_side() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut client = TcpStream::connect(address).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let lines = LineReader::new(accepted.into_split().0, LineCodec::replies());
        let mut once = Context::from_waker(Waker::noop());
        assert!(
            pin!(lines.wait_for_client_eof())
                .poll(&mut once)
                .is_pending()
        );
        client.write_all(b"NOOP\r\n").await.unwrap();
        lines.source.readable().await.unwrap();
        assert!(
            pin!(lines.wait_for_client_eof())
                .poll(&mut once)
                .is_pending()
        );
        client.shutdown().await.unwrap();
        lines.wait_for_client_eof().await;
    }

    #[test]
    fn what_has_become_of_the_ssh_connection_is_told_apart() {
        let silence = LostReason::Connection("the SSH server does not answer".into());
        for (reason, expected) in [
            (LostReason::Closed, Ending::Eof),
            (silence, Ending::Silent),
            (LostReason::Connection("reset".into()), Ending::Lost),
            (LostReason::GivenUp, Ending::Lost),
        ] {
            assert_eq!(loss(&reason), expected, "{reason}");
        }
    }
}
