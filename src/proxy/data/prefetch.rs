//! The remote forward that a session keeps ready for its next active transfer, so that the client's
//! PORT does not wait for the SSH server.
//!
//! It is asked for when the data connection of an active transfer has come: the answer is here by the time
//! that the next transfer can begin. It belongs to the session. It stands on an idle lane that any transfer
//! may take away, and is dropped after [`Options::ready_time`](crate::proxy::Options::ready_time) without
//! use. Each transfer still has a port of its own, never one that was used before. There is none on a shared
//! control connection: where there are no lanes the SSH server may well limit what it grants, and the control
//! connections of all other sessions are there.

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
    /// Set when none is asked for any more: the SSH server has refused one, or the session is over.
    done: Arc<AtomicBool>,
    time: Duration,
}

/// A prefetched forward that is kept. Dropping this makes its keeper cancel the forward.
struct Kept {
    bind: IpAddr,
    origin: Origin,
    taker: oneshot::Sender<oneshot::Sender<PrefetchedForward>>,
}

impl ForwardPrefetch {
    /// A prefetch that keeps a forward for `time` without use; if that is zero, there is none.
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
        // Checked under the lock, because `end` sets it there.
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

    /// The forward that stands ready, if it fits. Any other is thrown away.
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

    /// Ends it, because the session is over.
    pub(crate) fn end(&self) {
        let mut kept = self.kept();
        self.done.store(true, Ordering::Release);
        *kept = None;
    }

    fn kept(&self) -> MutexGuard<'_, Option<Kept>> {
        lock(&self.kept)
    }
}

/// Keeps a prefetched forward until it is taken, spoilt or too old, or nothing is left that could take it.
async fn keep(
    mut prefetch: PrefetchedForward,
    taken: oneshot::Receiver<oneshot::Sender<PrefetchedForward>>,
    time: Duration,
    done: Arc<AtomicBool>,
) {
    tokio::select! {
        to = taken => if let Ok(to) = to {
            // If it is not received, the task that wanted it has gone.
            let _ = to.send(prefetch);
        },
        why = prefetch.spoilt() => note(why, &done),
        () = tokio::time::sleep(time) => {}
    }
}

/// Notes a refusal: this session does not ask again.
fn note(why: Spoilt, done: &AtomicBool) {
    if why == Spoilt::Refused {
        tracing::debug!("the SSH server refused a remote forward that was asked for ahead");
        done.store(true, Ordering::Release);
    }
}
