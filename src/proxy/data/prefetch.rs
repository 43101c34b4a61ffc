//! The remote forward that a session keeps ready for its next active transfer, so that the client's
//! PORT does not wait for the SSH server.
//!
//! It is asked for when the data connection of an active transfer has come: the answer is here by the
//! time that the next transfer can begin. It is the session's own, stands on an idle lane that
//! anybody's transfer may take away, and goes after [`Options::ready_time`](crate::proxy::Options::ready_time)
//! unused. Each transfer still has a port of its own, never one that was used before. On a shared
//! control connection there is none: where there are no lanes the SSH server may well count what it
//! gives, and the control connections of all others are there.

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::oneshot;

use crate::{
    lock::lock,
    ssh::{self, Origin, PrefetchedForward, RemoteForward, Spoilt},
};

/// A session's prefetched forward, if it has one.
pub(crate) struct ForwardPrefetch {
    kept: Mutex<Option<Kept>>,
    /// None is asked for any more: the SSH server has refused one, or the session is over.
    done: Arc<AtomicBool>,
    time: Duration,
}

/// Dropping it makes its keeper cancel the forward.
struct Kept {
    bind: IpAddr,
    origin: Origin,
    taker: oneshot::Sender<oneshot::Sender<PrefetchedForward>>,
}

impl ForwardPrefetch {
    /// One that is kept for so long unused; for no time, there is none.
    pub(crate) fn new(time: Duration) -> Self {
        Self {
            kept: Mutex::default(),
            done: Arc::new(AtomicBool::new(time.is_zero())),
            time,
        }
    }

    /// Asks ahead for the next transfer's forward, where there is a lane for it.
    pub(crate) fn ask(&self, ssh: &ssh::Session, bind: IpAddr, origin: Origin) {
        let mut kept = self.kept();
        // Looked at under the lock, as `end` sets it.
        if self.done.load(Ordering::Acquire)
            || kept.as_ref().is_some_and(|kept| !kept.taker.is_closed())
        {
            return;
        }
        let Some(prefetch) = ssh.prefetch_forward(bind, origin) else {
            return;
        };
        let (taker, taken) = oneshot::channel();
        tokio::spawn(keep(prefetch, taken, self.time, Arc::clone(&self.done)));
        *kept = Some(Kept {
            bind,
            origin,
            taker,
        });
    }

    /// The forward that stands ready, if there is one like this. Any other is thrown away.
    pub(crate) async fn take(&self, bind: IpAddr, origin: Origin) -> Option<RemoteForward> {
        let kept = self.kept().take()?;
        if (kept.bind, kept.origin) != (bind, origin) {
            return None;
        }
        let (to, prefetch) = oneshot::channel();
        kept.taker.send(to).ok()?;
        match prefetch.await.ok()?.take().await {
            Ok(forward) => Some(forward),
            Err(why) => {
                note(why, &self.done);
                None
            }
        }
    }

    /// The session is over.
    pub(crate) fn end(&self) {
        let mut kept = self.kept();
        self.done.store(true, Ordering::Release);
        *kept = None;
    }

    fn kept(&self) -> MutexGuard<'_, Option<Kept>> {
        lock(&self.kept)
    }
}

/// Keeps a prefetched forward until it is taken, spoilt, too old, or nobody is there to take it.
async fn keep(
    mut prefetch: PrefetchedForward,
    taken: oneshot::Receiver<oneshot::Sender<PrefetchedForward>>,
    time: Duration,
    done: Arc<AtomicBool>,
) {
    tokio::select! {
        to = taken => if let Ok(to) = to {
            // Not received: who wanted it has gone.
            let _ = to.send(prefetch);
        },
        why = prefetch.spoilt() => note(why, &done),
        () = tokio::time::sleep(time) => {}
    }
}

/// What was refused once is not asked for again by this session.
fn note(why: Spoilt, done: &AtomicBool) {
    if why == Spoilt::Refused {
        tracing::debug!("the SSH server refused a remote forward that was asked for ahead");
        done.store(true, Ordering::Release);
    }
}
