//! `ferryline forward`: the main command.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::{Args, ValueEnum};
use tokio_util::sync::CancellationToken;

use super::{
    CARRIED, Failure, Verbosity,
    audit::{self, AuditArguments},
    gateway_options::{GatewayArguments, check_bound},
    limits::{LimitArguments, fit_one},
    monitoring::{MonitorArguments, Prepared, Watch},
    runtime, signals,
    ssh_options::SshArguments,
    start_log,
    terminal::{self, Patience},
    waiting::{Attended, attend},
};
use crate::{
    audit::Audit,
    control::{ActiveMode, DataHost, LOWEST_DATA_PORT},
    log_limit::tell_left_out_while,
    monitor::Listen,
    paint::for_locale,
    proxy::{ForwardSpec, Options, Proxy, Tunnels, own_address, reachable},
    ssh::{Findings, Session, Settings, TerminalPrompt},
    transcript::{Keep, make_private},
};

/// The arguments of `ferryline forward`.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    local: LocalArguments,
    #[command(flatten)]
    ssh: SshArguments,
    #[command(flatten)]
    tunnel: TunnelArguments,
    /// Write the log to the end of this file, in place of standard error
    ///
    /// As ssh's -E. A new file is its owner's alone. If the file is moved away or removed, a new one is begun. The
    /// error that ends the program is on standard error, too.
    #[arg(
        short = 'E',
        long,
        value_name = "FILE",
        hide_short_help = true,
        help_heading = "Log"
    )]
    log_file: Option<PathBuf>,
    #[command(flatten)]
    audit: AuditArguments,
    #[command(flatten)]
    monitor: MonitorArguments,
    #[command(flatten)]
    pub(super) verbosity: Verbosity,
}

/// Where clients come in, and where they go.
#[derive(Args, Debug)]
pub(super) struct LocalArguments {
    /// A forward; repeatable. With tcp/ before it a plain local forward
    ///
    /// ftp/ before it is the default. Without BIND it listens on this host's loopback addresses; PORT 0 takes any free one. HOST is as the SSH
    /// server knows it: localhost is the SSH server's own host. HOST * lets each client name its FTP server
    /// (USER name@ftphost; see --allow-host). An IPv6 address has brackets: 2121:[2001:db8::5]:21.
    #[arg(
        short = 'L',
        value_name = "[BIND:]PORT:HOST:HOSTPORT",
        required = true,
        help_heading = "Listening"
    )]
    local_forward: Vec<String>,
}

/// What applies to all forwards, and is not SSH's.
#[derive(Args, Debug)]
pub(super) struct TunnelArguments {
    #[command(flatten)]
    gateway: GatewayArguments,
    #[command(flatten)]
    ftp: FtpArguments,
    #[command(flatten)]
    limits: LimitArguments,
    #[command(flatten)]
    record: RecordArguments,
}

/// How data connections are carried.
#[derive(Args, Debug)]
#[command(next_help_heading = "FTP")]
struct FtpArguments {
    /// Host for passive data connections
    #[arg(long, value_enum, value_name = "WHICH", default_value_t = DataHostArgument::Control, hide_short_help = true)]
    data_host: DataHostArgument,
    /// Lowest port that a passive reply of the FTP server may name, where its passive ports are below
    /// 1024. Other services of that host listen there: give the lowest port of the FTP server's own
    #[arg(long, value_name = "PORT", default_value_t = LOWEST_DATA_PORT, hide_short_help = true,
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    lowest_data_port: u16,
    /// How active data connections (PORT, EPRT) are carried
    #[arg(long, value_enum, value_name = "HOW", default_value_t = ActiveArgument::Auto, hide_short_help = true)]
    active: ActiveArgument,
}

/// Transcripts.
#[derive(Args, Debug)]
#[command(next_help_heading = "Log")]
struct RecordArguments {
    /// Write a transcript of every session into this folder
    ///
    /// Passwords are masked. 'ferryline replay' reads the transcripts.
    #[arg(long, value_name = "DIR", hide_short_help = true)]
    record: Option<PathBuf>,
    /// End a transcript that has reached this many MiB; its session goes on
    #[arg(long, value_name = "MIB", default_value_t = 64, requires = "record", hide_short_help = true,
        value_parser = clap::value_parser!(u16).range(1..=4096))]
    record_limit: u16,
    /// Keep this number of transcripts (1000), or this size of all together (500M, 2G), and remove the oldest;
    /// may be given for both
    #[arg(long, value_name = "NUMBER|SIZE", requires = "record", value_parser = keep, hide_short_help = true)]
    record_keep: Vec<Keep>,
}

/// Under the short help.
pub(super) const EXAMPLES: &str = "\
Examples:
  ferryline forward -L 2121:localhost:21 me@ssh.example   # curl -u NAME ftp://127.0.0.1:2121/
  ferryline forward -g --allow-from 192.0.2.0/24 -L 2121:ftp.internal:21 me@ssh.example
  ferryline forward -L '2121:*:21' --allow-host '*.internal' me@ssh.example  # USER NAME@HOST
'--help' tells more, and has the options that are needed rarely.";

/// Under the long help.
pub(super) const LONG_EXAMPLES: &str = "\
Examples:
  The FTP server on the SSH server's own host, for FTP clients on this host:
    ferryline forward -L 2121:localhost:21 me@ssh.example
    curl -u NAME ftp://127.0.0.1:2121/

  An FTP server behind the SSH server, for clients of a network:
    ferryline forward -g --allow-from 192.0.2.0/24 -L 2121:ftp.internal:21 me@ssh.example

  Any of several FTP servers; the client's FTP user is NAME@ftp.internal:
    ferryline forward -L '2121:*:21' --allow-host '*.internal' me@ssh.example";

/// The validated arguments.
pub(super) struct Plan {
    pub(super) specs: Vec<ForwardSpec>,
    pub(super) settings: Settings,
    pub(super) options: Options,
    pub(super) monitor: MonitorArguments,
}

impl Arguments {
    /// The value of `-c`.
    pub(super) fn file_letter(&self) -> Option<&Path> {
        self.ssh.ciphers_by_letter().map(Path::new)
    }

    /// Sends the log to the file of `-E`, if there is one.
    pub(super) fn open_log(&self) -> Result<(), Failure> {
        match &self.log_file {
            Some(file) => terminal::log_to(file).map_err(Failure::Failed),
            None => Ok(()),
        }
    }

    /// Validates the arguments. The error says what is wrong with them.
    pub(super) fn plan(self) -> Result<Plan, Failure> {
        let specs = self.local.specs()?;
        let mut settings = self.ssh.settings()?;
        let (specs, mut options) = self.tunnel.apply(specs, &self.local)?;
        fit_one(&mut settings.lanes, &mut options);
        Ok(Plan {
            specs,
            settings,
            options,
            monitor: self.monitor,
        })
    }
}

impl LocalArguments {
    /// The forwards as they are written, without what other arguments change in them.
    pub(super) fn specs(&self) -> Result<Vec<ForwardSpec>, Failure> {
        self.local_forward
            .iter()
            .map(|text| text.parse())
            .collect::<Result<Vec<ForwardSpec>, _>>()
            .map_err(|error| Failure::Usage(error.to_string()))
    }
}

impl TunnelArguments {
    /// Validates the arguments together with the forwards, and completes these.
    pub(super) fn apply(
        self,
        mut specs: Vec<ForwardSpec>,
        local: &LocalArguments,
    ) -> Result<(Vec<ForwardSpec>, Options), Failure> {
        let mut options = Options {
            data_host: self.ftp.data_host.into(),
            lowest_data_port: self.ftp.lowest_data_port,
            active: self.ftp.active.into(),
            record: self.record.record,
            record_limit: u64::from(self.record.record_limit) << 20,
            record_keep: Keep {
                files: self
                    .record
                    .record_keep
                    .iter()
                    .filter_map(|keep| keep.files)
                    .min(),
                bytes: self
                    .record
                    .record_keep
                    .iter()
                    .filter_map(|keep| keep.bytes)
                    .min(),
            },
            ..Options::default()
        };
        self.gateway.apply(&mut specs, &mut options)?;
        each_has_its_port(&specs, &local.local_forward)?;
        self.limits.apply(&mut options)?;
        Ok((specs, options))
    }
}

/// Refuses two forwards on one port, which the operating system would put down to another program.
fn each_has_its_port(specs: &[ForwardSpec], texts: &[String]) -> Result<(), Failure> {
    for (second, (spec, text)) in specs.iter().zip(texts).enumerate() {
        let mut before = specs.iter().zip(texts).take(second);
        if let Some((_, first)) = before.find(|(other, _)| spec.collides_with(other)) {
            return Err(Failure::Usage(format!(
                "-L {first} and -L {text} both listen on port {}: give one of them another port (0 takes any free one)",
                spec.port
            )));
        }
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DataHostArgument {
    /// The -L host, at the port of the server's reply
    Control,
    /// The address in the server's reply (for FTP servers whose data is on another host)
    Reply,
    /// The -L host; if that is refused, the address in the reply
    Auto,
}

impl From<DataHostArgument> for DataHost {
    fn from(argument: DataHostArgument) -> Self {
        match argument {
            DataHostArgument::Auto => Self::Auto,
            DataHostArgument::Control => Self::Control,
            DataHostArgument::Reply => Self::Reply,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ActiveArgument {
    /// By a remote forward if the FTP server runs on the SSH server's host, else as passive ones
    Auto,
    /// By a remote forward only
    Remote,
    /// As passive ones, joined to the client's listener
    Passive,
}

impl From<ActiveArgument> for ActiveMode {
    fn from(argument: ActiveArgument) -> Self {
        match argument {
            ActiveArgument::Auto => Self::Auto,
            ActiveArgument::Passive => Self::Passive,
            ActiveArgument::Remote => Self::Remote,
        }
    }
}

/// Parses a number of files, or a size.
fn keep(text: &str) -> Result<Keep, String> {
    let expected = "expected a number of files (1000) or a size with K, M, G or T (500M)";
    let (digits, unit) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (text.get(..at), 1_u64 << 10),
        Some((at, 'm' | 'M')) => (text.get(..at), 1_u64 << 20),
        Some((at, 'g' | 'G')) => (text.get(..at), 1_u64 << 30),
        Some((at, 't' | 'T')) => (text.get(..at), 1_u64 << 40),
        _ => {
            let files = text.parse().ok().filter(|files| *files > 0);
            return Ok(Keep {
                files: Some(files.ok_or(expected)?),
                bytes: None,
            });
        }
    };
    let number: Option<u64> = digits.and_then(|digits| digits.parse().ok());
    let bytes = number
        .and_then(|number| number.checked_mul(unit))
        .filter(|bytes| *bytes > 0);
    Ok(Keep {
        files: None,
        bytes: Some(bytes.ok_or(expected)?),
    })
}

/// Runs until it is asked to stop.
pub(super) fn run(arguments: Arguments, before: Verbosity) -> Result<(), Failure> {
    let verbosity = arguments.verbosity.and(before);
    arguments.open_log()?;
    start_log(verbosity, CARRIED, Patience::Short)?;
    let record = arguments.audit.clone();
    let Plan {
        specs,
        settings,
        mut options,
        monitor,
    } = arguments.plan()?;
    if let Some(folder) = &options.record {
        make_private(folder).map_err(|error| {
            Failure::Failed(format!("cannot record into {}: {error}", folder.display()))
        })?;
    }
    let audit = record.start()?;
    if let Some(audit) = &audit {
        options.books.push(Arc::new(audit.clone()));
    }
    let runtime = runtime()?;
    let done = runtime.block_on(async {
        let monitor = monitor.prepare(&mut options)?;
        if let (Some(monitor), Some(audit)) = (&monitor, &audit) {
            monitor.shows_lost_lines_of(audit);
        }
        let done = forward(
            &specs,
            settings,
            options,
            audit.as_ref(),
            monitor,
            verbosity,
        )
        .await;
        if let Some(audit) = &audit {
            audit.close(audit::LAST_LINES).await;
        }
        done
    });
    // An unanswered question must not delay the end.
    runtime.shutdown_background();
    done
}

async fn forward(
    specs: &[ForwardSpec],
    settings: Settings,
    options: Options,
    audit: Option<&Audit>,
    monitor: Option<Prepared>,
    verbosity: Verbosity,
) -> Result<(), Failure> {
    let stop = signals::stop().map_err(Failure::failed)?;
    // A port in use is reported before the user is asked for a password.
    let proxy = Proxy::bind_in(specs, settings.address_family)
        .await
        .map_err(Failure::failed)?;
    for (spec, addresses) in specs.iter().zip(proxy.addresses()) {
        check_bound(spec, &addresses, &options)?;
    }
    let shown_at = monitor.as_ref().map(Prepared::address);
    let watch = Watch::new(specs, &proxy, &settings, stop.clone(), shown_at);
    let watch = Arc::new(watch);
    let monitor = monitor.map(|monitor| monitor.start(watch.clone()));
    let way = settings.in_words();
    let running = async {
        let Some(ssh) = log_in(settings, &way, verbosity, &stop).await? else {
            return Ok(());
        };
        if let Some(audit) = audit {
            ssh.watch_by(Arc::new(audit.clone()));
        }
        watch.is_up(&ssh);
        announce(&proxy, specs, &way, watch.shown_at())?;
        let tunnels = Tunnels::new(options.max_sessions, options.refusals);
        watch.serves(tunnels.open(&proxy, &ssh, &options, None));
        // The loops that accept clients have the sockets, and close them.
        drop(proxy);
        let running = async {
            stop.cancelled().await;
            tunnels.finish(options.grace).await;
            ssh.close().await;
        };
        tell_left_out_while(running).await;
        Ok(())
    };
    let done = running.await;
    if let Some(monitor) = monitor {
        monitor.stop().await;
    }
    done
}

/// Logs in. `None`: it was asked to stop before.
async fn log_in(
    settings: Settings,
    way: &str,
    verbosity: Verbosity,
    stop: &CancellationToken,
) -> Result<Option<Session>, Failure> {
    let prompt = Arc::new(Attended::new(TerminalPrompt));
    let findings = Findings::default();
    let connecting = Session::connect_and_tell(settings, prompt.clone(), findings.clone());
    let connected = tokio::select! {
        connected = attend(connecting, way, &prompt, || false, &findings, verbosity) => connected,
        () = stop.cancelled() => return Ok(None),
    };
    let ssh = connected.map_err(Failure::failed)?;
    tracing::info!(
        "logged in to {way}, {}",
        findings.server_version().unwrap_or_default()
    );
    Ok(Some(ssh))
}

/// Prints one line for each forward on standard output, and one with the place of the metrics: a person and a script
/// can both wait for it. The program neither stops nor waits if the line is not read.
fn announce(
    proxy: &Proxy,
    specs: &[ForwardSpec],
    way: &str,
    shown_at: Option<&Listen>,
) -> Result<(), Failure> {
    let out = terminal::stdout().map_err(Failure::failed)?;
    for (spec, addresses) in specs.iter().zip(proxy.addresses()) {
        let places = reachable(&addresses);
        let Some(address) = places.first() else {
            continue;
        };
        let line = format!(
            "{}://{address} → {way} → {}\n",
            spec.kind,
            spec.destination()
        );
        out.push(for_locale(&line).as_bytes());
        for more in places.iter().skip(1) {
            tracing::info!("{}://{address} can be reached at {more}, too", spec.kind);
        }
        if let Some(port) = address.strip_prefix("*:")
            && let Some(own) = own_address()
        {
            tracing::info!(
                "{}://{address} is each address of this host, such as {own}:{port}",
                spec.kind
            );
        }
    }
    if let Some(shown_at) = shown_at {
        let line = format!("{shown_at} → metrics, health and running transfers\n");
        out.push(for_locale(&line).as_bytes());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_a_number_of_files_or_a_size() {
        let files = |files| Keep {
            files: Some(files),
            bytes: None,
        };
        let bytes = |bytes| Keep {
            files: None,
            bytes: Some(bytes),
        };
        assert_eq!(keep("1000"), Ok(files(1000)));
        assert_eq!(keep("500M"), Ok(bytes(500 << 20)));
        assert_eq!(keep("2g"), Ok(bytes(2 << 30)));
        for text in [
            "",
            "0",
            "0M",
            "-1",
            "M",
            "1.5G",
            "10MB",
            "16777216T",
            "\u{e4}",
        ] {
            assert!(keep(text).is_err(), "{text}");
        }
    }
}
