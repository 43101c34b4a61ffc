//! The byte stream of the control connection, cut into lines.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

use crate::lexical::{find, looked_at};
use crate::line::{Line, LineEnd};
use crate::telnet::{self, IAC, Negotiation, SE, Sequence};

/// The longest command that is read, in bytes without its end.
pub const COMMAND_LIMIT: usize = 8 * 1024;

/// The longest line of a reply that is read, in bytes without its end.
pub const REPLY_LIMIT: usize = 64 * 1024;

/// Cuts one direction of a control connection into lines, and takes the Telnet out of it.
///
/// * Only LF ends a line, and it always does; one CR before it belongs to the end (Q34, Q61).
/// * Telnet commands are taken out; a DO or WILL becomes a [`Frame::Negotiation`], ahead of the line
///   it stood in. A doubled IAC stays doubled, an IAC that commands nothing stays (Q59).
/// * NUL is legal directly behind CR only. In replies a CR that ends nothing, with or without its NUL,
///   becomes one space, because some clients end a line there (Q35).
/// * A line is bounded, and so is what the codec keeps: the limit and one chunk.
///
/// The frames do not depend on how the stream was split, and no byte is scanned twice. The decoder is
/// to be given one and the same buffer each time. After [`LineError::TooLong`] and [`LineError::Nul`] it
/// discards all further input and yields nothing more: no rest of a line is ever taken for a line.
///
/// As an encoder it writes the bytes as they are.
#[derive(Debug)]
pub struct LineCodec {
    limit: usize,
    /// Replies: a CR inside a line becomes a space.
    blank_cr: bool,
    /// The line so far is `held`, then the first `scanned` bytes of the buffer. Bytes move to `held`
    /// only when something behind them is taken out.
    held: BytesMut,
    scanned: usize,
    /// The line so far ends in a CR whose meaning hangs on the next byte.
    after_cr: bool,
    /// Inside a subnegotiation: the bytes of it so far.
    subnegotiation: Option<usize>,
    poisoned: bool,
}

impl LineCodec {
    /// For what a client sends: [`COMMAND_LIMIT`], CR kept as it is.
    pub fn commands() -> Self {
        Self::new(COMMAND_LIMIT, false)
    }

    /// As [`commands`](Self::commands), with lines of at most `limit` bytes.
    pub fn commands_up_to(limit: usize) -> Self {
        Self::new(limit, false)
    }

    /// For what a server sends: [`REPLY_LIMIT`], a CR inside a line becomes a space.
    pub fn replies() -> Self {
        Self::new(REPLY_LIMIT, true)
    }

    fn new(limit: usize, blank_cr: bool) -> Self {
        Self {
            limit,
            blank_cr,
            held: BytesMut::new(),
            scanned: 0,
            after_cr: false,
            subnegotiation: None,
            poisoned: false,
        }
    }

    fn next_frame(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, LineError> {
        loop {
            if self.subnegotiation.is_some() && !self.skip_subnegotiation(src)? {
                return Ok(None);
            }
            let fresh = src.get(self.scanned..).unwrap_or_default();
            let plain = find(fresh, is_special).unwrap_or(fresh.len());
            if plain > 0 {
                self.keep(src, plain)?;
                continue;
            }
            match fresh.first() {
                None => return Ok(None),
                Some(b'\n') => return Ok(Some(Frame::Line(self.take_line(src)))),
                Some(b'\r') => self.keep_cr(src)?,
                Some(0) => self.keep_nul(src)?,
                Some(_) => match telnet::sequence(fresh) {
                    None => return Ok(None),
                    Some(Sequence::Text(count)) => self.keep(src, count)?,
                    Some(Sequence::Command(count)) => self.take_out(src, count),
                    Some(Sequence::Negotiation(negotiation)) => {
                        self.take_out(src, 3);
                        return Ok(Some(Frame::Negotiation(negotiation)));
                    }
                    Some(Sequence::Subnegotiation) => {
                        self.take_out(src, 2);
                        self.subnegotiation = Some(0);
                    }
                },
            }
        }
    }

    /// What is left when the connection ends: an unterminated line, if anything.
    fn rest(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, LineError> {
        if self.subnegotiation.is_none() && src.len() == self.scanned + 1 {
            // An IAC that nothing followed commands nothing.
            self.keep(src, 1)?;
        }
        self.settle_cr(src);
        self.check_limit()?;
        src.truncate(self.scanned);
        self.subnegotiation = None;
        let line = self.take(src, LineEnd::None);
        Ok((!line.text().is_empty()).then_some(Frame::Line(line)))
    }

    /// Takes the next `count` bytes of the buffer into the line as they are.
    fn keep(&mut self, src: &mut BytesMut, count: usize) -> Result<(), LineError> {
        self.settle_cr(src);
        self.scanned += count;
        self.check_limit()
    }

    fn keep_cr(&mut self, src: &mut BytesMut) -> Result<(), LineError> {
        self.settle_cr(src);
        self.scanned += 1;
        self.after_cr = true;
        self.check_limit()
    }

    fn keep_nul(&mut self, src: &mut BytesMut) -> Result<(), LineError> {
        if !self.after_cr {
            return Err(LineError::Nul);
        }
        if !self.blank_cr {
            return self.keep(src, 1);
        }
        self.settle_cr(src);
        self.take_out(src, 1);
        self.check_limit()
    }

    /// The CR that the line so far ends in turned out to end nothing.
    fn settle_cr(&mut self, src: &mut BytesMut) {
        if !self.after_cr {
            return;
        }
        self.after_cr = false;
        if !self.blank_cr {
            return;
        }
        let last = match self.scanned.checked_sub(1) {
            Some(index) => src.get_mut(index),
            None => self.held.last_mut(),
        };
        if let Some(last) = last {
            *last = b' ';
        }
    }

    /// Drops the next `count` bytes of the buffer out of the line.
    fn take_out(&mut self, src: &mut BytesMut, count: usize) {
        let read = src.get(..self.scanned).unwrap_or_default();
        looked_at(read.len());
        self.held.put_slice(read);
        src.advance(self.scanned + count);
        self.scanned = 0;
    }

    /// Drops the subnegotiation, as far as it has arrived; whether it is over.
    fn skip_subnegotiation(&mut self, src: &mut BytesMut) -> Result<bool, LineError> {
        let mut count = self.subnegotiation.unwrap_or_default();
        let over = loop {
            let data = find(src, |byte| byte == IAC).unwrap_or(src.len());
            src.advance(data);
            count += data;
            match src.get(1) {
                None => break false,
                Some(&SE) => {
                    src.advance(2);
                    break true;
                }
                Some(_) => {
                    src.advance(2);
                    count += 2;
                }
            }
        };
        if count > self.limit {
            return Err(LineError::TooLong { limit: self.limit });
        }
        self.subnegotiation = (!over).then_some(count);
        Ok(over)
    }

    /// Takes the line that the LF next in the buffer ends.
    fn take_line(&mut self, src: &mut BytesMut) -> Line {
        let end = match self.after_cr {
            true => LineEnd::CrLf,
            false => LineEnd::Lf,
        };
        self.scanned += 1;
        self.take(src, end)
    }

    fn take(&mut self, src: &mut BytesMut, end: LineEnd) -> Line {
        let read = src.get(..self.scanned).unwrap_or_default();
        let count = read.len();
        looked_at(count);
        // A copy, for a slice would keep all of the buffer, however long, as long as the line lives (Q129).
        let whole = match std::mem::take(&mut self.held) {
            held if held.is_empty() => Bytes::copy_from_slice(read),
            mut held => {
                held.put_slice(read);
                Bytes::copy_from_slice(&held)
            }
        };
        src.advance(count);
        self.scanned = 0;
        self.after_cr = false;
        Line::from_whole(whole, end)
    }

    fn check_limit(&self) -> Result<(), LineError> {
        let text = self.held.len() + self.scanned - usize::from(self.after_cr);
        match text > self.limit {
            true => Err(LineError::TooLong { limit: self.limit }),
            false => Ok(()),
        }
    }

    /// Passes a result on; an error ends everything.
    fn guard<T>(
        &mut self,
        src: &mut BytesMut,
        result: Result<T, LineError>,
    ) -> Result<T, LineError> {
        if result.is_err() {
            self.poisoned = true;
            self.held = BytesMut::new();
            src.clear();
        }
        result
    }
}

impl Decoder for LineCodec {
    type Item = Frame;
    type Error = LineError;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, LineError> {
        if self.poisoned {
            src.clear();
            return Ok(None);
        }
        let result = self.next_frame(src);
        self.guard(src, result)
    }

    /// As `decode`; at the end an unterminated rest is a line with [`LineEnd::None`].
    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, LineError> {
        let frame = self.decode(src)?;
        if frame.is_some() || self.poisoned {
            return Ok(frame);
        }
        let result = self.rest(src);
        self.guard(src, result)
    }
}

impl Encoder<Bytes> for LineCodec {
    type Error = LineError;

    fn encode(&mut self, item: Bytes, dst: &mut BytesMut) -> Result<(), LineError> {
        dst.put(item);
        Ok(())
    }
}

/// What the stream is cut into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A line, its Telnet taken out.
    Line(Line),
    /// A peer asked for a Telnet option and awaits its refusal.
    Negotiation(Negotiation),
}

/// Why a stream cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A NUL stood where none may be.
    #[error("a NUL byte in a line, which FTP allows directly after CR only")]
    Nul,
    /// A line went on past the limit.
    #[error("a line is longer than {limit} bytes")]
    TooLong {
        /// The limit, in bytes without the line's end.
        limit: usize,
    },
}

fn is_special(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r' | 0 | IAC)
}
