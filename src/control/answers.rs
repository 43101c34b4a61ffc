//! Ferryline's own answers: one line of bounded 7-bit ASCII each, which names ferryline.

use bytes::Bytes;

/// Longest text in such an answer. Some clients have buffers of a few hundred bytes.
const TEXT_LIMIT: usize = 240;

/// Renders `CODE ferryline: TEXT` with CRLF. `text` may hold what another party sent: it is escaped and
/// cannot end the line.
pub fn answer(code: u16, text: &str) -> Bytes {
    let mut line = format!("{code:03} ferryline: ");
    for byte in text.bytes() {
        if line.len() >= TEXT_LIMIT {
            line.push_str("...");
            break;
        }
        match byte {
            b' '..=b'~' => line.push(char::from(byte)),
            other => line.push_str(&other.escape_ascii().to_string()),
        }
    }
    line.push_str("\r\n");
    Bytes::from(line)
}

/// Renders the only answer of a session that cannot begin, or that is ended from outside: 421 with the reason.
pub fn refusal(reason: &str) -> Bytes {
    answer(421, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_said_cannot_end_the_line() {
        let bytes = answer(425, "refused: a\r\n230 logged in \u{fc}\0");
        assert_eq!(
            bytes,
            Bytes::from_static(b"425 ferryline: refused: a\\r\\n230 logged in \\xc3\\xbc\\x00\r\n")
        );
    }

    #[test]
    fn the_line_is_bounded() {
        let bytes = answer(425, &"\n".repeat(10_000));
        assert!(bytes.len() < TEXT_LIMIT + 16, "{}", bytes.len());
        assert!(bytes.ends_with(b"...\r\n"));
    }
}
