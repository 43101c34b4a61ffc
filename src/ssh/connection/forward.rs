//! Remote forwards (RFC 4254 section 7.1): a port on the SSH server's host, for one connection.

use std::{
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

use tokio::{sync::oneshot, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    arrival::{Arrival, Expected, Origin},
    channel::{self, Channel},
    handle::Connection,
    keep_alive::{Counted, Hold, KeepAlive},
};
use crate::ssh::error::ForwardError;

/// A port that the SSH server listens on for us. Dropping it cancels it.
#[derive(Debug)]
pub struct RemoteForward {
    registration: Option<Registration>,
    address: SocketAddr,
    arrivals: oneshot::Receiver<Arrival>,
    connection: Arc<Connection>,
    kept: KeepAlive,
}

impl RemoteForward {
    /// The address it was asked for, with the port that the SSH server chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits for the first connection that comes from its [`Origin`]. Takes exactly one: with it the forward
    /// is cancelled, and further connections are refused. `None`: the SSH connection is lost, or a connection
    /// has been taken before. Cancel-safe.
    pub async fn next(&mut self) -> Option<Incoming> {
        self.registration.as_ref()?;
        let arrival = (&mut self.arrivals).await;
        self.registration = None;
        Some(Incoming {
            arrival: arrival.ok()?,
            connection: Arc::clone(&self.connection),
            kept: std::mem::take(&mut self.kept),
        })
    }

    /// Makes a prefetched forward ready for a transfer, before its port is told: from now on it takes the
    /// first connection from its origin, and keeps `kept` in use. `false` where it is of no use: a program
    /// has connected to it already, or the SSH connection is lost.
    pub(crate) fn announce(&mut self, kept: KeepAlive) -> bool {
        self.kept = kept;
        let (shared, at) = (self.connection.shared(), self.address);
        shared.announce(at.ip(), u32::from(at.port()))
    }

    /// Cancels the forward, and waits (bounded) until the SSH server has done so.
    pub async fn cancel(mut self) {
        if let Some(registration) = self.registration.take() {
            registration.cancel().await;
        }
    }
}

/// A connection to a [`RemoteForward`] that waits for an answer. Dropping it refuses it.
#[derive(Debug)]
pub struct Incoming {
    arrival: Arrival,
    connection: Arc<Connection>,
    kept: KeepAlive,
}

impl Incoming {
    /// The originator, as the SSH server saw it.
    pub fn originator(&self) -> SocketAddr {
        self.arrival.originator
    }

    /// Takes the connection.
    pub fn accept(self) -> Channel {
        let Arrival { raw, reply, .. } = self.arrival;
        // The confirmation must be queued before the first byte of data is, so it is not left to a task. It
        // is ready at once: russh only puts it in an unbounded queue.
        let mut accepting = pin!(reply.accept());
        let _ = accepting
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        let hold = Hold::until_downloaded(self.kept);
        channel::wrap(raw, self.connection, true, hold)
    }

    /// Refuses the connection; the originator sees it closed.
    pub fn reject(self) {
        drop(self);
    }
}

/// Asks for a forward of port 0 on `bind`. With `prefetch`, the forward takes no connection until it is
/// announced; one that comes earlier cancels the token. The request runs in a task of its own: when the
/// caller gives up, a late success is cancelled again.
pub(crate) async fn request(
    connection: &Arc<Connection>,
    bind: IpAddr,
    origin: Origin,
    kept: KeepAlive,
    counted: Counted,
    prefetch: Option<CancellationToken>,
) -> Result<RemoteForward, ForwardError> {
    let (answer, answered) = oneshot::channel();
    let task_connection = Arc::clone(connection);
    tokio::spawn(async move {
        let _ = answer.send(register(task_connection, bind, origin, kept, counted, prefetch).await);
    });
    tokio::select! {
        biased;
        registered = timeout(REQUEST_TIMEOUT, answered) => match registered {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(ForwardError::Lost),
            Err(_) => Err(ForwardError::Timeout),
        },
        () = connection.lost() => Err(ForwardError::Lost),
    }
}

/// The server's registration of a forward; dropping it cancels it in the background.
#[derive(Debug)]
struct Registration {
    connection: Arc<Connection>,
    bind: IpAddr,
    port: u32,
    counted: Option<Counted>,
}

impl Registration {
    async fn cancel(mut self) {
        let counted = self.counted.take();
        cancel(Arc::clone(&self.connection), self.bind, self.port, counted).await;
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // Cancelled already; the port may be another forward's by now.
        let Some(counted) = self.counted.take() else {
            return;
        };
        self.connection.shared().forget(self.bind, self.port);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let connection = Arc::clone(&self.connection);
            runtime.spawn(cancel(connection, self.bind, self.port, Some(counted)));
        }
    }
}

async fn register(
    connection: Arc<Connection>,
    bind: IpAddr,
    origin: Origin,
    kept: KeepAlive,
    counted: Counted,
    prefetch: Option<CancellationToken>,
) -> Result<RemoteForward, ForwardError> {
    let granted = connection.handle().tcpip_forward(bind.to_string(), 0).await;
    let port = match granted {
        Ok(port) => port,
        Err(russh::Error::RequestDenied) => return Err(ForwardError::Refused),
        Err(_) => return Err(ForwardError::Lost),
    };
    let registration = Registration {
        connection: Arc::clone(&connection),
        bind,
        port,
        counted: Some(counted),
    };
    let (sender, arrivals) = oneshot::channel();
    let address = match u16::try_from(port) {
        Ok(port) if port != 0 => SocketAddr::new(bind, port),
        // Not a port that a peer could connect to: dropping the registration cancels it.
        _ => return Err(ForwardError::Refused),
    };
    // Programs that connected before now were never told this port, and have been refused.
    let expected = Expected {
        origin,
        arrivals: sender,
        prefetch,
    };
    connection.shared().expect(bind, port, expected);
    Ok(RemoteForward {
        registration: Some(registration),
        address,
        arrivals,
        connection,
        kept,
    })
}

/// Cancels a forward. sshd looks it up by the very string of the request, and by the real port.
async fn cancel(connection: Arc<Connection>, bind: IpAddr, port: u32, counted: Option<Counted>) {
    connection.shared().forget(bind, port);
    let asked = connection
        .handle()
        .cancel_tcpip_forward(bind.to_string(), port);
    tokio::select! {
        cancelled = timeout(REQUEST_TIMEOUT, asked) => {
            if !matches!(cancelled, Ok(Ok(()))) && !connection.is_lost() {
                tracing::debug!(%bind, port, "the SSH server did not cancel a remote forward");
            }
        }
        () = connection.lost() => {}
    }
    drop(counted);
}

const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
