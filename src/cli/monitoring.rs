//! `--metrics`: what is shown of a tunnel that runs.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, OnceLock},
};

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::Failure;
use crate::{
    audit::Audit,
    monitor::{self, Bound, Hosts, Listen, Monitor, Running, Sources, SshState, TunnelState},
    proxy::{ForwardSpec, Options, Proxy, Tunnel},
    serve::Door,
    ssh::{Session, Settings, Stats},
};

/// What is shown of what runs.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "Monitoring")]
pub(super) struct MonitorArguments {
    /// Show metrics (Prometheus), health and the running transfers at 127.0.0.1:PORT or unix:/PATH
    ///
    /// A browser finds a page at /, Prometheus /metrics, a health check /healthz and /readyz. All programs of this
    /// host can ask at a port, and read names of users and files there. A Unix socket is its owner's and its group's;
    /// 'ferryline top' asks there, too, and can end sessions.
    #[arg(long, value_name = "LISTEN", hide_short_help = true)]
    metrics: Option<Listen>,
    /// Answer requests for metrics that call this host by this name, too, as those that a web server passes on
    #[arg(
        long,
        value_name = "NAME",
        requires = "metrics",
        hide_short_help = true
    )]
    metrics_host: Vec<Hosts>,
}

/// A socket for those who ask, and the counters that they will see.
pub(super) struct Prepared {
    bound: Bound,
    monitor: Monitor,
    hosts: Hosts,
}

impl MonitorArguments {
    /// As if these had been given.
    pub(super) fn at(listen: Listen, hosts: Vec<Hosts>) -> Self {
        Self {
            metrics: Some(listen),
            metrics_host: hosts,
        }
    }

    /// Binds the socket, and has the counters told what happens. `None`: no address was given.
    pub(super) fn prepare(self, options: &mut Options) -> Result<Option<Prepared>, Failure> {
        let Some(listen) = self.metrics else {
            return Ok(None);
        };
        let bound = Bound::bind(&listen).map_err(Failure::failed)?;
        let monitor = Monitor::new(options.live.clone());
        options.books.extend(monitor.books());
        Ok(Some(Prepared {
            bound,
            monitor,
            hosts: self.metrics_host.into_iter().collect(),
        }))
    }
}

impl Prepared {
    /// Where they ask.
    pub(super) fn address(&self) -> Listen {
        self.bound.address()
    }

    /// Shows how many lines of the audit record were lost.
    pub(super) fn shows_lost_lines_of(&self, audit: &Audit) {
        let audit = audit.clone();
        let help = "Lines that the audit record has lost.";
        let name = "ferryline_audit_lines_lost_total";
        self.monitor.counter(name, help, move || audit.lost_lines());
    }

    /// For the service, which answers them itself.
    pub(super) fn into_door(self) -> Door {
        Door {
            bound: self.bound,
            monitor: self.monitor,
            hosts: self.hosts,
        }
    }

    /// Answers them.
    pub(super) fn start(self, watch: Arc<Watch>) -> Running {
        monitor::start(self.bound, &self.monitor, watch, self.hosts)
    }
}

/// What is shown of one `ferryline forward`.
pub(super) struct Watch {
    tunnels: Vec<TunnelState>,
    name: String,
    destination: String,
    /// Once it has logged in.
    ssh: OnceLock<Session>,
    /// The loops that accept clients, once they run.
    tunnel: OnceLock<Tunnel>,
    stop: CancellationToken,
    shown_at: Option<Listen>,
}

impl Watch {
    pub(super) fn new(
        specs: &[ForwardSpec],
        proxy: &Proxy,
        settings: &Settings,
        stop: CancellationToken,
        shown_at: Option<Listen>,
    ) -> Self {
        let tunnels = specs
            .iter()
            .zip(proxy.addresses())
            .map(|(spec, listens)| TunnelState {
                name: spec.to_string().into(),
                listens,
                server: spec.destination(),
                ssh: settings.host.clone(),
            });
        Self {
            tunnels: tunnels.collect(),
            name: settings.host.clone(),
            destination: settings.destination(),
            ssh: OnceLock::new(),
            tunnel: OnceLock::new(),
            stop,
            shown_at,
        }
    }

    /// Notes that clients are accepted.
    pub(super) fn serves(&self, tunnel: Tunnel) {
        let _ = self.tunnel.set(tunnel);
    }

    /// Where it is shown.
    pub(super) fn shown_at(&self) -> Option<&Listen> {
        self.shown_at.as_ref()
    }

    /// Notes that it has logged in.
    pub(super) fn is_up(&self, ssh: &Session) {
        // It logs in once.
        let _ = self.ssh.set(ssh.clone());
    }
}

impl Sources for Watch {
    fn tunnels(&self) -> Vec<TunnelState> {
        self.tunnels.clone()
    }

    fn ssh(&self) -> Vec<SshState> {
        let session = self.ssh.get();
        let failure = match session {
            Some(session) => session.failure(),
            None => Some("it is still being made".to_owned()),
        };
        vec![SshState {
            name: self.name.clone(),
            destination: self.destination.clone(),
            stats: session.map_or_else(Stats::default, Session::stats),
            failure,
        }]
    }

    fn hindrances(&self) -> Vec<String> {
        match self.stop.is_cancelled() {
            true => vec!["ferryline is being stopped".to_owned()],
            false => Vec::new(),
        }
    }

    fn answers(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            if let Some(ssh) = self.ssh.get() {
                ssh.answers().await;
            }
            if let Some(tunnel) = self.tunnel.get() {
                tunnel.answers().await;
            }
        })
    }
}
