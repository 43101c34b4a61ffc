//! The receiving end of a channel, which can be shut from elsewhere.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex},
    task::Poll,
};

use russh::{ChannelMsg, ChannelReadHalf};
use tokio_util::sync::CancellationToken;

use crate::lock::lock;

/// The receiving end of a channel. While it is full and nothing reads it, russh's session loop waits for it
/// and for nothing else. So it can be shut from elsewhere.
#[derive(Debug)]
pub(super) struct ReceiveHalf {
    half: Mutex<Option<ChannelReadHalf>>,
    shut: CancellationToken,
}

impl ReceiveHalf {
    pub(super) fn new(half: ChannelReadHalf) -> Arc<Self> {
        Arc::new(Self {
            half: Mutex::new(Some(half)),
            shut: CancellationToken::new(),
        })
    }

    /// Shuts it: the reader gets nothing more, and the session loop gets rid of what it has.
    pub(super) fn shut(&self) {
        lock(&self.half).take();
        self.shut.cancel();
    }

    pub(super) async fn next(&self) -> Option<ChannelMsg> {
        let message = poll_fn(|cx| match &mut *lock(&self.half) {
            // Waiting anew at each poll loses nothing: the queue remembers which task to wake.
            Some(half) => pin!(half.wait()).poll(cx),
            None => Poll::Ready(None),
        });
        tokio::select! {
            biased;
            message = message => message,
            () = self.shut.cancelled() => None,
        }
    }
}
