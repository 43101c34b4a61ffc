//! The arguments that say who may use a forward, and how much of it.

use std::time::Duration;

use clap::Args;
use ferryline_grammar::COMMAND_LIMIT;

use super::Failure;
use crate::proxy::Options;

/// Limits, each with a default that an ordinary host never reaches.
#[derive(Args, Debug)]
pub(super) struct GuardArguments {
    /// Clients served at once, over all forwards; one more gets 421
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = at_least_one)]
    max_sessions: usize,
    /// Clients served at once from one address; 0 for no limit of its own
    #[arg(long, value_name = "N", default_value_t = 0)]
    max_per_client: usize,
    /// End a session without a command and without a transfer for so long; 0 for never
    #[arg(long, value_name = "SECONDS", default_value_t = 86_400)]
    idle: u32,
    /// End a session that is not logged in by then; 0 for never
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    login_time: u32,
    /// End a session that sends a longer line
    #[arg(long, value_name = "BYTES", default_value_t = COMMAND_LIMIT, value_parser = line_limit)]
    max_line: usize,
    /// Commands of one client that may be under way at once; further ones wait
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = at_least_one)]
    max_pipelined: usize,
    /// Give up a data connection that the client asked for and has not made by then
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    data_wait: u32,
    /// Serve these local users only, by name or number; repeatable (Linux)
    #[arg(long, value_name = "USER", value_delimiter = ',')]
    only_user: Vec<String>,
}

impl GuardArguments {
    /// Carries them over into `options`. The limit of file descriptors is raised as far as it goes;
    /// where `--max-sessions` clients would need more, fewer are served.
    pub(super) fn apply(&self, lanes: usize, options: &mut Options) -> Result<(), Failure> {
        options.max_per_client = self.max_per_client;
        options.idle = time(self.idle);
        options.login_time = time(self.login_time);
        options.only_users = self.only_users()?;
        options.command_limit = self.max_line;
        options.limits.requests = self.max_pipelined;
        options.limits.unused_forward = Duration::from_secs(self.data_wait.into());
        options.max_sessions = self.max_sessions;
        if let Some(descriptors) = raise_descriptors() {
            let room = sessions_for(descriptors, lanes);
            if room < self.max_sessions {
                tracing::warn!(
                    "{descriptors} file descriptors are enough for {room} clients at once, not for \
                     {}; raise the hard limit (ulimit -Hn, or LimitNOFILE= of systemd)",
                    self.max_sessions
                );
                options.max_sessions = room;
            }
        }
        Ok(())
    }

    fn only_users(&self) -> Result<Option<Vec<u32>>, Failure> {
        if self.only_user.is_empty() {
            return Ok(None);
        }
        if !cfg!(target_os = "linux") {
            return Err(Failure::Usage(
                "--only-user: only Linux tells whose a connection is".into(),
            ));
        }
        let numbers = self.only_user.iter().map(|user| number(user));
        numbers.collect::<Result<_, _>>().map(Some)
    }
}

/// What remains for clients, each with its control connection and data connections, beside the SSH
/// connections, the listeners and what the program needs for itself.
fn sessions_for(descriptors: u64, lanes: usize) -> usize {
    let lanes = u64::try_from(lanes).unwrap_or(u64::MAX);
    let left = descriptors.saturating_sub(OWN).saturating_sub(lanes);
    usize::try_from(left / PER_SESSION)
        .unwrap_or(usize::MAX)
        .max(1)
}

/// Standard streams, the runtime, listeners, the SSH connection, clients that are being refused.
const OWN: u64 = 32;

/// A control connection, a data listener, a data connection, a transcript.
const PER_SESSION: u64 = 4;

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least one".into()),
        Ok(number) => Ok(number),
        Err(_) => Err("not a number".into()),
    }
}

/// No FTP client gets by with less than a path (RFC 1123 leaves the length open).
fn line_limit(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if (SHORTEST_LINE..=LONGEST_LINE).contains(&number) => Ok(number),
        Ok(_) => Err(format!("from {SHORTEST_LINE} to {LONGEST_LINE}")),
        Err(_) => Err("not a number".into()),
    }
}

const SHORTEST_LINE: usize = 512;
const LONGEST_LINE: usize = 1 << 20;

fn time(seconds: u32) -> Option<Duration> {
    (seconds > 0).then(|| Duration::from_secs(seconds.into()))
}

#[cfg(unix)]
fn number(user: &str) -> Result<u32, Failure> {
    if let Ok(number) = user.parse() {
        return Ok(number);
    }
    match nix::unistd::User::from_name(user) {
        Ok(Some(found)) => Ok(found.uid.as_raw()),
        Ok(None) => Err(Failure::Usage(format!(
            "--only-user: there is no user '{user}' on this host"
        ))),
        Err(error) => Err(Failure::Failed(format!(
            "--only-user: cannot look up '{user}': {error}"
        ))),
    }
}

#[cfg(not(unix))]
fn number(user: &str) -> Result<u32, Failure> {
    Err(Failure::Usage(format!(
        "--only-user: no user '{user}' here"
    )))
}

/// Raises the soft limit of file descriptors to the hard one; how many there may be now.
#[cfg(unix)]
fn raise_descriptors() -> Option<u64> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};

    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    if soft >= hard {
        return Some(soft);
    }
    // macOS says that there is no hard limit, and takes no more than OPEN_MAX.
    for wanted in [hard, hard.min(10_240)] {
        if wanted > soft && setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_ok() {
            return Some(wanted);
        }
    }
    Some(soft)
}

#[cfg(not(unix))]
fn raise_descriptors() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_somebody_however_few_descriptors_there_are() {
        assert_eq!(sessions_for(0, 16), 1);
        assert_eq!(sessions_for(64, 16), 4);
        assert_eq!(sessions_for(1024, 16), 244);
        assert!(sessions_for(20_000, 16) > 256);
        assert_eq!(sessions_for(64, usize::MAX), 1);
    }

    #[test]
    fn every_limit_reaches_the_proxy() {
        let words = "x --max-sessions 5 --max-per-client 2 --idle 0 --login-time 9 --max-line 600 \
                     --max-pipelined 3 --data-wait 7";
        let options = given(words).unwrap();
        assert_eq!((options.max_sessions, options.max_per_client), (5, 2));
        assert_eq!(options.idle, None);
        assert_eq!(options.login_time, Some(Duration::from_secs(9)));
        assert_eq!((options.command_limit, options.limits.requests), (600, 3));
        assert_eq!(options.limits.unused_forward, Duration::from_secs(7));
        for wrong in [
            "--max-sessions 0",
            "--max-line 100",
            "--max-pipelined 0",
            "--data-wait 0",
        ] {
            assert!(given(&format!("x {wrong}")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn without_options_the_limits_are_the_librarys() {
        let (given, usual) = (given("x").unwrap(), Options::default());
        assert_eq!(given.command_limit, usual.command_limit);
        assert_eq!(given.limits.requests, usual.limits.requests);
        assert_eq!(given.limits.unused_forward, usual.limits.unused_forward);
        assert_eq!(
            (given.idle, given.login_time),
            (usual.idle, usual.login_time)
        );
        assert_eq!(given.max_sessions, usual.max_sessions);
        assert_eq!(given.max_per_client, usual.max_per_client);
    }

    fn given(words: &str) -> Result<Options, clap::Error> {
        #[derive(Debug, clap::Parser)]
        struct Words {
            #[command(flatten)]
            guard: GuardArguments,
        }
        let words = <Words as clap::Parser>::try_parse_from(words.split_whitespace())?;
        let mut options = Options::default();
        words.guard.apply(0, &mut options).unwrap();
        Ok(options)
    }

    #[test]
    fn users_have_names_and_numbers() {
        assert!(matches!(number("4711"), Ok(4711)));
        #[cfg(unix)]
        assert!(matches!(number("root"), Ok(0)));
        assert!(matches!(number("no such user"), Err(Failure::Usage(_))));
    }
}
