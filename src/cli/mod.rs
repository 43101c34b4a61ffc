//! The command line. Its options are spelled like ssh's, because its users know ssh.
//!
//! One file for each subcommand. Each turns its low-level arguments into validated settings first, so
//! that it reports wrong arguments before it opens anything.

mod audit;
mod check;
#[cfg(feature = "demo")]
mod demo;
mod destination;
mod forward;
mod gateway_options;
mod generate;
mod limits;
mod log;
mod log_file;
mod log_form;
mod meant;
mod monitoring;
mod range;
mod replay;
mod serve;
mod signals;
mod ssh_config;
mod ssh_flags;
mod ssh_options;
mod terminal;
mod time;
mod top;
mod version;
mod waiting;

use std::{ffi::OsString, io, process::ExitCode};

use clap::{ArgAction, Args, CommandFactory, Parser, Subcommand};

use self::{log::start_log, log_form::LogFormat};
use crate::paint::for_locale;

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "ferryline",
    version = version::text(),
    propagate_version = true,
    about = "ssh -L that understands FTP: point any FTP client at a local port, and everything it \
             sends and receives, every file too, goes through SSH",
    max_term_width = 100,
    after_help = EXAMPLES
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    verbosity: Verbosity,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Forward local ports to FTP servers through an SSH server
    #[command(
        long_about = "Forward local ports to FTP servers through an SSH server.\n\n\
        Point an FTP client at the local port. Its control connection is carried through the SSH \
        session, and a forward is made for every data connection the moment it is needed: passive \
        (PASV, EPSV) and active (PORT, EPRT).\n\n\
        SIGINT (Ctrl-C), SIGTERM and SIGHUP stop it; transfers that run get ten seconds to finish. ('serve' reads \
        its file anew on SIGHUP.)\n\n\
        Times (TIME) are seconds, or have units: 90, 90s, 10m, 2h, 1d, 1h30m.",
        after_help = forward::EXAMPLES,
        after_long_help = forward::LONG_EXAMPLES
    )]
    Forward(Box<forward::Arguments>),
    /// Run as a service: many tunnels, from one file
    #[command(
        long_about = "Runs the tunnels of a file as a service: each [tunnel.NAME] is what 'forward' does, with the \
        long options of 'forward' as its keys, over the SSH connection of an [ssh.NAME].\n\n\
        SIGHUP reads the file anew (systemctl reload): tunnels that were added begin, those that were removed \
        listen no more, those that were changed serve new clients by the new settings, and no session is cut. A \
        file with a mistake in it changes nothing. (SIGHUP stops 'forward'.) SIGTERM and Ctrl-C stop it.\n\n\
        The service manager is told when all ports are bound (sd_notify), and sockets that it passes are used.",
        after_help = serve::EXAMPLES
    )]
    Serve(serve::Arguments),
    /// Try each step on the way to the FTP server; say what works, what does not, and why
    #[command(
        long_about = "Takes the same arguments as 'forward', tries each step and prints a line \
        for it (\u{2713} works, \u{2717} does not, ! does not, which few clients notice, \u{2013} not \
        tried), with what to do about it: local ports, jump hosts, SSH server, host key, log-in, a second \
        connection, the way to the FTP server, its greeting and features, whether it insists on TLS. \
        With --ftp-user it logs in and lists a folder in all four modes through ferryline itself. \
        Exit code 0 where clients can work, else 1: no step failed, and with --ftp-user PASV works, \
        which nearly all clients use.",
        override_usage = "ferryline check [OPTIONS] -L <[BIND:]PORT:HOST:HOSTPORT> <DESTINATION>\n       \
        ferryline check [OPTIONS] --tunnel <NAME>",
        after_help = check::EXAMPLES,
        mut_args(check::as_here)
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
    /// Show what another ferryline carries at the moment
    #[command(
        long_about = "Shows the tunnels, sessions and running transfers of a 'ferryline forward --metrics', anew \
        each second: how much has moved, how fast, and how the data connection was asked for. Without a terminal it \
        prints them once. It cuts nothing unless it is asked to end a session.",
        after_help = top::EXAMPLES
    )]
    Top(top::Arguments),
    /// Run recorded sessions through the state machine and show what differs
    #[command(
        long_about = "Runs recorded sessions (see 'forward --record') again, and shows each line that comes \
        out differently. Exit code 1 if any does. A file that holds only the peers' lines (C> and S<) is run with \
        invented forwards on 127.0.0.1: --show tells what ferryline would have done."
    )]
    Replay(replay::Arguments),
    /// Look at an audit record (see 'forward --audit')
    Audit(audit::Arguments),
    /// Print the man page of ferryline, of a subcommand, or of the file of 'serve'
    #[command(
        after_help = "Examples:\n  ferryline man forward >ferryline-forward.1\n  \
        ferryline man ferryline.toml >ferryline.toml.5\n  ferryline man --into /usr/local/share/man"
    )]
    Man(generate::ManArguments),
    /// Print the completions for a shell
    #[command(after_help = "Example: ferryline completions bash \
        >~/.local/share/bash-completion/completions/ferryline")]
    Completions(generate::CompletionsArguments),
}

const EXAMPLES: &str = "\
Examples:
  ferryline check -L 2121:localhost:21 me@ssh.example     is all well on the way?
  ferryline forward -L 2121:localhost:21 me@ssh.example   then: curl -u NAME ftp://127.0.0.1:2121/
  ferryline demo                                          nothing at hand to try it with?";

/// How much the program logs.
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq)]
#[command(next_help_heading = "Log")]
struct Verbosity {
    /// Log connections (-v), each line of control connections (-vv), SSH (-vvv)
    ///
    /// Without it, 'forward' logs warnings, and a line for each transfer and for each session's end. The log goes to standard error. The environment variable RUST_LOG, where it is set, selects what is
    /// logged in place of -v, such as RUST_LOG=ferryline=debug; -q overrides it. NO_COLOR turns colours off.
    #[arg(short, long, action = ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,
    /// Log only the error that ends the program
    #[arg(short, long)]
    quiet: bool,
    /// How the log is written
    #[arg(long, value_enum, value_name = "FORMAT", hide_short_help = true)]
    log_format: Option<LogFormat>,
}

impl Verbosity {
    /// As `-v` given this often, and this format.
    fn of(verbose: u8, log_format: Option<LogFormat>) -> Self {
        Self {
            verbose,
            quiet: false,
            log_format,
        }
    }

    fn log_format(self) -> LogFormat {
        self.log_format.unwrap_or(LogFormat::Text)
    }

    /// With what was given before the subcommand.
    fn and(self, before: Self) -> Self {
        Self {
            verbose: self.verbose.saturating_add(before.verbose),
            quiet: self.quiet || before.quiet,
            log_format: self.log_format.or(before.log_format),
        }
    }

    /// What is logged, with `usual` where nothing was asked for, and the value of `RUST_LOG`.
    fn filter(self, usual: &str, rust_log: Option<String>) -> String {
        if self.quiet {
            return "off".to_owned();
        }
        if let Some(wanted) = rust_log.filter(|wanted| !wanted.trim().is_empty()) {
            return wanted;
        }
        let wanted = match self.verbose {
            0 => usual,
            1 => "ferryline=info",
            2 => "ferryline=debug",
            _ => "ferryline=trace,russh=debug",
        };
        wanted.to_owned()
    }
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

/// Runs the command line of this process and returns its exit code: 0 stopped on request or all well, 1
/// failed, 2 usage.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    match Cli::try_parse_from(&arguments) {
        Ok(cli) => run(cli),
        Err(error) => not_run(&arguments, &error),
    }
}

fn run(cli: Cli) -> ExitCode {
    let before = cli.verbosity;
    let json = matches!(&cli.command, Command::Check(arguments) if arguments.wants_json());
    let done = match cli.command {
        Command::Forward(arguments) => forward::run(*arguments, before).map(|()| true),
        Command::Serve(arguments) => serve::run(&arguments, before).map(|()| true),
        Command::Check(arguments) => check::run(*arguments, before),
        #[cfg(feature = "demo")]
        Command::Demo(arguments) => demo::run(&arguments, before).map(|()| true),
        Command::Top(arguments) => top::run(arguments).map(|()| true),
        Command::Replay(arguments) => replay::run(&arguments).map(|()| true),
        Command::Audit(arguments) => audit::run(arguments).map(|()| true),
        Command::Man(arguments) => {
            generate::man(Cli::command(), &serve::manual::page(), &arguments).map(|()| true)
        }
        Command::Completions(arguments) => {
            generate::completions(Cli::command(), &arguments).map(|()| true)
        }
    };
    let code = match done {
        Ok(true) => ExitCode::SUCCESS,
        // The report has the reason.
        Ok(false) => ExitCode::from(1),
        Err(failure) => {
            let (reason, code) = match failure {
                Failure::Failed(reason) => (reason, 1),
                Failure::Usage(reason) => (reason, 2),
            };
            if json {
                check::print_error(&reason);
            }
            terminal::tell_last(&reason);
            ExitCode::from(code)
        }
    };
    terminal::finish();
    code
}

/// Prints what the argument parser says in place of running: the help, the version, or an error.
fn not_run(arguments: &[OsString], error: &clap::Error) -> ExitCode {
    if let Some(meant) = meant::meant(&Cli::command(), arguments, error) {
        if check::asks_for_json(arguments) {
            check::print_error(&meant);
        }
        terminal::tell(&meant);
        return ExitCode::from(2);
    }
    let text = error.render();
    if error.use_stderr() && check::asks_for_json(arguments) {
        check::print_error(&in_one_line(&text.to_string()));
    }
    // If it is not read, the exit code still has the result.
    let _ = match for_locale(&text.to_string()) {
        std::borrow::Cow::Borrowed(_) => error.print(),
        std::borrow::Cow::Owned(plain) if error.use_stderr() => {
            io::Write::write_all(&mut io::stderr(), plain.as_bytes())
        }
        std::borrow::Cow::Owned(plain) => io::Write::write_all(&mut io::stdout(), plain.as_bytes()),
    };
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// What the argument parser says of an error, without the usage under it.
fn in_one_line(text: &str) -> String {
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let said = text.lines().take_while(|line| !line.starts_with("Usage:"));
    let words: Vec<&str> = said.flat_map(str::split_whitespace).collect();
    words.join(" ")
}

/// What the demo logs by default: warnings.
#[cfg(feature = "demo")]
const WARNINGS: &str = "ferryline=warn";

/// What a tunnel logs by default: warnings, and what was carried.
const CARRIED: &str = "ferryline=warn,ferryline::carried=info";

/// What a service logs by default: that, and what it does itself.
const SERVICE: &str = "ferryline=warn,ferryline::carried=info,ferryline::serve=info";

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn quiet_is_quiet_and_the_environment_comes_before_the_letters() {
        let given = |verbose, quiet, rust_log: Option<&str>| {
            let verbosity = Verbosity {
                verbose,
                quiet,
                log_format: None,
            };
            verbosity.filter("usual", rust_log.map(str::to_owned))
        };
        assert_eq!(given(0, false, None), "usual");
        assert_eq!(given(1, false, Some("")), "ferryline=info");
        assert_eq!(given(1, false, Some("trace")), "trace");
        assert_eq!(given(0, true, Some("trace")), "off");
    }

    #[test]
    fn verbosity_counts_before_and_behind_the_subcommand() {
        let line = ["ferryline", "-v", "forward", "-v", "-L", "1:a:1", "h"];
        let cli = Cli::try_parse_from(line).unwrap();
        let Command::Forward(arguments) = cli.command else {
            panic!("another command");
        };
        assert_eq!(arguments.verbosity.and(cli.verbosity).verbose, 2);
    }
}
