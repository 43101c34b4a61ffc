//! The command line. Its options are spelled like ssh's, because its users know ssh.
//!
//! One file for each subcommand. Each turns its low-level arguments into validated settings first, so
//! that it reports wrong arguments before it opens anything.

mod check;
#[cfg(feature = "demo")]
mod demo;
mod destination;
mod forward;
mod gateway_options;
mod limits;
mod range;
mod replay;
mod signals;
mod ssh_config;
mod ssh_options;
mod terminal;

use std::process::ExitCode;

use clap::{ArgAction, Args, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use self::terminal::Patience;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "ferryline",
    version,
    about = "ssh -L that understands FTP: point any FTP client at a local port, and everything it \
             sends and receives, every file too, goes through SSH",
    max_term_width = 100
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Forward local ports to FTP servers through an SSH server
    #[command(
        long_about = "Forward local ports to FTP servers through an SSH server.\n\n\
        Point an FTP client at the local port. Its control connection is carried through the SSH \
        session, and a forward is made for every data connection the moment it is needed: passive \
        (PASV, EPSV) and active (PORT, EPRT)."
    )]
    Forward(Box<forward::Arguments>),
    /// Try each step on the way to the FTP server; say what works, what does not, and why
    #[command(
        long_about = "Takes the same arguments as 'forward', tries each step and prints a line \
        for it (\u{2713} works, \u{2717} does not, \u{2013} not tried), with what to do \
        about it: SSH server, host key, log-in, a second connection, the way to the FTP server, its \
        greeting and features, whether it insists on TLS. With --ftp-user it logs in and lists a \
        folder in all four modes through ferryline itself. Exit code 0 where clients can use at \
        least one mode (without --ftp-user: where no step failed), else 1."
    )]
    Check(Box<check::Arguments>),
    /// Show ferryline at work, with nothing else installed
    #[cfg(feature = "demo")]
    #[command(
        long_about = "Starts an SSH server and an FTP server inside this process, runs \
        ferryline between them, carries files through it in every mode, shows how the control \
        connection is rewritten, and stays up to be tried."
    )]
    Demo(demo::Arguments),
    /// Run recorded sessions through the state machine and show what differs
    #[command(
        long_about = "Feeds the peers' lines of recorded sessions (see 'forward --record') \
        to the state machine that the proxy runs, and compares all else, line for line. Exit code 1 \
        where anything differs. A file that holds only the peers' lines (C> and S<) is run with \
        invented forwards on 127.0.0.1: --show tells what ferryline would have done."
    )]
    Replay(replay::Arguments),
}

/// How much the program logs.
#[derive(Args, Clone, Copy, Debug)]
struct Verbosity {
    /// Log more on standard error: connections (-v), every line of every control connection (-vv),
    /// SSH (-vvv)
    #[arg(short, action = ArgAction::Count)]
    verbose: u8,
    /// Log only the error that ends the program on standard error
    #[arg(short, conflicts_with = "verbose")]
    quiet: bool,
}

/// The reason why a command did not end on request. It decides the exit code.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A step was refused or failed: exit code 1.
    Failed(String),
    /// The command line is wrong: exit code 2.
    Usage(String),
}

impl Failure {
    fn failed(error: impl ToString) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Runs the command line and returns its exit code: 0 stopped on request or all well, 1 failed, 2
/// usage.
pub fn run(cli: Cli) -> ExitCode {
    let done = match cli.command {
        Command::Forward(arguments) => forward::run(*arguments).map(|()| true),
        Command::Check(arguments) => check::run(*arguments),
        #[cfg(feature = "demo")]
        Command::Demo(arguments) => demo::run(&arguments).map(|()| true),
        Command::Replay(arguments) => replay::run(&arguments).map(|()| true),
    };
    let code = match done {
        Ok(true) => ExitCode::SUCCESS,
        // The report has the reason.
        Ok(false) => ExitCode::from(1),
        Err(Failure::Failed(reason)) => {
            terminal::tell(&reason);
            ExitCode::from(1)
        }
        Err(Failure::Usage(reason)) => {
            terminal::tell(&reason);
            ExitCode::from(2)
        }
    };
    terminal::finish();
    code
}

/// What is logged by default: warnings.
const WARNINGS: &str = "ferryline=warn";

/// What a tunnel logs by default: warnings, and what was carried.
const CARRIED: &str = "ferryline=warn,ferryline::carried=info";

/// Sends the log to standard error. `usual` is logged where no option asks for more or less. `RUST_LOG`, where it is set, selects what is logged.
fn start_log(verbosity: Verbosity, usual: &str, patience: Patience) -> Result<(), Failure> {
    let default = match (verbosity.quiet, verbosity.verbose) {
        (true, _) => "off",
        (false, 0) => usual,
        (false, 1) => "ferryline=info",
        (false, 2) => "ferryline=debug",
        (false, _) => "ferryline=trace,russh=debug",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let stderr = terminal::start(patience).map_err(|error| {
        Failure::Failed(format!("cannot start: no thread for the log: {error}"))
    })?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || stderr.clone())
        // The subscriber would panic if standard error is closed, as with a closed terminal.
        .log_internal_errors(false)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_target(verbosity.verbose > 2);
    // A second start (in a test) keeps the first log.
    let _ = if verbosity.verbose == 0 {
        log.without_time().try_init()
    } else {
        log.try_init()
    };
    Ok(())
}

/// The runtime, with one worker thread. One thread carries a tunnel: 1 to 2 GB/s with AES-GCM. With
/// several threads, the tasks that hand data to each other wake each other across cores, which costs
/// uploads a quarter of their speed and gains nothing: the kernel and the SSH server do most of the
/// work.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| Failure::Failed(format!("cannot start: {error}")))
}
