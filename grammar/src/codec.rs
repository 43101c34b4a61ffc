//! Framing of the control connection: its byte stream, cut into lines.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio_util::codec::{Decoder, Encoder};

use crate::{
    lexical::{find, looked_at},
    line::{Line, LineEnd},
    reply::ReplyLine,
    telnet::{self, IAC, Negotiation, SE, Sequence},
};

/// The longest command that the codec reads, in bytes without its end.
pub const COMMAND_LIMIT: usize = 8 * 1024;

/// The longest line of a reply that the codec reads, in bytes without its end.
pub const REPLY_LIMIT: usize = 64 * 1024;

/// Cuts one direction of a control connection into lines, and takes Telnet out of it.
///
/// * Only LF ends a line, and it always does; one CR before it belongs to the end (Q34, Q61). So does a CR
///   that begins the next line and ends nothing (Q93). If a server's first two lines both end in a CR
///   alone, a CR alone is an end for that server from then on.
/// * Telnet commands are taken out if no text of their line comes before them; a DO or WILL becomes a
///   [`Frame::Negotiation`]. Behind text an IAC is text, doubled or not: it is a letter of a name (Q97).
/// * NUL is legal directly behind CR, and dropped at the start and at the end of a line (Q94). In replies a
///   CR that ends nothing, with or without its NUL, becomes one space, because some clients end a line
///   there (Q35).
/// * A line is bounded, and so is what the codec keeps: the limit and one chunk.
///
/// The frames do not depend on how the stream was split, and no byte is scanned twice. Give the decoder the
/// same buffer each time. After [`LineError::TooLong`] and [`LineError::Nul`] it discards all further input
/// and yields nothing more: the rest of a line is never taken for a line.
///
/// As an encoder it writes the bytes as they are.
#[derive(Debug)]
pub struct LineCodec {
    limit: usize,
    /// Whether a CR inside a line becomes a space, as in replies.
    blank_cr: bool,
    /// The line end that this server uses.
    ends: Ends,
    /// The line so far is `held`, then the first `scanned` bytes of the buffer. Bytes move to `held` only
    /// when something behind them is dropped.
    held: BytesMut,
    scanned: usize,
    /// The line so far ends in a CR whose meaning depends on the next byte.
    after_cr: bool,
    /// A NUL was dropped behind the line so far: only the line's end may follow.
    after_nul: bool,
    /// The line before ended with its CR: an LF directly behind it belongs to that end.
    cr_ended: bool,
    /// The line so far is a subnegotiation, unless an LF comes before its end.
    subnegotiation: bool,
    poisoned: bool,
}

/// The line end that a server uses, as far as is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// CR alone, as its first two lines have shown.
    Cr,
    /// LF, with a CR or without. Always for a client.
    Lf,
    /// The first line ended in a CR; whether an LF follows is not known yet.
    OneCr,
    /// No line has ended yet.
    Unknown,
}

impl LineCodec {
    /// For what a client sends: [`COMMAND_LIMIT`], CR kept as it is.
    pub fn commands() -> Self {
        Self::new(COMMAND_LIMIT, false)
    }

    /// [`commands`](Self::commands) with lines of at most `limit` bytes.
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
            ends: match blank_cr {
                true => Ends::Unknown,
                false => Ends::Lf,
            },
            held: BytesMut::new(),
            scanned: 0,
            after_cr: false,
            after_nul: false,
            cr_ended: false,
            subnegotiation: false,
            poisoned: false,
        }
    }

    fn next_frame(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, LineError> {
        loop {
            let fresh = src.get(self.scanned..).unwrap_or_default();
            let plain = find(fresh, is_special).unwrap_or(fresh.len());
            if plain > 0 {
                self.keep(src, plain)?;
                continue;
            }
            match fresh.first() {
                None => return Ok(None),
                Some(b'\n') => {
                    if let Some(line) = self.take_lf(src) {
                        return Ok(Some(Frame::Line(line)));
                    }
                }
                Some(b'\r') => {
                    if let Some(line) = self.take_cr(src)? {
                        return Ok(Some(Frame::Line(line)));
                    }
                }
                Some(0) => self.take_nul(src)?,
                Some(_) if self.subnegotiation => match fresh.get(1) {
                    None => return Ok(None),
                    Some(&SE) => self.drop_subnegotiation(src),
                    Some(&IAC) => self.keep(src, 2)?,
                    Some(_) => self.keep(src, 1)?,
                },
                Some(_) if !self.is_at_start() => self.keep(src, 1)?,
                Some(_) => match telnet::sequence(fresh) {
                    None => return Ok(None),
                    Some(Sequence::Text(count)) => self.keep(src, count)?,
                    Some(Sequence::Command(count)) => self.take_out(src, count),
                    Some(Sequence::Negotiation(negotiation)) => {
                        self.take_out(src, 3);
                        return Ok(Some(Frame::Negotiation(negotiation)));
                    }
                    Some(Sequence::Subnegotiation) => {
                        self.keep(src, 2)?;
                        self.subnegotiation = true;
                    }
                },
            }
        }
    }

    /// The rest at the connection's EOF: an unterminated line, if any.
    fn rest(&mut self, src: &mut BytesMut) -> Result<Option<Frame>, LineError> {
        if src.len() == self.scanned + 1 {
            // An IAC without a byte behind it is no command.
            self.keep(src, 1)?;
        }
        self.settle_cr(src)?;
        self.check_limit()?;
        src.truncate(self.scanned);
        let line = self.take(src, LineEnd::None);
        Ok((!line.text().is_empty()).then_some(Frame::Line(line)))
    }

    /// Adds the next `count` bytes of the buffer to the line as they are.
    fn keep(&mut self, src: &mut BytesMut, count: usize) -> Result<(), LineError> {
        self.settle_cr(src)?;
        if self.after_nul {
            return Err(LineError::Nul);
        }
        self.cr_ended = false;
        self.scanned += count;
        self.check_limit()
    }

    /// Takes the LF that comes next. Returns the line that it ends, unless it belongs to the end of the
    /// line before.
    fn take_lf(&mut self, src: &mut BytesMut) -> Option<Line> {
        if matches!(self.ends, Ends::Unknown | Ends::OneCr) {
            self.ends = Ends::Lf;
        }
        if self.cr_ended {
            self.cr_ended = false;
            self.take_out(src, 1);
            return None;
        }
        let end = match self.after_cr {
            true => LineEnd::CrLf,
            false => LineEnd::Lf,
        };
        self.scanned += 1;
        Some(self.take(src, end))
    }

    /// Takes the CR that comes next. Returns the line, if the CR ends it.
    fn take_cr(&mut self, src: &mut BytesMut) -> Result<Option<Line>, LineError> {
        if self.cr_ended {
            self.take_out(src, 1);
            return Ok(None);
        }
        self.settle_cr(src)?;
        if self.cr_is_end(src) {
            self.ends = match self.ends {
                Ends::Unknown => Ends::OneCr,
                _ => Ends::Cr,
            };
            // The line is passed on with an LF, which the server may never send.
            self.take_out(src, 1);
            let mut whole = std::mem::take(&mut self.held);
            looked_at(whole.len());
            whole.put_slice(LineEnd::CrLf.as_bytes());
            self.begin_line();
            self.cr_ended = true;
            let whole = Bytes::copy_from_slice(&whole);
            return Ok(Some(Line::from_whole(whole, LineEnd::CrLf)));
        }
        self.scanned += 1;
        self.after_cr = true;
        self.check_limit()?;
        Ok(None)
    }

    /// Whether a CR that comes now ends the line by itself. A server's first line ends at its CR at once;
    /// an LF that follows is dropped. No file name can make a CR an end: for that, a server has to end two
    /// lines that begin with a code by a CR alone, the first of them its greeting.
    fn cr_is_end(&self, src: &BytesMut) -> bool {
        match self.ends {
            Ends::Lf => false,
            Ends::Cr => !self.is_at_start(),
            Ends::OneCr | Ends::Unknown => {
                let scanned = src.get(..self.scanned).unwrap_or_default();
                let begin = self.held.iter().chain(scanned).copied();
                let begin: Vec<u8> = begin.take(CODE_WITHIN).collect();
                ReplyLine::parse(&begin) != ReplyLine::Other
            }
        }
    }

    /// Takes the NUL that comes next.
    fn take_nul(&mut self, src: &mut BytesMut) -> Result<(), LineError> {
        if self.subnegotiation || self.after_nul && self.after_cr {
            return Err(LineError::Nul);
        }
        let after_cr = self.after_cr;
        self.settle_cr(src)?;
        if after_cr && !self.blank_cr && !self.is_at_start() {
            return self.keep(src, 1);
        }
        self.after_nul = !after_cr && !self.is_at_start();
        self.take_out(src, 1);
        self.check_limit()
    }

    /// Settles the CR at the end of the line so far, which turned out to end nothing.
    fn settle_cr(&mut self, src: &mut BytesMut) -> Result<(), LineError> {
        if !std::mem::take(&mut self.after_cr) {
            return Ok(());
        }
        if self.after_nul {
            return Err(LineError::Nul);
        }
        if self.held.len() + self.scanned == 1 {
            // The CR belongs to the end of the line before.
            self.held.clear();
            src.advance(self.scanned);
            self.scanned = 0;
            return Ok(());
        }
        if !self.blank_cr {
            return Ok(());
        }
        let last = match self.scanned.checked_sub(1) {
            Some(index) => src.get_mut(index),
            None => self.held.last_mut(),
        };
        if let Some(last) = last {
            *last = b' ';
        }
        Ok(())
    }

    /// Whether the line has no text yet.
    fn is_at_start(&self) -> bool {
        self.held.len() + self.scanned == usize::from(self.after_cr)
    }

    /// Drops the next `count` bytes of the buffer from the line.
    fn take_out(&mut self, src: &mut BytesMut, count: usize) {
        let read = src.get(..self.scanned).unwrap_or_default();
        looked_at(read.len());
        self.held.put_slice(read);
        src.advance(self.scanned + count);
        self.scanned = 0;
    }

    /// Drops the subnegotiation, which is all of the line so far, and the IAC and SE that come next.
    fn drop_subnegotiation(&mut self, src: &mut BytesMut) {
        self.held.clear();
        src.advance(self.scanned + 2);
        self.scanned = 0;
        self.begin_line();
    }

    fn take(&mut self, src: &mut BytesMut, end: LineEnd) -> Line {
        let read = src.get(..self.scanned).unwrap_or_default();
        let count = read.len();
        looked_at(count);
        // A copy, because a slice would keep all of the buffer, however long, for the life of the line
        // (Q129).
        let whole = match std::mem::take(&mut self.held) {
            held if held.is_empty() => Bytes::copy_from_slice(read),
            mut held => {
                held.put_slice(read);
                Bytes::copy_from_slice(&held)
            }
        };
        src.advance(count);
        self.begin_line();
        Line::from_whole(whole, end)
    }

    fn begin_line(&mut self) {
        self.scanned = 0;
        self.after_cr = false;
        self.after_nul = false;
        self.cr_ended = false;
        self.subnegotiation = false;
    }

    fn check_limit(&self) -> Result<(), LineError> {
        let text = self.held.len() + self.scanned - usize::from(self.after_cr);
        match text > self.limit {
            true => Err(LineError::TooLong { limit: self.limit }),
            false => Ok(()),
        }
    }

    /// Passes a result on. An error ends the stream.
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

    /// `decode` at EOF: an unterminated rest is a line with [`LineEnd::None`].
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

/// Number of bytes in which a first line shows its code. They are examined again with each CR.
const CODE_WITHIN: usize = 16;

/// A piece of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A line, without its Telnet.
    Line(Line),
    /// A peer asked for a Telnet option and awaits its refusal.
    Negotiation(Negotiation),
}

/// Why a stream can be read no further.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// Reading or writing failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A NUL came where none is allowed.
    #[error("a NUL byte inside a line, where FTP allows one only directly after CR")]
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
