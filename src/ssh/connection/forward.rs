//! Remote forwards (RFC 4254 section 7.1): a port on the SSH server's host, for one connection.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use russh::client::{ChannelOpenHandle, Msg};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::channel::{self, Channel, Counted, Hold};
use super::handle::Connection;
use crate::ssh::error::ForwardError;
use crate::ssh::lanes::Lease;

/// Whose connection a remote forward takes; others are refused, and do not use it up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Origin {
    /// Anybody's who comes first: for an FTP server of which only the name is known, and that name
    /// only to the SSH server.
    Anyone,
    /// This host's.
    Host(IpAddr),
    /// The SSH server's own host's, over its loopback.
    Loopback,
}

impl Origin {
    /// Whether a connection from there is taken.
    pub(crate) fn admits(self, address: IpAddr) -> bool {
        match self {
            Self::Anyone => true,
            Self::Host(host) => address.to_canonical() == host.to_canonical(),
            // Also as an IPv4 address in IPv6 clothes.
            Self::Loopback => address.to_canonical().is_loopback(),
        }
    }
}

/// Where connections to a forward go.
pub(crate) struct Expected {
    pub(crate) origin: Origin,
    pub(crate) arrivals: oneshot::Sender<Arrival>,
    /// Nobody has been told the port yet: whoever comes is refused, and spoils it.
    pub(crate) spare: Option<CancellationToken>,
}

/// A port that the SSH server listens on for us. Dropping it cancels it.
#[derive(Debug)]
pub struct RemoteForward {
    registration: Option<Registration>,
    address: SocketAddr,
    arrivals: oneshot::Receiver<Arrival>,
    connection: Arc<Connection>,
    lease: Option<Arc<Lease>>,
}

impl RemoteForward {
    /// The address it was asked for, with the port that the SSH server chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The first connection to it that comes from its [`Origin`]. It takes exactly one: with it the
    /// forward is cancelled, and further connections are refused. `None`: the SSH connection is
    /// lost, or the one has been taken. Cancel-safe.
    pub async fn next(&mut self) -> Option<Incoming> {
        self.registration.as_ref()?;
        let arrival = (&mut self.arrivals).await;
        self.registration = None;
        Some(Incoming {
            arrival: arrival.ok()?,
            connection: Arc::clone(&self.connection),
            lease: self.lease.take(),
        })
    }

    /// A spare is one no longer: its port is about to be told, and the first connection from its
    /// origin is taken. It runs on this lane from now on. `false` where it is of no use: somebody
    /// has been there already, or the SSH connection is lost.
    pub(crate) fn announce(&mut self, lease: Arc<Lease>) -> bool {
        self.lease = Some(lease);
        let (shared, at) = (self.connection.shared(), self.address);
        shared.announce(at.ip(), u32::from(at.port()))
    }

    /// Cancels it, and waits (bounded) until the SSH server has.
    pub async fn cancel(mut self) {
        if let Some(registration) = self.registration.take() {
            registration.cancel().await;
        }
    }
}

/// A connection that was made to a [`RemoteForward`] and waits for an answer. Dropping it refuses it.
#[derive(Debug)]
pub struct Incoming {
    arrival: Arrival,
    connection: Arc<Connection>,
    lease: Option<Arc<Lease>>,
}

impl Incoming {
    /// Who connected, as the SSH server saw it.
    pub fn originator(&self) -> SocketAddr {
        self.arrival.originator
    }

    /// Takes the connection.
    pub fn accept(self) -> Channel {
        let Arrival { raw, reply, .. } = self.arrival;
        // The confirmation must be queued before the first byte of data is, so it is not left to a
        // task. It is ready at once: russh only puts it in an unbounded queue.
        let mut accepting = pin!(reply.accept());
        let _ = accepting
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        let hold = Hold::lane(self.lease);
        channel::wrap(raw, self.connection, true, hold)
    }

    /// Refuses the connection; whoever made it sees it closed.
    pub fn reject(self) {
        drop(self);
    }
}

/// Asks for a forward of port 0 on `bind`. With `spare`, it takes nobody until it is announced; that
/// is cancelled when somebody comes before. The request runs in a task of its own: when the caller
/// gives up, a late success is cancelled again.
pub(crate) async fn request(
    connection: &Arc<Connection>,
    bind: IpAddr,
    origin: Origin,
    lease: Option<Arc<Lease>>,
    counted: Counted,
    spare: Option<CancellationToken>,
) -> Result<RemoteForward, ForwardError> {
    let (answer, answered) = oneshot::channel();
    let task_connection = Arc::clone(connection);
    tokio::spawn(async move {
        let _ = answer.send(register(task_connection, bind, origin, lease, counted, spare).await);
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

/// A `forwarded-tcpip` channel that is not answered yet. Dropping it refuses it.
pub(crate) struct Arrival {
    raw: russh::Channel<Msg>,
    reply: ChannelOpenHandle,
    originator: SocketAddr,
}

impl Arrival {
    /// `None` (and the channel refused) where the originator is no address.
    pub(crate) fn new(
        raw: russh::Channel<Msg>,
        reply: ChannelOpenHandle,
        originator: &str,
        originator_port: u32,
    ) -> Option<Self> {
        let ip = match originator.parse() {
            Ok(ip) => ip,
            // Some servers give a name (Q102), and this one is always the same host.
            Err(_) if originator.eq_ignore_ascii_case("localhost") => Ipv4Addr::LOCALHOST.into(),
            Err(_) => return None,
        };
        let port = u16::try_from(originator_port).ok()?;
        Some(Self {
            raw,
            reply,
            originator: SocketAddr::new(ip, port),
        })
    }

    pub(crate) fn originator(&self) -> SocketAddr {
        self.originator
    }
}

impl fmt::Debug for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arrival")
            .field("originator", &self.originator)
            .finish_non_exhaustive()
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
        // Cancelled already; by now the port may be another forward's.
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
    lease: Option<Arc<Lease>>,
    counted: Counted,
    spare: Option<CancellationToken>,
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
        // A port that nobody can be told about: dropping the registration cancels it.
        _ => return Err(ForwardError::Refused),
    };
    // Whoever connected before now was never told this port, and has been refused.
    let expected = Expected {
        origin,
        arrivals: sender,
        spare,
    };
    connection.shared().expect(bind, port, expected);
    Ok(RemoteForward {
        registration: Some(registration),
        address,
        arrivals,
        connection,
        lease,
    })
}

/// sshd looks the forward up by the very string it was asked for with, and the real port.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_loopback_in_any_clothes() {
        for yes in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(Origin::Loopback.admits(yes.parse().unwrap()), "{yes}");
        }
        for no in ["10.0.0.1", "::", "0.0.0.0", "::ffff:10.0.0.1", "fe80::1"] {
            assert!(!Origin::Loopback.admits(no.parse().unwrap()), "{no}");
        }
    }

    #[test]
    fn a_host_is_itself_in_any_clothes_and_nobody_else() {
        let origin = Origin::Host("10.0.0.9".parse().unwrap());
        for yes in ["10.0.0.9", "::ffff:10.0.0.9"] {
            assert!(origin.admits(yes.parse().unwrap()), "{yes}");
        }
        for no in ["10.0.0.10", "127.0.0.1", "::1"] {
            assert!(!origin.admits(no.parse().unwrap()), "{no}");
        }
    }
}
