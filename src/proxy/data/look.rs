//! A look at what has connected to a data port, ahead of the FTP server's reply (Q114).
//!
//! The runtime learns of a connection when it next asks the kernel what is ready. On a busy machine that may
//! be after the FTP server's 150 has passed, and a client that acts on the 150 may have closed by then. So
//! the session has each data port looked at before it takes in a line of the FTP server.

use std::convert::Infallible;

use tokio::sync::{mpsc, oneshot};

/// The most connections that one look accepts: strangers that connect without end must not keep the session
/// waiting.
const MOST_LOOKED_AT: usize = 64;

/// Makes the two sides: the data port that can be looked at, and the requests to do so.
pub(crate) fn look() -> (Look, Looks) {
    let (sender, requests) = mpsc::unbounded_channel();
    let looks = Looks {
        requests,
        running: Vec::new(),
        left: 0,
    };
    (Look(sender), looks)
}

/// The session's side.
#[derive(Clone)]
pub(crate) struct Look(mpsc::UnboundedSender<oneshot::Sender<Infallible>>);

impl Look {
    /// Returns when all that had connected to the data port by now has been looked at, or when the data port
    /// is gone.
    pub(crate) async fn at(&self) {
        let (looking, looked) = oneshot::channel();
        if self.0.send(looking).is_ok() {
            // The sender is dropped when that is done.
            let _ = looked.await;
        }
    }
}

/// The data port's side. Dropping it answers all requests.
pub(crate) struct Looks {
    requests: mpsc::UnboundedReceiver<oneshot::Sender<Infallible>>,
    running: Vec<oneshot::Sender<Infallible>>,
    left: usize,
}

impl Looks {
    /// Returns when a look is asked for.
    pub(crate) async fn asked(&mut self) {
        match self.requests.recv().await {
            Some(request) => {
                self.running.push(request);
                self.left = MOST_LOOKED_AT;
            }
            // The session is over.
            None => std::future::pending().await,
        }
    }

    /// Whether another connection is to be looked at now.
    pub(crate) fn goes_on(&mut self) -> bool {
        let goes_on = self.left > 0;
        self.left = self.left.saturating_sub(1);
        goes_on
    }

    /// Notes that all connections that waited have been looked at.
    pub(crate) fn done(&mut self) {
        self.left = 0;
        self.running.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn q114_a_look_ends_although_strangers_come_without_end() {
        let (look, mut looks) = look();
        assert!(!looks.goes_on());
        let port = async {
            looks.asked().await;
            let mut looked_at = 0;
            while looks.goes_on() {
                looked_at += 1;
            }
            looks.done();
            looked_at
        };
        let ((), looked_at) = tokio::join!(look.at(), port);
        assert_eq!(looked_at, MOST_LOOKED_AT);
        // Once the data port is gone, nothing is left to wait for.
        drop(looks);
        look.at().await;
    }
}
