//! Framing of replies: where each begins and ends.

use crate::reply::{ReplyCode, ReplyLine};

/// Follows replies of several lines (RFC 959 §4.2) and tells the place of each line.
///
/// Only its own code and a space end a reply opened by `ddd-` (Q28), except directly after a command went
/// out ([`command_sent`](Self::command_sent)). An odd line ([`ReplyLine::OddSingle`],
/// [`ReplyLine::OddFirst`]) is a reply if none is open. Inside a reply it is a continuation, unless the
/// server has begun a reply with an odd line before (Q91, Q93).
#[derive(Clone, Debug, Default)]
pub struct ReplyFraming {
    open: Option<ReplyCode>,
    /// A command has gone out, and no continuation line has come since: the next line may begin a reply.
    resync: bool,
    /// The server has begun a reply with an odd line.
    odd: bool,
}

impl ReplyFraming {
    /// The place of the next line, given without its end.
    pub fn place(&mut self, text: &[u8]) -> Place {
        let resync = std::mem::take(&mut self.resync);
        let line = ReplyLine::parse(text);
        let odd = matches!(line, ReplyLine::OddFirst(_) | ReplyLine::OddSingle(_));
        let line = match line {
            _ if odd && self.open.is_some() && !self.odd => ReplyLine::Other,
            ReplyLine::OddFirst(code) => ReplyLine::First(code),
            ReplyLine::OddSingle(code) => ReplyLine::Single(code),
            line => line,
        };
        match (line, self.open) {
            (ReplyLine::Single(code), Some(open)) if code == open => {
                self.open = None;
                Place::Last(code)
            }
            (ReplyLine::First(code), Some(open)) if code == open => Place::Middle(open),
            (_, Some(open)) if !resync => Place::Middle(open),
            (ReplyLine::Single(code), _) => {
                self.open = None;
                self.odd |= odd;
                Place::Only(code)
            }
            (ReplyLine::First(code), _) => {
                self.open = Some(code);
                self.odd |= odd;
                Place::First(code)
            }
            (_, Some(open)) => Place::Middle(open),
            (_, None) => Place::Stray,
        }
    }

    /// Notes that a command went out. If a reply is open, some servers have ended it with another code
    /// (Q29). If the next line looks like a reply of another code, it is one; any other line clears this
    /// again.
    pub fn command_sent(&mut self) {
        self.resync = self.open.is_some();
    }

    /// Notes that the open reply was replaced by one line: no more lines of it follow.
    pub fn reply_withheld(&mut self) {
        self.open = None;
        self.resync = false;
    }

    /// The code of the open reply, if any.
    pub fn open(&self) -> Option<ReplyCode> {
        self.open
    }
}

/// The place of a line among the lines of replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// Begins a reply of several lines.
    First(ReplyCode),
    /// Ends the reply of this code.
    Last(ReplyCode),
    /// Inside the reply of this code.
    Middle(ReplyCode),
    /// A reply of one line.
    Only(ReplyCode),
    /// A line without a code, outside any reply (Q36).
    Stray,
}
