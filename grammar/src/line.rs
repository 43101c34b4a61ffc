//! One line of the control connection.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use crate::mask::masked;

/// One line with its end, exactly as it is to be passed on. Cheap to clone.
///
/// Its `Debug` is one line of printable ASCII and shows what [`masked`] shows (Q88).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Line {
    /// Text and end.
    whole: Bytes,
    end: LineEnd,
}

impl Line {
    /// A line of `text`, ended by CR LF. `text` holds no LF: the caller makes one line, not two.
    pub fn new(text: impl Into<Bytes>) -> Self {
        Self::with_end(text, LineEnd::CrLf)
    }

    /// A line of `text` with this end. `text` holds no LF.
    pub fn with_end(text: impl Into<Bytes>, end: LineEnd) -> Self {
        let text = text.into();
        if end == LineEnd::None {
            return Self::from_whole(text, end);
        }
        let mut whole = BytesMut::with_capacity(text.len() + end.as_bytes().len());
        whole.put(text);
        whole.put_slice(end.as_bytes());
        Self::from_whole(whole.freeze(), end)
    }

    /// A line made of bytes that already end in `end`.
    pub(crate) fn from_whole(whole: Bytes, end: LineEnd) -> Self {
        Self { whole, end }
    }

    /// The line without its end.
    pub fn text(&self) -> &[u8] {
        self.whole
            .strip_suffix(self.end.as_bytes())
            .unwrap_or(&self.whole)
    }

    /// How the line ended.
    pub fn end(&self) -> LineEnd {
        self.end
    }

    /// Text and end, exactly as received.
    pub fn into_bytes(self) -> Bytes {
        self.whole
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (text, end) = (masked(self.text()), self.end.as_bytes());
        write!(f, "Line(\"{}{}\")", text.escape_ascii(), end.escape_ascii())
    }
}

/// What ended a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LineEnd {
    /// CR LF, as RFC 959 §5.3.1 requires.
    CrLf,
    /// LF by itself (Q34).
    Lf,
    /// Nothing: the connection ended first.
    None,
}

impl LineEnd {
    /// The bytes of the end.
    pub fn as_bytes(self) -> &'static [u8] {
        match self {
            Self::CrLf => b"\r\n",
            Self::Lf => b"\n",
            Self::None => b"",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_of_every_end() {
        for (end, whole) in [
            (LineEnd::CrLf, &b"NOOP\r\n"[..]),
            (LineEnd::Lf, b"NOOP\n"),
            (LineEnd::None, b"NOOP"),
        ] {
            let line = Line::with_end("NOOP", end);
            assert_eq!(line.text(), b"NOOP");
            assert_eq!(line.end(), end);
            assert_eq!(line.into_bytes(), whole);
        }
        assert_eq!(Line::new("NOOP"), Line::with_end("NOOP", LineEnd::CrLf));
    }

    #[test]
    fn debug_is_printable_and_keeps_secrets() {
        let line = Line::with_end(&b"CWD \xff\x1b[2J"[..], LineEnd::Lf);
        assert_eq!(format!("{line:?}"), r#"Line("CWD \xff\x1b[2J\n")"#);
        for secret in [
            "PASS hunter2",
            " pass hunter2",
            "PASS\thunter2",
            "Acct hunter2",
            "NOOP\rPASS hunter2",
            "PASS x\rhunter2",
            "USER me:hunter2@host",
        ] {
            let shown = format!("{:?}", Line::new(secret));
            assert!(
                shown.contains("****") && !shown.contains("hunter2"),
                "{shown}"
            );
        }
    }
}
