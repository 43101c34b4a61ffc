//! Asking a person: passwords, passphrases, and whether to trust a host key.

mod askpass;

use std::fmt;
use std::io::{self, BufRead, Write};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use zeroize::Zeroizing;

use askpass::Whom;

/// How passwords and passphrases are asked for. Called from a blocking thread, never concurrently
/// for one session.
pub trait Prompt: Send + Sync {
    /// Asks for something that must not be shown while it is typed. `None`: nobody there to ask,
    /// or the person gave up.
    fn secret(&self, text: &str) -> Option<Secret>;
    /// Asks for something that may be shown while it is typed: whether to trust a host key (the
    /// caller judges the answer), or a name or number that a server asks for. `None` as above.
    fn visible(&self, text: &str) -> Option<Secret> {
        self.secret(text)
    }
}

/// Asks a person as ssh does: on the controlling terminal, or through the program that
/// `SSH_ASKPASS` names, where there is no terminal but a display, or where `SSH_ASKPASS_REQUIRE`
/// says so. Standard input is never read: where there is neither, as in a service, there is no
/// answer, and none is waited for.
#[derive(Clone, Copy, Debug, Default)]
pub struct TerminalPrompt;

impl Prompt for TerminalPrompt {
    fn secret(&self, text: &str) -> Option<Secret> {
        match askpass::whom(|name| std::env::var_os(name), has_terminal()) {
            Whom::Nobody => None,
            Whom::Program(program) => askpass::ask(&program, text),
            Whom::Terminal => rpassword::prompt_password(text).ok().map(Secret::new),
        }
    }

    fn visible(&self, text: &str) -> Option<Secret> {
        match askpass::whom(|name| std::env::var_os(name), has_terminal()) {
            Whom::Nobody => None,
            Whom::Program(program) => askpass::ask(&program, text),
            Whom::Terminal => ask_in_clear(text).ok(),
        }
    }
}

/// A password or passphrase: wiped from memory when dropped, never shown by `Debug`.
///
/// What cannot be wiped: the copies that russh makes on the way to the server. It takes passwords
/// and keyboard-interactive answers as plain `String`s and puts them into its packet buffers, which
/// it encrypts in place and reuses, but does not wipe. The pages are not locked either: what the
/// system swaps out or writes into a core file is beyond this. An FTP password is not kept at all,
/// but the line that holds it passes through the same buffers as all other lines, which are not
/// wiped either.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes over the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("****")
    }
}

/// Tells apart the time the server takes from the time a person takes: time limits run only while
/// nobody is being asked.
#[derive(Debug)]
pub(crate) struct Patience {
    limit: Duration,
    clock: watch::Sender<Clock>,
}

#[derive(Clone, Copy, Debug)]
struct Clock {
    asking: usize,
    since: Instant,
}

impl Patience {
    /// A clock that starts now.
    pub(super) fn new(limit: Duration) -> Self {
        let clock = Clock {
            asking: 0,
            since: Instant::now(),
        };
        Self {
            limit,
            clock: watch::Sender::new(clock),
        }
    }

    /// Stops the clock until the guard is dropped.
    pub(super) fn asking(&self) -> Asking<'_> {
        self.clock.send_modify(|c| c.asking += 1);
        Asking(self)
    }

    /// Runs `work` until it is done or the limit has passed since the last answer; `None` then.
    pub(super) async fn bound<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut clock = self.clock.subscribe();
        let mut work = std::pin::pin!(work);
        loop {
            let now = *clock.borrow_and_update();
            let out = async {
                if now.asking > 0 {
                    std::future::pending::<()>().await;
                }
                let left = (now.since + self.limit).saturating_duration_since(Instant::now());
                tokio::time::sleep(left).await;
            };
            tokio::select! {
                biased;
                done = &mut work => return Some(done),
                _ = clock.changed() => {}
                () = out => return None,
            }
        }
    }
}

/// Somebody is being asked as long as this lives.
pub(super) struct Asking<'a>(&'a Patience);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.clock.send_modify(|c| {
            c.asking = c.asking.saturating_sub(1);
            c.since = Instant::now();
        });
    }
}

/// Whether there is a controlling terminal; a service has none.
#[cfg(unix)]
fn has_terminal() -> bool {
    terminal().is_ok()
}

#[cfg(unix)]
fn terminal() -> io::Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true).open("/dev/tty")
}

/// Where there is no such thing as a controlling terminal, both ends have to be at a console.
#[cfg(not(unix))]
fn has_terminal() -> bool {
    use std::io::IsTerminal;
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// One line from the terminal.
#[cfg(unix)]
fn ask_in_clear(text: &str) -> io::Result<Secret> {
    let mut tty = terminal()?;
    tty.write_all(text.as_bytes())?;
    tty.flush()?;
    one_line(io::BufReader::new(tty))
}

#[cfg(not(unix))]
fn ask_in_clear(text: &str) -> io::Result<Secret> {
    let mut stderr = io::stderr();
    stderr.write_all(text.as_bytes())?;
    stderr.flush()?;
    one_line(io::stdin().lock())
}

/// What is typed in clear may be a secret all the same: a one-time password, for instance.
fn one_line(mut from: impl BufRead) -> io::Result<Secret> {
    let mut answer = Zeroizing::new(String::new());
    if from.read_line(&mut answer)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Secret::new(answer.trim_end_matches(['\r', '\n'])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_shown() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "****");
        assert_eq!(format!("{:?}", Some(Secret::new("x"))), "Some(****)");
    }

    #[tokio::test]
    async fn the_clock_stands_still_while_somebody_is_asked() {
        let patience = Patience::new(Duration::from_millis(20));
        assert_eq!(patience.bound(std::future::pending::<()>()).await, None);
        let slow_answer = async {
            let _asking = patience.asking();
            tokio::time::sleep(Duration::from_millis(80)).await;
            7
        };
        assert_eq!(patience.bound(slow_answer).await, Some(7));
    }
}
