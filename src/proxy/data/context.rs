//! What the data connections of a session need to know about it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use super::prefetch::ForwardPrefetch;
use crate::{
    control::Target,
    proxy::{
        policy::{
            allow::{HostPattern, is_allowed},
            gateway::Gateway,
            owner::Owner,
        },
        trace::warnings::Warnings,
    },
    ssh,
};

/// What the data connections of a session need to know about it.
pub(crate) struct DataContext {
    /// The number of the session, for the log.
    pub(crate) session: u64,
    pub(crate) ssh: ssh::Session,
    pub(crate) client_peer: SocketAddr,
    pub(crate) client_local: SocketAddr,
    pub(crate) server: Target,
    pub(crate) gateway: Gateway,
    /// The only hosts that the data may come from; set where the client named its FTP server.
    pub(crate) only_hosts: Option<Vec<HostPattern>>,
    /// The client's user, where the kernel tells.
    pub(crate) owner: Owner,
    pub(crate) warnings: Arc<Warnings>,
    /// The remote forward for the next active transfer.
    pub(crate) prefetch: ForwardPrefetch,
    /// How long the client's first bytes wait for its transfer to begin.
    pub(crate) early_data: Duration,
    /// How long a data connection that has outlived its session may stand still.
    pub(crate) still_data: Duration,
    /// See [`Options::last_word`](crate::proxy::Options::last_word).
    pub(crate) last_word: Duration,
}

impl DataContext {
    /// Whether a data connection may go to this host: the FTP server's own, or, where an FTP server's reply
    /// may name another host, one that the client itself might have named.
    pub(crate) fn may_reach(&self, host: &str) -> bool {
        let Some(allowed) = &self.only_hosts else {
            return true;
        };
        host == self.server.host || is_allowed(allowed, host)
    }
}
