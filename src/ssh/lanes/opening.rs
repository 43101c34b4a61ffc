//! Log-ins for lanes, in the background, and what becomes of the pool when one is refused.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::{Lane, Pool};
use crate::ssh::backoff::Backoff;
use crate::ssh::connection::{Connection, lock};
use crate::ssh::error::Error;
use crate::ssh::establish::Role;

/// Opens one lane and puts it into the pool. It runs on its own, so that a transfer which gives up
/// leaves a lane behind for the next one.
pub(super) async fn open_lane(pool: Arc<Pool>) {
    let opened = tokio::select! {
        biased;
        () = pool.stop.cancelled() => None,
        opened = dial_patiently(&pool) => Some(opened),
    };
    let mut state = lock(&pool.state);
    state.opening = state.opening.saturating_sub(1);
    match opened {
        None => {}
        Some(Ok(connection)) => {
            let id = state.next_id;
            state.next_id += 1;
            tokio::spawn(watch_lane(Arc::clone(&pool), id, Arc::clone(&connection)));
            state.lanes.push(Lane {
                id,
                connection,
                leases: 0,
                idle_since: Instant::now(),
                spare: None,
            });
            state.not_before = None;
            state.told = false;
        }
        Some(Err(error)) if error.is_transient() => {
            pool.dialer.findings().lane_failed(error.to_string());
            tracing::warn!(%error, "cannot open a data lane; data shares what there is");
            let pause = match error {
                Error::Timeout { .. } => RETRY_AFTER_TIMEOUT,
                _ => RETRY_AFTER,
            };
            state.not_before = Some(Instant::now() + pause);
        }
        Some(Err(error)) => {
            pool.dialer.findings().lane_failed(error.to_string());
            if !std::mem::replace(&mut state.told, true) {
                tracing::warn!(
                    %error,
                    "a further SSH log-in is not possible: data shares the first connection, where a stalled transfer stalls all"
                );
            }
            // Lanes that got in before are as good as ever.
            state.single = true;
            // An agent may be locked for a while.
            let again = Instant::now() + SINGLE_FOR;
            state.single_until = pool.dialer.may_try_again().then_some(again);
        }
    }
    drop(state);
    pool.changed.send_replace(());
}

/// sshd drops some of many log-ins at once (MaxStartups), so a failure is tried again.
async fn dial_patiently(pool: &Pool) -> Result<Arc<Connection>, Error> {
    let mut backoff = Backoff::new(FIRST_RETRY, LAST_RETRY);
    loop {
        let permit = pool.logins.acquire().await;
        let dialed = pool.dialer.dial(Role::Data).await;
        drop(permit);
        match dialed {
            // Who was waited for once is not waited for again and again.
            Err(error @ Error::Timeout { .. }) => return Err(error),
            Err(error) if error.is_transient() && backoff.taken() < RETRIES => {
                tracing::debug!(%error, "a data lane did not open; trying again");
                sleep(backoff.next_pause()).await;
            }
            done => return done,
        }
    }
}

/// Takes a lane out of the pool when its connection is lost.
async fn watch_lane(pool: Arc<Pool>, id: u64, connection: Arc<Connection>) {
    let shared = Arc::clone(connection.shared());
    // Only the lane itself shall keep the connection alive.
    drop(connection);
    tokio::select! {
        () = shared.lost_token().cancelled() => pool.dialer.lane_lost(&shared),
        () = pool.stop.cancelled() => return,
    }
    lock(&pool.state).lanes.retain(|lane| lane.id != id);
    pool.changed.send_replace(());
}

const RETRIES: usize = 4;
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LAST_RETRY: Duration = Duration::from_secs(2);
/// After lanes could not be opened, the next attempt is made so much later.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// Transfers wait while one is made, so not every few seconds where it may take as long as it can.
const RETRY_AFTER_TIMEOUT: Duration = Duration::from_secs(60);
/// After a log-in by key was refused, or the agent did not sign.
const SINGLE_FOR: Duration = Duration::from_secs(5 * 60);
