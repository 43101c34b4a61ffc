//! Who a session is connected with: for those who keep records of it.

use std::net::SocketAddr;

/// The SSH server of a control connection, and what proved who is who.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFacts {
    /// The server, as `host:port`: the name or address that was asked for.
    pub server: String,
    /// The address that this host is connected to; `None` where a jump host or another program makes the connection.
    pub address: Option<SocketAddr>,
    /// The user that was logged in.
    pub user: String,
    /// The fingerprint of the key that logged the user in, the last one where the server wanted several, as
    /// OpenSSH shows it: `SHA256:…`. `None`: no key did.
    pub key: Option<String>,
    /// The fingerprint of the server's host key.
    pub host_key: Option<String>,
}

/// Is told of each control connection. It is called by the task that keeps the connection up, and must return at once.
pub trait Watcher: Send + Sync {
    /// A control connection is up, the first one or one in the place of another.
    fn up(&self, server: &ServerFacts);

    /// The control connection is lost, and another one is about to be made. (A connection that is closed on request is
    /// not lost.)
    fn lost(&self, server: &ServerFacts, reason: &str);
}
