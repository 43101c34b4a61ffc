//! Bytes of a peer as they may stand in a log, in a transcript and on a terminal.

use std::fmt::Write;

/// Bytes as text on one line: printable ASCII stands for itself, a backslash is `\\`, any other byte is `\xNN`.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'\\' => text.push_str("\\\\"),
            b' '..=b'~' => text.push(char::from(byte)),
            other => {
                // Writing to a String cannot fail.
                let _ = write!(text, "\\x{other:02x}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_printable_ascii_is_written_out() {
        assert_eq!(printable(b"257 \"/a\" it's"), "257 \"/a\" it's");
        assert_eq!(
            printable(b"a\\b\x1b[2J\xff\r\n"),
            "a\\\\b\\x1b[2J\\xff\\x0d\\x0a"
        );
    }
}
