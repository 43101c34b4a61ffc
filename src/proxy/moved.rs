//! How much has moved over a data connection.

use std::sync::atomic::{AtomicU64, Ordering};

/// How much has moved so far: a running total that others may look at.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    to_client: AtomicU64,
    to_server: AtomicU64,
}

impl Tally {
    pub(in crate::proxy) fn to_client(&self, count: usize) {
        self.to_client.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(in crate::proxy) fn to_server(&self, count: usize) {
        self.to_server.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(crate) fn moved(&self) -> Moved {
        Moved {
            to_client: self.to_client.load(Ordering::Relaxed),
            to_server: self.to_server.load(Ordering::Relaxed),
        }
    }
}

/// How much has moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moved {
    /// Bytes handed to the client.
    pub(crate) to_client: u64,
    /// Bytes taken from the client.
    pub(crate) to_server: u64,
}

impl Moved {
    pub(in crate::proxy) fn add(&mut self, more: Self) {
        self.to_client = self.to_client.saturating_add(more.to_client);
        self.to_server = self.to_server.saturating_add(more.to_server);
    }

    /// Whether the client has received some bytes and sent none. (Where neither side sent anything, the
    /// direction is unknown.)
    pub(in crate::proxy) fn is_download(self) -> bool {
        self.to_client > 0 && self.to_server == 0
    }

    /// Whether the client has sent some bytes and received none.
    pub(in crate::proxy) fn is_upload(self) -> bool {
        self.to_server > 0 && self.to_client == 0
    }
}
