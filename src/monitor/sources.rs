//! What the monitor asks of those that it watches.

use std::{future::Future, net::SocketAddr, pin::Pin, sync::Arc};

use crate::ssh::Stats;

/// What the monitor watches. All is asked anew each time, and answered at once.
pub trait Sources: Send + Sync + 'static {
    /// The tunnels, in the order in which they are shown.
    fn tunnels(&self) -> Vec<TunnelState>;

    /// The SSH connections, in the order in which they are shown.
    fn ssh(&self) -> Vec<SshState>;

    /// What else keeps clients from being served, in words: a stop, a listener that is not bound.
    fn hindrances(&self) -> Vec<String>;

    /// Is done when each loop that has to run has shown that it does.
    fn answers(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// A tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelState {
    /// Its name, as sessions have it in [`SessionFacts`](crate::proxy::SessionFacts).
    pub name: Arc<str>,
    /// Where it listens.
    pub listens: Vec<SocketAddr>,
    /// The FTP server, as the user knows it.
    pub server: String,
    /// The name of its SSH connection.
    pub ssh: String,
}

/// An SSH connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SshState {
    /// Its name.
    pub name: String,
    /// The destination, as shown to people.
    pub destination: String,
    /// What it holds; all zero before the first log-in.
    pub stats: Stats,
    /// Why it is not up, where that is known.
    pub failure: Option<String>,
}
