//! What the monitor shows of the service.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use tokio_util::sync::CancellationToken;

use super::loops::Loops;
use crate::{
    lock::lock,
    monitor::{Monitor, Sources, SshState, TunnelState},
    ssh::Session,
};

/// What the monitor shows of the service.
pub(super) struct Shown {
    served: Mutex<Served>,
    stop: CancellationToken,
}

/// What is served at the moment.
#[derive(Default)]
pub(super) struct Served {
    pub(super) loops: Loops,
    pub(super) tunnels: Vec<TunnelState>,
    pub(super) ssh: Vec<Way>,
}

/// An SSH connection.
pub(super) struct Way {
    pub(super) name: String,
    pub(super) destination: String,
    pub(super) session: Session,
}

impl Shown {
    pub(super) fn new(served: Served, stop: CancellationToken) -> Self {
        Self {
            served: Mutex::new(served),
            stop,
        }
    }

    /// Shows this from now on.
    pub(super) fn put(&self, served: Served) {
        let before = std::mem::replace(&mut *lock(&self.served), served);
        // Not dropped under the lock.
        drop(before);
    }
}

impl Sources for Shown {
    fn tunnels(&self) -> Vec<TunnelState> {
        lock(&self.served).tunnels.clone()
    }

    fn ssh(&self) -> Vec<SshState> {
        let served = lock(&self.served);
        let states = served.ssh.iter().map(|way| SshState {
            name: way.name.clone(),
            destination: way.destination.clone(),
            stats: way.session.stats(),
            failure: way.session.failure(),
        });
        states.collect()
    }

    fn hindrances(&self) -> Vec<String> {
        match self.stop.is_cancelled() {
            true => vec!["ferryline is being stopped".to_owned()],
            false => Vec::new(),
        }
    }

    fn answers(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let loops = lock(&self.served).loops.clone();
        Box::pin(async move { loops.answer().await })
    }
}

/// How the last reload went, as metrics.
#[derive(Debug, Default)]
pub(super) struct Reloads {
    failed: AtomicBool,
    /// When a configuration was put in force, in seconds since 1970.
    at: AtomicU64,
}

impl Reloads {
    /// Notes that a configuration was put in force.
    pub(super) fn succeeded(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        self.at
            .store(now.unwrap_or_default().as_secs(), Ordering::Relaxed);
        self.failed.store(false, Ordering::Relaxed);
    }

    /// Notes that the old one has stayed.
    pub(super) fn failed(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Has the monitor show it.
    pub(super) fn show(self: &Arc<Self>, monitor: &Monitor) {
        let (reloads, times) = (Arc::clone(self), Arc::clone(self));
        let help = "Whether the last reload put its configuration in force.";
        monitor.gauge("ferryline_config_last_reload_successful", help, move || {
            Some(f64::from(u8::from(!reloads.failed.load(Ordering::Relaxed))))
        });
        let help = "When the configuration in force was read, in seconds since 1970.";
        let name = "ferryline_config_last_reload_success_timestamp_seconds";
        // A time in seconds is far from the bounds of a double.
        #[expect(clippy::cast_precision_loss)]
        monitor.gauge(name, help, move || {
            Some(times.at.load(Ordering::Relaxed) as f64)
        });
    }
}
