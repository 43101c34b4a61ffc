//! What the service manager is told (sd_notify(3)). Without one, nothing.

#[cfg(unix)]
use std::time::Duration;

/// A message to the service manager.
#[derive(Clone, Copy, Debug)]
pub(super) enum Message<'a> {
    /// All listeners are bound; or a reload is over.
    Ready,
    /// A reload begins.
    Reloading,
    /// The end begins.
    Stopping,
    /// All loops run.
    Watchdog,
    /// What `systemctl status` shows.
    Status(&'a str),
}

/// Tells the service manager.
#[cfg(unix)]
pub(super) fn tell(message: Message<'_>) {
    use sd_notify::NotifyState;

    let sent = match message {
        Message::Ready => sd_notify::notify(&[NotifyState::Ready]),
        // In one datagram: systemd waits for the reload of a unit of Type=notify-reload otherwise.
        Message::Reloading => NotifyState::monotonic_usec_now()
            .and_then(|now| sd_notify::notify(&[NotifyState::Reloading, now])),
        Message::Stopping => sd_notify::notify(&[NotifyState::Stopping]),
        Message::Watchdog => sd_notify::notify(&[NotifyState::Watchdog]),
        Message::Status(status) => sd_notify::notify(&[NotifyState::Status(status)]),
    };
    if let Err(error) = sent {
        tracing::debug!("the service manager is not told {message:?}: {error}");
    }
}

#[cfg(not(unix))]
pub(super) fn tell(_: Message<'_>) {}

/// How often the service manager wants to hear that the loops run.
#[cfg(unix)]
pub(super) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

#[cfg(not(unix))]
pub(super) fn watchdog() -> Option<std::time::Duration> {
    None
}
