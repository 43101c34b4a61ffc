//! Keeping the control connection up: a new one where it is lost, and one beside it where it is silent.
//!
//! A path that falls silent is not a lost connection until the keepalive replies are given up, after a minute by
//! default. Until then it may come back, so the connection stays. A client that waits meanwhile makes another
//! connection start beside it: where the path is back, the old one may still be in the pauses of TCP's
//! retransmission, and where an address has changed, the old one never comes back.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{sync::mpsc, task::JoinSet, time::sleep};

use super::core::{Core, Ping};
use crate::ssh::{
    backoff::Backoff,
    connection::{handle::Connection, proof, shared::Shared},
    dial::Role,
    error::Error,
};

/// Keeps the control connection up until the session ends, and answers the questions whether it does.
pub(crate) async fn keep_up(core: Arc<Core>, mut pinged: mpsc::UnboundedReceiver<Ping>) {
    let answers = async {
        while let Some(ping) = pinged.recv().await {
            let _ = ping.send(());
        }
    };
    tokio::select! {
        () = until_stopped(&core) => {}
        () = answers => {}
    }
}

async fn until_stopped(core: &Core) {
    if core.control_connection().is_none() {
        let began = Instant::now();
        let connection = tokio::select! {
            () = core.stop.cancelled() => return,
            connection = dial_again(core) => connection,
        };
        let has_failed = core.has_failed();
        core.pool.follow(&connection);
        core.put(connection);
        let (destination, took) = (&core.destination, began.elapsed().as_secs_f64());
        match has_failed {
            // At the level of the failure, as below.
            true => tracing::warn!("connected to {destination}, after {took:.1} s"),
            false => tracing::info!("logged in to {destination}, after {took:.1} s"),
        }
    }
    let mut pauses = Backoff::new(FIRST_PAUSE, SHORT_LIVED_PAUSE);
    let mut connected = Instant::now();
    loop {
        let Some(shared) = core.control_shared() else {
            return;
        };
        tokio::select! {
            () = core.stop.cancelled() => break,
            () = shared.lost_token().cancelled() => {}
            connection = renew(core, &shared) => {
                // The channels on the old one keep it until they end.
                tracing::debug!(destination = %core.destination, "further sessions get a new SSH connection");
                core.pool.follow_on_same_host(&connection);
                core.put(connection);
                connected = Instant::now();
                continue;
            }
            connection = beside(core, &shared) => {
                tracing::warn!(
                    "the SSH connection to {} is silent; new FTP sessions get another one, sessions on the \
                     old one wait",
                    core.destination
                );
                core.pool.follow(&connection);
                core.put_again(connection);
                core.pool.renew_idle();
                connected = Instant::now();
                continue;
            }
        }
        if core.stop.is_cancelled() {
            break;
        }
        let reason = shared.lost_reason();
        let since = Instant::now();
        tracing::warn!("{reason}; connecting again to {}", core.destination);
        core.lose(shared.end());
        let again = async {
            // A server that accepts a log-in and then hangs up is not dialled as fast as it can do so.
            if shared.was_used() || connected.elapsed() >= LAST_PAUSE {
                pauses = Backoff::new(FIRST_PAUSE, SHORT_LIVED_PAUSE);
            } else {
                sleep(pauses.next_pause()).await;
            }
            dial_again(core).await
        };
        let connection = tokio::select! {
            () = core.stop.cancelled() => break,
            connection = again => connection,
        };
        connected = Instant::now();
        // At the level at which the outage began, so that a log that has the one has the other.
        tracing::warn!(
            "connected again to {}, after {:.1} s",
            core.destination,
            since.elapsed().as_secs_f64()
        );
        core.pool.follow(&connection);
        core.put_again(connection);
    }
    // The session has no holder any more, or it was closed: let go of what it held.
    core.take_down();
    drop(core.pool.drain());
}

/// A connection in the place of one that should be replaced (see `Shared::count_closed_first`). The old one
/// is good enough until there is a new one, and for good where the server refuses a further log-in.
async fn renew(core: &Core, old: &Shared) -> Arc<Connection> {
    old.should_replace().cancelled().await;
    while !core.pool.is_single() {
        match on_same_host(core).await {
            Ok(connection) => return connection,
            Err(error) => {
                tracing::debug!(%error, "no new connection in the place of the old one");
                if !error.is_transient() {
                    break;
                }
            }
        }
        sleep(LAST_PAUSE).await;
    }
    std::future::pending().await
}

/// A further control connection, to the host that the present one ends on, because the lanes lead there.
async fn on_same_host(core: &Core) -> Result<Arc<Connection>, Error> {
    let Some(old) = core.control_connection() else {
        return Err(core.lost_because("it is being made again"));
    };
    let new = core.dialer.dial(Role::Control, Some(old.place())).await?;
    if core.dialer.is_sure() || proof::same_host(&old, &new).await.is_ok() {
        return Ok(new);
    }
    Err(core.lost_because("a further connection is not known to end on the same host"))
}

/// A connection beside one that a client found silent. None is made where the silent one is heard again
/// before, or where the server refuses a further log-in.
async fn beside(core: &Core, silent: &Shared) -> Arc<Connection> {
    loop {
        silent.doubted().await;
        if core.pool.is_single() {
            continue;
        }
        tracing::info!(
            destination = %core.destination,
            "the SSH connection is silent while a client waits; another one is tried beside it"
        );
        tokio::select! {
            connection = dial_again(core) => return connection,
            () = silent.heard().again() => {
                tracing::info!(destination = %core.destination, "the SSH connection is heard again");
            }
        }
    }
}

/// Tries until it works. While a client waits, attempts follow each other every few seconds, also beside one
/// that is not done yet. Otherwise the pauses grow. A refusal is tried again only where a client came, or, in a
/// service, after pauses that grow, and not often, because servers lock out hosts that try too often.
async fn dial_again(core: &Core) -> Arc<Connection> {
    let again = if core.was_up() { " again" } else { "" };
    let mut backoff = Backoff::new(FIRST_PAUSE, LAST_PAUSE);
    let mut refusals = Backoff::new(FIRST_REFUSAL_PAUSE, LAST_REFUSAL_PAUSE);
    let mut refused = String::new();
    let mut attempts = JoinSet::<Result<_, Error>>::new();
    let mut pause = Pause::None;
    loop {
        let under_way = attempts.len();
        let next = async {
            match under_way {
                0 => {
                    let over = pause.over(core.client_waits(), core.client_came());
                    tokio::select! {
                        () = over => false,
                        () = core.may_have_changed() => true,
                    }
                }
                MOST_AT_ONCE.. => std::future::pending().await,
                _ => {
                    sleep(BESIDE).await;
                    core.client_waits().await;
                    false
                }
            }
        };
        tokio::select! {
            biased;
            Some(done) = attempts.join_next() => {
                let error = match done {
                    Ok(Ok(connection)) => return connection,
                    Ok(Err(error)) => error,
                    // It was cancelled with the runtime.
                    Err(_) => continue,
                };
                if error.is_transient() {
                    pause = Pause::Transient(backoff.next_pause());
                    // Logged once, for the reason; later errors are the same as a rule.
                    if backoff.taken() == 1 {
                        tracing::warn!("not connected{again} yet: {error}");
                    } else {
                        tracing::debug!("not connected{again} yet: {error}");
                    }
                } else if core.unattended {
                    pause = Pause::Refused(Some(refusals.next_pause()));
                    // The reason once, and another one when it comes to that.
                    let text = error.to_string();
                    if text != refused {
                        tracing::warn!("cannot connect{again}, tried further now and then: {text}");
                        refused = text;
                    }
                } else {
                    pause = Pause::Refused(None);
                    tracing::error!("cannot connect{again}: {error}");
                }
                core.failed(error);
            }
            may_have_changed = next => {
                if may_have_changed {
                    // The operator who has changed something is told whether it has helped.
                    refused.clear();
                }
                let dialer = Arc::clone(&core.dialer);
                attempts.spawn(async move { dialer.dial(Role::Control, None).await });
            }
        }
    }
}

/// The pause before the next attempt, while none is under way.
enum Pause {
    None,
    /// This long, or less where a client waits.
    Transient(Duration),
    /// Until a client comes, or this is over.
    Refused(Option<Duration>),
}

impl Pause {
    /// Waits. `waits` is done when a client waits for the connection, `came` when one more has come for it.
    async fn over(&self, waits: impl Future<Output = ()>, came: impl Future<Output = ()>) {
        match self {
            Self::None => {}
            Self::Transient(pause) => {
                let least = (*pause).min(WAITED_FOR_PAUSE);
                sleep(least).await;
                tokio::select! {
                    () = sleep(pause.saturating_sub(least)) => {}
                    () = waits => {}
                }
            }
            Self::Refused(by_itself) => {
                sleep(LAST_PAUSE).await;
                let by_itself = async {
                    match by_itself {
                        Some(pause) => sleep(*pause).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = by_itself => {}
                    () = came => {}
                }
            }
        }
    }
}

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(30);
/// The pauses in which a service tries again what was refused, beside the one that each refusal has.
const FIRST_REFUSAL_PAUSE: Duration = Duration::from_secs(30);
const LAST_REFUSAL_PAUSE: Duration = Duration::from_secs(15 * 60);
/// The longest pause after connections that were of no use: short enough for a client that waits meanwhile.
const SHORT_LIVED_PAUSE: Duration = Duration::from_secs(8);
/// The longest pause while a client waits.
const WAITED_FOR_PAUSE: Duration = Duration::from_secs(2);
/// An attempt that is not done after this long gets another one beside it.
const BESIDE: Duration = Duration::from_secs(5);
const MOST_AT_ONCE: usize = 3;

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    async fn over(seconds: u64, waits: impl Future<Output = ()>) {
        let pause = Pause::Transient(Duration::from_secs(seconds));
        pause.over(waits, pending()).await;
    }

    /// The pauses are raced against each other, so the figures are written out. A limit for clients that was
    /// as long as the pauses themselves fails here.
    #[tokio::test]
    async fn q126_a_long_pause_ends_for_a_client_sooner_than_a_shorter_one_for_nobody() {
        let comes = sleep(Duration::from_secs(3));
        let with_clients = async { tokio::join!(over(30, ready(())), over(30, comes)) };
        tokio::select! {
            biased;
            _ = with_clients => {}
            () = over(10, pending()) => panic!("the pause of 10 s for nobody was over first"),
        }
    }
}
