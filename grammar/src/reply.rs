//! A line of a reply, standing alone.

use std::fmt;

/// The three digits of a reply, 100 to 699 (RFC 959 §4.2, RFC 2228 §5 for 6yz).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplyCode(u16);

impl ReplyCode {
    /// The code of this value; `None` outside 100..=699.
    pub const fn new(value: u16) -> Option<Self> {
        match value {
            100..=699 => Some(Self(value)),
            _ => None,
        }
    }

    /// The code these bytes spell; `None` where they are not three digits of which the first is 1 to 6.
    pub const fn from_digits(digits: &[u8]) -> Option<Self> {
        match digits {
            [a @ b'1'..=b'6', b @ b'0'..=b'9', c @ b'0'..=b'9'] => Some(Self(
                (*a - b'0') as u16 * 100 + (*b - b'0') as u16 * 10 + (*c - b'0') as u16,
            )),
            _ => None,
        }
    }

    /// The code as a number.
    pub const fn value(self) -> u16 {
        self.0
    }

    /// Its first digit, 1 to 6: 1 preliminary, 2 done, 3 go on, 4 not now, 5 no, 6 protected.
    pub const fn class(self) -> u16 {
        self.0 / 100
    }
}

impl fmt::Display for ReplyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What a line looks like by itself; what it *is* hangs on the lines before it
/// ([`ReplyFraming`](crate::ReplyFraming)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReplyLine {
    /// `ddd-`: begins a reply of several lines.
    First(ReplyCode),
    /// Neither: no code, a short one, or one run into its text (Q36).
    Other,
    /// `ddd` and a space, or nothing more (Q32): a whole reply, or the end of one.
    Single(ReplyCode),
}

impl ReplyLine {
    /// Looks at a line without its end.
    pub fn parse(text: &[u8]) -> Self {
        let Some((digits, rest)) = text.split_at_checked(3) else {
            return Self::Other;
        };
        match (ReplyCode::from_digits(digits), rest.first()) {
            (Some(code), None | Some(b' ')) => Self::Single(code),
            (Some(code), Some(b'-')) => Self::First(code),
            _ => Self::Other,
        }
    }
}
