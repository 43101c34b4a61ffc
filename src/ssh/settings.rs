//! What the command line and the ssh configuration decided about one destination.

use std::path::PathBuf;
use std::time::Duration;

/// Validated settings of one SSH destination. The field comments name the `ssh_config` keyword each
/// one mirrors.
#[derive(Clone, Debug)]
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
    /// Whether passwords may be used, over `password` or `keyboard-interactive`
    /// (`PasswordAuthentication`).
    pub password_authentication: bool,
    /// Never ask anything (`BatchMode`).
    pub batch_mode: bool,
    /// Limit for TCP, key exchange and log-in each, without the time a person takes to answer a
    /// prompt (`ConnectTimeout`).
    pub connect_timeout: Duration,
    /// After so long without a word from the server, ask it for a sign of life
    /// (`ServerAliveInterval`); `None` never asks.
    pub alive_interval: Option<Duration>,
    /// After so many unanswered such questions the connection counts as lost (`ServerAliveCountMax`).
    pub alive_count_max: usize,
    /// New keys after so many bytes in either direction (`RekeyLimit`); `None`: after 1 GiB, which is
    /// also the most, and in any case after an hour. The server may ask for them sooner.
    pub rekey_limit: Option<u64>,
    /// At most so many data lanes at once; 0 lets the data share the control connection.
    pub lanes: usize,
}

impl Settings {
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
            password_authentication: true,
            batch_mode: false,
            connect_timeout: Duration::from_secs(30),
            alive_interval: Some(Duration::from_secs(15)),
            alive_count_max: 3,
            rekey_limit: None,
            lanes: 8,
        }
    }

    /// `user@host`, with the port where it is not 22: how people are told about this destination.
    pub fn destination(&self) -> String {
        match self.port {
            22 => format!("{}@{}", self.user, self.host),
            port if self.host.contains(':') => format!("{}@[{}]:{port}", self.user, self.host),
            port => format!("{}@{}:{port}", self.user, self.host),
        }
    }
}

/// A private key file.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Where it is.
    pub path: PathBuf,
    /// Whether somebody named it: a missing one is then warned about. Default ones are skipped
    /// silently.
    pub explicit: bool,
}

/// What happens with a host key that is not known, or that is not the known one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StrictHostKeyChecking {
    /// A new key is stored and accepted, a changed one refused.
    AcceptNew,
    /// A person is asked about a new key, a changed one is refused.
    Ask,
    /// A new key is stored and accepted; a changed one is accepted with a warning, but no password
    /// is then given to the server.
    No,
    /// Only known keys.
    Yes,
}
