//! Masking of secrets in commands and replies, for logs and recorded sessions (Q88).

use std::{borrow::Cow, fmt};

use crate::{
    command::{Command, is_space, junk},
    lax::lax_verbs,
    lexical::{find, find_last},
    verb::Verb,
};

const STARS: &[u8] = b"****";

/// The command with its secrets replaced by `****`: the arguments of PASS, ACCT and the security commands
/// of RFC 2228, the password in `USER name:password@host`, the text behind the name of a SITE command
/// that sets a password, and each of these behind a bare CR, where some servers begin a new command. A
/// secret may hold a CR itself, so nothing behind a secret is shown. The parsed verb decides, so that no
/// spelling of it escapes.
pub fn masked(text: &[u8]) -> Cow<'_, [u8]> {
    let mut rest = text;
    // If one USER has no password in it, no later one has: the line is searched for it once.
    let mut user_seen = false;
    while let Some(command) = Command::parse(rest) {
        let behind_keyword = junk(rest) + command.keyword.len();
        let behind = rest.get(behind_keyword..).unwrap_or_default();
        let end = find(behind, |byte| byte == b'\r').map(|end| behind_keyword + end);
        // The command that a server sees which drops Telnet may have a secret, too.
        let part = rest.get(..end.unwrap_or(rest.len())).unwrap_or(rest);
        let hidden = || lax_verbs(part).any(Verb::carries_secret);
        let shown = match command.verb {
            verb if verb.carries_secret() || hidden() => Some(STARS.to_vec()),
            Verb::User if !std::mem::replace(&mut user_seen, true) => masked_user(command.argument),
            Verb::Site => masked_site(command.argument),
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

/// The line of a reply with its secrets replaced by `****`: some servers repeat the command that they
/// refuse. A secret in it is replaced together with all text behind it.
pub fn masked_reply(text: &[u8]) -> Cow<'_, [u8]> {
    let [b'4' | b'5', _, _, _, ..] = text else {
        return Cow::Borrowed(text);
    };
    let behind_code = std::iter::once(4);
    let quoted = text.iter().enumerate().filter_map(|(index, byte)| {
        let opens = matches!(byte, b'\'' | b'"' | b'`' | b'<' | b'[' | b'(' | b':');
        opens.then_some(index + 1)
    });
    for start in behind_code.chain(quoted).take(PLACES) {
        let Some((before, command)) = text.split_at_checked(start) else {
            break;
        };
        if let Cow::Owned(shown) = masked(command) {
            return Cow::Owned([before, &shown].concat());
        }
    }
    Cow::Borrowed(text)
}

/// Number of places in a reply at which a repeated command is looked for. Each may cost its whole length.
const PLACES: usize = 8;

impl fmt::Debug for Command<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = [self.keyword, b" ", self.argument].concat();
        let shown = masked(&whole);
        let argument = shown.get(self.keyword.len() + 1..).unwrap_or_default();
        f.debug_struct("Command")
            .field("verb", &self.verb)
            .field(
                "keyword",
                &format_args!("\"{}\"", self.keyword.escape_ascii()),
            )
            .field("argument", &format_args!("\"{}\"", argument.escape_ascii()))
            .finish()
    }
}

/// The text to show in place of the argument of a USER and all behind it, if there is a password between
/// a colon and the last '@' of the line.
fn masked_user(argument: &[u8]) -> Option<Vec<u8>> {
    let at = find_last(argument, |byte| byte == b'@')?;
    let colon = find(argument, |byte| byte == b':')?;
    // The host comes after the last '@'; a colon behind it is the port's.
    let host = argument.get(at..).filter(|_| colon < at)?;
    let (name, host) = match find(argument, |byte| byte == b'\r') {
        // The '@' and the password may belong to either command.
        Some(end) => (argument.get(..end.min(colon + 1))?, &b""[..]),
        None => (argument.get(..=colon)?, host),
    };
    Some([name, STARS, host].concat())
}

/// The argument of a SITE command that sets a password, with its name shown: Serv-U's PSWD, wu-ftpd's
/// GPASS, glftpd's PASSWD, CHPASS and ADDUSER, WS_FTP's CPWD and their like, and a password behind a word
/// that announces it (`CHANGE me PASS word`).
fn masked_site(argument: &[u8]) -> Option<Vec<u8>> {
    let start = find(argument, |byte| !is_space(byte))?;
    // The caller looks for another command behind a CR: no byte is read twice, whatever the number of
    // CRs.
    let end = argument.iter().skip(start).position(|byte| *byte == b'\r');
    let own = argument.get(..end.map_or(argument.len(), |end| start + end))?;
    let mut words = words(own);
    let (name, behind) = words.next()?;
    let behind = match sets_password(&name) {
        true => behind,
        false => words.find(|(word, _)| announces_password(word))?.1,
    };
    let (shown, secret) = argument.split_at_checked(behind)?;
    let is_empty = secret.iter().all(|byte| is_space(*byte));
    (!is_empty).then(|| [shown, b" ", STARS].concat())
}

/// Each word in capitals, with the position of its end.
fn words(text: &[u8]) -> impl Iterator<Item = (Vec<u8>, usize)> {
    let mut end = 0;
    text.split_inclusive(|byte| is_space(*byte))
        .map(move |piece| {
            let word = match piece.split_last() {
                Some((last, word)) if is_space(*last) => word,
                _ => piece,
            };
            let word_end = end + word.len();
            end += piece.len();
            (word.to_ascii_uppercase(), word_end)
        })
        .filter(|(word, _)| !word.is_empty())
}

/// Whether a SITE command of this name takes a password. Servers invent such names freely, so their
/// common parts decide.
fn sets_password(name: &[u8]) -> bool {
    let holds = |part: &[u8]| name.windows(part.len()).any(|window| window == part);
    let makes_user = holds(b"USER") || holds(b"USR");
    holds(b"PASS")
        || holds(b"PSW")
        || holds(b"PWD")
        || makes_user && (holds(b"ADD") || holds(b"NEW") || holds(b"CREATE"))
}

fn announces_password(word: &[u8]) -> bool {
    const WORDS: [&[u8]; 6] = [b"PASS", b"PASSWD", b"PASSWORD", b"PSWD", b"PW", b"PWD"];
    WORDS.contains(&word)
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
            b"MIC s3cret",
            b"CONF s3cret",
            b"enc s3cret",
            b"\xffPASS s3cret",
            b"\xef\xbb\xbfPASS s3cret",
            b"\x01PASS s3cret",
            b"PA\xff\xf1SS s3cret",
            b"NOOP\rPA\xff\xfbxSS s3cret",
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
    fn q88_the_password_of_a_site_command_is_not_seen() {
        for (text, shown) in [
            (&b"SITE PSWD s3cret s3cret2"[..], &b"SITE PSWD ****"[..]),
            (b"site  gpass\ts3cret", b"site  gpass ****"),
            (b"SITE PASSWD s3cret", b"SITE PASSWD ****"),
            (b"SITE CHPASS me s3cret", b"SITE CHPASS ****"),
            (b"SITE CHPWD bWU= czNjcmV0", b"SITE CHPWD ****"),
            (b"SITE CPWD s3cret", b"SITE CPWD ****"),
            (b"SITE ADDUSER me s3cret *@*", b"SITE ADDUSER ****"),
            (b"SITE GADDUSER us me s3cret", b"SITE GADDUSER ****"),
            (b"SITE CHANGE me PASS s3cret", b"SITE CHANGE me PASS ****"),
            (b"XSITE\0PSWD a\rs3cret", b"XSITE PSWD ****"),
            (b"NOOP\rSITE PSWD s3cret", b"NOOP\rSITE PSWD ****"),
            (b"SITE HELP\rPASS s3cret", b"SITE HELP\rPASS ****"),
        ] {
            assert_eq!(masked(text).as_ref(), shown, "{}", text.escape_ascii());
            assert_eq!(masked(shown).as_ref(), shown);
        }
    }

    #[test]
    fn q88_a_refused_command_that_a_server_repeats_is_not_seen() {
        for (text, shown) in [
            (
                &b"500 'SITE PSWD s3cret s3cret2': command not understood."[..],
                &b"500 'SITE PSWD ****"[..],
            ),
            (b"500 PASS s3cret: not now", b"500 PASS ****"),
            (b"501-Unknown: \"ACCT s3cret\"", b"501-Unknown: \"ACCT ****"),
            (
                b"502 unknown command: pass s3cret",
                b"502 unknown command: pass ****",
            ),
        ] {
            assert_eq!(
                masked_reply(text).as_ref(),
                shown,
                "{}",
                text.escape_ascii()
            );
            assert_eq!(masked_reply(shown).as_ref(), shown);
        }
        for text in [
            &b"530 Please login with USER and PASS."[..],
            b"331 Password required for 'PASS'.",
            b"214-USER PASS ACCT CWD",
            b"550 'CWD x': no such folder",
            b"500",
            b"500 ",
            b"",
        ] {
            assert_eq!(masked_reply(text).as_ref(), text);
        }
    }

    #[test]
    fn all_else_is_seen_as_it_is() {
        for text in [
            &b"SITE CHMOD 644 passwords"[..],
            b"SITE CHMOD 644 passwd",
            b"SITE UTIME a b",
            b"SITE HELP",
            b"SITE PSWD",
            b"SITE",
        ] {
            assert_eq!(masked(text).as_ref(), text);
        }
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
