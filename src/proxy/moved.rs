//! How much has moved over a data connection, and its hash.

use std::sync::{
    Mutex,
    atomic::{AtomicU64, Ordering},
};

use sha2::{Digest, Sha256};

use crate::lock::lock;

/// How much has moved so far: a running total that others may look at.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    to_client: Count,
    to_server: Count,
}

/// One direction.
#[derive(Debug, Default)]
struct Count {
    bytes: AtomicU64,
    /// Of these bytes, where it is wanted.
    hash: Option<Mutex<Sha256>>,
}

/// SHA-256 of what has moved so far, in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hashes {
    pub(crate) to_client: [u8; 32],
    pub(crate) to_server: [u8; 32],
}

impl Tally {
    /// A total with the hashes of what has moved, which cost processor time.
    pub(in crate::proxy) fn with_hashes() -> Self {
        let count = || Count {
            bytes: AtomicU64::default(),
            hash: Some(Mutex::default()),
        };
        Self {
            to_client: count(),
            to_server: count(),
        }
    }

    pub(in crate::proxy) fn to_client(&self, bytes: &[u8]) {
        self.to_client.add(bytes);
    }

    pub(in crate::proxy) fn to_server(&self, bytes: &[u8]) {
        self.to_server.add(bytes);
    }

    pub(crate) fn moved(&self) -> Moved {
        Moved {
            to_client: self.to_client.bytes.load(Ordering::Relaxed),
            to_server: self.to_server.bytes.load(Ordering::Relaxed),
        }
    }

    /// What has moved, and the hashes of exactly that.
    pub(crate) fn hashed(&self) -> (Moved, Option<Hashes>) {
        let (to_client, client_hash) = self.to_client.hashed();
        let (to_server, server_hash) = self.to_server.hashed();
        let moved = Moved {
            to_client,
            to_server,
        };
        let hashes = client_hash.zip(server_hash);
        let hashes = hashes.map(|(to_client, to_server)| Hashes {
            to_client,
            to_server,
        });
        (moved, hashes)
    }
}

impl Count {
    fn add(&self, bytes: &[u8]) {
        // The lock is held over both, so that a look sees no bytes without their hash.
        let mut hash = self.hash.as_ref().map(lock);
        if let Some(hash) = &mut hash {
            hash.update(bytes);
        }
        self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
    }

    fn hashed(&self) -> (u64, Option<[u8; 32]>) {
        let hash = self.hash.as_ref().map(lock);
        let bytes = self.bytes.load(Ordering::Relaxed);
        (bytes, hash.map(|hash| hash.clone().finalize().into()))
    }
}

/// How much has moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Bytes handed to the client.
    pub to_client: u64,
    /// Bytes taken from the client.
    pub to_server: u64,
}

impl Moved {
    pub(in crate::proxy) fn add(&mut self, more: Self) {
        self.to_client = self.to_client.saturating_add(more.to_client);
        self.to_server = self.to_server.saturating_add(more.to_server);
    }

    /// What has moved since there were so many.
    pub(in crate::proxy) fn since(self, before: Self) -> Self {
        Self {
            to_client: self.to_client.saturating_sub(before.to_client),
            to_server: self.to_server.saturating_sub(before.to_server),
        }
    }

    /// Both directions together.
    pub fn bytes(self) -> u64 {
        self.to_client.saturating_add(self.to_server)
    }

    /// Whether the client has received some bytes and sent none. (Where neither side sent anything, the
    /// direction is unknown.)
    pub fn is_download(self) -> bool {
        self.to_client > 0 && self.to_server == 0
    }

    /// Whether the client has sent some bytes and received none.
    pub fn is_upload(self) -> bool {
        self.to_server > 0 && self.to_client == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_the_bytes_however_they_came() {
        let whole = Tally::with_hashes();
        whole.to_server(b"hello world");
        let pieces = Tally::with_hashes();
        for piece in [&b"hello"[..], b" ", b"world"] {
            pieces.to_server(piece);
        }
        let (moved, hashes) = pieces.hashed();
        assert_eq!((moved.to_server, moved.to_client), (11, 0));
        assert_eq!(hashes, whole.hashed().1);
        let hex = |hash: [u8; 32]| {
            hash.iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        };
        let hashes = hashes.unwrap();
        assert!(hex(hashes.to_server).starts_with("b94d27b9934d3e08"));
        assert!(hex(hashes.to_client).starts_with("e3b0c44298fc1c14"));
        assert_eq!(Tally::default().hashed().1, None);
    }
}
