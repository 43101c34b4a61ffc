//! The metrics as Prometheus reads them (text format 0.0.4). The only place that names the library for it.
//!
//! Labels are names of the configuration and of ferryline's own: never users, files or peers, which would be without
//! number.

use std::{collections::BTreeMap, fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, prometheus_text},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge, histogram::Histogram},
    registry::Registry,
};

use super::{
    direction::Direction,
    process,
    sources::{Sources, SshState},
};
use crate::proxy::{EndedBy, Outcome, Transferred};

/// The type of the text.
pub(super) const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// Bounds of the buckets for the times of transfers, in seconds: a listing on a near server to a large file on a long
/// link.
const SECONDS: [f64; 9] = [0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0];

/// What is counted of one tunnel.
#[derive(Clone, Debug)]
pub(super) struct Counts {
    /// Sessions that there are.
    pub(super) live: usize,
    pub(super) sessions: u64,
    pub(super) ends: BTreeMap<EndedBy, u64>,
    pub(super) clients_refused: u64,
    /// Log-ins.
    pub(super) accepted: u64,
    pub(super) refused: u64,
    pub(super) flows: BTreeMap<Direction, Flow>,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            live: 0,
            sessions: 0,
            ends: EndedBy::ALL.into_iter().map(|by| (by, 0)).collect(),
            clients_refused: 0,
            accepted: 0,
            refused: 0,
            flows: Direction::ALL
                .into_iter()
                .map(|direction| (direction, Flow::default()))
                .collect(),
        }
    }
}

/// What is counted of the transfers of one direction.
#[derive(Clone, Debug)]
pub(super) struct Flow {
    results: BTreeMap<Outcome, u64>,
    /// Bytes of transfers that are over.
    pub(super) over: u64,
    /// The greatest number of bytes that was shown, with those of transfers that run.
    pub(super) shown: u64,
    seconds: Histogram,
}

impl Flow {
    pub(super) fn add(&mut self, transfer: &Transferred<'_>) {
        *self.results.entry(transfer.outcome).or_default() += 1;
        self.over += transfer.moved.bytes();
        if transfer.outcome == Outcome::Complete {
            self.seconds.observe(transfer.time.as_secs_f64());
        }
    }
}

impl Default for Flow {
    fn default() -> Self {
        let results = [Outcome::Complete, Outcome::Cut, Outcome::Refused];
        Self {
            results: results.into_iter().map(|result| (result, 0)).collect(),
            over: 0,
            shown: 0,
            seconds: Histogram::new(SECONDS),
        }
    }
}

/// What another part counts.
pub(super) struct Reading {
    /// Without the suffix of a counter.
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) kind: Kind,
}

/// How it is read.
pub(super) enum Kind {
    Counter(Box<dyn Fn() -> u64 + Send + Sync>),
    Gauge(Box<dyn Fn() -> Option<f64> + Send + Sync>),
}

/// The text.
pub(super) fn text(
    tunnels: BTreeMap<Arc<str>, Counts>,
    sources: &dyn Sources,
    readings: Vec<Arc<Reading>>,
) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape {
        tunnels,
        ssh: sources.ssh(),
        readings,
    }));
    let mut text = String::new();
    prometheus_text::encode(&mut text, &registry)?;
    Ok(text)
}

/// What one scrape shows.
struct Scrape {
    tunnels: BTreeMap<Arc<str>, Counts>,
    ssh: Vec<SshState>,
    readings: Vec<Arc<Reading>>,
}

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scrape").finish_non_exhaustive()
    }
}

type Label<'a> = (&'static str, &'a str);

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        self.encode_sessions(encoder)?;
        self.encode_transfers(encoder)?;
        self.encode_ssh(encoder)?;
        for reading in &self.readings {
            reading.encode(encoder)?;
        }
        encode_process(encoder)
    }
}

impl Scrape {
    fn encode_sessions(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut live = gauge(
            encoder,
            "ferryline_sessions",
            "FTP sessions that there are.",
        )?;
        for (tunnel, counts) in &self.tunnels {
            number(&mut live, &[("tunnel", tunnel)], counts.live)?;
        }
        let help = "FTP sessions that have begun.";
        let mut sessions = counter(encoder, "ferryline_sessions", help)?;
        for (tunnel, counts) in &self.tunnels {
            count(&mut sessions, &[("tunnel", tunnel)], counts.sessions)?;
        }
        let help = "FTP sessions that have ended, by who ended them.";
        let mut ends = counter(encoder, "ferryline_session_ends", help)?;
        for (tunnel, counts) in &self.tunnels {
            for (by, ended) in &counts.ends {
                let labels = [("tunnel", &**tunnel), ("end", end(*by))];
                count(&mut ends, &labels, *ended)?;
            }
        }
        let help = "Clients that were not served: too many, or not allowed.";
        let mut refused = counter(encoder, "ferryline_clients_refused", help)?;
        for (tunnel, counts) in &self.tunnels {
            count(&mut refused, &[("tunnel", tunnel)], counts.clients_refused)?;
        }
        let help = "Log-ins that the FTP server has answered.";
        let mut log_ins = counter(encoder, "ferryline_logins", help)?;
        for (tunnel, counts) in &self.tunnels {
            for (result, answered) in [("accepted", counts.accepted), ("refused", counts.refused)] {
                let labels = [("tunnel", &**tunnel), ("result", result)];
                count(&mut log_ins, &labels, answered)?;
            }
        }
        Ok(())
    }

    fn encode_transfers(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help =
            "Transfers that are over: complete, cut after they had begun, or refused before.";
        let mut transfers = counter(encoder, "ferryline_transfers", help)?;
        for (tunnel, direction, flow) in self.flows() {
            for (outcome, over) in &flow.results {
                let labels = [
                    ("tunnel", tunnel),
                    ("direction", direction.name()),
                    ("result", result(*outcome)),
                ];
                count(&mut transfers, &labels, *over)?;
            }
        }
        let help = "Bytes over data connections, of running transfers too.";
        let mut bytes = counter(encoder, "ferryline_transfer_bytes", help)?;
        for (tunnel, direction, flow) in self.flows() {
            let labels = [("tunnel", tunnel), ("direction", direction.name())];
            count(&mut bytes, &labels, flow.shown)?;
        }
        let help = "Time of complete transfers, from the command to its final reply.";
        let name = "ferryline_transfer_seconds";
        let mut seconds = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (tunnel, direction, flow) in self.flows() {
            let labels = [("tunnel", tunnel), ("direction", direction.name())];
            flow.seconds.encode(seconds.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn flows(&self) -> impl Iterator<Item = (&str, Direction, &Flow)> {
        self.tunnels.iter().flat_map(|(tunnel, counts)| {
            let flows = counts.flows.iter();
            flows.map(|(direction, flow)| (&**tunnel, *direction, flow))
        })
    }

    fn encode_ssh(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut up = gauge(
            encoder,
            "ferryline_ssh_up",
            "Whether the SSH connection is up.",
        )?;
        for ssh in &self.ssh {
            let is_up = usize::from(ssh.stats.control_is_up);
            number(&mut up, &[("ssh", &ssh.name)], is_up)?;
        }
        let help = "Lost or silent SSH connections that were replaced.";
        let mut reconnects = counter(encoder, "ferryline_ssh_reconnects", help)?;
        for ssh in &self.ssh {
            count(&mut reconnects, &[("ssh", &ssh.name)], ssh.stats.reconnects)?;
        }
        let help = "SSH connections for data.";
        let mut lanes = gauge(encoder, "ferryline_lanes", help)?;
        for ssh in &self.ssh {
            let busy = ssh.stats.lanes_busy;
            let idle = ssh.stats.lanes_open.saturating_sub(busy);
            for (state, lanes_in_it) in [("busy", busy), ("idle", idle)] {
                let labels = [("ssh", ssh.name.as_str()), ("state", state)];
                number(&mut lanes, &labels, lanes_in_it)?;
            }
        }
        Ok(())
    }
}

impl Reading {
    fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Counter(read) => {
                let metric = counter(encoder, self.name, self.help)?;
                ConstCounter::new(read()).encode(metric)
            }
            Kind::Gauge(read) => {
                let Some(value) = read() else {
                    return Ok(());
                };
                let metric = gauge(encoder, self.name, self.help)?;
                ConstGauge::new(value).encode(metric)
            }
        }
    }
}

fn encode_process(encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let help = "The version of ferryline.";
    let mut build = gauge(encoder, "ferryline_build_info", help)?;
    number(&mut build, &[("version", env!("CARGO_PKG_VERSION"))], 1)?;
    let help = "Start time of the process since unix epoch in seconds.";
    let metric = gauge(encoder, "process_start_time_seconds", help)?;
    ConstGauge::new(process::began()).encode(metric)?;
    for (name, help, value) in [
        (
            "process_open_fds",
            "Number of open file descriptors.",
            process::open_files(),
        ),
        (
            "process_max_fds",
            "Maximum number of open file descriptors.",
            process::most_open_files(),
        ),
    ] {
        if let Some(value) = value {
            ConstGauge::new(value).encode(gauge(encoder, name, help)?)?;
        }
    }
    Ok(())
}

fn counter<'a>(
    encoder: &'a mut DescriptorEncoder<'_>,
    name: &'a str,
    help: &str,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    encoder.encode_descriptor(name, help, None, MetricType::Counter)
}

fn gauge<'a>(
    encoder: &'a mut DescriptorEncoder<'_>,
    name: &'a str,
    help: &str,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    encoder.encode_descriptor(name, help, None, MetricType::Gauge)
}

fn count<const N: usize>(
    metric: &mut MetricEncoder<'_>,
    labels: &[Label<'_>; N],
    value: u64,
) -> fmt::Result {
    ConstCounter::new(value).encode(metric.encode_family(labels)?)
}

fn number<const N: usize>(
    metric: &mut MetricEncoder<'_>,
    labels: &[Label<'_>; N],
    value: usize,
) -> fmt::Result {
    let value = u64::try_from(value).unwrap_or(u64::MAX);
    ConstGauge::new(value).encode(metric.encode_family(labels)?)
}

fn result(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Complete => "complete",
        Outcome::Cut => "cut",
        Outcome::Refused => "refused",
    }
}

fn end(by: EndedBy) -> &'static str {
    match by {
        EndedBy::Quit => "quit",
        EndedBy::ClientClosed => "client_closed",
        EndedBy::ClientLost => "client_lost",
        EndedBy::ClientInvalid => "client_invalid",
        EndedBy::ServerClosed => "server_closed",
        EndedBy::ServerLost => "server_lost",
        EndedBy::ServerInvalid => "server_invalid",
        EndedBy::Ferryline => "ferryline",
        EndedBy::Stopped => "stopped",
        EndedBy::NotConnected => "not_connected",
    }
}
