//! Where an SSH connection has ended up, as far as this host can tell.

use std::net::SocketAddr;

/// The address at the end of the TCP connection, and that of each jump host before it. A further connection
/// to the same place leads to the same host, unless something else chooses the host: a ProxyCommand, or a
/// jump host that resolves a name.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Place {
    /// The address that this host is connected to; `None` where something else makes the connection.
    pub(crate) peer: Option<SocketAddr>,
    /// The place of the jump host on the way.
    pub(crate) hop: Option<Box<Self>>,
}
