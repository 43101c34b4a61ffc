//! The session's handle of a data connection, and what it tells it.

use std::sync::Arc;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::look::Look;
use crate::proxy::moved::Tally;

/// What the task of a forward is told.
#[derive(Clone, Default)]
pub(crate) struct Handle {
    /// The session wants to know whether the data is whole.
    pub(crate) asked: Arc<Notify>,
    /// A look at its data port, where the client is to connect to it.
    pub(crate) look: Option<Look>,
    /// The server takes what the client sends.
    pub(crate) begun: CancellationToken,
    /// Whether the client's end of file is kept from the server.
    pub(crate) keeps_end: watch::Sender<bool>,
    pub(crate) close: CancellationToken,
    pub(crate) join: CancellationToken,
    pub(crate) settle: CancellationToken,
    /// How much has moved over it.
    pub(crate) tally: Arc<Tally>,
}

impl Handle {
    /// `hashes`: the hashes of what moves are wanted, too.
    pub(crate) fn new(hashes: bool) -> Self {
        let tally = match hashes {
            true => Tally::with_hashes(),
            false => Tally::default(),
        };
        Self {
            tally: Arc::new(tally),
            ..Self::default()
        }
    }
}
