//! What is to be served.

use std::collections::BTreeMap;

use crate::{
    proxy::{ForwardSpec, Options},
    ssh::Settings,
};

/// What is to be served. It is valid: each tunnel's SSH connection is there, and no two tunnels listen at one
/// place, as far as that can be told without the operating system.
#[derive(Clone)]
pub struct Configuration {
    /// The SSH connections, by their names.
    pub ssh: BTreeMap<String, Settings>,
    /// The tunnels, by their names.
    pub tunnels: BTreeMap<String, TunnelSettings>,
    /// The greatest number of clients that are served at once, over all tunnels.
    pub max_sessions: usize,
    /// The greatest number of refused clients that are waited for. What it is at the start stays.
    pub refusals: usize,
}

/// A tunnel that is to be served.
#[derive(Clone)]
pub struct TunnelSettings {
    /// The name of its SSH connection.
    pub ssh: String,
    /// Where clients come in, and where they go.
    pub forwards: Vec<ForwardSpec>,
    /// What applies to all of them.
    pub options: Options,
    /// The words from which all this was made. Where they are the same in two configurations, the tunnel is the
    /// same.
    pub said: Vec<String>,
}

/// A part of the program that holds files open, which are moved away now and then (logrotate).
pub trait Reopen: Send + Sync {
    /// Opens its files anew. Called at each reload, also where the configuration has a mistake in it.
    ///
    /// # Errors
    ///
    /// What could not be opened; the part goes on with what it has.
    fn reopen(&self) -> Result<(), String>;
}
