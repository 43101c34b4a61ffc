//! Bytes as text: printable ASCII stands for itself, a backslash is `\\`, any other byte is `\xNN`. The CRLF
//! that ends a line is implied. A line that ends in LF alone ends in `\x0a`, and a line without an end ends in a
//! single `\`.

use ferryline_grammar::{Line, LineEnd};

use crate::printable::printable;

/// A line in the form in which it stands in a transcript.
pub(super) fn line(line: &Line) -> String {
    let mut shown = text(line.text());
    match line.end() {
        LineEnd::CrLf => {}
        LineEnd::Lf => shown.push_str("\\x0a"),
        LineEnd::None => {
            if shown.ends_with("\\x20") {
                // The backslash shows the blank.
                shown.truncate(shown.len() - 4);
                shown.push(' ');
            }
            shown.push('\\');
        }
    }
    shown
}

/// Bytes without any blank, to stand among other words.
pub(super) fn word(bytes: &[u8]) -> String {
    text(bytes).replace(' ', "\\x20")
}

/// Bytes that are about to be written: a line, or a part of one.
pub(super) fn written(written: &[u8]) -> String {
    line(&split(written))
}

/// The line that consists of these bytes.
pub(super) fn split(written: &[u8]) -> Line {
    match written.strip_suffix(b"\r\n") {
        Some(text) => Line::with_end(text.to_vec(), LineEnd::CrLf),
        None => match written.strip_suffix(b"\n") {
            Some(text) => Line::with_end(text.to_vec(), LineEnd::Lf),
            None => Line::with_end(written.to_vec(), LineEnd::None),
        },
    }
}

/// The line that a text stands for; `None` if the text stands for none.
pub(super) fn unescape(text: &str) -> Option<Line> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    let mut end = LineEnd::CrLf;
    // The last byte was written as an escape, so a newline in its place is no part of the text.
    let mut escaped_newline = false;
    while let Some(byte) = rest.next() {
        escaped_newline = false;
        match byte {
            b'\\' => match rest.next() {
                None => end = LineEnd::None,
                Some(b'\\') => bytes.push(b'\\'),
                Some(b'x') => {
                    let (high, low) = (rest.next()?, rest.next()?);
                    let value = hex(high)? << 4 | hex(low)?;
                    escaped_newline = value == b'\n';
                    bytes.push(value);
                }
                Some(_) => return None,
            },
            b' '..=b'~' => bytes.push(byte),
            _ => return None,
        }
    }
    if escaped_newline && end == LineEnd::CrLf {
        bytes.pop();
        end = LineEnd::Lf;
    }
    Some(Line::with_end(bytes, end))
}

/// Bytes that are no line of their own.
pub(super) fn text(text: &[u8]) -> String {
    match text.strip_suffix(b" ") {
        // Some editors would remove a blank at the end.
        Some(rest) => printable(rest) + "\\x20",
        None => printable(text),
    }
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}
