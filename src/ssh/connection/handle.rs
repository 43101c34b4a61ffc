//! One SSH connection, as its users hold it.

use std::{fmt, sync::Arc, time::Duration};

use russh::{Disconnect, client::Handle};
use tokio::time::timeout;

use super::{events::Events, place::Place, shared::Shared};

/// One authenticated SSH connection. It ends in order when the last holder drops it.
pub(crate) struct Connection {
    handle: Handle<Events>,
    shared: Arc<Shared>,
    place: Place,
    key: Option<String>,
}

impl Connection {
    /// Takes over an authenticated connection. `key`: the fingerprint of the key that logged it in, if one did.
    pub(crate) fn new(
        handle: Handle<Events>,
        shared: Arc<Shared>,
        place: Place,
        key: Option<String>,
    ) -> Arc<Self> {
        Arc::new(Self {
            handle,
            shared,
            place,
            key,
        })
    }

    /// The fingerprint of the key that logged it in, if one did.
    pub(crate) fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// The place where it has ended up.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn handle(&self) -> &Handle<Events> {
        &self.handle
    }

    /// Whether the connection is lost.
    pub(crate) fn is_lost(&self) -> bool {
        self.shared.lost_token().is_cancelled() || self.handle.is_closed()
    }

    /// Waits for the end of the connection.
    pub(crate) async fn lost(&self) {
        self.shared.lost_token().cancelled().await;
    }

    /// Whether the server is heard within `limit`. It is asked for a keepalive reply, but anything that it sends
    /// counts.
    pub(crate) async fn answers(&self, limit: Duration) -> bool {
        let heard = self.shared.heard();
        let asked = async {
            tokio::select! {
                biased;
                () = heard.again() => true,
                answered = self.handle.send_ping() => answered.is_ok(),
            }
        };
        timeout(limit, asked).await.unwrap_or(false)
    }

    /// Sends `SSH_MSG_DISCONNECT`; cuts the connection if that takes too long.
    pub(crate) async fn disconnect(&self) {
        let goodbye = async {
            let sent = self
                .handle
                .disconnect(Disconnect::ByApplication, "closed", "")
                .await;
            if sent.is_ok() {
                self.lost().await;
            }
        };
        if timeout(GOODBYE_TIMEOUT, goodbye).await.is_err() {
            self.shared.cut();
        }
    }
}

impl Drop for Connection {
    /// Dropping the handle makes russh end the connection by itself, unless its loop waits for a peer that
    /// reads nothing. The cut ends that wait.
    fn drop(&mut self) {
        let shared = Arc::clone(&self.shared);
        if shared.lost_token().is_cancelled() {
            return;
        }
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => {
                runtime.spawn(async move {
                    if timeout(GOODBYE_TIMEOUT, shared.lost_token().cancelled())
                        .await
                        .is_err()
                    {
                        shared.cut();
                    }
                });
            }
            Err(_) => shared.cut(),
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("lost", &self.is_lost())
            .finish_non_exhaustive()
    }
}

const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);
