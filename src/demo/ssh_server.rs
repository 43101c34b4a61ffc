//! An embedded SSH server that forwards TCP connections, and nothing else.
//!
//! It listens on 127.0.0.1, lets one user in (by key or password) and serves `direct-tcpip`, `tcpip-forward`
//! and `cancel-tcpip-forward`, to loopback addresses only unless told otherwise. On request it shows the
//! faults that real servers have: see [`Faults`].

mod client;
mod pump;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use russh::{
    Disconnect, Limits, MethodKind, MethodSet, SshId,
    keys::{
        Algorithm, Certificate, EcdsaCurve, PrivateKey, PublicKey,
        key::safe_rng,
        ssh_key,
        ssh_key::{
            LineEnding,
            certificate::{Builder, CertType},
            rand_core::Rng as _,
        },
    },
    server::{Config, run_stream},
};
use tokio::{io::duplex, net::TcpListener, time::sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use zeroize::Zeroizing;

use client::Client;
use pump::pump_socket;

use crate::{lock::lock, ssh::Secret};

/// Users and keys that are let in, and what they may do.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The one user.
    pub user: String,
    /// Its password; `None`: no password log-in.
    pub password: Option<Secret>,
    /// Its public keys, each a line as in `authorized_keys`.
    pub authorized_keys: Vec<String>,
    /// Asks for the password by keyboard-interactive instead of the method `password`.
    pub keyboard_interactive: bool,
    /// Questions of keyboard-interactive in place of the one for the password: all questions of a round at
    /// once, round after round.
    pub rounds: Vec<Vec<Question>>,
    /// Requires a key first, and then the password or the answers as well.
    pub key_first: bool,
    /// Closes the connection after this many refusals.
    pub max_attempts: Option<usize>,
    /// Shows a certificate for its Ed25519 host key.
    pub host_certificate: Option<HostCertificate>,
    /// Its Ed25519 host key, as in [`KeyPair::private`]; `None`: a fresh one.
    pub host_key: Option<Zeroizing<String>>,
    /// Has an ECDSA host key besides the Ed25519 one.
    pub ecdsa_host_key: bool,
    /// Forwards to any address, not only to loopback.
    pub any_target: bool,
    /// Asks for new keys after this many bytes in either direction; `None`: after 1 GiB, which is also the
    /// maximum.
    pub rekey_limit: Option<u64>,
    /// Identifies itself as OpenSSH's sshd, on whose behaviour ferryline relies.
    pub openssh: bool,
    /// Faults from the beginning.
    pub faults: Faults,
}

/// A question of keyboard-interactive.
#[derive(Clone, Debug)]
pub struct Question {
    /// Text of the question.
    pub text: String,
    /// Whether the answer may be shown while it is typed.
    pub shown: bool,
    /// The right answer.
    pub answer: Secret,
}

/// Content of the certificate for a host key.
#[derive(Clone, Debug)]
pub struct HostCertificate {
    /// The private key of the authority, as in [`KeyPair::private`].
    pub authority: Zeroizing<String>,
    /// The name it is for.
    pub principal: String,
    /// End of its validity, in seconds since 1970.
    pub valid_before: u64,
}

/// Faults on purpose. They can be changed while the server runs: [`SshServer::update`].
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Lets no user in after this many log-ins have succeeded.
    pub max_logins: Option<usize>,
    /// Closes new TCP connections at once, as sshd does beyond MaxStartups.
    pub hang_up: bool,
    /// Refuses every `direct-tcpip`.
    pub refuse_direct: bool,
    /// Reaches nothing by `direct-tcpip`, as if it were on another host.
    pub elsewhere: bool,
    /// Serves `direct-tcpip` for this host only, in the form asked for: sshd's `permitopen="HOST:*"`.
    pub permit_open: Option<String>,
    /// Refuses every `tcpip-forward`.
    pub refuse_forward: bool,
    /// Answers no `tcpip-forward`, nor anything else on that connection, while this is set.
    pub hold_forward: bool,
    /// With each `tcpip-forward` that it serves, opens channels that the client did not ask for: for other
    /// ports, from other hosts, and of every other kind.
    pub unasked: bool,
    /// Names this address for every connection to a remote forward, in place of the one it was asked to
    /// listen on.
    pub name_forwards: Option<String>,
    /// Names this originator for every connection to a remote forward.
    pub name_originators: Option<String>,
    /// Delay of each log-in and each channel.
    pub delay: Duration,
    /// Once this is cancelled, ends the channels that were opened while it was set, as sshd's
    /// `ChannelTimeout` does: with an EOF and a close, and an EOF for the target, with whatever is still on
    /// its way.
    pub time_out: CancellationToken,
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
    /// If no port can be bound, no key can be made, or a line of `authorized_keys` is not a public key.
    pub async fn start(options: Options) -> io::Result<Self> {
        let mut host_keys = vec![match &options.host_key {
            Some(key) => PrivateKey::from_openssh(key.as_str()).map_err(io::Error::other)?,
            None => random_key(Algorithm::Ed25519)?,
        }];
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
        let config = Arc::new(config(&options, host_keys)?);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let shared = Arc::new(Shared {
            authorized: authorized.map_err(io::Error::other)?,
            faults: Mutex::new(options.faults.clone()),
            options,
            kill: Mutex::new(CancellationToken::new()),
            listening: Mutex::default(),
            targets: Mutex::default(),
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

    /// Address on which it listens.
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

    /// Changes the faults from now on.
    pub fn update(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut lock(&self.shared.faults));
    }

    /// Cuts all TCP connections of SSH clients with a reset. New ones are accepted as before.
    pub fn kill(&self) {
        let old = std::mem::take(&mut *lock(&self.shared.kill));
        old.cancel();
    }

    /// Number of SSH connections.
    pub fn connections(&self) -> usize {
        self.shared.counters.connections.load(Ordering::Acquire)
    }

    /// Number of log-ins that have succeeded since the start.
    pub fn logins(&self) -> usize {
        self.shared.counters.logins.load(Ordering::Acquire)
    }

    /// Number of new TCP connections that were closed at once ([`Faults::hang_up`]).
    pub fn hang_ups(&self) -> usize {
        self.shared.counters.hang_ups.load(Ordering::Acquire)
    }

    /// Number of TCP connections that are forwarded.
    pub fn channels(&self) -> usize {
        self.shared.counters.channels.load(Ordering::Acquire)
    }

    /// Number of ports that it listens on for clients.
    pub fn remote_forwards(&self) -> usize {
        self.shared.counters.forwards.load(Ordering::Acquire)
    }

    /// Addresses that it listens on for clients.
    pub fn listening(&self) -> Vec<SocketAddr> {
        lock(&self.shared.listening).clone()
    }

    /// Number of requests for a port to listen on, granted or not.
    pub fn forwards_asked(&self) -> usize {
        self.shared.counters.asked.load(Ordering::Acquire)
    }

    /// Numbers of the channels that it opened without having been asked ([`Faults::unasked`]): those that
    /// were refused, and those that were accepted.
    pub fn unasked(&self) -> (usize, usize) {
        let counters = &self.shared.counters;
        (
            counters.unasked_refused.load(Ordering::Acquire),
            counters.unasked_taken.load(Ordering::Acquire),
        )
    }

    /// Hosts and ports that `direct-tcpip` was asked for, in the client's own form and in order.
    pub fn targets(&self) -> Vec<(String, u32)> {
        lock(&self.shared.targets).clone()
    }

    /// Ends the server in order, and waits until all tasks have ended (at most 5 s).
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

/// A key pair for one test or one tour.
#[derive(Clone, Debug)]
pub struct KeyPair {
    /// The private key as a file in OpenSSH's format.
    pub private: Zeroizing<String>,
    /// The public key as a line for `authorized_keys`.
    pub public: String,
}

impl KeyPair {
    /// Makes a fresh Ed25519 key, encrypted where there is a passphrase.
    ///
    /// # Errors
    ///
    /// If the key library reports an error.
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
    /// Cancelled to cut the present connections.
    kill: Mutex<CancellationToken>,
    listening: Mutex<Vec<SocketAddr>>,
    targets: Mutex<Vec<(String, u32)>>,
    counters: Counters,
}

#[derive(Debug, Default)]
struct Counters {
    connections: Arc<AtomicUsize>,
    logins: Arc<AtomicUsize>,
    hang_ups: Arc<AtomicUsize>,
    channels: Arc<AtomicUsize>,
    forwards: Arc<AtomicUsize>,
    asked: AtomicUsize,
    unasked_refused: AtomicUsize,
    unasked_taken: AtomicUsize,
}

/// Counts as long as it lives.
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

fn config(options: &Options, keys: Vec<PrivateKey>) -> io::Result<Config> {
    let default = Config::default();
    let certificates = match (&options.host_certificate, keys.first()) {
        (Some(wanted), Some(key)) => vec![certificate(wanted, key).map_err(io::Error::other)?],
        _ => Vec::new(),
    };
    let mut limits = Limits::default();
    if let Some(bytes) = options.rekey_limit {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        limits.rekey_write_limit = limits.rekey_write_limit.min(bytes);
        limits.rekey_read_limit = limits.rekey_read_limit.min(bytes);
    }
    Ok(Config {
        methods: methods(options),
        keys,
        certificates,
        max_auth_attempts: options.max_attempts.unwrap_or(default.max_auth_attempts),
        auth_rejection_time: Duration::ZERO,
        inactivity_timeout: None,
        nodelay: true,
        limits,
        server_id: match options.openssh {
            true => SshId::Standard("SSH-2.0-OpenSSH_9.2p1".into()),
            false => default.server_id,
        },
        ..default
    })
}

fn certificate(wanted: &HostCertificate, key: &PrivateKey) -> ssh_key::Result<Certificate> {
    let authority = PrivateKey::from_openssh(wanted.authority.as_bytes())?;
    let subject = key.public_key().key_data().clone();
    let mut nonce = vec![0; 32];
    safe_rng().fill_bytes(&mut nonce);
    let mut builder = Builder::new(nonce, subject, 0, wanted.valid_before)?;
    builder.cert_type(CertType::Host)?;
    builder.valid_principal(wanted.principal.as_str())?;
    builder.sign(&authority)
}

fn methods(options: &Options) -> MethodSet {
    let mut methods = MethodSet::empty();
    if !options.authorized_keys.is_empty() {
        methods.push(MethodKind::PublicKey);
    }
    if !options.key_first {
        for &method in further_methods(options).iter() {
            methods.push(method);
        }
    }
    methods
}

/// Log-in methods that need no key.
fn further_methods(options: &Options) -> MethodSet {
    let mut methods = MethodSet::empty();
    if !options.rounds.is_empty() {
        methods.push(MethodKind::KeyboardInteractive);
    } else if options.password.is_some() {
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
            // Out of descriptors, as a rule: give other tasks the time to close some.
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        if lock(&shared.faults).hang_up {
            shared.counters.hang_ups.fetch_add(1, Ordering::AcqRel);
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
        let client = Client::new(Arc::clone(&shared));
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

fn random_key(algorithm: Algorithm) -> io::Result<PrivateKey> {
    PrivateKey::random(&mut safe_rng(), algorithm).map_err(io::Error::other)
}

/// More than the largest window of a client.
const SPOOL: usize = 24 * 1024 * 1024;
