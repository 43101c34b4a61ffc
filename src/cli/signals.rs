//! Being asked to stop.

use std::io;

use tokio_util::sync::CancellationToken;

/// Cancelled by SIGINT (Ctrl-C) or SIGTERM, from the moment this returns. A Ctrl-C after that ends
/// the program at once, which resets what still runs.
///
/// # Errors
///
/// The operating system takes no handler.
pub(super) fn stop() -> io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let asked = stop.clone();
    let mut signals = Signals::new()?;
    tokio::spawn(async move {
        signals.any().await;
        asked.cancel();
        signals.interrupt().await;
        eprintln!("ferryline: ended at once on a second Ctrl-C");
        std::process::exit(1);
    });
    Ok(stop)
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};

        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn any(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    async fn interrupt(&mut self) {
        let _ = self.interrupt.recv().await;
    }
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

    async fn any(&mut self) {
        self.interrupt().await;
    }

    async fn interrupt(&mut self) {
        let _ = self.interrupt.recv().await;
    }
}
