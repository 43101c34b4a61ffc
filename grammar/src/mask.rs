//! What of a command may be seen by others: in a log, in a recorded session (Q88).

use std::borrow::Cow;

use crate::{command::Command, verb::Verb};

const STARS: &[u8] = b"****";

/// The command with what is secret in it replaced by `****`: all that PASS, ACCT and ADAT carry,
/// the password in `USER name:password@host`, and either behind a bare CR, where some servers
/// begin a new command. Goes by the parsed verb, so that no spelling of it escapes.
pub fn masked(text: &[u8]) -> Cow<'_, [u8]> {
    let mut shown = Vec::with_capacity(text.len());
    let mut changed = false;
    for (index, part) in text.split(|&byte| byte == b'\r').enumerate() {
        if index > 0 {
            shown.push(b'\r');
        }
        match masked_part(part) {
            Some(masked) => {
                changed = true;
                shown.extend_from_slice(&masked);
            }
            None => shown.extend_from_slice(part),
        }
    }
    if changed {
        Cow::Owned(shown)
    } else {
        Cow::Borrowed(text)
    }
}

fn masked_part(part: &[u8]) -> Option<Vec<u8>> {
    let (nul, part) = match part.strip_prefix(b"\0") {
        Some(rest) => (true, rest),
        None => (false, part),
    };
    let command = Command::parse(part)?;
    let mut shown = Vec::new();
    if nul {
        shown.push(0);
    }
    shown.extend_from_slice(command.keyword);
    shown.push(b' ');
    if command.verb.carries_secret() {
        shown.extend_from_slice(STARS);
        return Some(shown);
    }
    if command.verb != Verb::User {
        return None;
    }
    let colon = command.argument.iter().position(|&byte| byte == b':')?;
    let at = command.argument.iter().rposition(|&byte| byte == b'@')?;
    let name = command.argument.get(..=colon)?;
    // Behind the last '@' stands a host; a colon behind it is the port's.
    let host = command.argument.get(at..).filter(|_| colon < at)?;
    shown.extend_from_slice(name);
    shown.extend_from_slice(STARS);
    shown.extend_from_slice(host);
    Some(shown)
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
            assert!(
                !shown.contains("s3cret") || shown.contains("\rs3cret"),
                "{shown:?}"
            );
            assert!(shown.contains("****"), "{shown:?}");
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
