//! What there is, as lines.

use super::rates::Rates;
use crate::{
    monitor::{Now, Session, Ssh, Transfer, Tunnel},
    paint::Paint,
    printable::printable,
};

/// How it is to look.
pub(super) struct Look {
    pub(super) paint: Paint,
    pub(super) width: usize,
    /// The number of the session that is chosen.
    pub(super) chosen: Option<u64>,
    pub(super) asking: Option<Asking>,
    /// Whether there are keys, which a line at the end explains.
    pub(super) is_terminal: bool,
}

/// What is asked of the person, or said to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asking {
    /// Whether this session is to be ended.
    EndOf(u64),
    /// Something has been done, or could not be.
    Said(String),
}

impl Look {
    /// Plain lines.
    pub(super) fn plain(width: usize) -> Self {
        Self {
            paint: Paint::new(false),
            width,
            chosen: None,
            asking: None,
            is_terminal: false,
        }
    }
}

/// The lines. What peers have said is written out where it is no printable ASCII.
pub(super) fn lines(now: &Now, rates: &Rates, look: &Look) -> Vec<String> {
    let (paint, width) = (look.paint, look.width);
    let running = now
        .sessions
        .iter()
        .filter(|session| session.transfer.is_some())
        .count();
    let mut lines = vec![fitted(
        &format!(
            "ferryline {}, up {}: {}, {}",
            shown(&now.version),
            time(now.now - now.started),
            plural(now.sessions.len(), "session"),
            plural(running, "transfer"),
        ),
        width,
        |text| paint.bold(text),
    )];
    for ssh in &now.ssh {
        lines.push(ssh_line(ssh, look));
    }
    lines.push(String::new());
    let head = "TUNNEL                    SESSIONS  FTP SERVER";
    lines.push(fitted(head, width, |text| paint.faint(text)));
    for tunnel in &now.tunnels {
        lines.push(fitted(&tunnel_line(tunnel, now), width, str::to_owned));
    }
    lines.push(String::new());
    let head = "SESSION  TUNNEL          USER        TRANSFER                        PROGRESS                   RATE       AGE      MODE";
    lines.push(fitted(head, width, |text| paint.faint(text)));
    for session in &now.sessions {
        let line = session_line(session, rates);
        let is_chosen = look.chosen == Some(session.number);
        lines.push(fitted(&line, width, |text| match is_chosen {
            // Reverse video.
            true => format!("\x1b[7m{text}\x1b[0m"),
            false => text.to_owned(),
        }));
    }
    if now.sessions.is_empty() {
        lines.push("no session".to_owned());
    }
    if look.is_terminal {
        let line = match &look.asking {
            Some(Asking::EndOf(number)) => {
                let session = now.sessions.iter().find(|there| there.number == *number);
                question(*number, session)
            }
            Some(Asking::Said(said)) => said.clone(),
            None => "q quits, arrows choose a session, k ends it".to_owned(),
        };
        lines.push(String::new());
        lines.push(fitted(&line, width, |text| match look.asking {
            Some(_) => paint.bold(text),
            None => paint.faint(text),
        }));
    }
    lines
}

fn question(number: u64, session: Option<&Session>) -> String {
    let whose = session.and_then(|session| session.user.as_deref());
    let what = session.and_then(|session| session.transfer.as_ref());
    let whose = whose.map_or_else(String::new, |user| format!(" of {}", shown(user)));
    let what = what.map_or_else(String::new, |transfer| {
        format!(", which cuts {}", shown(&transfer.command))
    });
    format!("end session #{number}{whose}{what}? y/n")
}

fn ssh_line(ssh: &Ssh, look: &Look) -> String {
    let (name, destination) = (shown(&ssh.name), shown(&ssh.destination));
    let state = match (ssh.up, &ssh.failure) {
        (true, _) => "up".to_owned(),
        (false, Some(failure)) => format!("down: {}", shown(failure)),
        (false, None) => "down".to_owned(),
    };
    let lanes = plural(ssh.lanes_busy + ssh.lanes_idle, "connection");
    let line = format!(
        "SSH {name} ({destination}) {state}; {lanes} for data, {} busy; reconnected {} times",
        ssh.lanes_busy, ssh.reconnects
    );
    fitted(&line, look.width, |text| match ssh.up {
        true => text.to_owned(),
        false => look.paint.bad(text),
    })
}

fn tunnel_line(tunnel: &Tunnel, now: &Now) -> String {
    let sessions = now.sessions.iter();
    let of_it = sessions.filter(|session| session.tunnel == tunnel.name);
    format!(
        "{:<25} {:>8}  {}",
        cut(&shown(&tunnel.name), 25),
        of_it.count(),
        shown(&tunnel.server)
    )
}

fn session_line(session: &Session, rates: &Rates) -> String {
    let user = shown(session.user.as_deref().unwrap_or("-"));
    let start = format!(
        "{:<8} {:<15} {:<11} ",
        format!("#{}", session.number),
        cut(&shown(&session.tunnel), 15),
        cut(&user, 11)
    );
    let rest = match &session.transfer {
        Some(transfer) => format!(
            "{:<31} {:<26} {:<10} {:<8} {}",
            cut(&shown(&transfer.command), 31),
            progress(transfer),
            format!("{}/s", rounded(rates.of(session.number, transfer))),
            time(transfer.age),
            mode(transfer)
        ),
        None => format!(
            "{:<31} {:<26} {:<10} {}",
            "-",
            plural(
                usize::try_from(session.transfers).unwrap_or(usize::MAX),
                "transfer"
            ),
            "",
            time(session.age)
        ),
    };
    (start + &rest).trim_end().to_owned()
}

/// Number of characters of a bar.
const BAR: u64 = 10;

fn progress(transfer: &Transfer) -> String {
    let Some(size) = transfer.size.filter(|size| *size > 0) else {
        return bytes(transfer.bytes);
    };
    let done = transfer.bytes.min(size);
    let part = |of: u64| u128::from(done) * u128::from(of) / u128::from(size);
    let filled = usize::try_from(part(BAR)).unwrap_or_default();
    let empty = usize::try_from(BAR).unwrap_or_default() - filled;
    format!(
        "[{}{}] {:>3}% {}",
        "#".repeat(filled),
        ".".repeat(empty),
        part(100),
        bytes(size)
    )
}

fn mode(transfer: &Transfer) -> String {
    match (&transfer.asked_as, &transfer.sent_as) {
        (Some(asked), Some(sent)) if asked != sent => format!("{}→{}", shown(asked), shown(sent)),
        (Some(asked), _) => shown(asked),
        (None, _) => String::new(),
    }
}

fn bytes(bytes: u64) -> String {
    // To be read.
    #[expect(clippy::cast_precision_loss)]
    let number = bytes as f64;
    rounded(number)
}

fn rounded(bytes: f64) -> String {
    match bytes {
        1e12.. => format!("{:.1}TB", bytes / 1e12),
        1e9.. => format!("{:.1}GB", bytes / 1e9),
        1e6.. => format!("{:.1}MB", bytes / 1e6),
        1e3.. => format!("{:.1}kB", bytes / 1e3),
        _ => format!("{bytes:.0}B"),
    }
}

fn time(seconds: f64) -> String {
    // Of a process, not of a star.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let seconds = seconds.max(0.0) as u64;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

fn plural(count: usize, what: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {what}{s}")
}

/// What another process has told, as it may stand on a terminal. (A backslash that escapes stays as it is.)
fn shown(text: &str) -> String {
    match text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        true => text.to_owned(),
        false => printable(text.as_bytes()),
    }
}

/// The first characters of an ASCII text.
fn cut(text: &str, width: usize) -> &str {
    text.get(..width).unwrap_or(text)
}

/// A line that is no wider than the terminal, painted.
fn fitted(line: &str, width: usize, paint: impl Fn(&str) -> String) -> String {
    let end = line.char_indices().nth(width).map(|(at, _)| at);
    paint(line.get(..end.unwrap_or(line.len())).unwrap_or(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(at: f64, bytes: u64) -> Now {
        let transfer = Transfer {
            command: "RETR big\x1b[2J".into(),
            direction: "download".into(),
            asked_as: Some("PASV".into()),
            sent_as: Some("EPSV".into()),
            age: at - 1000.0,
            size: Some(1_000_000),
            bytes,
        };
        let session = Session {
            number: 3,
            tunnel: "erp".into(),
            client: "127.0.0.1:4000".parse().unwrap(),
            local_user: None,
            user: Some("de\u{9b}mo".into()),
            server: "ftp.internal:21".into(),
            age: 75.0,
            transfers: 2,
            transfer: Some(transfer),
        };
        let idle = Session {
            number: 4,
            user: None,
            transfer: None,
            ..session.clone()
        };
        Now {
            version: "0.1.0".into(),
            now: at,
            started: at - 90_000.0,
            may_end: true,
            tunnels: vec![Tunnel {
                name: "erp".into(),
                listens: vec![],
                server: "ftp.internal:21".into(),
                ssh: "dc1".into(),
            }],
            ssh: vec![Ssh {
                name: "dc1".into(),
                destination: "me@ssh.example".into(),
                up: false,
                failure: Some("no route".into()),
                reconnects: 2,
                lanes_busy: 1,
                lanes_idle: 1,
            }],
            sessions: vec![session, idle],
        }
    }

    #[test]
    fn what_runs_is_shown_with_its_rate() {
        let mut rates = Rates::default();
        rates.note(&reading(1001.0, 200_000));
        let now = reading(1002.0, 500_000);
        rates.note(&now);
        let lines = lines(&now, &rates, &Look::plain(140));
        assert_eq!(
            lines,
            [
                "ferryline 0.1.0, up 1d01h: 2 sessions, 1 transfer",
                "SSH dc1 (me@ssh.example) down: no route; 2 connections for data, 1 busy; reconnected 2 times",
                "",
                "TUNNEL                    SESSIONS  FTP SERVER",
                "erp                              2  ftp.internal:21",
                "",
                "SESSION  TUNNEL          USER        TRANSFER                        PROGRESS                   RATE       AGE      MODE",
                "#3       erp             de\\xc2\\x9bm RETR big\\x1b[2J                 [#####.....]  50% 1.0MB    300.0kB/s  2s       PASV→EPSV",
                "#4       erp             -           -                               2 transfers                           1m15s",
            ]
        );
        // The first reading has the rate of the whole.
        let mut first = Rates::default();
        first.note(&now);
        let transfer = now.sessions[0].transfer.as_ref().unwrap();
        assert!((first.of(3, transfer) - 250_000.0).abs() < 1.0);
    }

    /// Whatever a peer has called its file, and however narrow the terminal is.
    #[test]
    fn no_line_is_too_wide_or_has_a_control_character() {
        let now = reading(1002.0, 500_000);
        let rates = Rates::default();
        for width in [0, 1, 40, 80, 200] {
            for line in lines(&now, &rates, &Look::plain(width)) {
                assert!(
                    line.chars().count() <= width.max("no session".len()),
                    "{line}"
                );
                assert!(!line.chars().any(char::is_control), "{line:?}");
            }
        }
    }

    #[test]
    fn the_question_says_what_is_cut() {
        let now = reading(1002.0, 500_000);
        let look = Look {
            asking: Some(Asking::EndOf(3)),
            is_terminal: true,
            ..Look::plain(100)
        };
        let lines = lines(&now, &Rates::default(), &look);
        assert_eq!(
            lines.last().unwrap(),
            "end session #3 of de\\xc2\\x9bmo, which cuts RETR big\\x1b[2J? y/n"
        );
    }
}
