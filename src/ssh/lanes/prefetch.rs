//! A remote forward asked for ahead, so that its transfer does not wait for the round trip.
//!
//! It stands on an idle lane, which stays free for others: a transfer that needs the lane takes it at once
//! and spoils the prefetched forward. No peer is told its port before a transfer takes it. A connection that
//! comes earlier is refused, and spoils it, too: some program is watching that port.

use std::{fmt, net::IpAddr, pin::Pin, sync::Arc};

use tokio_util::sync::CancellationToken;

use super::{Pool, lane::PrefetchMark};
use crate::{
    lock::lock,
    ssh::{
        connection::{
            arrival::Origin,
            forward::{self, RemoteForward},
            handle::Connection,
            keep_alive::{Counted, KeepAlive},
        },
        error::ForwardError,
    },
};

/// A remote forward that is asked for, or stands ready, and has no transfer yet. Dropping it cancels
/// it.
pub struct PrefetchedForward {
    // Dropped first: a lane is not given back with a forward on it that is not being cancelled.
    forward: Forward,
    lane: PrefetchLane,
}

/// Why a prefetched forward is of no use any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Spoilt {
    /// The SSH server grants none.
    Refused,
    /// Its lane went to a transfer, a program connected to it, or the SSH connection is lost.
    Gone,
}

enum Forward {
    Asked(Request),
    Ready(RemoteForward),
    Failed(Spoilt),
}

type Request = Pin<Box<dyn Future<Output = Result<RemoteForward, ForwardError>> + Send>>;

impl PrefetchedForward {
    /// Makes a prefetched forward, which is asked for when this is polled for the first time.
    pub(crate) fn ask(lane: PrefetchLane, bind: IpAddr, origin: Origin) -> Self {
        let (connection, counted) = (Arc::clone(lane.connection()), lane.counted());
        let spoilt = lane.spoilt().clone();
        let request = async move {
            forward::request(
                &connection,
                bind,
                origin,
                KeepAlive::default(),
                counted,
                Some(spoilt),
            )
            .await
        };
        Self {
            forward: Forward::Asked(Box::pin(request)),
            lane,
        }
    }

    /// Sends the request, and waits until the prefetched forward is of no use. Cancel-safe.
    pub async fn spoilt(&mut self) -> Spoilt {
        let (spoilt, connection) = (self.lane.spoilt(), self.lane.connection());
        let refused = async {
            match self.forward.settle().await {
                Ok(_) => std::future::pending().await,
                Err(why) => why,
            }
        };
        tokio::select! {
            biased;
            () = spoilt.cancelled() => Spoilt::Gone,
            () = connection.lost() => Spoilt::Gone,
            why = refused => why,
        }
    }

    /// Takes it for a transfer, with its lane. Waits for the SSH server's answer if that has not come yet.
    ///
    /// # Errors
    ///
    /// Why it is of no use.
    pub async fn take(mut self) -> Result<RemoteForward, Spoilt> {
        let lease = self.lane.take().ok_or(Spoilt::Gone)?;
        self.forward.settle().await?;
        let taken = std::mem::replace(&mut self.forward, Forward::Failed(Spoilt::Gone));
        let Forward::Ready(mut forward) = taken else {
            return Err(Spoilt::Gone);
        };
        match forward.announce(lease) {
            true => Ok(forward),
            false => Err(Spoilt::Gone),
        }
    }
}

impl Forward {
    /// Waits for the SSH server's answer. Cancel-safe.
    async fn settle(&mut self) -> Result<(), Spoilt> {
        if let Self::Asked(request) = self {
            *self = match request.await {
                Ok(forward) => Self::Ready(forward),
                Err(ForwardError::Refused) => Self::Failed(Spoilt::Refused),
                Err(_) => Self::Failed(Spoilt::Gone),
            };
        }
        match self {
            Self::Failed(why) => Err(*why),
            Self::Asked(_) | Self::Ready(_) => Ok(()),
        }
    }
}

impl fmt::Debug for PrefetchedForward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PrefetchedForward").finish_non_exhaustive()
    }
}

/// An idle lane with a prefetched forward on it. Dropping it leaves the lane without the forward.
pub(crate) struct PrefetchLane {
    pool: Arc<Pool>,
    connection: Arc<Connection>,
    mark: PrefetchMark,
    spoilt: CancellationToken,
}

impl PrefetchLane {
    /// An idle lane for a prefetched forward, if there is one at this moment. This neither waits nor makes a
    /// log-in. The lane stays in the count of idle lanes.
    pub(in crate::ssh) fn find(pool: &Arc<Pool>) -> Option<Self> {
        let spoilt = CancellationToken::new();
        let (mark, connection) = lock(&pool.state).lanes.mark_prefetch(&spoilt)?;
        Some(Self {
            pool: Arc::clone(pool),
            connection,
            mark,
            spoilt,
        })
    }

    pub(crate) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// Cancelled when a transfer takes the lane, or when the prefetched forward becomes unusable.
    pub(crate) fn spoilt(&self) -> &CancellationToken {
        &self.spoilt
    }

    /// Counts one more remote forward.
    pub(crate) fn counted(&self) -> Counted {
        Counted::new(&self.pool.forwards)
    }

    /// Takes the lane for a transfer; `None` where another transfer has it, or it is lost.
    pub(crate) fn take(&self) -> Option<KeepAlive> {
        let mut state = lock(&self.pool.state);
        let guard = self.pool.guard(state.lanes.take_prefetched(self.mark)?);
        self.pool.keep_warm(&mut state);
        Some(guard.keep_alive())
    }
}

impl Drop for PrefetchLane {
    fn drop(&mut self) {
        lock(&self.pool.state).lanes.unmark_prefetch(self.mark);
    }
}
