//! The tables of the file. Each is a command of its own for clap, with the definitions of `forward` where it has
//! its options.

use std::path::PathBuf;

use clap::{CommandFactory, Parser};

use super::table::Keys;
use crate::{
    audit,
    cli::{
        Failure,
        forward::{LocalArguments, TunnelArguments},
        limits::{MAX_SESSIONS, SESSIONS},
        log_form::LogFormat,
        monitoring::MonitorArguments,
        ssh_options::SshArguments,
    },
    monitor::{Hosts, Listen},
    proxy::{ForwardSpec, Options},
    ssh::Settings,
};

/// A table `[ssh.NAME]`.
#[derive(Debug, Parser)]
#[command(name = "ssh", no_binary_name = true, disable_help_flag = true)]
pub(super) struct SshTable {
    #[command(flatten)]
    ssh: SshArguments,
}

/// A table `[tunnel.NAME]`.
#[derive(Debug, Parser)]
#[command(name = "tunnel", no_binary_name = true, disable_help_flag = true)]
pub(super) struct TunnelTable {
    #[command(flatten)]
    local: LocalArguments,
    #[command(flatten)]
    tunnel: TunnelArguments,
}

/// The table `[limits]`.
#[derive(Debug, Parser)]
#[command(name = "limits", no_binary_name = true, disable_help_flag = true)]
pub(super) struct LimitsTable {
    /// Clients served at once, over all tunnels; one more gets 421
    #[arg(long, value_name = "N", default_value_t = MAX_SESSIONS, value_parser = SESSIONS.parser())]
    max_sessions: u32,
}

/// The table `[log]`.
#[derive(Debug, Parser)]
#[command(name = "log", no_binary_name = true, disable_help_flag = true)]
pub(super) struct LogTable {
    /// What is logged: 1 connections, 2 each line of control connections, 3 SSH; 0 warnings and what was carried
    ///
    /// As often as -v is given to 'forward'. Read at the start only; -v of 'serve' adds to it.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=3))]
    verbose: u8,
    /// How the log is written: for people, or a JSON object in each line. Read at the start only
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<LogFormat>,
}

/// The table `[audit]`.
#[derive(Debug, Parser)]
#[command(name = "audit", no_binary_name = true, disable_help_flag = true)]
pub(super) struct AuditTable {
    /// Append a line to this file for each transfer, log-in, refused client and SSH connection
    ///
    /// It is opened anew at each reload, for logrotate. Which file it is, is read at the start only.
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// Leave the SHA-256 of what was carried out of it
    #[arg(long)]
    no_sha256: bool,
}

/// The table `[metrics]`.
#[derive(Debug, Parser)]
#[command(name = "metrics", no_binary_name = true, disable_help_flag = true)]
pub(super) struct MetricsTable {
    /// Where metrics, health and the running transfers are shown: 127.0.0.1:PORT or unix:/PATH
    ///
    /// See --metrics of 'forward'. Read at the start only.
    #[arg(long, value_name = "LISTEN")]
    listen: Listen,
    /// A name of this host that requests may have besides those of loopback addresses
    #[arg(long, value_name = "NAME")]
    host: Vec<Hosts>,
}

/// The tables, each with its keys.
pub(super) fn tables() -> [(&'static str, Keys); 6] {
    [
        ("tunnel", keys::<TunnelTable>("[tunnel.NAME]".into())),
        ("ssh", keys::<SshTable>("[ssh.NAME]".into())),
        ("limits", keys::<LimitsTable>("[limits]".into())),
        ("log", keys::<LogTable>("[log]".into())),
        ("audit", keys::<AuditTable>("[audit]".into())),
        ("metrics", keys::<MetricsTable>("[metrics]".into())),
    ]
}

impl SshTable {
    pub(super) fn settings(&self) -> Result<Settings, Failure> {
        self.ssh.settings()
    }
}

impl TunnelTable {
    pub(super) fn apply(self) -> Result<(Vec<ForwardSpec>, Options), Failure> {
        self.tunnel.apply(self.local.specs()?, &self.local)
    }
}

impl LimitsTable {
    pub(super) fn max_sessions(&self) -> u32 {
        self.max_sessions
    }
}

impl MetricsTable {
    pub(super) fn metrics(self) -> MonitorArguments {
        MonitorArguments::at(self.listen, self.host)
    }
}

impl LogTable {
    pub(super) fn verbose(&self) -> u8 {
        self.verbose
    }

    pub(super) fn format(&self) -> Option<LogFormat> {
        self.format
    }
}

impl AuditTable {
    pub(super) fn settings(self) -> audit::Settings {
        audit::Settings {
            file: self.file,
            sha256: !self.no_sha256,
        }
    }
}

/// The keys of a table, by the name that problems give it.
pub(super) fn keys<T: CommandFactory>(table: String) -> Keys {
    Keys::new(T::command(), table)
}
