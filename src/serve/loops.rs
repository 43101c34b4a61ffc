//! The loops that have to run.

use std::sync::Arc;

use crate::{proxy::Tunnel, ssh::Session};

/// What has to show that it runs.
#[derive(Clone, Default)]
pub(super) struct Loops {
    sessions: Vec<Session>,
    tunnels: Vec<Arc<Tunnel>>,
}

impl Loops {
    pub(super) fn new(sessions: Vec<Session>, tunnels: Vec<Arc<Tunnel>>) -> Self {
        Self { sessions, tunnels }
    }

    /// Returns when all of them have shown that they run, or have ended.
    pub(super) async fn answer(&self) {
        for session in &self.sessions {
            session.answers().await;
        }
        for tunnel in &self.tunnels {
            tunnel.answers().await;
        }
    }
}
