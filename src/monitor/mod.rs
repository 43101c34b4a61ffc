//! Metrics, health and the view of what runs, for programs and people on this host.
//!
//! # Layout
//!
//! - `sources`: what the monitor asks of those that it watches, [`Sources`]
//! - `direction`: which way a transfer goes
//! - `metrics`: what is counted, as a [`Books`]; `exposition`: how Prometheus reads it; `process`: what the
//!   operating system knows of this process
//! - `history`: the last failures, as a [`Books`], and the last hour's throughput
//! - `sessions`: what there is at the moment, as JSON
//! - `listen`: the address, and the socket
//! - `hosts`: which names a request may call this host by
//! - `routes`: what answers which request; `http`: the connections
//! - `page/`: the page for a browser

mod direction;
mod exposition;
mod history;
mod hosts;
mod http;
mod listen;
mod metrics;
mod process;
mod routes;
mod sessions;
mod sources;

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinHandle, time::MissedTickBehavior};
use tokio_util::sync::{CancellationToken, DropGuard};

pub use self::{
    direction::Direction,
    history::Failure,
    hosts::Hosts,
    listen::{Bound, Listen, ListenError},
    sessions::{Now, Session, Ssh, Transfer, Tunnel},
    sources::{Sources, SshState, TunnelState},
};
use self::{
    exposition::{Kind, Reading},
    history::{History, STEP},
    metrics::Metrics,
    routes::Routes,
};
use crate::proxy::{Books, LiveSessions};

/// Counts what the sessions do, and remembers what failed. It counts from here on; [`start`] shows it to others.
#[derive(Clone)]
pub struct Monitor {
    metrics: Arc<Metrics>,
    history: Arc<History>,
}

impl Monitor {
    /// `live`: where the sessions are shown; see [`Options::live`](crate::proxy::Options::live).
    pub fn new(live: LiveSessions) -> Self {
        Self {
            metrics: Arc::new(Metrics::new(live)),
            history: Arc::default(),
        }
    }

    /// Those that keep the books, for [`Options::books`](crate::proxy::Options::books).
    pub fn books(&self) -> [Arc<dyn Books>; 2] {
        let metrics: Arc<dyn Books> = Arc::clone(&self.metrics) as _;
        let history: Arc<dyn Books> = Arc::clone(&self.history) as _;
        [metrics, history]
    }

    /// Adds a counter of another part. Its name ends in `_total`; `read` is called at each scrape, and must return
    /// at once.
    pub fn counter(
        &self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        // The library writes the suffix of a counter.
        let name = name.strip_suffix("_total").unwrap_or(name);
        let kind = Kind::Counter(Box::new(read));
        self.metrics.add(Reading { name, help, kind });
    }

    /// Adds a gauge of another part; `None`: there is no value yet. `read` is called at each scrape, and must
    /// return at once.
    pub fn gauge(
        &self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> Option<f64> + Send + Sync + 'static,
    ) {
        let kind = Kind::Gauge(Box::new(read));
        self.metrics.add(Reading { name, help, kind });
    }
}

/// A monitor that others can ask, until this is dropped or stopped.
#[derive(Debug)]
pub struct Running {
    _end: DropGuard,
    serving: JoinHandle<()>,
}

impl Running {
    /// Ends it, and waits until its socket is gone.
    pub async fn stop(self) {
        let Self { _end: end, serving } = self;
        drop(end);
        // It is waited for, not asked how it went.
        let _ = serving.await;
    }
}

/// Answers those who ask at this socket. It must be called in a tokio runtime.
pub fn start(bound: Bound, monitor: &Monitor, sources: Arc<dyn Sources>, hosts: Hosts) -> Running {
    let end = CancellationToken::new();
    let (metrics, history) = (Arc::clone(&monitor.metrics), Arc::clone(&monitor.history));
    for tunnel in sources.tunnels() {
        metrics.know(&tunnel.name);
    }
    let routes = Arc::new(Routes {
        metrics: Arc::clone(&metrics),
        history: Arc::clone(&history),
        sources,
        hosts,
        may_end: bound.is_unix(),
    });
    let ended = end.clone();
    let serving = tokio::spawn(async move {
        let sampling = async {
            let mut steps = tokio::time::interval(STEP);
            steps.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                steps.tick().await;
                history.note(metrics.moved());
            }
        };
        tokio::select! {
            () = http::serve(&bound, &routes) => {}
            () = sampling => {}
            () = ended.cancelled() => {}
        }
    });
    Running {
        _end: end.drop_guard(),
        serving,
    }
}

/// How long the loops have to show that they run.
const LOOPS_ANSWER: Duration = Duration::from_secs(2);
