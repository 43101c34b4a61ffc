//! The meaning of a line for readers that are laxer than the RFCs.
//!
//! Ferryline reads a line as RFC 959 says; some clients and servers see more in it. Text that they would
//! take for an address must not pass as something else (Q79, Q82).

use std::borrow::Cow;

use nom::Parser;

use crate::{
    address::{ExtendedAddress, host_port},
    command::{Command, junk},
    lexical::{blanks, find, is_blank, looked_at},
    passive::{has_six_numbers, skip_digits},
    reply::ReplyCode,
    telnet::{self, IAC},
    verb::Verb,
};

/// The line in the four ways in which readers handle Telnet: as it is; without each IAC and the byte
/// behind it; as BSD's programs read it, which drop two bytes behind a WILL, WONT, DO or DONT; and
/// as RFC 854 defines it, without subnegotiations and with one IAC for two. They differ where an IAC is
/// part of a name (Q97).
pub fn telnet_readings(text: &[u8]) -> [Cow<'_, [u8]>; 4] {
    if find(text, |byte| byte == IAC).is_none() {
        return std::array::from_fn(|_| Cow::Borrowed(text));
    }
    [
        Cow::Borrowed(text),
        Cow::Owned(without_telnet(text, |_| Skip::One)),
        Cow::Owned(without_telnet(text, |command| match command {
            telnet::WILL..=telnet::DONT => Skip::Two,
            _ => Skip::One,
        })),
        Cow::Owned(without_telnet(text, |command| match command {
            IAC => Skip::Double,
            telnet::SB => Skip::Subnegotiation,
            telnet::WILL..=telnet::DONT => Skip::Two,
            _ => Skip::One,
        })),
    ]
}

/// The bytes behind an IAC that are not text.
enum Skip {
    /// The next byte.
    One,
    /// The next two.
    Two,
    /// None: of two IACs one stays.
    Double,
    /// All up to an IAC and SE.
    Subnegotiation,
}

fn without_telnet(text: &[u8], skip: impl Fn(u8) -> Skip) -> Vec<u8> {
    looked_at(text.len());
    let mut bytes = text.iter();
    let mut kept = Vec::with_capacity(text.len());
    while let Some(&byte) = bytes.next() {
        if byte != IAC {
            kept.push(byte);
            continue;
        }
        let Some(&command) = bytes.next() else {
            break;
        };
        match skip(command) {
            Skip::One => {}
            Skip::Two => {
                bytes.next();
            }
            Skip::Double => kept.push(IAC),
            Skip::Subnegotiation => {
                while bytes.by_ref().any(|byte| *byte == IAC)
                    && bytes.next().is_some_and(|byte| *byte != telnet::SE)
                {}
            }
        }
    }
    kept
}

/// The code as read by a client that looks at three digits and not at what follows them, with or without
/// blanks before them. If any reading has the code of a passive reply, that code.
pub fn lax_code(text: &[u8]) -> Option<ReplyCode> {
    let readings = telnet_readings(text);
    let codes = || {
        readings
            .iter()
            .filter_map(|text| ReplyCode::from_digits(without_space(text).get(..3)?))
    };
    let passive = |code: &ReplyCode| matches!(code.value(), 227..=229);
    codes().find(passive).or_else(|| codes().next())
}

/// Whether another digit follows the three digits: few clients take them for a code then.
pub fn is_longer_number(text: &[u8]) -> bool {
    telnet_readings(text).iter().any(|text| {
        let digits = without_space(text).iter();
        digits.take_while(|byte| byte.is_ascii_digit()).count() > 3
    })
}

fn without_space(text: &[u8]) -> &[u8] {
    let is_text = |byte: &u8| !matches!(byte, b'\t'..=b'\r' | b' ');
    let start = text.iter().position(is_text).unwrap_or(text.len());
    text.get(start..).unwrap_or_default()
}

/// Whether a client that does not look at the exact code would find a data connection's address in this
/// line of a reply: six numbers (wget, lftp and FileZilla take them from any 2xx), or the port of an
/// EPSV.
pub fn may_name_endpoint(text: &[u8]) -> bool {
    telnet_readings(text)
        .iter()
        .any(|text| has_six_numbers(text) || has_extended_port(text))
}

/// The verbs as seen by servers that drop Telnet and strip unprintable bytes from the start of a line (as
/// Java's `trim` does); none for a blank line.
pub fn lax_verbs(text: &[u8]) -> impl Iterator<Item = Verb> {
    telnet_readings(text).into_iter().filter_map(|text| {
        let start = find(&text, |byte| byte.is_ascii_graphic())?;
        Command::parse(text.get(start..)?).map(|command| command.verb)
    })
}

/// Whether the verb of this command line, which was read as `command`, holds bytes that no verb has, or
/// is another verb for a server that drops such bytes.
pub fn is_disguised(text: &[u8], command: &Command<'_>) -> bool {
    let other = |verb| verb != Verb::Other && verb != command.verb;
    find(command.keyword, |byte| !byte.is_ascii_graphic()).is_some() || lax_verbs(text).any(other)
}

/// Whether this argument begins with the address of a PORT or is that of an EPRT: a server that knows the
/// verb would connect there (Q95).
pub fn is_address(argument: &[u8]) -> bool {
    let argument = blanks.parse(argument).map_or(argument, |(rest, _)| rest);
    let six = host_port(argument).map(|(rest, _)| rest);
    let whole_words = |rest: &[u8]| rest.first().is_none_or(|byte| is_blank(*byte));
    six.is_ok_and(whole_words) || ExtendedAddress::parse(argument).is_ok()
}

/// Whether a PORT, EPRT, LPRT or SPOR with an address is in the middle of this line. A server that cuts a
/// line at the end of its buffer begins a new command there (CVE-2008-4247; 512 bytes are common).
pub fn holds_active_request(text: &[u8]) -> bool {
    telnet_readings(text)
        .iter()
        .any(|text| reads_active_request(text))
}

fn reads_active_request(text: &[u8]) -> bool {
    let behind = junk(text) + 1;
    let mut long_seen = false;
    text.windows(5)
        .enumerate()
        .skip(behind)
        .any(|(at, window)| {
            let [verb @ .., space] = window else {
                return false;
            };
            if !is_blank(*space) {
                return false;
            }
            let argument = || text.get(at + 5..).unwrap_or_default();
            if verb.eq_ignore_ascii_case(b"LPRT") {
                // The six numbers may be anywhere behind it. The text behind a later LPRT is also behind
                // the first, so the rest of the line is searched once.
                return !std::mem::replace(&mut long_seen, true) && has_six_numbers(argument());
            }
            names_address(verb, argument)
        })
}

/// Whether this is a PORT, SPOR or EPRT with its address. It looks at the argument only behind such a
/// verb: the next verb begins behind all bytes that it looks at for this one.
fn names_address<'a>(verb: &[u8], argument: impl Fn() -> &'a [u8]) -> bool {
    let trimmed = || {
        let argument = argument();
        blanks.parse(argument).map_or(argument, |(rest, _)| rest)
    };
    if verb.eq_ignore_ascii_case(b"PORT") || verb.eq_ignore_ascii_case(b"SPOR") {
        return host_port(trimmed()).is_ok();
    }
    verb.eq_ignore_ascii_case(b"EPRT")
        && matches!(trimmed(), [open, b'1' | b'2', close, ..] if open == close && open.is_ascii_punctuation())
}

/// Whether `(ddd5d`, `(d1d`, `|||5|` or `!!!5!` is in the text, whatever is round it; a closing
/// parenthesis ends it, too. Names that begin with `!!!` are common, so every client is assumed to need
/// the end.
fn has_extended_port(text: &[u8]) -> bool {
    text.windows(4).enumerate().any(|(at, window)| {
        looked_at(1);
        let port_at = |start: usize| text.get(at + start..).unwrap_or_default();
        match window {
            [b'|', b'|', b'|', _] => is_ended_port(port_at(3), b'|'),
            [b'!', b'!', b'!', _] => is_ended_port(port_at(3), b'!'),
            [b'(', one, two, three] if one.is_ascii_punctuation() => {
                let filled_in = two.is_ascii_digit() && three == one;
                let blank = two.is_ascii_punctuation() && three.is_ascii_punctuation();
                filled_in || blank && is_ended_port(port_at(4), *three)
            }
            _ => false,
        }
    })
}

fn is_ended_port(text: &[u8], delimiter: u8) -> bool {
    let rest = skip_digits(text);
    let after = blanks.parse(rest).map_or(rest, |(after, _)| after);
    let ended = |end: &u8| *end == delimiter || *end == b')';
    rest.len() < text.len() && after.first().is_some_and(ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q79_codes_as_lax_clients_read_them() {
        for (text, code) in [
            (&b"227 x"[..], Some(227)),
            (b"227.Entering", Some(227)),
            (b"227", Some(227)),
            (b"2\xffZ27 x", Some(227)),
            (b"\xff\xf1227-", Some(227)),
            (b"227\xffZ", Some(227)),
            (b" 227 x", Some(227)),
            (b"\t 227 x", Some(227)),
            (b"22\xff\xfbZ7 x", Some(227)),
            (b"2\xff\xfa200\xff\xf027 x", Some(227)),
            (b"200\xff\xfa x", Some(200)),
            (b"22", None),
            (b"x227 ", None),
            (b"\xff", None),
        ] {
            let found = lax_code(text).map(ReplyCode::value);
            assert_eq!(found, code, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn q79_addresses_as_lax_clients_find_them() {
        for text in [
            &b"200 ok (10,0,0,9,200,13)"[..],
            b"200 =10 , 0,0,9, 200,13",
            b"250 300,0,0,9,200,13",
            b"10,0\xffZ,0,9,200,13",
            b"10,0\xff\xfd7,0,9,200,13",
            b"200 ok (10,0,0,9,-56,13)",
            b"200 ok (10,0,0,9,+200, \x0b-13)",
            b"229 (|||22|)",
            b"200 |||22|",
            b"200 !!!22!",
            b"200 (|!|22|",
            b"200 (|||22)",
            b"200 !!!22 !",
            b"200 (|1|10.0.0.9|22|)",
        ] {
            assert!(may_name_endpoint(text), "{}", text.escape_ascii());
        }
        for text in [
            &b"220 ready"[..],
            b"213 20261121120000",
            b"226 1,024,000 bytes in 3,2 s",
            b"257 \"/a (copy 2)\" is it",
            b"230 (!) read this",
            b"257 \"/!!!1 Inbox\" is it",
            b" type=file; !!!2004.mp3",
            b"250 a|||5 b",
            b"150 Opening (127.0.0.1,37445) (0 bytes)",
            b"",
        ] {
            assert!(!may_name_endpoint(text), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn q82_an_active_request_in_the_midst_of_a_line() {
        for (text, holds) in [
            (&b"NOOP aaaaPORT 10,0,0,9,4,1"[..], true),
            (b"NOOP port  10,0,0,9,4,1", true),
            (b"NOOP xEPRT |1|10.0.0.9|1025|", true),
            (b"STOR a LPRT 4,4,10,0,0,9,2,4,1", true),
            (b"STOR a SPOR 10,0,0,9,4,1", true),
            (b"NOOP aaaaPO\xff\xf1RT 10,0,0,9,4,1", true),
            (b"NOOP aaaaPO\xff\xfdQRT 10,0,0,9,4,1", true),
            (b"XPORT 10,0,0,9,4,1", true),
            (b"PORT 10,0,0,9,4,1", false),
            (b"  EPRT |1|10.0.0.9|1025|", false),
            (b"STOR EXPORT 2026.csv", false),
            (b"STOR EXPORT 1,2,3.csv", false),
            (b"STOR PORT", false),
            (b"STOR report |1|", false),
            (b"", false),
        ] {
            assert_eq!(holds_active_request(text), holds, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn q82_verbs_in_disguise() {
        for text in [
            &b"\x01PORT 10,0,0,9,4,1"[..],
            b"PO\xffZRT 10,0,0,9,4,1",
            b"\xff\xffPORT x",
            b"\0\x1f PORT x",
            b"\xc2\xa0PORT x",
            b"XPORT x",
            b"PO\xff\xfbQRT x",
            b"PO\xff\xfaQ\xff\xffQ\xff\xf0RT x",
            // Only for a reader that drops one byte behind each IAC, and only for BSD's (Q97).
            b"PO\xff\xfbRT x",
            b"PO\xff\xfbQ\xff\xffRT x",
        ] {
            assert!(
                lax_verbs(text).any(|verb| verb == Verb::Port),
                "{}",
                text.escape_ascii()
            );
        }
        assert_eq!(lax_verbs(b"\x01 \xff").count(), 0);
        let disguised = |text| is_disguised(text, &Command::parse(text).unwrap());
        for text in [
            &b"PO\xffZRT 1"[..],
            b"\x01PORT 1",
            b"PORT\x7f",
            b"\xffMEPRT |1|",
        ] {
            assert!(disguised(text), "{}", text.escape_ascii());
        }
        for text in [
            &b" PORT 1"[..],
            b"\xffABOR",
            b"STOR \xff\x01",
            b"P@SW",
            b"MFMT x",
        ] {
            assert!(!disguised(text), "{}", text.escape_ascii());
        }
    }
}
