//! `ferryline check`: the steps to the FTP server, what works, what does not, and why.

use std::{
    ffi::OsString,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use clap::{Arg, Args};
use serde::Serialize;
use zeroize::Zeroizing;

use super::{
    Failure, Verbosity, forward, runtime, serve, start_log,
    terminal::Patience,
    time::TimeRange,
    waiting::{Attended, attend},
};
use crate::{
    bounded_file::{KEY_LIMIT, read_text},
    check::{self, FtpUser, NotChecked, Plan, Report, Screen},
    paint::{ForLocale, Paint},
    proxy::{ForwardSpec, Proxy},
    ssh::{Findings, Prompt, Secret, TerminalPrompt},
};

/// The arguments of `ferryline check`: those of `forward`, and its own.
#[derive(Args, Debug)]
// Otherwise both would be groups of the same name.
#[group(skip)]
pub(super) struct Arguments {
    #[command(flatten)]
    forward: forward::Arguments,
    #[command(flatten)]
    check: CheckArguments,
}

/// The options that `check` has and `forward` has not.
#[derive(Args, Debug)]
#[command(next_help_heading = "Check")]
struct CheckArguments {
    /// Log in to the FTP server as this user and list a folder in all modes
    ///
    /// The terminal asks for the password, unless --ftp-password-file has it; 'anonymous' needs none.
    #[arg(long, value_name = "NAME")]
    ftp_user: Option<String>,
    /// File whose first line is the FTP password
    ///
    /// Only its owner may be able to read it.
    #[arg(long, value_name = "FILE", requires = "ftp_user")]
    ftp_password_file: Option<PathBuf>,
    /// Time limit of the FTP server for each step
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = TIMEOUT.parser())]
    timeout: Duration,
    /// Print one JSON document, for machines; also where the command line is wrong
    #[arg(long)]
    json: bool,
    /// Check this tunnel of the file of 'serve': it is said there what else is said here
    ///
    /// A port that is in use, as by the service itself, or that needs a privilege, is replaced by a free one.
    #[arg(long, value_name = "NAME")]
    tunnel: Option<String>,
    /// The file of 'serve', for --tunnel; there, -c is short for this
    #[arg(long = "config", value_name = "FILE", requires = "tunnel", default_value = serve::DEFAULT_FILE)]
    service_file: PathBuf,
}

/// Under the help.
pub(super) const EXAMPLES: &str = "\
Examples:
  ferryline check -L 2121:localhost:21 me@ssh.example                  # how far does one come?
  ferryline check -L 2121:localhost:21 me@ssh.example --ftp-user NAME  # with log-in and transfers
  ferryline check --json -o BatchMode=yes -L 2121:localhost:21 me@ssh.example   # for machines
All other options of 'ferryline forward' are accepted, too.";

/// What the arguments are here: those of `forward` that change nothing are hidden, and none of them is
/// given beside `--tunnel`.
pub(super) fn as_here(argument: Arg) -> Arg {
    let own = [
        "ftp_password_file",
        "ftp_user",
        "json",
        "service_file",
        "timeout",
        "tunnel",
    ];
    let everywhere = ["help", "quiet", "verbose", "version", serve::FILE_LETTER];
    let id = argument.get_id().as_str();
    if own.contains(&id) || everywhere.contains(&id) {
        return argument;
    }
    let is_required = argument.is_required_set();
    let argument = hide_what_it_does_not_use(argument).conflicts_with("tunnel");
    match is_required {
        true => argument.required(false).required_unless_present("tunnel"),
        false => argument,
    }
}

/// Hides the options that are accepted because `forward` has them, and change nothing here.
fn hide_what_it_does_not_use(argument: Arg) -> Arg {
    let unused = [
        "advertise",
        "audit",
        "audit_no_sha256",
        "data_ports",
        "data_wait",
        "idle",
        "login_time",
        "max_line",
        "max_per_client",
        "max_pipelined",
        "max_sessions",
        "metrics",
        "metrics_host",
        "only_user",
        "record",
        "record_keep",
        "record_limit",
    ];
    match unused.contains(&argument.get_id().as_str()) {
        true => argument.hide(true),
        false => argument,
    }
}

/// What is logged beside the report: what the settings lead to, and no step of the report shows.
const ADVICE_ALONE: &str = "off,ferryline::cli=warn,ferryline::advice=warn";

const TIMEOUT: TimeRange = TimeRange {
    least: Duration::from_secs(1),
    most: Duration::from_secs(3600),
    bounds: "from 1s to at most 1h",
};

impl Arguments {
    /// Whether the result is for machines.
    pub(super) fn wants_json(&self) -> bool {
        self.check.json
    }
}

/// Whether this command line, which cannot be read, asks for a result for machines.
pub(super) fn asks_for_json(arguments: &[OsString]) -> bool {
    let has = |word: &str| arguments.iter().any(|argument| argument == word);
    has("check") && has("--json")
}

/// Prints one JSON document, in place of the report.
pub(super) fn print_error(error: &str) {
    print_json(&NotChecked::new(error));
}

/// Prints a document for machines. If it is not read, the exit code still has the result.
fn print_json(document: &impl Serialize) {
    let mut out = io::stdout().lock();
    let _ = serde_json::to_writer_pretty(&mut out, document)
        .map_err(io::Error::from)
        .and_then(|()| writeln!(out));
}

/// Runs the check; the result decides the exit code.
pub(super) fn run(arguments: Arguments, before: Verbosity) -> Result<bool, Failure> {
    // The report has all errors: the log is for users who ask for it.
    let verbosity = arguments.forward.verbosity.and(before);
    arguments.forward.open_log()?;
    start_log(verbosity, ADVICE_ALONE, Patience::Endless)?;
    let (specs, settings, options) = match &arguments.check.tunnel {
        Some(name) => {
            let letter = arguments.forward.file_letter();
            let file = letter.unwrap_or(&arguments.check.service_file);
            let (settings, tunnel) = serve::tunnel(file, name)?;
            (free_ports(tunnel.forwards)?, settings, tunnel.options)
        }
        None => {
            let plan = arguments.forward.plan()?;
            (plan.specs, plan.settings, plan.options)
        }
    };
    if let Some(spec) = specs.iter().find(|spec| spec.is_user_routed()) {
        return Err(Failure::Usage(format!(
            "check looks at one FTP server at a time: put its name in place of the * in -L {}:*:{}",
            spec.port, spec.host_port
        )));
    }
    let user = match arguments.check.ftp_user {
        Some(name) => Some(ftp_user(
            name,
            arguments.check.ftp_password_file.as_deref(),
            settings.batch_mode,
        )?),
        None => None,
    };
    let plan = Plan {
        settings,
        forwards: specs,
        options,
        user,
        timeout: arguments.check.timeout,
    };
    let runtime = runtime()?;
    let report = runtime.block_on(examine(&plan, arguments.check.json, verbosity));
    // The end does not wait for a resolver that does not answer.
    runtime.shutdown_background();
    Ok(report.ok)
}

/// The forwards, at free ports where their own are in use, or need a privilege.
fn free_ports(mut specs: Vec<ForwardSpec>) -> Result<Vec<ForwardSpec>, Failure> {
    let runtime = runtime()?;
    for spec in &mut specs {
        let bound = runtime.block_on(Proxy::bind(std::slice::from_ref(spec)));
        if bound.is_err_and(|error| error.is_in_use() || error.is_forbidden()) {
            spec.port = 0;
        }
    }
    Ok(specs)
}

async fn examine(plan: &Plan, json: bool, verbosity: Verbosity) -> Report {
    let prompt = Arc::new(Attended::new(TerminalPrompt));
    let findings = Findings::default();
    let is_connected = AtomicBool::new(false);
    let mut screen = Screen::new(ForLocale(io::stdout()), Paint::for_stdout());
    // The check goes on without a reader of its output: the exit code has the result, too.
    let mut tell = |event: check::Event<'_>| {
        // The host's name is looked up before; all other steps are told once there is a connection, or none.
        let before = matches!(event, check::Event::Step(step) if step.name == check::RESOLVE);
        is_connected.fetch_or(!before, Ordering::Relaxed);
        if !json {
            let _ = screen.show(event);
        }
    };
    let checking = check::run(plan, prompt.clone(), findings.clone(), &mut tell);
    let is_over = || is_connected.load(Ordering::Relaxed);
    let way = plan.settings.in_words();
    let report = attend(checking, &way, &prompt, is_over, &findings, verbosity).await;
    if json {
        print_json(&report);
    } else {
        let _ = screen.finish(&report);
    }
    report
}

fn ftp_user(name: String, file: Option<&Path>, batch: bool) -> Result<FtpUser, Failure> {
    if name.is_empty() || name.contains(is_line_end) {
        return Err(Failure::Usage("--ftp-user: that is not a user name".into()));
    }
    let anonymous = ["anonymous", "ftp"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known));
    let password = match file {
        Some(file) => read_password(file).map_err(Failure::Failed)?,
        // A customary password (RFC 1635 §3.2); no server checks it.
        None if anonymous => Secret::new("ferryline@"),
        None if batch => {
            return Err(Failure::Usage(
                "--ftp-user in batch mode, which asks nothing, needs --ftp-password-file".into(),
            ));
        }
        None => {
            let asked = TerminalPrompt.secret(&format!("FTP password for {name}: "));
            asked.ok_or_else(|| {
                Failure::Failed(
                    "no terminal to ask for the FTP password on: use --ftp-password-file".into(),
                )
            })?
        }
    };
    if password.expose().contains(is_line_end) {
        return Err(Failure::Failed(
            "the FTP password has a line end or a NUL in it, which FTP cannot send".into(),
        ));
    }
    Ok(FtpUser { name, password })
}

/// Whether the character would end a command.
fn is_line_end(c: char) -> bool {
    matches!(c, '\r' | '\n' | '\0')
}

/// The first line of a file that only its owner may be able to read.
fn read_password(file: &Path) -> Result<Secret, String> {
    let shown = file.display();
    if let Some(mode) = open_to_others(file) {
        return Err(format!(
            "others may read the password file {shown} (mode {mode:04o}), so it is not used: chmod 600 it"
        ));
    }
    let text = read_text(file, KEY_LIMIT).map(Zeroizing::new);
    let text = text.map_err(|error| format!("cannot read the password file {shown}: {error}"))?;
    Ok(Secret::new(text.lines().next().unwrap_or_default()))
}

/// The mode of a file to which other users than its owner have rights.
#[cfg(unix)]
fn open_to_others(file: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;

    let metadata = std::fs::metadata(file).ok()?;
    let mode = metadata.permissions().mode() & 0o777;
    // The mode of a pipe, such as the shell's <(…), says nothing about rights.
    (metadata.is_file() && mode & 0o077 != 0).then_some(mode)
}

#[cfg(not(unix))]
fn open_to_others(_: &Path) -> Option<u32> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_or_password_that_would_end_the_line_is_refused() {
        for name in ["", "a\r\nDELE x", "a\0"] {
            assert!(matches!(
                ftp_user(name.into(), None, true),
                Err(Failure::Usage(_))
            ));
        }
    }

    #[test]
    fn anonymous_is_asked_for_nothing() {
        let user = ftp_user("Anonymous".into(), None, true).unwrap();
        assert_eq!(user.password.expose(), "ferryline@");
        assert!(ftp_user("me".into(), None, true).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_password_file_is_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "secret word\nmore\n").unwrap();
        let mode = |mode| std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
        mode(0o644);
        let refused = read_password(&file).unwrap_err();
        assert!(refused.contains("0644") && refused.contains("chmod 600"));
        mode(0o600);
        assert_eq!(read_password(&file).unwrap().expose(), "secret word");
        assert!(read_password(&folder.path().join("none")).is_err());
    }
}
