//! The TCP socket under an SSH connection.
//!
//! Three things are done here that a bare `TcpStream` does not do. Reads go through a large buffer,
//! because russh reads packet by packet. On Linux `TCP_QUICKACK` is re-armed after short reads:
//! sshd does not switch Nagle's algorithm off for forwarded channels, so a delayed acknowledgement
//! of ours holds its next small packet back for 40 ms. And the socket can be cut from outside, so
//! that a session that waits for a peer which has gone silent can always be ended.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, BufReader, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::error::Error;
use super::greeting::Greeting;
use super::settings::Settings;

/// Connects to the destination, trying all its addresses in the order the resolver gave them.
/// Cancelling `cut` makes every later read and write of the stream fail.
pub(super) async fn connect(
    settings: &Settings,
    cut: &CancellationToken,
) -> Result<BufReader<Transport>, Error> {
    let tcp = connect_any(settings).await?;
    tune(&tcp);
    let transport = Transport {
        tcp,
        greeting: Greeting::default(),
        cut_read: Box::pin(cut.clone().cancelled_owned()),
        cut_write: Box::pin(cut.clone().cancelled_owned()),
    };
    Ok(BufReader::with_capacity(READ_BUFFER, transport))
}

/// The socket, without its read buffer.
pub(super) struct Transport {
    tcp: TcpStream,
    greeting: Greeting,
    cut_read: Pin<Box<WaitForCancellationFutureOwned>>,
    cut_write: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Transport {
    /// The address at the other end.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        self.tcp.peer_addr().ok()
    }

    /// Where the server's identification will stand once it has come.
    pub(super) fn version(&self) -> Arc<OnceLock<String>> {
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
        let result = Pin::new(&mut this.tcp).poll_read(cx, buf);
        if let Poll::Ready(Ok(())) = &result {
            this.greeting
                .see(buf.filled().get(before..).unwrap_or_default())?;
        }
        if matches!(result, Poll::Ready(Ok(()))) && buf.filled().len() - before < SHORT_READ {
            acknowledge_at_once(&this.tcp);
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
        Pin::new(&mut this.tcp).poll_write(cx, buf)
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
        Pin::new(&mut this.tcp).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(cx)
    }
}

async fn connect_any(settings: &Settings) -> Result<TcpStream, Error> {
    let host = settings.host.as_str();
    let port = settings.port;
    let limit = settings.connect_timeout;
    let timed_out = |what| Error::Timeout {
        host: host.to_owned(),
        port,
        what,
        seconds: limit.as_secs(),
    };
    let resolve_failed = |reason: String| Error::Resolve {
        host: host.to_owned(),
        reason,
    };
    let addresses: Vec<SocketAddr> = match timeout(limit, lookup_host((host, port))).await {
        Ok(Ok(found)) => found.collect(),
        Ok(Err(error)) => return Err(resolve_failed(error.to_string())),
        Err(_) => return Err(resolve_failed("the resolver did not answer".to_owned())),
    };
    if addresses.is_empty() {
        return Err(resolve_failed("it has none".to_owned()));
    }
    let mut failures = Vec::new();
    let mut only_timeouts = true;
    for address in addresses {
        match timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => return Ok(tcp),
            Ok(Err(error)) => {
                only_timeouts = false;
                failures.push(format!("{}: {error}", address.ip()));
            }
            Err(_) => failures.push(format!("{}: no answer", address.ip())),
        }
    }
    if only_timeouts {
        return Err(timed_out("answer"));
    }
    Err(Error::Connect {
        host: host.to_owned(),
        port,
        reason: failures.join(", "),
    })
}

fn tune(tcp: &TcpStream) {
    if let Err(error) = tcp.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY on the SSH socket");
    }
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE);
    if let Err(error) = SockRef::from(tcp).set_tcp_keepalive(&keepalive) {
        tracing::debug!(%error, "cannot set SO_KEEPALIVE on the SSH socket");
    }
}

/// The kernel falls back to delayed acknowledgements by itself, so this is done after each short
/// read; not after long ones, where the next read is on its way already. It can fail only on a
/// socket that is gone, which the next read reports.
#[cfg(target_os = "linux")]
fn acknowledge_at_once(tcp: &TcpStream) {
    let _ = SockRef::from(tcp).set_tcp_quickack(true);
}

/// Elsewhere there is no such option.
#[cfg(not(target_os = "linux"))]
fn acknowledge_at_once(_: &TcpStream) {}

fn cut_off() -> io::Error {
    io::Error::new(
        io::ErrorKind::ConnectionAborted,
        "the connection was ended by ferryline",
    )
}

const READ_BUFFER: usize = 256 * 1024;
const SHORT_READ: usize = 16 * 1024;
const KEEPALIVE: Duration = Duration::from_secs(60);
