//! A line of a reply by itself.

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

    /// The code that these bytes spell; `None` if they are not three digits of which the first is 1 to
    /// 6.
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

    /// The first digit, 1 to 6: 1 preliminary, 2 completion, 3 intermediate, 4 transient failure, 5
    /// permanent failure, 6 protected.
    pub const fn class(self) -> u16 {
        self.0 / 100
    }
}

impl fmt::Display for ReplyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The line without the blanks in front.
pub(crate) fn without_padding(text: &[u8]) -> &[u8] {
    let blanks = text
        .iter()
        .take_while(|byte| matches!(byte, b' ' | b'\t'))
        .count();
    text.get(blanks..).unwrap_or_default()
}

/// The form of a line by itself. What it *is* depends on the lines before it
/// ([`ReplyFraming`](crate::ReplyFraming)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReplyLine {
    /// `ddd-`: begins a reply of several lines.
    First(ReplyCode),
    /// [`First`](Self::First) with blanks in front (Q93).
    OddFirst(ReplyCode),
    /// [`Single`](Self::Single) with blanks in front (Q93), or with something else than a space or a
    /// digit behind the code: `227: x`, `227x` (Q91).
    OddSingle(ReplyCode),
    /// None of these: no code, a short one, or a longer number (Q36).
    Other,
    /// `ddd` and a space, or nothing more (Q32): a whole reply, or the end of one.
    Single(ReplyCode),
}

impl ReplyLine {
    /// Reads a line without its end.
    pub fn parse(text: &[u8]) -> Self {
        let plain = without_padding(text);
        let padded = plain.len() < text.len();
        let Some((digits, rest)) = plain.split_at_checked(3) else {
            return Self::Other;
        };
        match (ReplyCode::from_digits(digits), rest.first()) {
            (None, _) | (_, Some(b'0'..=b'9')) => Self::Other,
            (Some(code), Some(b'-')) if padded => Self::OddFirst(code),
            (Some(code), Some(b'-')) => Self::First(code),
            (Some(code), None | Some(b' ')) if !padded => Self::Single(code),
            (Some(code), _) => Self::OddSingle(code),
        }
    }

    /// Its code, whatever is round it.
    pub fn code(self) -> Option<ReplyCode> {
        match self {
            Self::First(code)
            | Self::OddFirst(code)
            | Self::OddSingle(code)
            | Self::Single(code) => Some(code),
            Self::Other => None,
        }
    }
}
