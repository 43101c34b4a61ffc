//! The listeners of one forward.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream, lookup_host},
    sync::{mpsc, oneshot},
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{
    context::Context,
    io::{farewell, socket},
    plain,
    policy::spec::{ForwardKind, ForwardSpec},
    session,
    trace::books::Entry,
};
use crate::ssh::AddressFamily;

/// A forward's listeners.
#[derive(Clone, Debug)]
pub(super) struct Bound {
    pub(super) spec: ForwardSpec,
    pub(super) listeners: Vec<Listener>,
}

impl Bound {
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners
            .iter()
            .map(|listener| listener.address)
            .collect()
    }
}

/// A socket that listens, for as long as there is a clone of this: a clone is the same socket. Clients that come
/// while nothing accepts them wait in it.
#[derive(Clone, Debug)]
pub struct Listener {
    socket: Arc<TcpListener>,
    address: SocketAddr,
    /// The service manager has passed it, and has the right to its port.
    passed: bool,
}

impl Listener {
    /// A socket that the service manager has passed.
    ///
    /// # Errors
    ///
    /// It is no socket that listens, or the operating system takes no option of it.
    pub fn passed(socket: std::net::TcpListener) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let address = socket.local_addr()?;
        Ok(Self {
            socket: Arc::new(TcpListener::from_std(socket)?),
            address,
            passed: true,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether the service manager has passed it.
    pub fn is_passed(&self) -> bool {
        self.passed
    }

    /// Whether both are the same socket.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.socket, &other.socket)
    }

    fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = listen(address)?;
        Ok(Self {
            address: socket.local_addr()?,
            socket: Arc::new(socket),
            passed: false,
        })
    }
}

/// A listener that cannot be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The operating system refuses the address or the port.
    #[error("cannot listen on {address}: {}", text(error))]
    Listen {
        /// What was to be bound.
        address: SocketAddr,
        /// What the operating system said.
        error: io::Error,
    },
    /// The bind address has no address of the family that was asked for.
    #[error("cannot listen on {name}: {}", no_family(*family))]
    Family {
        /// The bind address as it was given.
        name: String,
        /// What was asked for.
        family: AddressFamily,
    },
    /// The bind address is no address of this host.
    #[error("cannot listen on '{name}': the name does not resolve ({error})")]
    Resolve {
        /// The bind address as it was given.
        name: String,
        /// What the resolver said.
        error: io::Error,
    },
}

impl BindError {
    /// Whether another socket has the port.
    pub fn is_in_use(&self) -> bool {
        matches!(self, Self::Listen { error, .. } if error.kind() == io::ErrorKind::AddrInUse)
    }

    /// Whether the port needs a privilege.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Listen { error, .. } if error.kind() == io::ErrorKind::PermissionDenied)
    }

    /// The port that could not be listened on.
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Listen { address, .. } => Some(address.port()),
            Self::Family { .. } | Self::Resolve { .. } => None,
        }
    }

    /// What happened, without what to do about it.
    pub fn cause(&self) -> String {
        match self {
            Self::Listen { address, error } => {
                format!("cannot listen on {address}: {}", told(error).0)
            }
            Self::Family { .. } | Self::Resolve { .. } => self.to_string(),
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Listen { error, .. } => told(error).1,
            Self::Family { .. } => "leave out -4, -6 or AddressFamily, or the bind address in -L",
            Self::Resolve { .. } => "name an address of this host",
        }
    }
}

fn text(error: &io::Error) -> String {
    let (cause, remedy) = told(error);
    match remedy {
        "" => cause,
        remedy => format!("{cause}; {remedy}"),
    }
}

/// What the operating system said, in words, and what to do about it.
fn told(error: &io::Error) -> (String, &'static str) {
    match error.kind() {
        io::ErrorKind::AddrInUse => (
            "the port is in use by another program".into(),
            "stop that program or choose another port",
        ),
        io::ErrorKind::PermissionDenied => (
            "ports below 1024 need a privilege".into(),
            "choose a port from 1024 on, or grant it: AmbientCapabilities=CAP_NET_BIND_SERVICE in the systemd unit, \
             or 'sudo setcap cap_net_bind_service=+ep' with the path of ferryline",
        ),
        io::ErrorKind::AddrNotAvailable => (
            "the address is not one of this host".into(),
            "name one that it has, or none",
        ),
        _ => (error.to_string(), ""),
    }
}

fn no_family(family: AddressFamily) -> &'static str {
    match family {
        AddressFamily::Any => "it has no address",
        AddressFamily::Inet => {
            "it has no IPv4 address, and only those are wanted (-4, or AddressFamily inet)"
        }
        AddressFamily::Inet6 => {
            "it has no IPv6 address, and only those are wanted (-6, or AddressFamily inet6)"
        }
    }
}

/// Binds the loopback addresses of both families, or the bind address; of the one family only that is asked for
/// (ssh(1): -4, -6). What `there` listens at an address already is used, and not bound again. Where the service
/// manager has passed a socket for any of the addresses, it decides at which of them the forward listens.
pub(super) async fn bind(
    spec: &ForwardSpec,
    family: AddressFamily,
    there: &[Listener],
) -> Result<Bound, BindError> {
    let mut wanted: Vec<IpAddr> = match spec.bind.as_deref() {
        None | Some("localhost") => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
        Some("" | "*") => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
        Some(name) => match name.parse() {
            Ok(address) => vec![address],
            Err(_) => resolve(name).await?,
        },
    };
    wanted.retain(|address| family.has(*address));
    if wanted.is_empty() {
        return Err(BindError::Family {
            name: spec.bind.clone().unwrap_or_else(|| "loopback".into()),
            family,
        });
    }
    let has = |ip: &IpAddr, listener: &&Listener| {
        spec.port != 0 && listener.address == SocketAddr::new(*ip, spec.port)
    };
    let mut passed: Vec<Listener> = Vec::new();
    for ip in &wanted {
        let mut of_manager = there.iter().filter(|listener| listener.passed);
        let found = of_manager.find(|listener| has(ip, listener));
        if let Some(found) = found.filter(|found| !passed.iter().any(|other| other.is(found))) {
            passed.push(found.clone());
        }
    }
    if !passed.is_empty() {
        return Ok(Bound {
            spec: spec.clone(),
            listeners: passed,
        });
    }
    let mut attempts = 0;
    let listeners = loop {
        attempts += 1;
        match listen_all(&wanted, spec.port, there) {
            // The port that the first of two families was given is taken in the second.
            Err(BindError::Listen { error, .. })
                if spec.port == 0
                    && error.kind() == io::ErrorKind::AddrInUse
                    && attempts < ATTEMPTS => {}
            tried => break tried?,
        }
    };
    Ok(Bound {
        spec: spec.clone(),
        listeners,
    })
}

/// Number of attempts to find a port that is free in both families.
const ATTEMPTS: usize = 20;

/// Listens on all these addresses, on one port.
fn listen_all(
    wanted: &[IpAddr],
    mut port: u16,
    there: &[Listener],
) -> Result<Vec<Listener>, BindError> {
    let mut listeners: Vec<Listener> = Vec::new();
    let mut missing = None;
    for &ip in wanted {
        let address = SocketAddr::new(ip, port);
        let kept = there.iter().find(|listener| listener.address == address);
        match kept.map_or_else(|| Listener::bind(address), |kept| Ok(kept.clone())) {
            Ok(listener) => {
                port = listener.address.port();
                listeners.push(listener);
            }
            // One of two families may be missing on this host. The only address given may not.
            Err(error)
                if wanted.len() > 1
                    && matches!(
                        error.kind(),
                        io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported
                    ) =>
            {
                tracing::debug!("not listening on {address}: {error}");
                missing = Some(BindError::Listen { address, error });
            }
            Err(error) => return Err(BindError::Listen { address, error }),
        }
    }
    match missing {
        Some(missing) if listeners.is_empty() => Err(missing),
        _ => Ok(listeners),
    }
}

/// A loop that accepts clients.
pub(super) struct Acceptor {
    pings: mpsc::UnboundedSender<oneshot::Sender<()>>,
}

impl Acceptor {
    /// Returns when the loop has shown that it runs, or has ended.
    pub(super) async fn answers(&self) {
        let (ping, answer) = oneshot::channel();
        if self.pings.send(ping).is_ok() {
            let _ = answer.await;
        }
    }

    /// Returns when the loop has ended, and holds its socket no longer.
    pub(super) async fn ended(&self) {
        self.pings.closed().await;
    }
}

/// Starts the loops that accept clients, until `end`, or the end of everything.
pub(super) fn accept(
    bound: &Bound,
    context: &Arc<Context>,
    end: &CancellationToken,
) -> Vec<Acceptor> {
    let mut acceptors = Vec::new();
    for listener in bound.listeners.clone() {
        let (pings, mut pinged) = mpsc::unbounded_channel::<oneshot::Sender<()>>();
        acceptors.push(Acceptor { pings });
        let (of_loop, end) = (Arc::clone(context), end.clone());
        let running = async move {
            let answers = async {
                while let Some(ping) = pinged.recv().await {
                    let _ = ping.send(());
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = accept_from(&listener.socket, &of_loop) => {}
                () = of_loop.stop.cancelled() => {}
                () = end.cancelled() => {}
                () = answers => {}
            }
            // The socket first: `ended` says that it is let go.
            drop(listener);
            drop(pinged);
        };
        let running = running.instrument(context.span.clone());
        context.tasks.spawn(running);
    }
    acceptors
}

async fn accept_from(listener: &TcpListener, context: &Arc<Context>) {
    let mut pause = Duration::from_millis(10);
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                pause = Duration::from_millis(10);
                if admits(&stream, peer, context) {
                    serve(stream, peer, context);
                }
            }
            Err(error) => {
                // Probably out of file descriptors: other connections must end first.
                let warnings = &context.warnings;
                warnings
                    .unaccepted
                    .warn(format_args!("cannot accept a client: {error}"));
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(1));
            }
        }
    }
}

/// Whether this client may come. One that may not is sent nothing: scanners look for banners.
fn admits(stream: &TcpStream, peer: SocketAddr, context: &Context) -> bool {
    let admitted = stream
        .local_addr()
        .is_ok_and(|local| context.options.gateway.admits(local, peer));
    if !admitted {
        let (kind, port) = (
            context.spec.kind,
            stream.local_addr().map_or(0, |local| local.port()),
        );
        context.book(&Entry::ClientRefused {
            tunnel: &context.tunnel,
            peer,
            reason: "its address is in no --allow-from",
        });
        context.warnings.turned_away.warn(format_args!(
            "{peer} turned away: its address is in no --allow-from ({kind}/ forward on port {port})"
        ));
    }
    admitted
}

fn serve(stream: TcpStream, peer: SocketAddr, context: &Arc<Context>) {
    let (context, tasks) = (Arc::clone(context), context.tasks.clone());
    let span = context.span.clone();
    let served = async move {
        let admission = Arc::clone(&context.admission);
        let kind = context.spec.kind;
        match (admission.admit(&stream, peer, kind).await, kind) {
            (Ok(admitted), ForwardKind::Ftp) => {
                session::run(stream, peer, admitted.owner, context).await;
            }
            (Ok(_admitted), ForwardKind::Tcp) => plain::run(stream, peer, context).await,
            (Err(reason), kind) => {
                admission.note(peer, &reason);
                context.book(&Entry::ClientRefused {
                    tunnel: &context.tunnel,
                    peer,
                    reason: &reason.to_string(),
                });
                if kind == ForwardKind::Tcp {
                    socket::reset(stream);
                    return;
                }
                let word = crate::control::refusal(&reason.to_string());
                match admission.refusal() {
                    Some(_waited_for) => {
                        let (mut read, mut write) = stream.into_split();
                        farewell::say_last(&mut read, &mut write, &word).await;
                    }
                    None => farewell::say_and_go(&stream, &word),
                }
            }
        }
    };
    tasks.spawn(served.instrument(span));
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(
        socket2::Domain::for_address(address),
        socket2::Type::STREAM,
        Some(socket2::Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Not on Windows, where it lets two programs share a port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    // Clients that connect all at once wait here, and none is refused unheard. The system has its own limit.
    socket.listen(4096)?;
    TcpListener::from_std(socket.into())
}

async fn resolve(name: &str) -> Result<Vec<IpAddr>, BindError> {
    let resolved = lookup_host((name, 0))
        .await
        .map_err(|error| BindError::Resolve {
            name: name.to_owned(),
            error,
        })?;
    Ok(resolved.map(|address| address.ip()).collect())
}
