//! `ferryline serve`: the service, and its file.
//!
//! - `file`: the file as validated settings; `tables`: its tables
//! - `table`: a table as the words of a command line, so that its keys are the options of `forward`
//! - `problem`: what is wrong with the file, with its lines
//! - `credential`: files that the service manager hands over
//! - `manual`: the manual page of the file

mod credential;
mod file;
pub(super) mod manual;
mod problem;
mod table;
mod tables;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;

use self::file::Contents;
use super::{
    Failure, SERVICE, Verbosity,
    audit::LAST_LINES,
    monitoring::{MonitorArguments, Prepared},
    runtime, signals, start_log,
    terminal::{self, Patience},
};
use crate::{
    audit::{self, Audit},
    log_limit::tell_left_out_while,
    paint::for_locale,
    proxy::Options,
    serve::{Reopen, Service, StartError, TunnelSettings, passed_sockets},
    ssh::Settings,
};

/// The arguments of `ferryline serve`.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The file with the tunnels
    #[arg(short = 'c', long = "config", value_name = "FILE", default_value = DEFAULT_FILE)]
    file: PathBuf,
    /// Say what is wrong with the file, and end: exit code 0 where nothing is, else 2
    #[arg(long)]
    check_config: bool,
    /// Print the keys of the file, and end
    #[arg(long, exclusive = true)]
    keys: bool,
    #[command(flatten)]
    verbosity: Verbosity,
}

/// Where the file is, unless another one is named.
pub(super) const DEFAULT_FILE: &str = "/etc/ferryline/ferryline.toml";

/// ssh's letter for its ciphers, which names the file where `check` is told a tunnel.
pub(super) const FILE_LETTER: &str = "-c";

/// Under the help.
pub(super) const EXAMPLES: &str = "\
Examples:
  ferryline serve -c ferryline.toml
  ferryline serve -c ferryline.toml --check-config    # before a reload
  ferryline check -c ferryline.toml --tunnel erp      # is all well on the way of that tunnel?

A file:
  [ssh.dc1]
  destination = \"ferry@ssh.example\"
  identity = \"/etc/ferryline/key\"

  [tunnel.erp]
  ssh = \"dc1\"
  local-forward = \"21:localhost:21\"";

/// Runs the service until it is asked to stop.
pub(super) fn run(arguments: &Arguments, before: Verbosity) -> Result<(), Failure> {
    if arguments.keys {
        return super::generate::print(keys().as_bytes());
    }
    let verbosity = arguments.verbosity.and(before);
    if arguments.check_config {
        start_log(verbosity, SERVICE, Patience::Endless)?;
        for warning in read(&arguments.file, true)?.warnings {
            terminal::tell(&format!("warning: {warning}"));
        }
        return Ok(());
    }
    let runtime = runtime()?;
    let done = {
        let _in_runtime = runtime.enter();
        // First of all: the sockets have the numbers that files get which are opened.
        let passed = passed_sockets().map_err(Failure::Usage)?;
        // The file says how much is logged. What is logged while it is read is told without that.
        let contents = read(&arguments.file, false)?;
        start_log(verbosity.and(contents.verbosity), SERVICE, Patience::Short)?;
        for warning in &contents.warnings {
            tracing::warn!("{warning}");
        }
        let file = arguments.file.clone();
        let in_force = AtStart::of(&contents);
        let read = move || {
            let contents = file::read(&file, false)?;
            for table in in_force.changed(&contents) {
                tracing::warn!("[{table}] has changed: only a restart puts that in force");
            }
            for warning in &contents.warnings {
                tracing::warn!("{warning}");
            }
            Ok(contents.configuration)
        };
        let audit = contents.audit.map(Audit::start).transpose();
        let audit = audit.map_err(Failure::failed)?;
        let metrics = contents.metrics;
        let serving = async {
            let mut options = Options::default();
            let monitor = metrics.prepare(&mut options)?;
            if let Some(audit) = &audit {
                options.books.push(Arc::new(audit.clone()));
                if let Some(monitor) = &monitor {
                    monitor.shows_lost_lines_of(audit);
                }
            }
            let (stop, reloads) = signals::stop_and_reload().map_err(Failure::failed)?;
            let out = terminal::stdout().map_err(Failure::failed)?;
            let service = Service {
                read: Arc::new(read),
                announce: Box::new(move |line| {
                    out.push(for_locale(&format!("{line}\n")).as_bytes());
                }),
                books: options.books,
                live: options.live,
                monitor: monitor.map(Prepared::into_door),
                watchers: audit
                    .iter()
                    .map(|audit| Arc::new(audit.clone()) as _)
                    .collect(),
                reopened: audit
                    .iter()
                    .map(|audit| Arc::new(Reopened(audit.clone())) as _)
                    .collect(),
                passed,
                reloads,
                stop,
            };
            let serving = crate::serve::run(service, contents.configuration);
            let served = tell_left_out_while(serving).await;
            served.map_err(|error| match error {
                StartError::Refused(problems) => Failure::Failed(lines(problems)),
                StartError::Unused(problems) => Failure::Usage(lines(problems)),
            })
        };
        runtime.block_on(async {
            let served = serving.await;
            if let Some(audit) = &audit {
                audit.close(LAST_LINES).await;
            }
            served
        })
    };
    runtime.shutdown_background();
    done
}

/// The audit record, at a reload.
struct Reopened(Audit);

impl Reopen for Reopened {
    fn reopen(&self) -> Result<(), String> {
        self.0.reopen();
        Ok(())
    }
}

/// The settings of one tunnel of a file, and of its SSH connection.
pub(super) fn tunnel(file: &Path, name: &str) -> Result<(Settings, TunnelSettings), Failure> {
    let mut configuration = read(file, false)?.configuration;
    let Some(tunnel) = configuration.tunnels.remove(name) else {
        let names: Vec<String> = configuration.tunnels.into_keys().collect();
        return Err(Failure::Usage(format!(
            "{} has no [tunnel.{name}]; it has {}",
            file.display(),
            names.join(", ")
        )));
    };
    match configuration.ssh.remove(&tunnel.ssh) {
        Some(ssh) => Ok((ssh, tunnel)),
        None => Err(Failure::Usage(format!("there is no [ssh.{}]", tunnel.ssh))),
    }
}

fn read(file: &Path, is_rehearsal: bool) -> Result<Contents, Failure> {
    file::read(file, is_rehearsal).map_err(|problems| Failure::Usage(lines(problems)))
}

/// Problems in one text, each in a line with the program's name in front, as the only one has.
fn lines(problems: Vec<String>) -> String {
    problems.join("\nferryline: ")
}

/// The keys of the file, for people: each table, and each key with what is to be said for it.
fn keys() -> String {
    let mut text = String::new();
    for (kind, keys) in tables::tables() {
        text.push_str(&format!("{}\n", keys.table()));
        if kind == "tunnel" {
            text.push_str(
                "  ssh = \"NAME\"\n      The SSH connection: the name of a table [ssh.NAME]\n",
            );
        }
        for argument in keys.arguments() {
            text.push_str(&keys.in_keys(&key(argument)));
        }
        text.push('\n');
    }
    text
}

/// One key: how it is written, and the help of its option.
fn key(argument: &clap::Arg) -> String {
    use clap::ArgAction;

    let name = table::name(argument);
    let values = argument.get_value_names().unwrap_or_default();
    let value = values.first().map_or("VALUE", |value| value.as_str());
    let form = match argument.get_action() {
        ArgAction::SetTrue => "true".to_owned(),
        _ if name == "option" => "{ Keyword = VALUE, … }".to_owned(),
        _ if ["N", "PORT", "MIB", "BYTES"].contains(&value) => value.to_owned(),
        _ if name == table::JUMP => "\"HOST\" or [\"HOST\", …]".to_owned(),
        ArgAction::Append => format!("\"{value}\" or [\"{value}\", …]"),
        _ => format!("\"{value}\""),
    };
    let help = argument
        .get_long_help()
        .or_else(|| argument.get_help())
        .map_or_else(String::new, ToString::to_string);
    let mut text = format!("  {name} = {form}\n");
    for line in help.lines().map(str::trim).filter(|line| !line.is_empty()) {
        text.push_str(&format!("      {line}\n"));
    }
    let allowed: Vec<String> = argument
        .get_possible_values()
        .iter()
        .map(|value| value.get_name().to_owned())
        .collect();
    if !allowed.is_empty() && argument.get_action().takes_values() {
        text.push_str(&format!("      One of: {}\n", allowed.join(", ")));
    }
    let usual: Vec<String> = argument
        .get_default_values()
        .iter()
        .map(|value| value.to_string_lossy().into_owned())
        .collect();
    if !usual.is_empty() && argument.get_action().takes_values() {
        text.push_str(&format!("      Usual: {}\n", usual.join(", ")));
    }
    text
}
/// The tables that are read at the start only.
struct AtStart {
    verbosity: Verbosity,
    audit: Option<audit::Settings>,
    metrics: MonitorArguments,
}

impl AtStart {
    fn of(contents: &Contents) -> Self {
        Self {
            verbosity: contents.verbosity,
            audit: contents.audit.clone(),
            metrics: contents.metrics.clone(),
        }
    }

    /// The names of those that are different in a file that was read later.
    fn changed(&self, contents: &Contents) -> Vec<&'static str> {
        let differs = [
            ("log", contents.verbosity != self.verbosity),
            ("audit", contents.audit != self.audit),
            ("metrics", contents.metrics != self.metrics),
        ];
        let changed = differs.into_iter().filter(|(_, differs)| *differs);
        changed.map(|(table, _)| table).collect()
    }
}
