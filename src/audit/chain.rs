//! How each line follows on the one before it: by its number, and by the SHA-256 of that line.

use std::time::SystemTime;

use sha2::{Digest, Sha256};

use super::line::Line;

/// The end of a chain, on which the next line follows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Chain {
    /// The number of the last line; 0: there is none.
    seq: u64,
    /// Its hash.
    last: Option<[u8; 32]>,
}

impl Chain {
    /// The chain behind this line, without its newline.
    pub(super) fn after(line: &[u8], seq: u64) -> Self {
        Self {
            seq,
            last: Some(hash(line)),
        }
    }

    /// The text of the next line. Not a part of the chain before [`add`](Self::add).
    pub(super) fn next(&self, at: SystemTime, said: &str) -> String {
        Line::text(self.next_seq(), self.last.as_ref(), at, said)
    }

    /// Notes that this line is in the file.
    pub(super) fn add(&mut self, line: &[u8]) {
        *self = Self::after(line, self.next_seq());
    }

    /// The number of the next line.
    pub(super) fn next_seq(&self) -> u64 {
        self.seq.saturating_add(1)
    }
}

/// SHA-256.
pub(super) fn hash(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_hash_of_the_line_before_it() {
        let mut chain = Chain::default();
        let first = chain.next(SystemTime::UNIX_EPOCH, "{\"event\":\"begin\"}");
        assert_eq!(
            first,
            "{\"v\":1,\"seq\":1,\"prev\":null,\"ts\":\"1970-01-01T00:00:00.000Z\",\"event\":\"begin\"}"
        );
        chain.add(first.as_bytes());
        let second = chain.next(SystemTime::UNIX_EPOCH, "{\"event\":\"end\"}");
        let second = Line::parse(second.as_bytes()).unwrap();
        assert_eq!(second.seq, 2);
        assert_eq!(
            second.prev.unwrap(),
            super::super::text::digits(&hash(first.as_bytes()))
        );
        assert_eq!(chain, Chain::after(first.as_bytes(), 1));
    }
}
