//! Being asked to stop.

use tokio_util::sync::CancellationToken;

/// Cancelled by SIGINT (Ctrl-C) or SIGTERM. A Ctrl-C after that ends the program at once, which
/// resets what still runs.
pub(super) fn stop() -> CancellationToken {
    let stop = CancellationToken::new();
    let asked = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            () = interrupted() => {}
            () = terminated() => {}
        }
        asked.cancel();
        interrupted().await;
        eprintln!("ferryline: ended at once on a second Ctrl-C");
        std::process::exit(1);
    });
    stop
}

async fn interrupted() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        tracing::warn!("Ctrl-C cannot be awaited: {error}");
        std::future::pending().await
    }
}

#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};

    match signal(SignalKind::terminate()) {
        // From here on the signal does not end the process, however often it comes.
        Ok(mut terminate) => {
            let _ = terminate.recv().await;
        }
        Err(error) => {
            tracing::warn!("SIGTERM cannot be awaited: {error}");
            std::future::pending().await
        }
    }
}

#[cfg(not(unix))]
async fn terminated() {
    std::future::pending().await
}
