//! What the first connection to a destination found out, step by step. `ferryline check` shows it, also where
//! the connection failed half way.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock},
};

use russh::keys::{HashAlg, PublicKey};

use crate::lock::lock;

/// Filled in while [`Session::connect_and_tell`](super::Session::connect_and_tell) runs. What has not been
/// reached, or is not known, is `None`. A handle that is cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    peer: OnceLock<SocketAddr>,
    version: OnceLock<Arc<OnceLock<String>>>,
    host_key: OnceLock<HostKey>,
    log_in: OnceLock<Vec<String>>,
    no_lane: Mutex<Option<String>>,
    jump_host: OnceLock<Findings>,
}

/// A host key that was accepted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HostKey {
    /// Its algorithm, such as `ssh-ed25519`.
    pub kind: String,
    /// Its fingerprint, as OpenSSH shows it: `SHA256:…`.
    pub fingerprint: String,
    /// The file that holds it, and the line, from 1. `None`: no file did when it was shown.
    pub known: Option<(PathBuf, usize)>,
}

impl Findings {
    /// The address that the TCP connection was made to. `None` also where another program or
    /// another SSH server made it.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.inner.peer.get().copied()
    }

    /// The identification of the SSH server, such as `SSH-2.0-OpenSSH_9.2p1` (RFC 4253 section 4.2),
    /// printable ASCII.
    pub fn server_version(&self) -> Option<String> {
        self.inner.version.get()?.get().cloned()
    }

    /// The host key, once it was accepted.
    pub fn host_key(&self) -> Option<HostKey> {
        self.inner.host_key.get().cloned()
    }

    /// The methods that logged us in, in the order in which the server asked for them. No secrets.
    pub fn authenticated_by(&self) -> Option<&[String]> {
        self.inner.log_in.get().map(Vec::as_slice)
    }

    /// Why the last attempt to open a further SSH connection failed, if it did.
    pub fn no_lane(&self) -> Option<String> {
        lock(&self.inner.no_lane).clone()
    }

    /// What was found out about the jump host that leads to this server; `None`: none does. It may itself be
    /// behind another one.
    pub fn jump_host(&self) -> Option<Self> {
        self.inner.jump_host.get().cloned()
    }

    /// The findings about the jump host that leads to this server, to be filled in.
    pub(super) fn about_jump_host(&self) -> Self {
        self.inner.jump_host.get_or_init(Self::default).clone()
    }

    /// Notes that a socket was connected; `version` will hold its server's identification.
    pub(super) fn connected(&self, peer: Option<SocketAddr>, version: Arc<OnceLock<String>>) {
        if let Some(peer) = peer {
            let _ = self.inner.peer.set(peer);
        }
        let _ = self.inner.version.set(version);
    }

    /// Notes that a host key was accepted; `known` says where it stood before.
    pub(super) fn accepted(&self, key: &PublicKey, known: Option<(PathBuf, usize)>) {
        let _ = self.inner.host_key.set(HostKey {
            kind: key.algorithm().to_string(),
            fingerprint: key.fingerprint(HashAlg::Sha256).to_string(),
            known,
        });
    }

    pub(super) fn logged_in(&self, by: Vec<String>) {
        let _ = self.inner.log_in.set(by);
    }

    pub(super) fn lane_failed(&self, reason: String) {
        *lock(&self.inner.no_lane) = Some(reason);
    }
}
