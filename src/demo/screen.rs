//! What the tour prints, and the observer that reports changed lines to it.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    net::SocketAddr,
    path::Path,
    pin::pin,
    time::Duration,
};

use tokio::{
    sync::mpsc,
    time::{Instant, interval, interval_at},
};

use super::{
    changes::{Direction, Observer, Pairing},
    ftp_client::Mode,
    paint::change_lines,
};
use crate::{
    paint::Paint,
    proxy::{Books, Entry, SessionEnd},
};

/// What the tour prints.
pub(super) struct Screen<'a> {
    out: &'a mut (dyn Write + Send),
    paint: Paint,
    seen: mpsc::UnboundedReceiver<Seen>,
    /// The sessions that have not ended.
    sessions: BTreeMap<u64, Shown>,
    /// The last session of the tour's own.
    last_of_tour: u64,
    spinner: Spinner,
}

/// What is known of a session.
#[derive(Default)]
struct Shown {
    pairing: Pairing,
    asked_for_tls: bool,
}

/// A line at the end of the output that moves while the program waits, on a terminal only.
struct Spinner {
    is_wanted: bool,
    turns: usize,
    is_shown: bool,
}

impl<'a> Screen<'a> {
    /// Returns a screen, and the observer whose lines it shows. `is_terminal`: it may move while it waits.
    pub(super) fn new(
        out: &'a mut (dyn Write + Send),
        paint: Paint,
        is_terminal: bool,
    ) -> (Listener, Self) {
        let (lines, seen) = mpsc::unbounded_channel();
        let screen = Self {
            out,
            paint,
            seen,
            sessions: BTreeMap::new(),
            last_of_tour: 0,
            spinner: Spinner {
                is_wanted: is_terminal,
                turns: 0,
                is_shown: false,
            },
        };
        (Listener(lines), screen)
    }

    pub(super) fn welcome(&mut self, route: &str) -> io::Result<()> {
        writeln!(
            self.out,
            "ferryline demo: an FTP server and an SSH server inside this process, and ferryline between.\n\n    \
             ftp://{}\n\n\
             Each mode lists a folder, fetches a file and stores one through SSH, and compares every byte.\n\
             Shown is what ferryline changes on the control connection. Of two lines, the first is what one side\n\
             said, the second what the other side got. \"(ferryline's own)\": ferryline said it to that side.",
            route
        )
    }

    pub(super) fn heading(&mut self, mode: Mode) -> io::Result<()> {
        let what = match mode {
            Mode::Passive => "the client connects for data, to the address in the reply",
            Mode::ExtendedPassive => "the client connects for data, to the port in the reply",
            Mode::Active => "the server connects for data, to the address in the command",
            Mode::ExtendedActive => {
                "the same in newer words, which this FTP server does not even know"
            }
        };
        writeln!(self.out, "\n{}: {what}", self.paint.bold(mode.verb()))
    }

    pub(super) fn success(&mut self, mode: Mode, done: &str) -> io::Result<()> {
        writeln!(self.out, "{} {mode}: {done}", self.paint.good("✓"))
    }

    pub(super) fn failure(&mut self, mode: Mode, trouble: &str) -> io::Result<()> {
        writeln!(self.out, "{} {mode}: {trouble}", self.paint.bad("✗"))
    }

    pub(super) fn verdict(&mut self, all_well: bool) -> io::Result<()> {
        match all_well {
            true => writeln!(self.out, "\n{}", self.paint.good("All four modes work.")),
            false => writeln!(self.out, "\n{}", self.paint.bad("Not every mode works.")),
        }
    }

    pub(super) fn what_to_try(
        &mut self,
        address: SocketAddr,
        file: &str,
        files: &Path,
        (key, commands): (&Path, &[String]),
    ) -> io::Result<()> {
        let url = url(address);
        let hints = [
            (format!("curl {url}"), "list (curl asks for EPSV)"),
            (format!("curl {url}{file}"), "fetch"),
            (format!("curl -T FILE {url}"), "store"),
            (format!("curl -P - {url}"), "list in active mode (EPRT)"),
            (format!("lftp {url}"), "a client for people"),
            (
                format!("ftp {} {}", address.ip(), address.port()),
                "another",
            ),
        ];
        let width = hints.iter().map(|(line, _)| line.len()).max();
        let width = width.unwrap_or_default();
        writeln!(
            self.out,
            "\nTry it while this runs; any user and password will do. Ctrl-C ends it.\n"
        )?;
        for (line, what) in hints {
            writeln!(self.out, "    {line:<width$}  {what}")?;
        }
        writeln!(
            self.out,
            "\nOr try ferryline itself with the demo's SSH server, which lets in the key in\n{}:\n",
            key.display()
        )?;
        for line in commands {
            writeln!(self.out, "    {line}")?;
        }
        writeln!(self.out, "\nThe FTP server's files: {}\n", files.display())?;
        self.out.flush()
    }

    /// Prints what was changed since the last look, with the name of the step.
    pub(super) fn changes(&mut self, doing: &str) -> io::Result<()> {
        let mut label = doing;
        while let Ok(seen) = self.seen.try_recv() {
            self.last_of_tour = self.last_of_tour.max(seen.session());
            match seen {
                Seen::Ended(session, _) => drop(self.sessions.remove(&session)),
                line => self.show(line, &mut label)?,
            }
        }
        self.out.flush()
    }

    /// Waits for this. On a terminal, it moves meanwhile.
    pub(super) async fn wait_for<T>(
        &mut self,
        what: &str,
        done: impl Future<Output = T>,
    ) -> io::Result<T> {
        let mut done = pin!(done);
        // What is quick does not flicker.
        let mut ticks = interval_at(Instant::now() + TICK, TICK);
        loop {
            tokio::select! {
                done = &mut done => {
                    self.wipe()?;
                    return Ok(done);
                }
                _ = ticks.tick(), if self.spinner.is_wanted => self.spin(what)?,
            }
        }
    }

    /// Prints changes and ends of sessions as they come, as long as the proxy runs.
    pub(super) async fn follow(&mut self, ferry: SocketAddr) -> io::Result<()> {
        let mut ticks = interval(TICK);
        loop {
            let is_idle = self.spinner.is_wanted && self.sessions.is_empty();
            tokio::select! {
                seen = self.seen.recv() => match seen {
                    Some(seen) => self.follow_one(seen, ferry)?,
                    None => return Ok(()),
                },
                _ = ticks.tick(), if is_idle => self.spin(WAITS_FOR_CLIENT)?,
            }
        }
    }

    fn follow_one(&mut self, seen: Seen, ferry: SocketAddr) -> io::Result<()> {
        let label = format!("#{}", seen.session());
        match seen {
            Seen::Ended(session, ending) => self.ended(session, &ending, ferry)?,
            line => self.show(line, &mut label.as_str())?,
        }
        self.out.flush()
    }

    /// What a session of the tour's has carried, the tour tells itself.
    fn ended(&mut self, session: u64, ending: &Ending, ferry: SocketAddr) -> io::Result<()> {
        let shown = self.sessions.remove(&session).unwrap_or_default();
        if session <= self.last_of_tour {
            return Ok(());
        }
        self.wipe()?;
        let mark = match ending.logged_in {
            true => self.paint.good("✓"),
            false => self.paint.doubtful("–"),
        };
        writeln!(self.out, "{mark} #{session} {}", ending.summary)?;
        let wants_tls = shown.asked_for_tls || ending.reason.contains(SPEAKS_TLS);
        if wants_tls && !ending.logged_in {
            writeln!(
                self.out,
                "  This client insists on TLS, which ferryline refuses: SSH protects the connection already. This works:\n    \
                 curl {}",
                url(ferry)
            )?;
        }
        writeln!(self.out)
    }

    fn show(&mut self, seen: Seen, label: &mut &str) -> io::Result<()> {
        let Seen::Line(session, direction, line) = seen else {
            return Ok(());
        };
        self.wipe()?;
        let shown = self.sessions.entry(session).or_default();
        shown.asked_for_tls |=
            direction == Direction::FromClient && line.to_ascii_uppercase().starts_with(b"AUTH ");
        let changes = shown.pairing.observe(direction, &line);
        for change in changes {
            for text in change_lines(self.paint, &change) {
                writeln!(self.out, "    {label:<6} {text}")?;
                *label = "";
            }
        }
        Ok(())
    }

    /// Shows that the program waits. The cursor stays at the line's beginning: what another writer prints there
    /// begins a line.
    fn spin(&mut self, what: &str) -> io::Result<()> {
        let turn = SPINNER.get(self.spinner.turns % SPINNER.len());
        self.spinner.turns = self.spinner.turns.wrapping_add(1);
        self.spinner.is_shown = true;
        let turn = turn.copied().unwrap_or_default();
        write!(self.out, "\r\x1b[K{turn} {what}\r")?;
        self.out.flush()
    }

    fn wipe(&mut self) -> io::Result<()> {
        match std::mem::take(&mut self.spinner.is_shown) {
            true => write!(self.out, "\r\x1b[K"),
            false => Ok(()),
        }
    }

    /// Leaves the terminal as it should be for what comes next.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.wipe()?;
        self.out.flush()
    }
}

/// Where clients connect, with a user and a password.
fn url(ferry: SocketAddr) -> String {
    format!("ftp://demo:demo@{ferry}/")
}

/// Passes on to the screen what the proxy saw.
pub(super) struct Listener(mpsc::UnboundedSender<Seen>);

enum Seen {
    Line(u64, Direction, Vec<u8>),
    Ended(u64, Ending),
}

impl Seen {
    fn session(&self) -> u64 {
        match self {
            Self::Line(session, ..) | Self::Ended(session, _) => *session,
        }
    }
}

impl Observer for Listener {
    fn line(&self, session: u64, direction: Direction, line: &[u8]) {
        // Once the tour is over, no task receives this.
        let _ = self.0.send(Seen::Line(session, direction, line.to_vec()));
    }
}

impl Books for Listener {
    fn enter(&self, entry: &Entry<'_>) {
        if let Entry::SessionEnded { session, end } = entry {
            let _ = self.0.send(Seen::Ended(session.number, Ending::of(end)));
        }
    }
}

/// How a session ended.
#[derive(Default)]
struct Ending {
    logged_in: bool,
    reason: String,
    /// Who it was, what was carried and why it ended.
    summary: String,
}

impl Ending {
    fn of(end: &SessionEnd<'_>) -> Self {
        let user = end.user.unwrap_or("(no user)");
        let transfers = match end.transfers {
            1 => "1 transfer".to_owned(),
            number => format!("{number} transfers"),
        };
        Self {
            logged_in: end.logged_in,
            reason: end.reason.to_owned(),
            summary: format!(
                "{user}: {transfers}, {} B to the client, {} B from it; ended after {:.2} s: {}",
                end.moved.to_client,
                end.moved.to_server,
                end.time.as_secs_f64(),
                end.reason
            ),
        }
    }
}

const SPINNER: [char; 4] = ['|', '/', '-', '\\'];
const TICK: Duration = Duration::from_millis(150);
const WAITS_FOR_CLIENT: &str = "waiting for an FTP client; Ctrl-C ends the demo";
/// What the log says of a client whose first bytes are TLS's.
const SPEAKS_TLS: &str = "speaks TLS";

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Notify;

    use super::*;

    fn ferry() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 2121))
    }

    fn line(session: u64, direction: Direction, text: &str) -> Seen {
        Seen::Line(session, direction, text.into())
    }

    fn ended(session: u64, logged_in: bool, reason: &str) -> Seen {
        let end = SessionEnd {
            user: Some("me"),
            logged_in,
            by: crate::proxy::EndedBy::Quit,
            reason,
            time: Duration::from_millis(250),
            transfers: 1,
            failed: 0,
            moved: crate::proxy::Moved {
                to_client: 43,
                to_server: 0,
            },
        };
        Seen::Ended(session, Ending::of(&end))
    }

    #[test]
    fn a_session_of_the_visitors_ends_with_what_was_carried_and_one_of_the_tours_does_not() {
        let mut out = Vec::new();
        let (listener, mut screen) = Screen::new(&mut out, Paint::new(false), false);
        listener.line(1, Direction::FromServer, b"230 in");
        listener.line(1, Direction::ToClient, b"230 in");
        screen.changes("").unwrap();
        screen.follow_one(ended(1, true, "QUIT"), ferry()).unwrap();
        for seen in [
            line(2, Direction::FromServer, "230 in"),
            line(2, Direction::ToClient, "230 in"),
            ended(2, true, "QUIT"),
        ] {
            screen.follow_one(seen, ferry()).unwrap();
        }
        assert!(screen.sessions.is_empty());
        drop(screen);
        let out = String::from_utf8(out).unwrap();
        let line =
            "✓ #2 me: 1 transfer, 43 B to the client, 0 B from it; ended after 0.25 s: QUIT\n\n";
        assert_eq!(out, line);
    }

    #[test]
    fn who_insists_on_tls_is_told_what_works() {
        for (auth, reason, told) in [
            (true, "left", true),
            (false, "the client speaks TLS", true),
            (false, "left", false),
        ] {
            let mut out = Vec::new();
            let (_listener, mut screen) = Screen::new(&mut out, Paint::new(false), false);
            if auth {
                let asked = line(1, Direction::FromClient, "auth TLS");
                screen.follow_one(asked, ferry()).unwrap();
            }
            screen.follow_one(ended(1, false, reason), ferry()).unwrap();
            drop(screen);
            let out = String::from_utf8(out).unwrap();
            let command = "    curl ftp://demo:demo@127.0.0.1:2121/\n";
            assert_eq!(out.contains(command), told, "{out}");
        }
    }

    #[test]
    fn a_client_that_goes_on_without_tls_is_told_nothing() {
        let mut out = Vec::new();
        let (_listener, mut screen) = Screen::new(&mut out, Paint::new(false), false);
        for seen in [
            line(1, Direction::FromClient, "AUTH TLS"),
            ended(1, true, "QUIT"),
        ] {
            screen.follow_one(seen, ferry()).unwrap();
        }
        drop(screen);
        assert!(!String::from_utf8(out).unwrap().contains("curl"));
    }

    /// Tells when it was written to.
    struct Told {
        text: String,
        written: Arc<Notify>,
    }

    impl Write for Told {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.text.push_str(&String::from_utf8_lossy(bytes));
            self.written.notify_one();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn on_a_terminal_it_moves_while_it_waits_and_leaves_nothing_behind() {
        let written = Arc::new(Notify::new());
        let mut out = Told {
            text: String::new(),
            written: Arc::clone(&written),
        };
        let (_listener, mut screen) = Screen::new(&mut out, Paint::new(false), true);
        screen
            .wait_for("waiting", written.notified())
            .await
            .unwrap();
        drop(screen);
        let text = out.text;
        assert!(text.starts_with("\r\x1b[K| waiting\r"), "{text:?}");
        assert!(text.ends_with("\r\x1b[K"), "{text:?}");
    }
}
