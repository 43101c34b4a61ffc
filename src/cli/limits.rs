//! The limits on the use of a forward: which users, how many clients, how long.

use std::time::Duration;

use clap::Args;
use ferryline_grammar::COMMAND_LIMIT;

use super::{
    Failure,
    range::{Range, size},
    time::{DAY, TimeRange},
};
use crate::proxy::Options;

/// Limits, each with a default that an ordinary host never reaches.
#[derive(Args, Debug)]
#[command(next_help_heading = "Limits")]
pub(super) struct LimitArguments {
    /// Clients served at once, over all forwards; one more gets 421
    #[arg(long, value_name = "N", default_value_t = MAX_SESSIONS, hide_short_help = true,
        value_parser = SESSIONS.parser())]
    max_sessions: u32,
    /// Clients served at once from one address; 0 for no limit of its own
    #[arg(long, value_name = "N", default_value_t = 0, hide_short_help = true,
        value_parser = PER_CLIENT.parser())]
    max_per_client: u32,
    /// End a session that is idle for TIME; 0 for never
    ///
    /// Idle is a session without a command and without a transfer.
    #[arg(long, value_name = "TIME", default_value = "1d", hide_short_help = true,
        value_parser = IDLE.parser())]
    idle: Duration,
    /// End a session that is not logged in after TIME; 0 for never
    #[arg(long, value_name = "TIME", default_value = "5m", hide_short_help = true,
        value_parser = LOGIN_TIME.parser())]
    login_time: Duration,
    /// End a session that sends a longer command line
    #[arg(long, value_name = "BYTES", default_value_t = COMMAND_LIMIT as u32, hide_short_help = true,
        value_parser = MAX_LINE.parser())]
    max_line: u32,
    /// Commands of one client that may be under way at once; further ones wait
    #[arg(long, value_name = "N", default_value_t = 64, hide_short_help = true,
        value_parser = PIPELINED.parser())]
    max_pipelined: u32,
    /// Give up a data connection that the client has requested and not opened within TIME
    #[arg(long, value_name = "TIME", default_value = "1m", hide_short_help = true,
        value_parser = DATA_WAIT.parser())]
    data_wait: Duration,
    /// Serve these local users only, by name or number; repeatable (Linux)
    #[arg(
        long,
        value_name = "USER",
        value_delimiter = ',',
        hide_short_help = true
    )]
    only_user: Vec<String>,
}

impl LimitArguments {
    /// Writes the limits into `options`.
    pub(super) fn apply(&self, options: &mut Options) -> Result<(), Failure> {
        options.max_per_client = size(self.max_per_client);
        options.limits.idle = limit(self.idle);
        options.limits.login = limit(self.login_time);
        options.only_users = self.only_users()?;
        options.command_limit = size(self.max_line);
        options.limits.requests = size(self.max_pipelined);
        options.limits.unused_forward = self.data_wait;
        options.max_sessions = size(self.max_sessions);
        Ok(())
    }

    fn only_users(&self) -> Result<Option<Vec<u32>>, Failure> {
        if self.only_user.is_empty() {
            return Ok(None);
        }
        if !cfg!(target_os = "linux") {
            return Err(Failure::Usage(
                "--only-user: only Linux tells which user owns a connection".into(),
            ));
        }
        let numbers = self.only_user.iter().map(|user| number(user));
        numbers.collect::<Result<_, _>>().map(Some)
    }
}

/// What file descriptors are needed for.
pub(super) struct Budget<'a> {
    /// The greatest number of lanes of each SSH destination.
    pub(super) lanes: Vec<&'a mut usize>,
    /// Number of forwards, each with its listeners.
    pub(super) forwards: usize,
    /// The greatest number of clients, over all forwards.
    pub(super) sessions: &'a mut usize,
    /// The greatest number of refused clients that are waited for.
    pub(super) refusals: &'a mut usize,
}

impl Budget<'_> {
    /// Raises the limit of file descriptors as far as it goes. If it is too low for what is wanted, lowers
    /// that.
    pub(super) fn fit(self) {
        if let Some(descriptors) = raise_descriptors() {
            self.fit_into(descriptors);
        }
    }

    fn fit_into(self, descriptors: u64) {
        let Self {
            mut lanes,
            forwards,
            sessions,
            refusals,
        } = self;
        *refusals = refusals_for(descriptors);
        let all = lanes_for(descriptors);
        let wanted = lanes
            .iter()
            .fold(0, |sum: usize, lanes| sum.saturating_add(**lanes));
        if wanted > all {
            let each = (all / lanes.len().max(1)).max(1);
            tracing::info!(
                "{descriptors} file descriptors are enough for {all} SSH connections for data (--lanes \
                 {wanted}); raise the hard limit (ulimit -Hn, or LimitNOFILE= of systemd)"
            );
            for lanes in &mut lanes {
                **lanes = (**lanes).min(each);
            }
        }
        let given = lanes.iter().map(|lanes| **lanes).sum();
        let room = sessions_for(descriptors, lanes.len(), given, forwards);
        if room < *sessions {
            tracing::warn!(
                "{descriptors} file descriptors are enough for {room} clients at once, not for \
                 {sessions}, as one may use {PER_SESSION}; raise the hard limit (ulimit -Hn, or \
                 LimitNOFILE= of systemd)"
            );
            *sessions = room;
        }
    }
}

/// Fits the lanes and the options of the only SSH destination, and its forwards.
pub(super) fn fit_one(lanes: &mut usize, options: &mut Options) {
    let budget = Budget {
        lanes: vec![lanes],
        forwards: 1,
        sessions: &mut options.max_sessions,
        refusals: &mut options.refusals,
    };
    budget.fit();
}

/// Number of clients, each with its control connection and data connections, for which descriptors
/// remain beside those of the SSH connections, the listeners and the program itself.
fn sessions_for(descriptors: u64, destinations: usize, lanes: usize, forwards: usize) -> usize {
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let own = OWN
        .saturating_add(number(lanes).saturating_mul(PER_LANE))
        // What the first of each needs is among `OWN`.
        .saturating_add(number(destinations.saturating_sub(1)).saturating_mul(PER_DESTINATION))
        .saturating_add(number(forwards.saturating_sub(1)).saturating_mul(PER_FORWARD))
        .saturating_add(refusals_for(descriptors) as u64);
    let left = descriptors.saturating_sub(own);
    usize::try_from(left / PER_SESSION)
        .unwrap_or(usize::MAX)
        .max(1)
}

/// Largest number of lanes: they have an eighth of the descriptors at most.
fn lanes_for(descriptors: u64) -> usize {
    let lanes = descriptors / 8 / PER_LANE;
    usize::try_from(lanes).unwrap_or(usize::MAX).max(1)
}

/// Largest number of refused clients to wait for at once: they have an eighth of the descriptors at
/// most.
fn refusals_for(descriptors: u64) -> usize {
    let share = usize::try_from(descriptors / 8).unwrap_or(usize::MAX);
    share.min(Options::default().refusals)
}

/// Standard streams, the runtime, the listeners of a forward, an SSH connection.
const OWN: u64 = 32;

/// A further SSH destination: its control connection, and up to three attempts to make it anew, each with the two
/// pipes of a ProxyCommand.
const PER_DESTINATION: u64 = 8;

/// A further forward: a listener in each family.
const PER_FORWARD: u64 = 2;

/// A socket, or the two pipes of a ProxyCommand.
const PER_LANE: u64 = 2;

/// Most descriptors that one session uses (Q85): its control connection, eight running data
/// connections, seven whose clients have their files and have not closed yet, a data listener, a
/// transcript. One more is for a connection of a tcp/ forward, of which there may be as many as
/// sessions.
const PER_SESSION: u64 = 19;

/// The greatest number of clients where no other is asked for.
pub(super) const MAX_SESSIONS: u32 = 256;

pub(super) const SESSIONS: Range = Range {
    least: 1,
    most: 65_536,
    reason: "no process has the file descriptors for more",
};
const PER_CLIENT: Range = Range {
    least: 0,
    ..SESSIONS
};
const IDLE: TimeRange = TimeRange {
    least: Duration::ZERO,
    most: YEAR,
    bounds: "at most 365d; 0 is no limit",
};
const LOGIN_TIME: TimeRange = IDLE;
const PIPELINED: Range = Range {
    least: 1,
    most: 256,
    reason: "each command and each reply costs a scan of all waiting ones, which delays other clients",
};
const DATA_WAIT: TimeRange = TimeRange {
    least: Duration::from_secs(1),
    most: DAY,
    bounds: "from 1s to at most 1d (other users of this host can connect to the port for that long)",
};
/// Every FTP client needs at least the length of a path (RFC 1123 leaves the length open).
const MAX_LINE: Range = Range {
    least: 512,
    most: 1 << 20,
    reason: "a path needs the lower bound, and a client can make ferryline keep the upper bound",
};
const YEAR: Duration = DAY.saturating_mul(365);

fn limit(time: Duration) -> Option<Duration> {
    Some(time).filter(|time| !time.is_zero())
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

/// Raises the soft limit of file descriptors to the hard one; returns the new limit.
#[cfg(unix)]
fn raise_descriptors() -> Option<u64> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};

    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    if soft >= hard {
        return Some(soft);
    }
    // macOS reports no hard limit, and accepts no more than OPEN_MAX.
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
        assert_eq!(sessions_for(0, 1, 16, 1), 1);
        assert_eq!(sessions_for(64, 1, 16, 1), 1);
        assert_eq!(sessions_for(1024, 1, 16, 1), 43);
        assert_eq!(sessions_for(1024, 3, 16, 20), 40);
        assert!(sessions_for(20_000, 1, 16, 1) > 256);
        assert_eq!(sessions_for(64, usize::MAX, usize::MAX, usize::MAX), 1);
    }

    /// For every limit of the system, the descriptors of all sessions are within it.
    #[test]
    fn q129_all_sessions_together_use_no_more_descriptors_than_there_are() {
        for descriptors in [256, 512, 1024, 4096, 20_000, 1 << 20] {
            for lanes in [0, 16, 64, lanes_for(descriptors)] {
                let sessions = sessions_for(descriptors, 1, lanes, 1) as u64;
                let refused = refusals_for(descriptors) as u64;
                let used = OWN + PER_LANE * lanes as u64 + refused + sessions * PER_SESSION;
                assert!(
                    sessions == 1 || used <= descriptors,
                    "{descriptors}: {used}"
                );
            }
        }
    }

    /// However many tunnels and SSH destinations there are, all of them together fit.
    #[test]
    fn q129_all_tunnels_together_use_no_more_descriptors_than_there_are() {
        for descriptors in [1024, 4096, 20_000, 1 << 20] {
            for destinations in [1, 3, 20] {
                for forwards in [1, 20, 50] {
                    let mut lanes = vec![256; destinations];
                    let (mut sessions, mut refusals) = (65_536, 256);
                    let budget = Budget {
                        lanes: lanes.iter_mut().collect(),
                        forwards,
                        sessions: &mut sessions,
                        refusals: &mut refusals,
                    };
                    budget.fit_into(descriptors);
                    let all: usize = lanes.iter().sum();
                    let used = OWN as usize
                        + PER_LANE as usize * all
                        + PER_DESTINATION as usize * (destinations - 1)
                        + PER_FORWARD as usize * (forwards - 1)
                        + refusals
                        + PER_SESSION as usize * sessions;
                    let what = (descriptors, destinations, forwards);
                    assert!(lanes.iter().all(|lanes| *lanes > 0), "{what:?}");
                    assert!(
                        sessions == 1 || used <= descriptors as usize,
                        "{what:?}: {used}"
                    );
                }
            }
        }
    }

    #[test]
    fn every_limit_reaches_the_proxy() {
        let words = "x --max-sessions 5 --max-per-client 2 --idle 0 --login-time 9 --max-line 600 \
                     --max-pipelined 3 --data-wait 7";
        let options = given(words).unwrap();
        assert_eq!((options.max_sessions, options.max_per_client), (5, 2));
        assert_eq!(options.limits.idle, None);
        assert_eq!(options.limits.login, Some(Duration::from_secs(9)));
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

    /// Every number has an upper bound, and the error says why.
    #[test]
    fn q129_what_is_too_great_is_refused_with_a_reason() {
        for option in [
            "--max-sessions",
            "--max-per-client",
            "--idle",
            "--login-time",
            "--max-line",
            "--max-pipelined",
            "--data-wait",
        ] {
            for number in [u64::from(u32::MAX), 1 << 32, (1 << 62) + 1, u64::MAX] {
                let error = given(&format!("x {option} {number}"))
                    .err()
                    .unwrap()
                    .to_string();
                assert!(error.contains("at most "), "{option} {number}: {error}");
            }
            let error = given(&format!("x {option} 99999999999999999999999"))
                .err()
                .unwrap();
            assert!(error.to_string().contains("at most "), "{option}: {error}");
        }
        let error = given("x --max-pipelined 257").err().unwrap().to_string();
        assert!(
            error.contains("from 1 to at most 256 (each command"),
            "{error}"
        );
        assert!(given("x --max-pipelined 256 --idle 31536000").is_ok());
    }

    #[test]
    fn without_options_the_limits_are_the_librarys() {
        let (given, usual) = (given("x").unwrap(), Options::default());
        assert_eq!(given.command_limit, usual.command_limit);
        assert_eq!(given.limits.requests, usual.limits.requests);
        assert_eq!(given.limits.unused_forward, usual.limits.unused_forward);
        assert_eq!(
            (given.limits.idle, given.limits.login),
            (usual.limits.idle, usual.limits.login)
        );
        assert_eq!(given.max_sessions, usual.max_sessions);
        assert_eq!(given.max_per_client, usual.max_per_client);
    }

    fn given(words: &str) -> Result<Options, clap::Error> {
        #[derive(Debug, clap::Parser)]
        struct Words {
            #[command(flatten)]
            limits: LimitArguments,
        }
        let words = <Words as clap::Parser>::try_parse_from(words.split_whitespace())?;
        let mut options = Options::default();
        words.limits.apply(&mut options).unwrap();
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
