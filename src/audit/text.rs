//! Bytes of peers as text. Text in UTF-8 stands for itself; a backslash is `\\`; each byte that is no UTF-8, or of a
//! control character, or of one that changes the direction of the text, is `\xNN`. `\+` at the end says that the rest
//! was left out. (In the file all that stands in a JSON string, in which each backslash is written twice.)
//!
//! It is what [`printable`](crate::printable) writes, with letters beyond ASCII.

use std::fmt::Write;

/// Number of bytes of a name or path that are kept. No file system has longer paths.
pub(super) const NAME: usize = 8192;

/// Behind a text whose rest was left out.
pub(super) const CUT: &str = "\\+";

/// Number of bytes of a reply that are kept.
pub(super) const REPLY: usize = 512;

/// Bytes as text, `most` of them.
pub(super) fn escaped(bytes: &[u8], most: usize) -> String {
    let kept = bytes.get(..most).unwrap_or(bytes);
    let mut text = String::with_capacity(kept.len());
    for chunk in kept.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                c if c.is_control() || turns(c) => {
                    let mut bytes = [0; 4];
                    hex(&mut text, c.encode_utf8(&mut bytes).as_bytes());
                }
                c => text.push(c),
            }
        }
        hex(&mut text, chunk.invalid());
    }
    if kept.len() < bytes.len() {
        text.push_str(CUT);
    }
    text
}

/// A text of the log, whose letters beyond ASCII are escaped, in the form of this module.
pub(super) fn from_printable(text: &str) -> String {
    match unescaped(text) {
        Some((bytes, false)) => escaped(&bytes, NAME),
        _ => escaped(text.as_bytes(), NAME),
    }
}

/// The bytes that a text stands for, and whether there were more; `None`: it stands for none.
pub(super) fn unescaped(text: &str) -> Option<(Vec<u8>, bool)> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next()? {
            b'\\' => bytes.push(b'\\'),
            b'x' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                bytes.push(u8::try_from(high << 4 | low).ok()?);
            }
            b'+' if rest.next().is_none() => return Some((bytes, true)),
            _ => return None,
        }
    }
    Some((bytes, false))
}

/// Whether a character makes what follows it run in another direction: a name could show as another one.
fn turns(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn hex(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "\\x{byte:02x}");
    }
}

/// SHA-256 in hexadecimal digits.
pub(super) fn digits(hash: &[u8; 32]) -> String {
    let mut text = String::with_capacity(64);
    for byte in hash {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn letters_stand_for_themselves_and_all_else_is_written_out() {
        for (bytes, text) in [
            (&b"a b/c.csv"[..], "a b/c.csv"),
            ("\u{e4}\u{4e2d}".as_bytes(), "\u{e4}\u{4e2d}"),
            (b"a\\b\xff\r\n\x1b[2J", "a\\\\b\\xff\\x0d\\x0a\\x1b[2J"),
            ("\u{202e}x\u{85}".as_bytes(), "\\xe2\\x80\\xaex\\xc2\\x85"),
            (b"cut \xc3", "cut \\xc3"),
        ] {
            assert_eq!(escaped(bytes, NAME), text);
        }
        assert_eq!(escaped(b"abc", 2), "ab\\+");
        assert_eq!(unescaped("ab\\+"), Some((b"ab".to_vec(), true)));
        assert_eq!(from_printable("caf\\xc3\\xa9"), "caf\u{e9}");
        for text in ["\\", "\\y", "\\x1", "\\xgg", "\\+more"] {
            assert_eq!(unescaped(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let text = escaped(&bytes, NAME);
            prop_assert_eq!(unescaped(&text), Some((bytes, false)));
            prop_assert!(!text.chars().any(char::is_control));
        }

        #[test]
        fn any_text_comes_back(text in ".{0,60}") {
            let shown = escaped(text.as_bytes(), NAME);
            prop_assert_eq!(unescaped(&shown), Some((text.into_bytes(), false)));
        }
    }
}
