//! An embedded SSH server that forwards TCP connections, and nothing else.
//!
//! It listens on 127.0.0.1, lets one user in (by key or password) and serves `direct-tcpip`,
//! `tcpip-forward` and `cancel-tcpip-forward`, to loopback addresses only unless told otherwise. What
//! a real server does wrong now and then it does on request: see [`Faults`].

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use russh::keys::key::safe_rng;
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, EcdsaCurve, PrivateKey, PublicKey};
use russh::server::{
    Auth, ChannelOpenHandle, Config, Handle, Handler, Msg, PublicKeyOffer, Response, Session,
    VerifiedPublicKey, run_stream,
};
use russh::{
    Channel, ChannelMsg, ChannelOpenFailure, ChannelReadHalf, ChannelWriteHalf, Disconnect,
};
use russh::{MethodKind, MethodSet};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream, copy_buf, duplex, split};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream, lookup_host};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use zeroize::Zeroizing;

/// Who is let in, and what for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The one user.
    pub user: String,
    /// Its password; `None`: no password log-in.
    pub password: Option<String>,
    /// Its public keys, each a line as in `authorized_keys`.
    pub authorized_keys: Vec<String>,
    /// Asks for the password by keyboard-interactive instead of the method `password`.
    pub keyboard_interactive: bool,
    /// Has an ECDSA host key besides the Ed25519 one.
    pub ecdsa_host_key: bool,
    /// Forwards to any address, not only to loopback.
    pub any_target: bool,
    /// What goes wrong from the beginning.
    pub faults: Faults,
}

/// What goes wrong on purpose. Can be changed while the server runs: [`SshServer::update`].
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Lets nobody in any more once so many log-ins have succeeded.
    pub max_logins: Option<usize>,
    /// Hangs up on new TCP connections at once, as sshd does beyond MaxStartups.
    pub hang_up: bool,
    /// Refuses every `direct-tcpip`.
    pub refuse_direct: bool,
    /// Refuses every `tcpip-forward`.
    pub refuse_forward: bool,
    /// Takes so long for each log-in and each channel.
    pub delay: Duration,
}

/// A running server. Dropping it ends it.
#[derive(Debug)]
pub struct SshServer {
    address: SocketAddr,
    host_keys: Vec<PublicKey>,
    shared: Arc<Shared>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl SshServer {
    /// Starts it on a free port of 127.0.0.1, with a fresh host key.
    ///
    /// # Errors
    ///
    /// No port could be bound, no key made, or a line of `authorized_keys` is not a public key.
    pub async fn start(options: Options) -> io::Result<Self> {
        let mut host_keys = vec![random_key(Algorithm::Ed25519)?];
        if options.ecdsa_host_key {
            let curve = EcdsaCurve::NistP256;
            host_keys.push(random_key(Algorithm::Ecdsa { curve })?);
        }
        let public: Vec<_> = host_keys.iter().map(|k| k.public_key().clone()).collect();
        let authorized: Result<Vec<PublicKey>, _> = options
            .authorized_keys
            .iter()
            .map(|line| line.parse())
            .collect();
        let config = Arc::new(config(&options, host_keys));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let shared = Arc::new(Shared {
            authorized: authorized.map_err(io::Error::other)?,
            faults: Mutex::new(options.faults.clone()),
            options,
            kill: Mutex::new(CancellationToken::new()),
            counters: Counters::default(),
        });
        let this = Self {
            address: listener.local_addr()?,
            host_keys: public,
            shared,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let serving = serve(
            listener,
            config,
            Arc::clone(&this.shared),
            this.stop.clone(),
            this.tasks.clone(),
        );
        this.tasks.spawn(serving);
        Ok(this)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lines for a known_hosts file, one for each host key.
    pub fn known_hosts(&self) -> String {
        let name = format!("[{}]:{}", self.address.ip(), self.address.port());
        let lines = self
            .host_keys
            .iter()
            .filter_map(|key| key.to_openssh().ok());
        lines.map(|key| format!("{name} {key}\n")).collect()
    }

    /// The public host key (the Ed25519 one), as `ssh-ed25519 AAAA...`.
    pub fn host_public_key(&self) -> String {
        let key = self.host_keys.first().and_then(|key| key.to_openssh().ok());
        key.unwrap_or_default()
    }

    /// Changes what goes wrong from now on.
    pub fn update(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut lock(&self.shared.faults));
    }

    /// Cuts all TCP connections of SSH clients with a reset. New ones are taken as before.
    pub fn kill(&self) {
        let old = std::mem::take(&mut *lock(&self.shared.kill));
        old.cancel();
    }

    /// SSH connections there are.
    pub fn connections(&self) -> usize {
        self.shared.counters.connections.load(Ordering::Acquire)
    }

    /// Log-ins that have succeeded since the start.
    pub fn logins(&self) -> usize {
        self.shared.counters.logins.load(Ordering::Acquire)
    }

    /// TCP connections being forwarded.
    pub fn channels(&self) -> usize {
        self.shared.counters.channels.load(Ordering::Acquire)
    }

    /// Ports listened on for clients.
    pub fn remote_forwards(&self) -> usize {
        self.shared.counters.forwards.load(Ordering::Acquire)
    }

    /// Ends it in order, and waits until all is gone (at most 5 s).
    pub async fn shutdown(self) {
        self.stop.cancel();
        self.tasks.close();
        let _ = tokio::time::timeout(Duration::from_secs(5), self.tasks.wait()).await;
    }
}

impl Drop for SshServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A key pair made for the occasion.
#[derive(Clone, Debug)]
pub struct KeyPair {
    /// The private half as a file in OpenSSH's format.
    pub private: Zeroizing<String>,
    /// The public half, a line for `authorized_keys`.
    pub public: String,
}

impl KeyPair {
    /// A fresh Ed25519 key; encrypted where there is a passphrase.
    ///
    /// # Errors
    ///
    /// What the key library says.
    pub fn generate(passphrase: Option<&str>) -> io::Result<Self> {
        let mut key = random_key(Algorithm::Ed25519)?;
        let public = key.public_key().to_openssh().map_err(io::Error::other)?;
        if let Some(passphrase) = passphrase {
            key = key
                .encrypt(&mut safe_rng(), passphrase)
                .map_err(io::Error::other)?;
        }
        let private = key.to_openssh(LineEnding::LF).map_err(io::Error::other)?;
        Ok(Self { private, public })
    }
}

#[derive(Debug)]
struct Shared {
    options: Options,
    authorized: Vec<PublicKey>,
    faults: Mutex<Faults>,
    /// Cancelled to cut the connections of the moment.
    kill: Mutex<CancellationToken>,
    counters: Counters,
}

#[derive(Debug, Default)]
struct Counters {
    connections: Arc<AtomicUsize>,
    logins: Arc<AtomicUsize>,
    channels: Arc<AtomicUsize>,
    forwards: Arc<AtomicUsize>,
}

/// Counted as long as it lives.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(counter: &Arc<AtomicUsize>) -> Self {
        counter.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(counter))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

fn config(options: &Options, keys: Vec<PrivateKey>) -> Config {
    Config {
        methods: methods(options),
        keys,
        auth_rejection_time: Duration::ZERO,
        inactivity_timeout: None,
        nodelay: true,
        ..Config::default()
    }
}

fn methods(options: &Options) -> MethodSet {
    let mut methods = MethodSet::empty();
    if !options.authorized_keys.is_empty() {
        methods.push(MethodKind::PublicKey);
    }
    if options.password.is_some() {
        methods.push(match options.keyboard_interactive {
            true => MethodKind::KeyboardInteractive,
            false => MethodKind::Password,
        });
    }
    methods
}

async fn serve(
    listener: TcpListener,
    config: Arc<Config>,
    shared: Arc<Shared>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let Ok((tcp, _)) = accepted else {
            // Out of descriptors, as a rule: give others the time to close some.
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        if lock(&shared.faults).hang_up {
            continue;
        }
        let kill = lock(&shared.kill).clone();
        let counted = Counted::new(&shared.counters.connections);
        let (near, far) = duplex(SPOOL);
        tasks.spawn(async move {
            pump_socket(tcp, far, kill).await;
            drop(counted);
        });
        let config = Arc::clone(&config);
        let client = Client {
            shared: Arc::clone(&shared),
            forwards: HashMap::new(),
        };
        let stop = stop.clone();
        tasks.spawn(async move {
            let Ok(session) = run_stream(config, near, client).await else {
                return;
            };
            let handle = session.handle();
            let mut session = session;
            tokio::select! {
                _ = &mut session => return,
                () = stop.cancelled() => {}
            }
            let _ = handle
                .disconnect(
                    Disconnect::ByApplication,
                    "shutting down".to_owned(),
                    String::new(),
                )
                .await;
            let _ = session.await;
        });
    }
}

/// Moves bytes between the client's socket and the session. In between is a spool that holds a
/// channel's whole window, because russh reads nothing while it writes: two such sessions that both
/// have much to say would wait for each other for ever.
async fn pump_socket(mut tcp: TcpStream, session: DuplexStream, kill: CancellationToken) {
    let _ = tcp.set_nodelay(true);
    let (from_session, mut to_session) = split(session);
    let (from_client, mut to_client) = tcp.split();
    let up = async {
        let mut from_client = BufReader::with_capacity(COPY_BUFFER, from_client);
        let _ = copy_buf(&mut from_client, &mut to_session).await;
        let _ = to_session.shutdown().await;
        // The session ends by itself then, and with it the other direction.
        std::future::pending::<()>().await;
    };
    let down = async {
        let mut from_session = BufReader::with_capacity(COPY_BUFFER, from_session);
        let _ = copy_buf(&mut from_session, &mut to_client).await;
        let _ = to_client.shutdown().await;
    };
    let killed = tokio::select! {
        () = up => false,
        () = down => false,
        () = kill.cancelled() => true,
    };
    if killed {
        let _ = SockRef::from(&tcp).set_linger(Some(Duration::ZERO));
    }
}

/// One client's session.
struct Client {
    shared: Arc<Shared>,
    forwards: HashMap<(String, u32), CancellationToken>,
}

impl Client {
    fn faults(&self) -> Faults {
        lock(&self.shared.faults).clone()
    }

    /// Whether the right credentials of this user let anybody in at the moment.
    async fn is_open_to(&self, user: &str) -> bool {
        let faults = self.faults();
        sleep(faults.delay).await;
        let logins = self.shared.counters.logins.load(Ordering::Acquire);
        user == self.shared.options.user && faults.max_logins.is_none_or(|max| logins < max)
    }

    async fn judge(&self, user: &str, right: bool) -> Auth {
        if self.is_open_to(user).await && right {
            return Auth::Accept;
        }
        // A plain refusal would strike the method off the list.
        Auth::Reject {
            proceed_with_methods: Some(methods(&self.shared.options)),
            partial_success: false,
        }
    }

    fn is_password(&self, password: &str) -> bool {
        self.shared.options.password.as_deref() == Some(password)
    }

    fn is_authorized(&self, key: &PublicKey) -> bool {
        let mut authorized = self.shared.authorized.iter();
        authorized.any(|known| known.key_data() == key.key_data())
    }
}

impl Handler for Client {
    type Error = russh::Error;

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, russh::Error> {
        Ok(self.judge(user, self.is_password(password)).await)
    }

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, russh::Error> {
        Ok(self.judge(user, self.is_authorized(offer.public_key)).await)
    }

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, russh::Error> {
        Ok(self.judge(user, self.is_authorized(key.public_key)).await)
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        user: &str,
        _: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, russh::Error> {
        let Some(mut answers) = response else {
            return Ok(Auth::Partial {
                name: "".into(),
                instructions: "".into(),
                prompts: vec![("Password:".into(), false)].into(),
            });
        };
        let answer = answers.next();
        let right =
            answer.is_some_and(|a| std::str::from_utf8(&a).is_ok_and(|a| self.is_password(a)));
        Ok(self.judge(user, right).await)
    }

    async fn auth_succeeded(&mut self, _: &mut Session) -> Result<(), russh::Error> {
        self.shared.counters.logins.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        let faults = self.faults();
        let target = (host.to_owned(), port);
        let any = self.shared.options.any_target;
        let counter = Arc::clone(&self.shared.counters.channels);
        // Answered later: this runs in the session loop, which must not wait for a connect.
        tokio::spawn(async move {
            sleep(faults.delay).await;
            if faults.refuse_direct {
                reply
                    .reject(ChannelOpenFailure::AdministrativelyProhibited)
                    .await;
                return;
            }
            match connect(&target.0, target.1, any).await {
                Ok(tcp) => {
                    let counted = Counted::new(&counter);
                    reply.accept().await;
                    pump_channel(channel, tcp).await;
                    drop(counted);
                }
                Err(failure) => reply.reject(failure).await,
            }
        });
        Ok(())
    }

    async fn tcpip_forward(
        &mut self,
        address: &str,
        port: &mut u32,
        session: &mut Session,
    ) -> Result<bool, russh::Error> {
        let Ok(ip) = address.parse::<IpAddr>() else {
            return Ok(false);
        };
        let allowed = ip.is_loopback() || self.shared.options.any_target;
        let wanted = u16::try_from(*port).unwrap_or(0);
        if self.faults().refuse_forward || !allowed {
            return Ok(false);
        }
        let Ok(listener) = TcpListener::bind((ip, wanted)).await else {
            return Ok(false);
        };
        *port = u32::from(listener.local_addr()?.port());
        let stop = CancellationToken::new();
        let key = (address.to_owned(), *port);
        self.forwards.insert(key.clone(), stop.clone());
        let counters = &self.shared.counters;
        let forwarding = forward(
            listener,
            key,
            session.handle(),
            Arc::clone(&counters.channels),
        );
        let counted = Counted::new(&counters.forwards);
        tokio::spawn(async move {
            tokio::select! {
                () = forwarding => {}
                () = stop.cancelled() => {}
            }
            drop(counted);
        });
        Ok(true)
    }

    async fn cancel_tcpip_forward(
        &mut self,
        address: &str,
        port: u32,
        _: &mut Session,
    ) -> Result<bool, russh::Error> {
        let found = self.forwards.remove(&(address.to_owned(), port));
        Ok(found.map(|stop| stop.cancel()).is_some())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        for stop in self.forwards.values() {
            stop.cancel();
        }
    }
}

/// Takes connections to a forwarded port and hands them to the client.
async fn forward(
    listener: TcpListener,
    (address, port): (String, u32),
    handle: Handle,
    counter: Arc<AtomicUsize>,
) {
    while let Ok((tcp, from)) = listener.accept().await {
        let (handle, address) = (handle.clone(), address.clone());
        let counted = Counted::new(&counter);
        tokio::spawn(async move {
            let (ip, from_port) = (from.ip().to_string(), u32::from(from.port()));
            let opened = handle
                .channel_open_forwarded_tcpip(address, port, ip, from_port)
                .await;
            if let Ok(channel) = opened {
                pump_channel(channel, tcp).await;
            }
            drop(counted);
        });
    }
}

async fn connect(host: &str, port: u32, any: bool) -> Result<TcpStream, ChannelOpenFailure> {
    let port = u16::try_from(port).map_err(|_| ChannelOpenFailure::ConnectFailed)?;
    let found = lookup_host((host, port)).await;
    let mut failure = ChannelOpenFailure::ConnectFailed;
    for address in found.map_err(|_| ChannelOpenFailure::ConnectFailed)? {
        if !any && !address.ip().is_loopback() {
            failure = ChannelOpenFailure::AdministrativelyProhibited;
        } else if let Ok(tcp) = TcpStream::connect(address).await {
            return Ok(tcp);
        }
    }
    Err(failure)
}

/// Moves bytes both ways until both have ended, each end of file on its own.
async fn pump_channel(channel: Channel<Msg>, tcp: TcpStream) {
    let _ = tcp.set_nodelay(true);
    let (from_tcp, to_tcp) = tcp.into_split();
    let (from_client, to_client) = channel.split();
    let closed = CancellationToken::new();
    // Two tasks: written and read in one, a full window would keep its own end from being read.
    let up = tokio::spawn(channel_to_tcp(from_client, to_tcp, closed.clone()));
    tokio::select! {
        () = tcp_to_channel(from_tcp, &to_client) => {}
        () = closed.cancelled() => {
            let _ = to_client.close().await;
            return;
        }
    }
    if let Ok(true) = up.await {
        let _ = to_client.close().await;
    }
}

/// Whether this direction ended in a way that leaves the channel to be closed by this side.
async fn channel_to_tcp(
    mut from: ChannelReadHalf,
    mut to: OwnedWriteHalf,
    closed: CancellationToken,
) -> bool {
    loop {
        match from.wait().await {
            Some(ChannelMsg::Data { data }) => {
                if to.write_all(&data).await.is_err() {
                    closed.cancel();
                    return true;
                }
            }
            Some(ChannelMsg::Eof) => {
                let _ = to.shutdown().await;
                // Whatever comes now, nobody reads it but for a close.
                tokio::spawn(async move {
                    while let Some(message) = from.wait().await {
                        if matches!(message, ChannelMsg::Close) {
                            break;
                        }
                    }
                    closed.cancel();
                });
                return true;
            }
            Some(ChannelMsg::Close) | None => {
                closed.cancel();
                return false;
            }
            Some(_) => {}
        }
    }
}

async fn tcp_to_channel(mut from: OwnedReadHalf, to: &ChannelWriteHalf<Msg>) {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(COPY_BUFFER);
        match from.read_buf(&mut buffer).await {
            Ok(0) => {
                let _ = to.eof().await;
                return;
            }
            Ok(_) => {
                if to.data_bytes(buffer.split().freeze()).await.is_err() {
                    return;
                }
            }
            Err(_) => {
                // sshd, too, has no way to pass a reset on; it ends the direction.
                let _ = to.eof().await;
                return;
            }
        }
    }
}

fn random_key(algorithm: Algorithm) -> io::Result<PrivateKey> {
    PrivateKey::random(&mut safe_rng(), algorithm).map_err(io::Error::other)
}

/// Nothing that holds one of these locks can panic half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Holds more than the largest window of a client.
const SPOOL: usize = 24 * 1024 * 1024;
const COPY_BUFFER: usize = 64 * 1024;
