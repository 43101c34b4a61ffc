//! Who takes part in a session.

use std::{net::SocketAddr, sync::Arc, time::SystemTime};

use crate::ssh::ServerFacts;

/// Who takes part in a session.
#[derive(Clone, Debug)]
pub struct SessionFacts {
    /// Its number in the log; no other session of this process has it.
    pub number: u64,
    /// The name of the tunnel, or the forward as `-L` writes it.
    pub tunnel: Arc<str>,
    /// The client's address.
    pub peer: SocketAddr,
    /// The client's local user, where the kernel tells.
    pub local_user: Option<u32>,
    /// The FTP server as the user knows it: `host:port`, or how clients name it.
    pub server: String,
    /// `user@host` of the SSH server.
    pub ssh: String,
    /// What the SSH connection has shown of that server, and how it was logged in to; `None`: there has been none.
    pub ssh_server: Option<Arc<ServerFacts>>,
    /// When the client was accepted.
    pub began: SystemTime,
}
