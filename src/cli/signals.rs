//! Being asked to stop.

use tokio_util::sync::CancellationToken;

/// Cancelled by the first SIGINT (Ctrl-C) or SIGTERM; a second one ends the program at once, which
/// resets what still runs.
pub(super) fn stop() -> CancellationToken {
    let stop = CancellationToken::new();
    let asked = stop.clone();
    tokio::spawn(async move {
        next_signal().await;
        asked.cancel();
        next_signal().await;
        eprintln!("ferryline: ended at once on a second signal");
        std::process::exit(1);
    });
    stop
}

#[cfg(unix)]
async fn next_signal() {
    use tokio::signal::unix::{SignalKind, signal};

    match (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) {
        (Ok(mut interrupt), Ok(mut terminate)) => {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
        (Err(error), _) | (_, Err(error)) => {
            tracing::warn!("signals cannot be awaited: {error}");
            std::future::pending().await
        }
    }
}

#[cfg(not(unix))]
async fn next_signal() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        tracing::warn!("Ctrl-C cannot be awaited: {error}");
        std::future::pending().await
    }
}
