//! What the fuzz targets check, as plain functions of bytes. `fuzz_targets/` hands them what
//! libFuzzer makes up; `tests/it/fuzz_corpus.rs` hands them the stored corpus.

// Every target uses one of these only.
#![allow(dead_code, unreachable_pub)]
// A check that fails is to panic.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

pub mod codec;
pub mod command;
mod greeting;
#[path = "../../src/control/tests/invariants/lax.rs"]
mod lax;
mod model;
mod peer;
pub mod reply;
pub mod session;
pub mod transcript;
mod upload;

use bytes::BytesMut;
use ferryline_grammar::{Frame, LineCodec};
use tokio_util::codec::Decoder;

/// A small generator of numbers (xorshift): where the chunks of a stream end.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Numbers that hang on nothing but `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next one.
    pub fn throw(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// The next one, below `bound`, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.throw()).unwrap() % bound
    }

    /// `bytes` in pieces of 1 to 32 bytes.
    pub fn pieces<'a>(&mut self, mut bytes: &'a [u8]) -> Vec<&'a [u8]> {
        let mut pieces = Vec::new();
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at((1 + self.below(32)).min(bytes.len()));
            pieces.push(piece);
            bytes = rest;
        }
        pieces
    }
}

/// All frames of a stream that comes in these pieces and ends, and how it failed if it did.
fn decode<'a>(
    mut codec: LineCodec,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Frame>, Option<String>) {
    let mut buffer = BytesMut::new();
    let mut frames = Vec::new();
    let mut error = None;
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match codec.decode(&mut buffer) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(failed) => assert_eq!(error.replace(failed.to_string()), None),
            }
        }
    }
    loop {
        match codec.decode_eof(&mut buffer) {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) => break,
            Err(failed) => assert_eq!(error.replace(failed.to_string()), None),
        }
    }
    assert!(buffer.is_empty(), "{} bytes are left", buffer.len());
    (frames, error)
}
