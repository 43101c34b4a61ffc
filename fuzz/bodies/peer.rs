//! One side's control connection as the proxy reads it: bytes in pieces, lines out.

use std::collections::VecDeque;

use bytes::BytesMut;
use ferryline::control::Ending;
use ferryline_grammar::{Frame, LineCodec, LineError};
use tokio_util::codec::Decoder;

use super::Dice;

/// What a side has sent, and how far it has been read.
pub struct Peer {
    codec: LineCodec,
    buffer: BytesMut,
    unread: VecDeque<Vec<u8>>,
    ending: Option<Ending>,
    /// Read next.
    put_back: Option<Frame>,
}

impl Peer {
    pub fn new(codec: LineCodec) -> Self {
        Self {
            codec,
            buffer: BytesMut::new(),
            unread: VecDeque::new(),
            ending: None,
            put_back: None,
        }
    }

    /// Bytes arrive, unless the side has ended.
    pub fn sends(&mut self, piece: &[u8]) {
        if self.ending.is_none() {
            self.unread.push_back(piece.to_vec());
        }
    }

    /// Likewise, cut into pieces.
    pub fn sends_cut(&mut self, bytes: &[u8], cuts: Option<&mut Dice>) {
        match cuts {
            Some(dice) => dice
                .pieces(bytes)
                .into_iter()
                .for_each(|piece| self.sends(piece)),
            None => self.sends(bytes),
        }
    }

    /// The frame that was read last is to be read once more.
    pub fn put_back(&mut self, frame: Frame) {
        assert_eq!(self.put_back.replace(frame), None);
    }

    pub fn ends(&mut self, ending: Ending) {
        self.ending.get_or_insert(ending);
    }

    /// Whether it sends no more.
    pub fn has_ended(&self) -> bool {
        self.ending.is_some()
    }

    /// The next frame, or how the side ended; `None` where more must come first.
    pub fn next(&mut self) -> Option<Result<Frame, Ending>> {
        if let Some(frame) = self.put_back.take() {
            return Some(Ok(frame));
        }
        loop {
            match self.codec.decode(&mut self.buffer) {
                Ok(Some(frame)) => return Some(Ok(frame)),
                Ok(None) => {}
                Err(error) => return Some(Err(ending(&error))),
            }
            if let Some(piece) = self.unread.pop_front() {
                self.buffer.extend_from_slice(&piece);
                continue;
            }
            let ended = self.ending?;
            return Some(match self.codec.decode_eof(&mut self.buffer) {
                Ok(Some(frame)) => Ok(frame),
                Ok(None) => Err(ended),
                Err(error) => Err(ending(&error)),
            });
        }
    }
}

fn ending(error: &LineError) -> Ending {
    match error {
        LineError::TooLong { limit } => Ending::LineTooLong(*limit),
        LineError::Nul => Ending::Nul,
        LineError::Io(_) => Ending::Lost,
    }
}
