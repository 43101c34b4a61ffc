//! Log-ins for lanes, in the background, and what becomes of the pool when one is refused.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::{KEEP_WARM, Pool, State, pace::Recovered};
use crate::{
    lock::lock,
    ssh::{
        backoff::Backoff,
        connection::{
            handle::Connection,
            place::Place,
            proof::{self, Unproven},
        },
        dial::Role,
        error::Error,
    },
};

/// Opens one lane and puts it into the pool. It runs in a task of its own, so that a transfer which gives up
/// leaves a lane behind for the next one.
pub(super) async fn open_lane(pool: Arc<Pool>, epoch: u64) {
    let opened = tokio::select! {
        biased;
        () = pool.stop.cancelled() => None,
        opened = dial_patiently(&pool) => Some(opened),
    };
    let mut state = lock(&pool.state);
    state.pace.end();
    match opened {
        None => {}
        // The new connection leads to where the control connection was before.
        Some(_) if state.lanes.epoch() != epoch => pool.top_up(&mut state, KEEP_WARM),
        Some(Ok(connection)) => {
            let id = state.lanes.add(Arc::clone(&connection));
            tokio::spawn(watch_lane(Arc::clone(&pool), id, connection));
            state.admission.let_in();
            pool.serve(&mut state);
            if state.pace.succeeded(Instant::now()) == Recovered(true) {
                tracing::info!("further SSH connections can be had again: data has its own");
            }
        }
        Some(Err(error)) => {
            pool.dialer.findings().lane_failed(error.to_string());
            match error.is_transient() {
                true => put_off(&mut state, &error),
                false => share_for_good(&pool, &mut state, &error),
            }
        }
    }
    drop(state);
    pool.changed.send_replace(());
}

/// Puts the next attempt off. No transfer waits for it.
fn put_off(state: &mut State, error: &Error) {
    let failed = state.pace.failed(Instant::now());
    if failed.first {
        tracing::warn!(
            %error,
            "no further SSH connection for data: data shares what there is, where a stalled transfer \
             stalls others; tried again now and then, in the background"
        );
    } else {
        let pause = failed.pause;
        tracing::debug!(%error, ?pause, "still no further SSH connection for data");
    }
}

/// Makes data share the control connection, after an error that waiting would not change.
fn share_for_good(pool: &Pool, state: &mut State, error: &Error) {
    let elsewhere = matches!(error, Error::Elsewhere { .. });
    // Lanes that logged in before are as good as ever. An agent may be locked for a while.
    let may_try_again = !elsewhere && pool.dialer.may_try_again();
    let again = may_try_again.then(|| Instant::now() + SINGLE_FOR);
    if state.admission.refuse(again) {
        match elsewhere {
            true => tracing::warn!(
                "{error}: data shares the first connection, where a stalled transfer stalls all"
            ),
            false => tracing::warn!(
                %error,
                "a further SSH log-in is not possible: data shares the first connection, where a stalled transfer stalls all"
            ),
        }
    }
}

/// Dials, and does so again at once where the server hangs up, as long as lanes can be had otherwise: sshd
/// drops some of many log-ins at once (MaxStartups). A connection that turns out to end on another host is
/// repeated, too.
async fn dial_patiently(pool: &Pool) -> Result<Arc<Connection>, Error> {
    let mut backoff = Backoff::new(FIRST_RETRY, LAST_RETRY);
    loop {
        let (place, control, retries) = {
            let state = lock(&pool.state);
            let retries = if state.pace.is_failing() { 0 } else { RETRIES };
            (state.place.clone(), state.control.clone(), retries)
        };
        match dial(pool, &place, &control).await {
            Err(error) if may_be_chance(&error) && backoff.taken() < retries => {
                tracing::debug!(%error, "a data lane did not open; trying again");
                sleep(backoff.next_pause()).await;
            }
            done => return done,
        }
    }
}

/// A connection that ends on the host of the control connection.
async fn dial(
    pool: &Pool,
    place: &Place,
    control: &Weak<Connection>,
) -> Result<Arc<Connection>, Error> {
    let connection = pool.dialer.dial(Role::Data, Some(place)).await?;
    if pool.dialer.is_sure() {
        return Ok(connection);
    }
    let destination = pool.dialer.settings().destination();
    let lost = |reason: &str| Error::Lost {
        destination: destination.clone(),
        reason: reason.to_owned(),
    };
    let Some(control) = control.upgrade() else {
        return Err(lost("the first connection is gone"));
    };
    Err(match proof::same_host(&control, &connection).await {
        Ok(()) => return Ok(connection),
        Err(Unproven::Lost) => lost("a connection ended while it was tried"),
        Err(Unproven::Elsewhere) => Error::Elsewhere {
            destination,
            untold: None,
        },
        Err(Unproven::Untold(why)) => Error::Elsewhere {
            destination,
            untold: Some(why),
        },
    })
}

/// Whether the same attempt may well succeed a moment later.
fn may_be_chance(error: &Error) -> bool {
    match error {
        Error::Handshake { .. } | Error::NotSsh { .. } => true,
        Error::Elsewhere { untold, .. } => untold.is_none(),
        Error::AtJumpHost { error, .. } => may_be_chance(error),
        _ => false,
    }
}

/// Takes a lane out of the pool when its connection is lost.
async fn watch_lane(pool: Arc<Pool>, id: u64, connection: Arc<Connection>) {
    let shared = Arc::clone(connection.shared());
    // Only the lane itself is to keep the connection alive.
    drop(connection);
    tokio::select! {
        () = shared.lost_token().cancelled() => pool.dialer.lane_lost(&shared),
        () = pool.stop.cancelled() => return,
    }
    lock(&pool.state).lanes.remove(id);
    pool.changed.send_replace(());
}

const RETRIES: usize = 3;
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LAST_RETRY: Duration = Duration::from_secs(1);
/// How long data shares the control connection after a log-in by key was refused, or the agent did not sign.
const SINGLE_FOR: Duration = Duration::from_secs(5 * 60);
