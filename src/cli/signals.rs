//! The signals that ask the program to stop.

use std::io;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A token that is cancelled by SIGINT (Ctrl-C), SIGTERM, or SIGHUP (the terminal is closed), from
/// the moment this returns. SIGHUP does not cancel it where it was ignored at the start, as under
/// nohup. A Ctrl-C after that ends the program at once, which resets all running transfers; an FTP
/// server may take half an upload for a whole one then.
///
/// # Errors
///
/// The operating system takes no handler.
pub(super) fn stop() -> io::Result<CancellationToken> {
    stop_by(Signals::new()?)
}

/// As [`stop`], for a service: SIGHUP stops nothing, and asks for a reload.
pub(super) fn stop_and_reload() -> io::Result<(CancellationToken, mpsc::Receiver<()>)> {
    let (reload, reloads) = mpsc::channel(1);
    let mut signals = Signals::new()?;
    let mut hang_ups = signals.hang_ups()?;
    tokio::spawn(async move {
        while hang_ups.next().await {
            // A reload that is asked for and has not begun reads all changes up to now.
            let _ = reload.try_send(());
        }
    });
    Ok((stop_by(signals)?, reloads))
}

fn stop_by(mut signals: Signals) -> io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let asked = stop.clone();
    tokio::spawn(async move {
        signals.any().await;
        asked.cancel();
        signals.interrupt().await;
        super::terminal::tell("ended at once on a second Ctrl-C");
        super::terminal::finish();
        std::process::exit(1);
    });
    Ok(stop)
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    /// `None` where SIGHUP is ignored.
    hang_up: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: match ignores_hang_up() {
                false => Some(signal(SignalKind::hangup())?),
                true => None,
            },
        })
    }

    /// SIGHUP, which no longer ends the program, even where it was ignored at the start.
    fn hang_ups(&mut self) -> io::Result<HangUps> {
        use tokio::signal::unix::{SignalKind, signal};

        self.hang_up = None;
        Ok(HangUps(signal(SignalKind::hangup())?))
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            () = hung_up(self.hang_up.as_mut()) => {}
        }
    }

    async fn interrupt(&mut self) {
        let _ = self.interrupt.recv().await;
    }
}

#[cfg(unix)]
struct HangUps(tokio::signal::unix::Signal);

#[cfg(unix)]
impl HangUps {
    /// Waits for the next one. `false`: there will be none.
    async fn next(&mut self) -> bool {
        self.0.recv().await.is_some()
    }
}

#[cfg(unix)]
async fn hung_up(signal: Option<&mut tokio::signal::unix::Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// Whether this program was started with SIGHUP ignored, as by nohup, so that it survives its
/// terminal. Only Linux tells (proc(5)).
#[cfg(unix)]
fn ignores_hang_up() -> bool {
    const SIGHUP: u64 = 1;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // A handler would undo that. Where nothing is known, SIGHUP keeps its effect.
    ignored.is_none_or(|mask| mask & SIGHUP != 0)
}

#[cfg(windows)]
struct Signals {
    interrupt: tokio::signal::windows::CtrlC,
}

#[cfg(windows)]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: tokio::signal::windows::ctrl_c()?,
        })
    }

    fn hang_ups(&mut self) -> io::Result<HangUps> {
        Ok(HangUps)
    }

    async fn any(&mut self) {
        self.interrupt().await;
    }

    async fn interrupt(&mut self) {
        let _ = self.interrupt.recv().await;
    }
}

/// There is no such signal here.
#[cfg(windows)]
struct HangUps;

#[cfg(windows)]
impl HangUps {
    async fn next(&mut self) -> bool {
        std::future::pending().await
    }
}
