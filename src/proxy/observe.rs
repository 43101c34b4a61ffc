//! Watching control connections.

use std::borrow::Cow;

use ferryline_grammar::Command;

/// Is shown every line of every control connection as it passes, passwords masked.
pub trait Observer: Send + Sync {
    /// One line without its end, on session `session` (numbered from 1).
    fn line(&self, session: u64, direction: Direction, line: &[u8]);
}

/// Where a line is on its way. A line that is not rewritten is seen twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// As the client sent it.
    FromClient,
    /// As the server sent it.
    FromServer,
    /// As the client gets it.
    ToClient,
    /// As the server gets it.
    ToServer,
}

/// What may be seen of a command: never what a PASS, ACCT or ADAT carries (Q88).
pub(super) fn masked(line: &[u8]) -> Cow<'_, [u8]> {
    match Command::parse(line) {
        Some(command) if command.verb.carries_secret() => {
            let mut masked = command.keyword.to_vec();
            masked.extend_from_slice(b" ****");
            Cow::Owned(masked)
        }
        _ => Cow::Borrowed(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q88_no_password_is_shown_however_it_is_spelled() {
        for line in [
            "PASS s3cret",
            "pass s3cret",
            " PaSs  s3cret x",
            "ACCT s3cret",
            "adat s3cret",
        ] {
            let shown = masked(line.as_bytes()).into_owned();
            assert!(
                !String::from_utf8_lossy(&shown).contains("s3cret"),
                "{line}"
            );
        }
        assert_eq!(masked(b"RETR PASS").as_ref(), b"RETR PASS");
    }
}
