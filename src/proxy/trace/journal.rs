//! What a session has carried, for the log: a line for each transfer, and one at the end of the session.

use std::{collections::BTreeMap, fmt, net::SocketAddr, sync::Arc, time::Duration};

use ferryline_grammar::{Command, Verb, masked, masked_reply};

use super::warnings::Warnings;
use crate::{
    control::{Ending, ForwardId, TransferReport, UserAtHost},
    printable::printable,
    proxy::moved::{Moved, Tally},
};

/// Target of the log lines that say what was carried. They are shown by default.
pub(crate) const CARRIED: &str = "ferryline::carried";

/// Number of data connections whose bytes are remembered until their transfers are over. A session has fewer.
const MOST_TALLIES: usize = 64;

/// Number of bytes shown of a user's name, and of a reply.
const SHOWN: usize = 200;

/// The journal of one session.
pub(crate) struct Journal {
    session: u64,
    peer: SocketAddr,
    server: String,
    /// Whether the client names its FTP server in the user name.
    routed: bool,
    warnings: Arc<Warnings>,
    user: Option<String>,
    logged_in: bool,
    /// The client's last command was a USER or PASS.
    logging_in: bool,
    asked_for_tls: bool,
    /// The last command that moves data.
    command: Option<String>,
    tallies: BTreeMap<ForwardId, Arc<Tally>>,
    transfers: Transfers,
    end: End,
}

/// Totals of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Transfers {
    count: u64,
    failed: u64,
    moved: Moved,
}

/// Why a session ends, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    /// Not known yet.
    Open,
    /// The client said QUIT, and was answered.
    Quit,
    /// The client's side ended.
    Client(Ending),
    /// The FTP server's side ended.
    Server(Ending),
    /// Ferryline told the client why.
    Said(String),
}

impl Journal {
    /// `server`: the FTP server, as the log names it. `routed`: the client names it in the user name.
    pub(crate) fn new(
        session: u64,
        peer: SocketAddr,
        server: String,
        routed: bool,
        warnings: Arc<Warnings>,
    ) -> Self {
        Self {
            session,
            peer,
            server,
            routed,
            warnings,
            user: None,
            logged_in: false,
            logging_in: false,
            asked_for_tls: false,
            command: None,
            tallies: BTreeMap::new(),
            transfers: Transfers::default(),
            end: End::Open,
        }
    }

    /// Notes a line of the client.
    pub(crate) fn client_line(&mut self, text: &[u8]) {
        let Some(command) = Command::parse(text) else {
            return;
        };
        self.logging_in = matches!(command.verb, Verb::User | Verb::Pass);
        match command.verb {
            Verb::User => {
                let named = UserAtHost::parse(command.argument).filter(|_| self.routed);
                let user = named.map_or(command.argument, |named| named.user);
                self.user = Some(shown(user.trim_ascii()));
            }
            Verb::Auth => self.asked_for_tls = true,
            Verb::Appe
            | Verb::List
            | Verb::Mlsd
            | Verb::Nlst
            | Verb::Retr
            | Verb::Stor
            | Verb::Stou => self.command = Some(shown(&masked(text.trim_ascii()))),
            _ => {}
        }
    }

    /// Notes a line that the client gets.
    pub(crate) fn reply(&mut self, line: &[u8]) {
        match line.get(..4) {
            Some(b"230 " | b"230-" | b"232 ") => self.logged_in = true,
            Some(b"530 ") if self.logging_in => {
                self.logging_in = false;
                let (session, peer) = (self.session, self.peer);
                self.warnings.refused_log_in.warn(format_args!(
                    "#{session} {peer} is not logged in as {}: {}",
                    self.user(),
                    shown(&masked_reply(line.trim_ascii()))
                ));
            }
            Some(b"221 ") => self.end = End::Quit,
            Some(b"421 " | b"500 ") => {
                let own = line
                    .get(4..)
                    .and_then(|text| text.strip_prefix(b"ferryline: "));
                if let Some(text) = own {
                    self.end = End::Said(shown(text.trim_ascii()));
                }
            }
            _ => {}
        }
    }

    /// Notes that a data connection may run over this forward, which counts its bytes here.
    pub(crate) fn forward(&mut self, id: ForwardId, tally: Arc<Tally>) {
        self.tallies.insert(id, tally);
        if self.tallies.len() > MOST_TALLIES {
            self.tallies.pop_first();
        }
    }

    /// Notes that a side has ended.
    pub(crate) fn client_ended(&mut self, ending: Ending) {
        if self.end == End::Open {
            self.end = End::Client(ending);
        }
    }

    /// Notes that the FTP server's side has ended.
    pub(crate) fn server_ended(&mut self, ending: Ending) {
        if self.end == End::Open {
            self.end = End::Server(ending);
        }
    }

    /// Logs a transfer that is over. `now`: since the session began.
    pub(crate) fn transferred(&mut self, now: Duration, report: &TransferReport) {
        let tally = report.forward.and_then(|id| self.tallies.remove(&id));
        let moved = tally.map(|tally| tally.moved()).unwrap_or_default();
        let answer = report.answer.as_deref().map(|line| line.trim_ascii());
        let failed = !answer.is_some_and(|line| line.starts_with(b"2"));
        self.transfers.count += 1;
        self.transfers.failed += u64::from(failed);
        self.transfers.moved.to_client += moved.to_client;
        self.transfers.moved.to_server += moved.to_server;
        let command = match report.command.is_empty() {
            true => "a command that ferryline does not know".to_owned(),
            false => shown(&masked(&report.command)),
        };
        let result = match (answer, failed) {
            (None, _) => "no reply before the session ended".to_owned(),
            (Some(line), true) => shown(&masked_reply(line)),
            (Some(line), false) => shown(line.get(..3).unwrap_or(line)),
        };
        let carried = Carried {
            bytes: moved.to_client.saturating_add(moved.to_server),
            time: now.saturating_sub(report.sent_at),
        };
        let (session, user) = (self.session, self.user());
        match failed {
            true => {
                tracing::warn!(target: CARRIED, "#{session} {user} {command}: failed after {carried}: {result}")
            }
            false => {
                tracing::info!(target: CARRIED, "#{session} {user} {command}: {carried}, {result}")
            }
        }
    }

    /// Tells the operator that a stop waits for the transfer that runs, for this long at most.
    pub(crate) fn waits_at_stop(&self, grace: Duration) {
        tracing::warn!(
            "#{} stopping: waits for {} {}, {} at most (a second Ctrl-C cuts it)",
            self.session,
            self.user(),
            self.command.as_deref().unwrap_or("what runs"),
            Seconds(grace)
        );
    }

    /// Logs the end of the session, which has lasted so long. One that carried nothing, and whose client never
    /// logged in, is shown to those who want to see all.
    pub(crate) fn ended(&self, time: Duration) {
        let (session, peer) = (self.session, self.peer);
        if self.asked_for_tls && !self.logged_in {
            self.warnings.tls_refused.warn(format_args!(
                "#{session} {peer} asked for TLS and left when that was refused: turn TLS off in this client \
                 (plain FTP), its connection is inside SSH already"
            ));
        }
        let line = format!(
            "#{session} {}@{peer} → {} ended after {}: {}; {}",
            self.user(),
            self.server,
            Seconds(time),
            self.end,
            self.transfers
        );
        match self.logged_in || self.transfers.count > 0 {
            true => tracing::info!(target: CARRIED, "{line}"),
            false => tracing::info!("{line}"),
        }
    }

    fn user(&self) -> &str {
        self.user.as_deref().unwrap_or("nobody")
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = |who: &str, ending: Ending| match ending {
            Ending::Eof => format!("{who} closed the control connection"),
            Ending::Lost => format!("the control connection with {who} broke"),
            Ending::Silent => format!("{who} did not answer any more"),
            Ending::Flood => format!("{who} sent too much"),
            Ending::LineTooLong(limit) => format!("{who} sent a line longer than {limit} bytes"),
            Ending::Nul => format!("{who} sent a NUL"),
            Ending::Tls => format!("{who} speaks TLS"),
        };
        match self {
            Self::Open => f.write_str("stopped"),
            Self::Quit => f.write_str("QUIT"),
            Self::Client(ending) => f.write_str(&by("the client", *ending)),
            Self::Server(ending) => f.write_str(&by("the FTP server", *ending)),
            Self::Said(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for Transfers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.count == 1 { "" } else { "s" };
        write!(f, "{} transfer{plural}", self.count)?;
        if self.failed > 0 {
            write!(f, " ({} failed)", self.failed)?;
        }
        let Moved {
            to_client,
            to_server,
        } = self.moved;
        write!(f, ", {to_client} bytes to the client, {to_server} from it")
    }
}

/// Bytes in a time, with the rate.
struct Carried {
    bytes: u64,
    time: Duration,
}

impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes in {}", self.bytes, Seconds(self.time))?;
        let seconds = self.time.as_secs_f64();
        if self.bytes == 0 || seconds == 0.0 {
            return Ok(());
        }
        // A rate, to be read.
        #[expect(clippy::cast_precision_loss)]
        let rate = self.bytes as f64 / seconds;
        match rate {
            1e6.. => write!(f, " ({:.1} MB/s)", rate / 1e6),
            1e3.. => write!(f, " ({:.1} kB/s)", rate / 1e3),
            _ => write!(f, " ({rate:.0} B/s)"),
        }
    }
}

struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        match seconds {
            10.0.. => write!(f, "{seconds:.0} s"),
            _ => write!(f, "{seconds:.2} s"),
        }
    }
}

/// Bytes of a peer as they may stand in a log.
fn shown(text: &[u8]) -> String {
    printable(text.get(..SHOWN).unwrap_or(text))
}
