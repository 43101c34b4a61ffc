//! What the command line and the ssh configuration decided about one destination.

pub(super) mod algorithm_kind;
pub(super) mod algorithm_list;

use std::{net::IpAddr, path::PathBuf, time::Duration};

use algorithm_list::AlgorithmList;

/// Validated settings of one SSH destination. The field comments name the `ssh_config` keyword each
/// one mirrors.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// Host name or address to connect to (`HostName`).
    pub host: String,
    /// TCP port (`Port`).
    pub port: u16,
    /// Log-in name (`User`).
    pub user: String,
    /// Key files in the order they are tried (`IdentityFile`).
    pub identities: Vec<Identity>,
    /// The agent offers only the keys of `identities` (`IdentitiesOnly`).
    pub identities_only: bool,
    /// Socket of the authentication agent (`IdentityAgent`, `SSH_AUTH_SOCK`).
    pub agent: Option<PathBuf>,
    /// The user's files of known host keys (`UserKnownHostsFile`); a new key is stored in the first.
    pub known_hosts: Vec<PathBuf>,
    /// The system's files of known host keys (`GlobalKnownHostsFile`), never written.
    pub global_known_hosts: Vec<PathBuf>,
    /// The name under which the host's key is looked up (`HostKeyAlias`).
    pub host_key_alias: Option<String>,
    /// What happens with a host key that is not known (`StrictHostKeyChecking`).
    pub strict_host_key_checking: StrictHostKeyChecking,
    /// User certificates, for keys of `identities` or of the agent (`CertificateFile`). A
    /// `KEY-cert.pub` beside a key file need not be named.
    pub certificates: Vec<PathBuf>,
    /// The authentication methods that may be used, in the order they are tried, in SSH's own names
    /// (`PreferredAuthentications`); `None` is ferryline's order.
    pub preferred_authentications: Option<Vec<String>>,
    /// Whether keys may be used (`PubkeyAuthentication`).
    pub pubkey_authentication: bool,
    /// Whether the method `password` may be used (`PasswordAuthentication`).
    pub password_authentication: bool,
    /// Whether the method `keyboard-interactive` may be used (`KbdInteractiveAuthentication`).
    pub kbd_interactive_authentication: bool,
    /// Number of password attempts (`NumberOfPasswordPrompts`).
    pub password_prompts: usize,
    /// Never ask anything (`BatchMode`).
    pub batch_mode: bool,
    /// The command by which ssh would connect to the same destination, where the destination was given in
    /// other words than it has here, such as an alias.
    pub ssh_command: Option<String>,
    /// How the server is reached (`ProxyJump`, `ProxyCommand`).
    pub way: Way,
    /// Which addresses of the host are tried (`AddressFamily`).
    pub address_family: AddressFamily,
    /// The own address, or its name, from which connections are made (`BindAddress`).
    pub bind_address: Option<String>,
    /// Ciphers (`Ciphers`); `None`, here and below, are the default ones.
    pub ciphers: Option<AlgorithmList>,
    /// Message authentication codes (`MACs`).
    pub macs: Option<AlgorithmList>,
    /// Key exchange methods (`KexAlgorithms`).
    pub kex_algorithms: Option<AlgorithmList>,
    /// Signature algorithms of host keys (`HostKeyAlgorithms`).
    pub host_key_algorithms: Option<AlgorithmList>,
    /// Signature algorithms for logging in by key (`PubkeyAcceptedAlgorithms`).
    pub pubkey_algorithms: Option<AlgorithmList>,
    /// Ask for compression (`Compression`).
    pub compression: bool,
    /// Number of bytes in one direction after which new keys are exchanged (`RekeyLimit`), at most 128 GiB;
    /// `None` leaves it to the server, up to that.
    pub rekey_limit: Option<u64>,
    /// Time after which new keys are exchanged (the second value of `RekeyLimit`); `None` leaves it to the
    /// server.
    pub rekey_interval: Option<Duration>,
    /// Limit for each of three steps: the way there, key exchange, and log-in. It does not count the time
    /// that a person takes to answer a prompt (`ConnectTimeout`).
    pub connect_timeout: Duration,
    /// Silence of the server after which it is asked for a keepalive reply (`ServerAliveInterval`); `None` never
    /// asks.
    pub alive_interval: Option<Duration>,
    /// Number of such questions without an answer after which the connection counts as lost
    /// (`ServerAliveCountMax`).
    pub alive_count_max: usize,
    /// How long a new client waits for an SSH connection that is lost or silent before it is turned away.
    pub client_patience: Duration,
    /// Time without an answer to a request for a control channel after which the SSH server is asked for a
    /// keepalive reply. After as long again without one, a second control connection is made beside the first.
    pub unanswered: Duration,
    /// How long the log-in for a data lane may take before the data shares what there is.
    pub lane_patience: Duration,
    /// Greatest number of data lanes at once; 0 lets the data share the control connection.
    pub lanes: usize,
}

impl Settings {
    /// How long a server may give no keepalive reply; `None` where it is never asked for one.
    pub(crate) fn patience(&self) -> Option<Duration> {
        let times = u32::try_from(self.alive_count_max).unwrap_or(u32::MAX);
        let interval = self.alive_interval?;
        let patience = interval.saturating_mul(times.saturating_add(1));
        Some(patience.min(LONGEST_PATIENCE))
    }

    /// Settings with ssh's defaults where it has any, no keys, no agent and no known hosts.
    pub fn new(host: impl Into<String>, port: u16, user: impl Into<String>) -> Self {
        Self {
            host: host.into(),
            port,
            user: user.into(),
            identities: Vec::new(),
            identities_only: false,
            agent: None,
            known_hosts: Vec::new(),
            global_known_hosts: Vec::new(),
            host_key_alias: None,
            strict_host_key_checking: StrictHostKeyChecking::Ask,
            certificates: Vec::new(),
            preferred_authentications: None,
            pubkey_authentication: true,
            password_authentication: true,
            kbd_interactive_authentication: true,
            password_prompts: 3,
            batch_mode: false,
            ssh_command: None,
            way: Way::Direct,
            address_family: AddressFamily::Any,
            bind_address: None,
            ciphers: None,
            macs: None,
            kex_algorithms: None,
            host_key_algorithms: None,
            pubkey_algorithms: None,
            compression: false,
            rekey_limit: None,
            rekey_interval: None,
            connect_timeout: Duration::from_secs(30),
            alive_interval: Some(Duration::from_secs(15)),
            alive_count_max: 3,
            client_patience: Duration::from_secs(60),
            unanswered: Duration::from_millis(2500),
            lane_patience: Duration::from_secs(1),
            lanes: usize::from(DEFAULT_LANES),
        }
    }

    /// Asks no question at this destination, or at a jump host on the way there: there is no person.
    #[must_use]
    pub fn unattended(mut self) -> Self {
        self.batch_mode = true;
        if let Way::Jump(hop) = self.way {
            self.way = Way::Jump(Box::new(hop.unattended()));
        }
        self
    }

    /// `user@host`, with the port where it is not 22: how people are told about this destination.
    pub fn destination(&self) -> String {
        match self.port {
            22 => format!("{}@{}", self.user, self.host),
            port if self.host.contains(':') => format!("{}@[{}]:{port}", self.user, self.host),
            port => format!("{}@{}:{port}", self.user, self.host),
        }
    }

    /// The command by which ssh connects to this destination.
    pub fn by_ssh(&self) -> String {
        match (&self.ssh_command, self.port) {
            (Some(command), _) => command.clone(),
            (None, 22) => format!("ssh {}@{}", self.user, self.host),
            (None, port) => format!("ssh -p {port} {}@{}", self.user, self.host),
        }
    }

    /// The jump hosts on the way there, in the order in which they are passed.
    pub fn jump_hosts(&self) -> Vec<&Self> {
        let mut hops = Vec::new();
        let mut way = &self.way;
        while let Way::Jump(hop) = way {
            hops.insert(0, &**hop);
            way = &hop.way;
        }
        hops
    }

    /// The destination with the jump hosts on the way there: `me@server via me@lab`.
    pub fn in_words(&self) -> String {
        let hops: Vec<String> = self
            .jump_hosts()
            .into_iter()
            .map(Self::destination)
            .collect();
        match hops.is_empty() {
            true => self.destination(),
            false => format!("{} via {}", self.destination(), hops.join(", ")),
        }
    }
}

/// The greatest number of data lanes where no other is asked for.
pub const DEFAULT_LANES: u16 = 256;

/// A longer time counts as for ever. Clocks end: added to one, this must not overflow.
const LONGEST_PATIENCE: Duration = Duration::from_secs(i32::MAX as u64);

/// How an SSH server is reached.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Way {
    /// The standard input and output of a command, run by the shell (`ProxyCommand`, its tokens
    /// expanded).
    Command(String),
    /// By TCP.
    #[default]
    Direct,
    /// Through another SSH server (`ProxyJump`), which has a way of its own.
    Jump(Box<Settings>),
}

/// Which addresses of a host are tried, and which are listened on.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum AddressFamily {
    /// Both kinds.
    #[default]
    Any,
    /// IPv4 only.
    Inet,
    /// IPv6 only.
    Inet6,
}

impl AddressFamily {
    /// Whether the address is of this family.
    pub fn has(self, address: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::Inet => address.is_ipv4(),
            Self::Inet6 => address.is_ipv6(),
        }
    }
}

/// A private key file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Identity {
    /// Where it is.
    pub path: PathBuf,
    /// Whether the user named it: a missing one is then warned about. Default ones are skipped silently.
    pub explicit: bool,
}

/// What happens with a host key that is not known, or that is not the known one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StrictHostKeyChecking {
    /// A new key is stored and accepted, a changed one refused.
    AcceptNew,
    /// A person is asked about a new key, a changed one is refused.
    Ask,
    /// As `AcceptNew`. (ssh accepts a changed key then, but forwards nothing.)
    No,
    /// Only known keys.
    Yes,
}
