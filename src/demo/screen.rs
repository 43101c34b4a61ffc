//! What the tour prints, and the observer that reports changed lines to it.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    net::SocketAddr,
    path::Path,
};

use tokio::sync::mpsc;

use super::{
    changes::{Direction, Observer, Pairing},
    ftp_client::Mode,
    paint::change_lines,
};
use crate::paint::Paint;

/// What the tour prints.
pub(super) struct Screen<'a> {
    out: &'a mut (dyn Write + Send),
    paint: Paint,
    seen: mpsc::UnboundedReceiver<Seen>,
    /// Pairings by session.
    pairings: BTreeMap<u64, Pairing>,
}

impl<'a> Screen<'a> {
    /// Returns a screen, and the observer whose lines it shows.
    pub(super) fn new(out: &'a mut (dyn Write + Send), paint: Paint) -> (Listener, Self) {
        let (lines, seen) = mpsc::unbounded_channel();
        let screen = Self {
            out,
            paint,
            seen,
            pairings: BTreeMap::new(),
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
        ferry: SocketAddr,
        file: &str,
        files: &Path,
    ) -> io::Result<()> {
        let url = format!("ftp://demo:demo@{ferry}/");
        let hints = [
            (format!("curl {url}"), "list (curl asks for EPSV)"),
            (format!("curl {url}{file}"), "fetch"),
            (format!("curl -T FILE {url}"), "store"),
            (format!("curl -P - {url}"), "list in active mode (EPRT)"),
            (format!("lftp {url}"), "a client for people"),
            (format!("ftp {} {}", ferry.ip(), ferry.port()), "another"),
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
        writeln!(self.out, "\nThe FTP server's files: {}\n", files.display())?;
        self.out.flush()
    }

    /// Prints what was changed since the last look, with the name of the step.
    pub(super) fn changes(&mut self, doing: &str) -> io::Result<()> {
        let mut label = doing;
        while let Ok(seen) = self.seen.try_recv() {
            self.show(seen, &mut label)?;
        }
        self.out.flush()
    }

    /// Prints changes as they come, as long as the proxy runs.
    pub(super) async fn follow(&mut self) -> io::Result<()> {
        while let Some(seen) = self.seen.recv().await {
            let label = format!("#{}", seen.0);
            self.show(seen, &mut label.as_str())?;
            self.out.flush()?;
        }
        Ok(())
    }

    fn show(&mut self, seen: Seen, label: &mut &str) -> io::Result<()> {
        let (session, direction, line) = seen;
        let pairing = self.pairings.entry(session).or_default();
        let changes = pairing.observe(direction, &line);
        // The end of a session is not reported; the oldest has most probably ended.
        if self.pairings.len() > MAX_SESSIONS {
            self.pairings.pop_first();
        }
        for change in changes {
            for text in change_lines(self.paint, &change) {
                writeln!(self.out, "    {label:<6} {text}")?;
                *label = "";
            }
        }
        Ok(())
    }
}

/// Passes on to the screen what the proxy saw.
pub(super) struct Listener(mpsc::UnboundedSender<Seen>);

type Seen = (u64, Direction, Vec<u8>);

impl Observer for Listener {
    fn line(&self, session: u64, direction: Direction, line: &[u8]) {
        // Once the tour is over, no task receives this.
        let _ = self.0.send((session, direction, line.to_vec()));
    }
}

/// Number of control connections that are followed at once.
const MAX_SESSIONS: usize = 256;
