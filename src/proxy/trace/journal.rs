//! What a session has carried, for the log: a line for each transfer, and one at the end of the session.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use ferryline_grammar::{Command, TransferDirection, Verb, masked, masked_reply};
use zeroize::Zeroizing;

use super::{
    books::{Books, EndedBy, Entry, Outcome, SessionEnd, Transferred, tell},
    live::{Running, Shown},
    refused::LastRefused,
    session_facts::SessionFacts,
    sizes::Sizes,
    warnings::Warnings,
};
use crate::{
    control::{Ending, ForwardId, RunningTransfer, TransferReport, UserAtHost},
    printable::printable,
    proxy::moved::{Hashes, Moved, Tally},
};

/// Target of the log lines that say what was carried. They are shown by default.
pub(crate) const CARRIED: &str = "ferryline::carried";

/// Number of data connections whose bytes are remembered until their transfers are over. (A session has eight at
/// a time, and what is gone without data is not remembered.)
const MOST_COUNTED: usize = 64;

/// Number of data connections that a session has at a time.
const MOST_AT_ONCE: usize = 8;

/// Number of bytes shown of a user's name, and of a reply.
const SHOWN: usize = 200;

/// The journal of one session.
pub(crate) struct Journal {
    facts: Arc<SessionFacts>,
    shown: Shown,
    books: Vec<Arc<dyn Books>>,
    /// Whether the client names its FTP server in the user name.
    routed: bool,
    warnings: Arc<Warnings>,
    user: Option<String>,
    logged_in: bool,
    /// A USER or PASS of the client is not known to have been accepted or refused.
    logging_in: bool,
    /// The argument of the client's last PASS, until that is answered.
    password: Option<Zeroizing<Vec<u8>>>,
    /// The client has sent AUTH, and no USER behind it.
    asked_for_tls: bool,
    /// The FTP server has refused a log-in.
    log_in_refused: bool,
    /// The last command that moves data.
    command: Option<String>,
    counted: BTreeMap<ForwardId, Counted>,
    /// The last forwards that are gone and had no data at all: those of empty files may be among them.
    empty: VecDeque<ForwardId>,
    transfers: Transfers,
    end: End,
    sizes: Sizes,
    /// The client has said QUIT.
    has_quit: bool,
    /// The client's side has ended, without a QUIT.
    left_early: bool,
    /// What is shown of the transfer that runs.
    view: Option<View>,
    /// Ferryline's last 500, as long as the client has sent nothing behind it: it may be the reason of the end.
    last_refusal: Option<String>,
    /// The last command that was refused: where no transfer ran, probably why.
    last_refused: LastRefused,
}

/// The bytes of one data connection.
struct Counted {
    tally: Arc<Tally>,
    /// How many of them the lines of transfers have told.
    told: Moved,
    /// A transfer has told of some.
    is_shared: bool,
    /// The forward is gone: no more will come.
    gone: bool,
}

impl Counted {
    /// The bytes since the last line of a transfer, and their hashes where all before them were none.
    fn take(&mut self) -> (Moved, Option<Hashes>) {
        let (now, hashes) = self.tally.hashed();
        let moved = now.since(std::mem::replace(&mut self.told, now));
        let alone = !self.is_shared;
        self.is_shared |= moved.bytes() > 0;
        (moved, hashes.filter(|_| alone))
    }
}

/// What decides whether the running transfer is shown anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct View {
    sent_at: Duration,
    forward: Option<ForwardId>,
    size: Option<u64>,
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
    /// The FTP server's last reply, a 421.
    ServerSaid(String),
}

impl Journal {
    /// `routed`: the client names its FTP server in the user name.
    pub(crate) fn new(
        shown: Shown,
        routed: bool,
        books: Vec<Arc<dyn Books>>,
        warnings: Arc<Warnings>,
    ) -> Self {
        Self {
            facts: shown.facts(),
            shown,
            books,
            routed,
            warnings,
            user: None,
            logged_in: false,
            logging_in: false,
            password: None,
            asked_for_tls: false,
            log_in_refused: false,
            command: None,
            counted: BTreeMap::new(),
            empty: VecDeque::new(),
            transfers: Transfers::default(),
            end: End::Open,
            last_refusal: None,
            sizes: Sizes::default(),
            has_quit: false,
            left_early: false,
            view: None,
            last_refused: LastRefused::default(),
        }
    }

    /// The FTP server, as the log names it.
    pub(crate) fn server(&self) -> &str {
        &self.facts.server
    }

    /// Whether the hashes of what moves are wanted.
    pub(crate) fn wants_hashes(&self) -> bool {
        self.books.iter().any(|books| books.wants_hashes())
    }

    /// Shows the transfer that runs to those who look from outside. `began`: when the session did.
    pub(crate) fn show(&mut self, began: Instant, running: Option<RunningTransfer<'_>>) {
        let view = running.map(|running| View {
            sent_at: running.sent_at,
            forward: running.forward,
            size: self.sizes.of(running.command),
        });
        if self.view == view {
            return;
        }
        self.view = view;
        let running = running.zip(view).map(|(running, view)| Running {
            command: shown(&masked(running.command)),
            asked_by: running.asked_by,
            since: began + running.sent_at,
            size: view.size,
            data: running
                .forward
                .and_then(|id| self.counted.get(&id))
                .map(|counted| (Arc::clone(&counted.tally), counted.told)),
        });
        let transfers = self.transfers.count;
        self.shown.change(|state| {
            state.running = running;
            state.transfers = transfers;
        });
    }

    /// Shows no transfer. The one that is over is not shown any more when it is entered into the books: a
    /// keeper that adds up what both tell counts no byte twice.
    fn show_none(&mut self) {
        self.view = None;
        let transfers = self.transfers.count;
        self.shown.change(|state| {
            state.running = None;
            state.transfers = transfers;
        });
    }

    /// Notes a line of the client.
    pub(crate) fn client_line(&mut self, text: &[u8]) {
        self.last_refusal = None;
        let Some(command) = Command::parse(text) else {
            return;
        };
        self.sizes.asked(&command);
        self.last_refused
            .command(|| shown(&masked(text.trim_ascii())));
        match command.verb {
            Verb::User => {
                self.logging_in = true;
                self.user = user_in(text, self.routed);
                // It goes on without TLS.
                self.asked_for_tls = false;
                let user = self.user.clone();
                self.shown.change(|state| state.user = user);
            }
            Verb::Pass => {
                self.logging_in = true;
                let password = command.argument.trim_ascii();
                self.password = (!password.is_empty()).then(|| Zeroizing::new(password.to_vec()));
            }
            Verb::Auth => self.asked_for_tls = true,
            Verb::Quit => self.has_quit = true,
            verb if verb.transfer().is_some() => {
                self.command = Some(shown(&masked(text.trim_ascii())));
            }
            _ => {}
        }
    }

    /// Notes a line that the client gets.
    pub(crate) fn reply(&mut self, line: &[u8]) {
        let mut last_refused = std::mem::take(&mut self.last_refused);
        last_refused.reply(line, || self.told_by(line));
        self.last_refused = last_refused;
        match line.get(..4) {
            Some(b"230 " | b"230-" | b"232 ") => {
                if self.logging_in || !self.logged_in {
                    tell(
                        &self.books,
                        &Entry::LoggedIn {
                            session: &self.facts,
                            user: self.user(),
                        },
                    );
                }
                self.logged_in = true;
                self.logging_in = false;
                self.password = None;
            }
            Some(b"530 ") if self.logging_in => {
                self.logging_in = false;
                self.log_in_refused = true;
                let (session, peer, said) =
                    (self.facts.number, self.facts.peer, self.told_by(line));
                self.password = None;
                self.warnings.refused_log_in.warn(format_args!(
                    "#{session} {peer} is not logged in as {}: {said}",
                    self.user()
                ));
                tell(
                    &self.books,
                    &Entry::LogInRefused {
                        session: &self.facts,
                        user: self.user(),
                        reply: &said,
                    },
                );
            }
            Some(b"150 " | b"125 " | b"213 ") => self.sizes.told(line),
            Some(b"221 ") => self.end = End::Quit,
            Some(b"421 ") => {
                self.end = match own_text(line) {
                    Some(text) => End::Said(text),
                    None => End::ServerSaid(shown(&masked_reply(line.trim_ascii()))),
                };
            }
            Some(b"500 ") => self.last_refusal = own_text(line),
            _ => {}
        }
    }

    /// A reply of the FTP server, as it may stand in the log: some servers repeat the password.
    fn told_by(&self, line: &[u8]) -> String {
        let line = line.trim_ascii();
        let repeats = self.password.as_ref().is_some_and(|password| {
            let mut places = line.windows(password.len());
            places.any(|place| place == password.as_slice())
        });
        match repeats {
            true => format!(
                "{} (its text repeats the password)",
                shown(line.get(..3).unwrap_or(line))
            ),
            false => shown(&masked_reply(line)),
        }
    }

    /// Notes that a data connection may run over this forward, which counts its bytes here.
    pub(crate) fn forward(&mut self, id: ForwardId, tally: Arc<Tally>) {
        let counted = Counted {
            tally,
            told: Moved::default(),
            is_shared: false,
            gone: false,
        };
        self.counted.insert(id, counted);
        if self.counted.len() > MOST_COUNTED
            && let Some((_, mut oldest)) = self.counted.pop_first()
        {
            self.transfers.moved.add(oldest.take().0);
        }
    }

    /// Notes that this forward is gone.
    pub(crate) fn forward_gone(&mut self, id: ForwardId) {
        if let Some(counted) = self.counted.get_mut(&id) {
            counted.gone = true;
            // No transfer has told of all of it yet, unless there is nothing to tell.
            if counted.tally.moved() == counted.told {
                if !counted.is_shared {
                    self.empty.push_back(id);
                    if self.empty.len() > MOST_AT_ONCE {
                        self.empty.pop_front();
                    }
                }
                self.counted.remove(&id);
            }
        }
    }

    /// Notes that a side has ended.
    pub(crate) fn client_ended(&mut self, ending: Ending) {
        self.left_early = !self.has_quit;
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
        let counted = report.forward.and_then(|id| self.counted.get_mut(&id));
        let (moved, hashes) = match counted {
            Some(counted) => counted.take(),
            None => (Moved::default(), self.hashes_of_nothing(report.forward)),
        };
        if let Some(id) = report.forward
            && self.counted.get(&id).is_some_and(|counted| counted.gone)
        {
            self.counted.remove(&id);
        }
        let answer = report.answer.as_deref().map(|line| line.trim_ascii());
        let failed = !answer.is_some_and(|line| line.starts_with(b"2"));
        self.sizes.over();
        self.transfers.count += 1;
        self.transfers.failed += u64::from(failed);
        self.transfers.moved.add(moved);
        self.show_none();
        let command = match report.command.is_empty() {
            true => "a command that ferryline does not know".to_owned(),
            false => shown(&masked(&report.command)),
        };
        let result = match (answer, failed) {
            (None, _) => "no final reply".to_owned(),
            (Some(line), true) => shown(&masked_reply(line)),
            (Some(line), false) => shown(line.get(..3).unwrap_or(line)),
        };
        let carried = Carried {
            bytes: moved.bytes(),
            time: now.saturating_sub(report.sent_at),
        };
        let outcome = match (failed, report.begun) {
            (false, _) => Outcome::Complete,
            (true, true) => Outcome::Cut,
            (true, false) => Outcome::Refused,
        };
        let hashes = hashes.filter(|_| outcome != Outcome::Refused);
        let transfer = Transferred {
            user: self.user.as_deref(),
            logged_in: self.logged_in,
            report,
            outcome,
            time: carried.time,
            moved,
            sha256: hashes.and_then(|hashes| match moved {
                Moved { to_server: 0, .. } => Some(hashes.to_client),
                Moved { to_client: 0, .. } => Some(hashes.to_server),
                Moved { .. } => None,
            }),
        };
        tell(
            &self.books,
            &Entry::Transferred {
                session: &self.facts,
                transfer: &transfer,
            },
        );
        let (session, user) = (self.facts.number, self.user());
        match failed {
            // A stranger can ask for as many as it likes.
            true if !self.logged_in => self.warnings.refused_transfer.warn(format_args!(
                "#{session} {user} {command}: failed after {carried}: {result}"
            )),
            true => {
                tracing::warn!(target: CARRIED, "#{session} {user} {command}: failed after {carried}: {result}")
            }
            // A client that is killed ends its connections as one does that has sent its whole file.
            false if self.left_early && is_upload(&report.command) => tracing::warn!(
                target: CARRIED,
                "#{session} {user} {command}: {carried}, {result}; the client left without waiting for that: if it was \
                 stopped, the file is short"
            ),
            false => {
                tracing::info!(target: CARRIED, "#{session} {user} {command}: {carried}, {result}")
            }
        }
    }

    /// The hashes of a data connection that is gone, where it had no data and they are wanted.
    fn hashes_of_nothing(&self, forward: Option<ForwardId>) -> Option<Hashes> {
        let was_empty = forward.is_some_and(|id| self.empty.contains(&id));
        (was_empty && self.wants_hashes())
            .then(|| Tally::with_hashes().hashed().1)
            .flatten()
    }

    /// Tells the operator that a stop waits for the transfer that runs, for this long at most.
    pub(crate) fn waits_at_stop(&self, grace: Duration) {
        tracing::warn!(
            "#{} stopping: waits for {} {}, {} at most (a second Ctrl-C cuts it)",
            self.facts.number,
            self.user(),
            self.command.as_deref().unwrap_or("what runs"),
            Seconds(grace)
        );
    }

    /// Logs the end of the session, which has lasted so long. One that carried nothing, and whose client never
    /// logged in, is shown to those who want to see all.
    pub(crate) fn ended(&mut self, time: Duration) {
        let (session, peer) = (self.facts.number, self.facts.peer);
        // What has moved since the last line of its transfer.
        for counted in self.counted.values_mut() {
            self.transfers.moved.add(counted.take().0);
        }
        if self.end == End::Open
            && let Some(text) = self.last_refusal.take()
        {
            self.end = End::Said(text);
        }
        if self.asked_for_tls && !self.logged_in {
            self.warnings.tls_refused.warn(format_args!(
                "#{session} {peer} asked for TLS and left when that was refused: turn TLS off in this client \
                 (plain FTP), its connection is inside SSH already"
            ));
        }
        let reason = self.end.to_string();
        // Of a refused log-in the log has been told.
        let told = self.logged_in || self.log_in_refused;
        if !told && matches!(self.end, End::Server(_) | End::ServerSaid(_)) {
            self.warnings.not_served.warn(format_args!(
                "#{session} {peer} → {}: not logged in ({reason}). The FTP server's log says more; to it all clients come \
                 from the SSH host, which its rules by address, and its limits of connections, may keep out",
                self.facts.server
            ));
        }
        let end = SessionEnd {
            user: self.user.as_deref(),
            logged_in: self.logged_in,
            by: self.end.by(),
            reason: &reason,
            time,
            transfers: self.transfers.count,
            failed: self.transfers.failed,
            moved: self.transfers.moved,
        };
        tell(
            &self.books,
            &Entry::SessionEnded {
                session: &self.facts,
                end: &end,
            },
        );
        let refused = self.last_refused.told();
        let refused = refused.filter(|_| self.transfers.count == 0);
        let refused = refused.map_or_else(String::new, |told| format!("; last refusal: {told}"));
        let line = format!(
            "#{session} {}@{peer} → {} ended after {}: {}; {}{refused}",
            self.user(),
            self.facts.server,
            Seconds(time),
            reason,
            self.transfers
        );
        match self.logged_in {
            true => tracing::info!(target: CARRIED, "{line}"),
            false => tracing::info!("{line}"),
        }
    }

    fn user(&self) -> &str {
        self.user.as_deref().unwrap_or("(no user)")
    }
}

impl End {
    fn by(&self) -> EndedBy {
        match self {
            Self::Open => EndedBy::Stopped,
            Self::Quit => EndedBy::Quit,
            Self::Client(Ending::Eof) => EndedBy::ClientClosed,
            Self::Client(Ending::Lost | Ending::Silent) => EndedBy::ClientLost,
            Self::Client(_) => EndedBy::ClientInvalid,
            Self::Server(Ending::Eof) | Self::ServerSaid(_) => EndedBy::ServerClosed,
            Self::Server(Ending::Lost | Ending::Silent) => EndedBy::ServerLost,
            Self::Server(_) => EndedBy::ServerInvalid,
            Self::Said(_) => EndedBy::Ferryline,
        }
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
            Self::ServerSaid(text) => write!(f, "the FTP server ended it: {text}"),
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

/// The user that a client's line names, if it is a USER; no more of the line. Some clients put the password behind
/// it. `routed`: the client names its FTP server behind it.
pub(super) fn user_in(text: &[u8], routed: bool) -> Option<String> {
    let line = masked(text);
    let line = line.split(|byte| *byte == b'\r').next()?;
    let command = Command::parse(line).filter(|command| command.verb == Verb::User)?;
    let named = UserAtHost::parse(command.argument).filter(|_| routed);
    let user = named.map_or(command.argument, |named| named.user);
    Some(shown(user.trim_ascii()))
}

fn is_upload(command: &[u8]) -> bool {
    let verb = Command::parse(command).map(|command| command.verb);
    verb.and_then(Verb::transfer) == Some(TransferDirection::Upload)
}

/// The text of a reply of ferryline's own.
fn own_text(line: &[u8]) -> Option<String> {
    let text = line.get(4..)?.strip_prefix(b"ferryline: ")?;
    Some(shown(text.trim_ascii()))
}

/// Bytes of a peer as they may stand in a log.
fn shown(text: &[u8]) -> String {
    printable(text.get(..SHOWN).unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q88_what_a_user_line_holds_beside_the_user_is_not_told() {
        for (line, user) in [
            ("USER me", Some("me")),
            ("user  me ", Some("me")),
            ("USER bob:hunter2@ftp.example", Some("bob:****@ftp.example")),
            ("USER eve\rPASS hunter3", Some("eve")),
            ("PASS me", None),
        ] {
            assert_eq!(user_in(line.as_bytes(), false).as_deref(), user, "{line}");
        }
        let routed = user_in(b"USER bob:hunter2@ftp.example", true).unwrap();
        assert!(!routed.contains("hunter2"), "{routed}");
    }
}
