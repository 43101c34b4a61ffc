//! What a data connection tells its session.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{context::DataContext, handle::Handle, outcome::Outcome, splice::Watch};
use crate::{
    control::{ForwardEvent, ForwardId},
    proxy::{
        moved::{Moved, Tally},
        trace::warnings::{Trouble, Warnings},
    },
    ssh::{Channel, ChannelReader, Incoming, Received},
};

/// Tells the session and the log what becomes of a forward.
pub(crate) struct Reporter {
    session: u64,
    id: ForwardId,
    events: mpsc::UnboundedSender<(ForwardId, ForwardEvent)>,
    drained: AtomicBool,
    asked: Arc<Notify>,
    begun: CancellationToken,
    cut: CancellationToken,
    settle: CancellationToken,
    keeps_end: watch::Receiver<bool>,
    early_data: Duration,
    still_data: Duration,
    last_word: Duration,
    warnings: Arc<Warnings>,
    tally: Arc<Tally>,
}

impl Reporter {
    /// The reporter of a forward of this session. `handle` tells the forward things; `cut` is for all
    /// forwards.
    pub(crate) fn new(
        data: &DataContext,
        id: ForwardId,
        events: mpsc::UnboundedSender<(ForwardId, ForwardEvent)>,
        handle: &Handle,
        cut: CancellationToken,
    ) -> Self {
        Self {
            session: data.session,
            id,
            events,
            drained: AtomicBool::new(false),
            asked: Arc::clone(&handle.asked),
            begun: handle.begun.clone(),
            cut,
            settle: handle.settle.clone(),
            keeps_end: handle.keeps_end.subscribe(),
            early_data: data.early_data,
            still_data: data.still_data,
            last_word: data.last_word,
            warnings: Arc::clone(&data.warnings),
            tally: Arc::clone(&handle.tally),
        }
    }

    /// Tells the session. A session that has ended takes no events any more.
    pub(crate) fn tell(&self, event: ForwardEvent) {
        let _ = self.events.send((self.id, event));
    }

    pub(crate) fn warn(&self, trouble: Trouble, text: &str) {
        self.warnings.data(self.session, self.id, trouble, text);
    }

    /// Tells the session and the log how the data connection has ended.
    ///
    /// Only the session knows which way the file went. A download that was handed over is whole, however the
    /// data connection ended then. An upload is not, although the server may have ended its own direction
    /// long before.
    pub(crate) async fn finish(self, outcome: Outcome) {
        let text = outcome.to_string();
        match outcome {
            Outcome::Complete(_) => {
                self.note(&text);
                self.tell(ForwardEvent::Ended);
            }
            Outcome::Forsaken(_) => {
                self.warn(Trouble::Forsaken, &text);
                self.tell(ForwardEvent::Ended);
            }
            Outcome::ServerClosed(moved) => {
                self.complain(Trouble::ServerClosed, &text, moved);
                self.tell(ForwardEvent::Cut);
            }
            Outcome::ServerLost(moved, _) => {
                self.complain(Trouble::ServerLost, &text, moved);
                self.tell(ForwardEvent::Cut);
            }
            Outcome::ClientLost(moved, _, held) => {
                match moved.is_download() {
                    // The line of its transfer says that it failed.
                    true => self.note(&text),
                    false => self.complain(Trouble::ClientLost, &text, moved),
                }
                self.tell(ForwardEvent::Broken);
                self.hold(held).await;
            }
            Outcome::Cut(_, held) => {
                tracing::info!("#{} data connection {}: {text}", self.session, self.id);
                self.hold(held).await;
            }
        }
    }

    /// Tells the session and the log that the client's side cannot be reached.
    pub(crate) async fn broken(self, text: &str, held: impl HeldChannel) {
        self.warn(Trouble::ClientUnreachable, text);
        self.tell(ForwardEvent::Broken);
        self.hold(held).await;
    }

    /// Holds the channel until the session has this forward closed, or is over itself. Closing it would tell
    /// the server that the file is complete.
    async fn hold(&self, mut held: impl HeldChannel) {
        tokio::select! {
            () = self.events.closed() => {}
            () = held.discard() => {}
        }
        drop(held);
    }

    /// Warns; but only notes where the client most likely had all of it before, and was sending nothing.
    fn complain(&self, trouble: Trouble, text: &str, moved: Moved) {
        if self.drained.load(Ordering::Relaxed) && moved.to_server == 0 {
            self.note(text);
        } else {
            self.warn(trouble, text);
        }
    }

    fn note(&self, text: &str) {
        tracing::debug!("#{} data connection {}: {text}", self.session, self.id);
    }
}

impl Watch for Reporter {
    fn tally(&self) -> &Tally {
        &self.tally
    }

    fn drained(&self) {
        self.drained.store(true, Ordering::Relaxed);
        self.tell(ForwardEvent::Drained);
    }

    fn progress(&self) {
        self.tell(ForwardEvent::Progress);
    }

    fn blocked(&self) {
        self.tell(ForwardEvent::Blocked);
    }

    async fn begun(&self) {
        let _ = tokio::time::timeout(self.early_data, self.begun.cancelled()).await;
    }

    async fn may_end(&self) {
        let mut keeps_end = self.keeps_end.clone();
        if keeps_end.wait_for(|keeps_end| !keeps_end).await.is_err() {
            // The session is over, and will not let it end any more.
            std::future::pending().await
        }
    }

    async fn asked(&self) {
        self.asked.notified().await;
    }

    fn all_received(&self) {
        self.tell(ForwardEvent::AllReceived);
    }

    fn all_sent(&self) {
        self.tell(ForwardEvent::AllSent);
    }

    fn last_word(&self) -> Option<Duration> {
        Some(self.last_word)
    }

    fn cut(&self) -> impl Future<Output = ()> + Send + 'static {
        self.cut.clone().cancelled_owned()
    }

    fn settle(&self) -> impl Future<Output = ()> + Send + 'static {
        self.settle.clone().cancelled_owned()
    }

    fn orphaned(&self) -> impl Future<Output = Duration> + Send + 'static {
        let (events, still_data) = (self.events.clone(), self.still_data);
        async move {
            events.closed().await;
            still_data
        }
    }
}

/// A channel that keeps the server's data connection from ending, as long as it lives.
pub(crate) trait HeldChannel: Send {
    /// Throws away all that comes, and never returns. An SSH channel that is not read stops all others of its
    /// connection, and among them the control connection that is to end first.
    fn discard(&mut self) -> impl Future<Output = ()> + Send;
}

impl HeldChannel for ChannelReader {
    async fn discard(&mut self) {
        while !matches!(self.read().await, Received::Closed | Received::Lost(_)) {}
        std::future::pending().await
    }
}

impl HeldChannel for Channel {
    async fn discard(&mut self) {
        self.reader.discard().await;
    }
}

/// Nothing comes before it is accepted.
impl HeldChannel for Incoming {
    async fn discard(&mut self) {
        std::future::pending().await
    }
}
