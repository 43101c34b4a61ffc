//! What of a command may be seen by others: in a log, in a recorded session (Q88).

use std::borrow::Cow;

use crate::{
    command::{Command, junk},
    lexical::{find, find_last},
    verb::Verb,
};

const STARS: &[u8] = b"****";

/// The command with what is secret in it replaced by `****`: all that PASS, ACCT and ADAT carry,
/// the password in `USER name:password@host`, and either behind a bare CR, where some servers
/// begin a new command. A secret may hold a CR itself, so nothing behind one is shown. Goes by the
/// parsed verb, so that no spelling of it escapes.
pub fn masked(text: &[u8]) -> Cow<'_, [u8]> {
    let mut rest = text;
    // What one USER has no password in, no later one has: it is looked for once in a line.
    let mut user_seen = false;
    while let Some(command) = Command::parse(rest) {
        let behind_keyword = junk(rest) + command.keyword.len();
        let shown = match command.verb {
            verb if verb.carries_secret() => Some(STARS.to_vec()),
            Verb::User if !std::mem::replace(&mut user_seen, true) => masked_user(command.argument),
            _ => None,
        };
        if let Some(shown) = shown {
            let before = text.len() - rest.len() + behind_keyword;
            let before = text.get(..before).unwrap_or_default();
            return Cow::Owned([before, b" ", &shown].concat());
        }
        let behind = rest.get(behind_keyword..).unwrap_or_default();
        let Some(end) = find(behind, |byte| byte == b'\r') else {
            break;
        };
        rest = behind.get(end + 1..).unwrap_or_default();
    }
    Cow::Borrowed(text)
}

/// What is to be shown in place of the argument of a USER and all behind it, if a password stands between
/// a colon and the last '@' of the line.
fn masked_user(argument: &[u8]) -> Option<Vec<u8>> {
    let at = find_last(argument, |byte| byte == b'@')?;
    let colon = find(argument, |byte| byte == b':')?;
    // Behind the last '@' stands a host; a colon behind it is the port's.
    let host = argument.get(at..).filter(|_| colon < at)?;
    let (name, host) = match find(argument, |byte| byte == b'\r') {
        // Whose '@' or password it is, is anybody's guess.
        Some(end) => (argument.get(..end.min(colon + 1))?, &b""[..]),
        None => (argument.get(..=colon)?, host),
    };
    Some([name, STARS, host].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q88_no_password_is_seen_however_it_is_spelled() {
        for text in [
            &b"PASS s3cret"[..],
            b"pass s3cret",
            b"  PaSs  s3cret x",
            b"ACCT s3cret",
            b"adat s3cret",
            b"\xffPASS s3cret",
            b"NOOP\rPASS s3cret",
            b"NOOP\r\0PASS s3cret",
            b"PASS s3cret\rs3cret",
            b"USER me:s3cret@host",
            b"USER me:s3cret@host:2121",
            b"USER me:s3@s3cret@host",
        ] {
            let shown = String::from_utf8_lossy(&masked(text)).into_owned();
            assert!(!shown.contains("s3cret"), "{shown:?}");
            assert!(shown.contains("****"), "{shown:?}");
        }
    }

    #[test]
    fn q88_a_password_with_a_carriage_return_in_it_is_not_seen_in_part() {
        for (text, shown) in [
            (&b"PASS a\rs3cret"[..], &b"PASS ****"[..]),
            (b"NOOP x\rPASS a\r\0s3cret", b"NOOP x\rPASS ****"),
            (b"USER me:a\rs3cret@host", b"USER me:****"),
            (b"USER me\ra:s3cret@host", b"USER me****"),
            (b"USER me:a@host\rPASS s3@s3cret", b"USER me:****"),
            (b"USER me\rPASS s3cret", b"USER me\rPASS ****"),
            (b"USER me\rPASS s3cret:a@host", b"USER me****"),
        ] {
            assert_eq!(masked(text).as_ref(), shown, "{}", text.escape_ascii());
            assert_eq!(masked(shown).as_ref(), shown);
        }
    }

    #[test]
    fn all_else_is_seen_as_it_is() {
        for text in [
            &b"RETR PASS x"[..],
            b"USER me",
            b"USER me@host:21",
            b"STOR a\rb",
            b"",
            b"\xff\xfe",
        ] {
            assert_eq!(masked(text).as_ref(), text);
        }
    }
}
