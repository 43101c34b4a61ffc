//! What an SSH connection runs over: a TCP socket, or another way that leads to the server.
//!
//! Three things are done here that a bare `TcpStream` does not do. Reads go through a large buffer,
//! because russh reads packet by packet. On Linux `TCP_QUICKACK` is re-armed after short reads:
//! sshd does not switch Nagle's algorithm off for forwarded channels, so a delayed acknowledgement
//! of ours holds its next small packet back for 40 ms. And the stream can be cut from outside, so
//! that a session that waits for a peer which has gone silent can always be ended.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite, BufReader, ReadBuf},
    net::TcpStream,
    time::Sleep,
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::{greeting::Greeting, heard::Heard};

/// Makes a transport of a stream. Cancelling `cut` makes every later read and write of it fail. A peer that
/// takes nothing for `patience` has the same effect in the end: russh looks for no keepalive replies while it
/// writes.
pub(crate) fn over(
    stream: Stream,
    cut: &CancellationToken,
    patience: Option<Duration>,
) -> BufReader<Transport> {
    let patience = match &stream {
        // The kernel knows what arrives. That a socket takes no more for a while says little.
        Stream::Tcp(tcp) => {
            tune(tcp, patience);
            None
        }
        Stream::Other(_) => patience.map(|patience| patience.saturating_mul(PIPE_PATIENCE)),
    };
    let transport = Transport {
        stream,
        patience,
        stuck: None,
        greeting: Greeting::default(),
        heard: Arc::default(),
        cut_read: Box::pin(cut.clone().cancelled_owned()),
        cut_write: Box::pin(cut.clone().cancelled_owned()),
    };
    BufReader::with_capacity(READ_BUFFER, transport)
}

/// What leads to the server.
pub(crate) enum Stream {
    /// A connection of our own.
    Tcp(TcpStream),
    /// A channel of another SSH connection, or a command.
    Other(Box<dyn Duplex>),
}

/// Bytes in both directions.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// The stream, without its read buffer.
pub(crate) struct Transport {
    stream: Stream,
    /// How long a write may wait.
    patience: Option<Duration>,
    /// How much longer the write that waits may do so.
    stuck: Option<Pin<Box<Sleep>>>,
    greeting: Greeting,
    heard: Arc<Heard>,
    cut_read: Pin<Box<WaitForCancellationFutureOwned>>,
    cut_write: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Transport {
    fn stream(&mut self) -> Pin<&mut dyn Duplex> {
        match &mut self.stream {
            Stream::Tcp(tcp) => Pin::new(tcp),
            Stream::Other(other) => Pin::new(&mut **other),
        }
    }

    fn unless_stuck(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let Some(patience) = self.patience.filter(|_| written.is_pending()) else {
            self.stuck = None;
            return written;
        };
        let stuck = self
            .stuck
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        stuck
            .as_mut()
            .poll(cx)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    /// The address at the other end of a socket.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        match &self.stream {
            Stream::Tcp(tcp) => tcp.peer_addr().ok(),
            Stream::Other(_) => None,
        }
    }

    /// When bytes arrived over it.
    pub(crate) fn heard(&self) -> Arc<Heard> {
        Arc::clone(&self.heard)
    }

    /// Where the server's identification will stand once it has come.
    pub(crate) fn version(&self) -> Arc<OnceLock<String>> {
        self.greeting.version()
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.cut_read.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(cut_off()));
        }
        let before = buf.filled().len();
        let result = this.stream().poll_read(cx, buf);
        if let Poll::Ready(Ok(())) = &result {
            let arrived = buf.filled().get(before..).unwrap_or_default();
            if !arrived.is_empty() {
                this.heard.now();
            }
            this.greeting.see(arrived)?;
        }
        if matches!(result, Poll::Ready(Ok(())))
            && buf.filled().len() - before < SHORT_READ
            && let Stream::Tcp(tcp) = &this.stream
        {
            acknowledge_at_once(tcp);
        }
        result
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.cut_write.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(cut_off()));
        }
        let written = this.stream().poll_write(cx, buf);
        this.unless_stuck(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.cut_write.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(cut_off()));
        }
        let written = this.stream().poll_write_vectored(cx, bufs);
        this.unless_stuck(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Tcp(tcp) => tcp.is_write_vectored(),
            Stream::Other(other) => other.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().stream().poll_shutdown(cx)
    }
}

fn tune(tcp: &TcpStream, patience: Option<Duration>) {
    if let Err(error) = tcp.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY on the SSH socket");
    }
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE);
    if let Err(error) = SockRef::from(tcp).set_tcp_keepalive(&keepalive) {
        tracing::debug!(%error, "cannot set SO_KEEPALIVE on the SSH socket");
    }
    give_up_after(tcp, patience);
}

/// Re-arms quick acknowledgements after each short read, because the kernel falls back to delayed ones by
/// itself. After a long read the next read is on its way already. This can fail only on a socket that is
/// gone, which the next read reports.
#[cfg(target_os = "linux")]
fn acknowledge_at_once(tcp: &TcpStream) {
    let _ = SockRef::from(tcp).set_tcp_quickack(true);
}

/// Bounds the time for which data may stay unacknowledged; then the connection ends (`TCP_USER_TIMEOUT`).
#[cfg(target_os = "linux")]
fn give_up_after(tcp: &TcpStream, patience: Option<Duration>) {
    if let Err(error) = SockRef::from(tcp).set_tcp_user_timeout(patience) {
        tracing::debug!(%error, "cannot set TCP_USER_TIMEOUT on the SSH socket");
        return;
    }
    if patience.is_some() {
        super::retransmission::bound(tcp);
    }
}

/// On other systems the system's own limit has to do.
#[cfg(not(target_os = "linux"))]
fn give_up_after(_: &TcpStream, _: Option<Duration>) {}

/// Other systems have no such option.
#[cfg(not(target_os = "linux"))]
fn acknowledge_at_once(_: &TcpStream) {}

fn cut_off() -> io::Error {
    io::Error::new(
        io::ErrorKind::ConnectionAborted,
        "the connection was ended by ferryline",
    )
}

/// Programs that carry a pipe's bytes on have buffers of their own, and may be slow.
const PIPE_PATIENCE: u32 = 3;
const READ_BUFFER: usize = 256 * 1024;
const SHORT_READ: usize = 16 * 1024;
const KEEPALIVE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn a_pipe_that_takes_nothing_any_more_is_given_up() {
        let (near, _far) = tokio::io::duplex(1024);
        let cut = CancellationToken::new();
        let patience = Some(Duration::from_millis(10));
        let mut transport = over(Stream::Other(Box::new(near)), &cut, patience);
        let error = transport.write_all(&[0; 4096]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
