//! How a session tells a data connection things.

use std::sync::Arc;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::look::Look;

/// What a forward's task waits for.
#[derive(Clone, Default)]
pub(crate) struct Handle {
    /// The session wants to know whether the data is whole.
    pub(crate) asked: Arc<Notify>,
    /// Its data port can be looked at, where the client is to connect to it.
    pub(crate) look: Option<Look>,
    /// The server takes what the client sends.
    pub(crate) begun: CancellationToken,
    /// The client's end of file is kept from the server.
    pub(crate) keeps_end: watch::Sender<bool>,
    pub(crate) close: CancellationToken,
    pub(crate) join: CancellationToken,
    pub(crate) settle: CancellationToken,
}
