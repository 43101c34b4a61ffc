//! Asking a person: passwords, passphrases, and whether to trust a host key.

use std::fmt;
use std::io::{self, BufRead, Write};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use zeroize::Zeroizing;

/// How passwords and passphrases are asked for. Called from a blocking thread, never concurrently
/// for one session.
pub trait Prompt: Send + Sync {
    /// Asks for something that must not be shown while it is typed. `None`: nobody there to ask,
    /// or the person gave up.
    fn secret(&self, text: &str) -> Option<Secret>;
    /// Asks a yes-or-no question; anything but a clear yes is a no.
    fn confirm(&self, text: &str) -> bool;
}

/// Asks on the controlling terminal.
#[derive(Clone, Copy, Debug, Default)]
pub struct TerminalPrompt;

impl Prompt for TerminalPrompt {
    fn secret(&self, text: &str) -> Option<Secret> {
        rpassword::prompt_password(text).ok().map(Secret::new)
    }

    fn confirm(&self, text: &str) -> bool {
        ask_in_clear(text).is_ok_and(|answer| answer.trim().eq_ignore_ascii_case("yes"))
    }
}

/// A password or passphrase: wiped from memory when dropped, never shown by `Debug`.
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
pub(super) struct Patience {
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

/// One line from the terminal; from standard input where there is no terminal to open.
fn ask_in_clear(text: &str) -> io::Result<String> {
    let mut answer = String::new();
    #[cfg(unix)]
    if let Ok(mut tty) = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/tty")
    {
        tty.write_all(text.as_bytes())?;
        tty.flush()?;
        io::BufReader::new(tty).read_line(&mut answer)?;
        return Ok(answer);
    }
    let mut stderr = io::stderr();
    stderr.write_all(text.as_bytes())?;
    stderr.flush()?;
    io::stdin().lock().read_line(&mut answer)?;
    Ok(answer)
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
