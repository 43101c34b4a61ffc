//! The grammar as law: what the parsers accept is what `ftp.abnf` accepts, no more and no less. Held
//! against sentences of the grammar that were damaged, which is where the two would differ first.
//!
//! Three things are said here because ABNF cannot say them: a delimiter may be another byte than the
//! `|` that the grammar writes ([`with_bars`]); of several places in a passive reply the first one
//! counts ([`six_numbers`], [`delimited_fields`]).

// Helpers are outside #[test], where clippy's exemption for tests does not reach.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod oracle;

use bytes::BytesMut;
use ferryline_grammar::{
    Command, EpsvArgument, ExtendedAddress, ExtendedAddressError, Frame, HostPort, LineCodec,
    PassiveReplyError, ReplyCode, ReplyLine, Verb, parse_passive_reply, render_227, render_229,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use tokio_util::codec::Decoder;

use oracle::{Judge, accepts, sentence};

/// What is done to a sentence.
#[derive(Clone, Debug)]
enum Damage {
    Delete(Index),
    /// A part of it comes twice.
    Double(Index, Index),
    Flip(Index, u8),
    Insert(Index, u8),
    /// A number becomes another one.
    Number(Index, &'static str),
    Replace(Index, u8),
    Swap(Index, Index),
    Truncate(Index),
}

/// At the bounds and beyond them, and what wraps to something small.
const NUMBERS: &[&str] = &[
    "",
    "0",
    "00",
    "1",
    "2",
    "007",
    "255",
    "256",
    "0255",
    "999",
    "65535",
    "65536",
    "065535",
    "99999",
    "4294967297",
    "18446744073709551617",
    "99999999999999999999999999",
];

/// What the parsers look at.
const SIGNIFICANT: &[u8] = b" \t\r\n\0\x0b\x0c\xff(),.-:|!%&=~/0123456789aAfFgPpSsVv";

fn damage() -> impl Strategy<Value = Damage> {
    let byte = || prop_oneof![3 => select(SIGNIFICANT), 1 => any::<u8>()];
    let at = any::<Index>;
    prop_oneof![
        at().prop_map(Damage::Delete),
        (at(), at()).prop_map(|(from, to)| Damage::Double(from, to)),
        (at(), 0..8u8).prop_map(|(at, bit)| Damage::Flip(at, 1 << bit)),
        (at(), byte()).prop_map(|(at, byte)| Damage::Insert(at, byte)),
        (at(), select(NUMBERS)).prop_map(|(at, number)| Damage::Number(at, number)),
        (at(), byte()).prop_map(|(at, byte)| Damage::Replace(at, byte)),
        (at(), at()).prop_map(|(one, other)| Damage::Swap(one, other)),
        at().prop_map(Damage::Truncate),
    ]
}

/// Sentences of these rules, most of them damaged.
fn damaged(rules: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    (select(rules), any::<u64>(), vec(damage(), 0..4)).prop_map(|(rule, seed, damages)| {
        let mut text = sentence(rule, seed);
        damages.iter().for_each(|damage| damage.inflict(&mut text));
        text
    })
}

impl Damage {
    fn inflict(&self, text: &mut Vec<u8>) {
        let length = text.len();
        match self {
            Self::Insert(at, byte) => text.insert(at.index(length + 1), *byte),
            _ if length == 0 => {}
            Self::Delete(at) => {
                text.remove(at.index(length));
            }
            Self::Double(from, to) => {
                let (from, to) = (from.index(length), to.index(length));
                let part = text[from.min(to)..from.max(to)].to_vec();
                text.splice(from.max(to)..from.max(to), part);
            }
            Self::Flip(at, bit) => text[at.index(length)] ^= bit,
            Self::Number(at, number) => {
                let starts: Vec<usize> = numbers(text).collect();
                if !starts.is_empty() {
                    let start = *at.get(&starts);
                    let end = end_of_digits(text, start);
                    text.splice(start..end, number.bytes());
                }
            }
            Self::Replace(at, byte) => text[at.index(length)] = *byte,
            Self::Swap(one, other) => text.swap(one.index(length), other.index(length)),
            Self::Truncate(at) => text.truncate(at.index(length)),
        }
    }
}

/// Where runs of digits begin.
fn numbers(text: &[u8]) -> impl Iterator<Item = usize> {
    (0..text.len())
        .filter(|&at| text[at].is_ascii_digit() && (at == 0 || !text[at - 1].is_ascii_digit()))
}

fn end_of_digits(text: &[u8], start: usize) -> usize {
    let digits = text[start..]
        .iter()
        .take_while(|byte| byte.is_ascii_digit());
    start + digits.count()
}

/// The text with `|` for its delimiter, as the grammar writes it. What was a `|` before is now a
/// `~`, which is like it in that no field takes it but a zone, where any printable will do.
fn with_bars(text: &[u8], delimiter: u8) -> Vec<u8> {
    let bar = |byte: &u8| match *byte {
        byte if byte == delimiter => b'|',
        b'|' => b'~',
        byte => byte,
    };
    text.iter().map(bar).collect()
}

/// The text with this delimiter for its `|`, and the other way round.
fn with_delimiter(text: &[u8], delimiter: u8) -> Vec<u8> {
    let exchanged = |byte: &u8| match *byte {
        b'|' => delimiter,
        byte if byte == delimiter => b'|',
        byte => byte,
    };
    text.iter().map(exchanged).collect()
}

/// The first byte that is no blank.
fn delimiter_of(text: &[u8]) -> Option<u8> {
    let mut rest = text.iter().copied();
    rest.find(|byte| !b" \t\r".contains(byte))
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Address,
    Endpoint,
    NoEndpoint,
    Port,
}

/// What the grammar makes of the text of a passive reply with this code.
fn judged(code: u16, text: &[u8]) -> Outcome {
    let numbers = || six_numbers(text);
    let fields = || delimited_fields(text);
    let found = match code {
        229 => fields().or_else(numbers),
        _ => numbers().or_else(fields),
    };
    found.unwrap_or(Outcome::NoEndpoint)
}

/// The first run counts, and a number is never begun nor ended in its middle (Q4).
fn six_numbers(text: &[u8]) -> Option<Outcome> {
    let judge = Judge::new(text);
    let mut refused = None;
    let mut found = None;
    for start in numbers(text) {
        // A minus behind an opening parenthesis is a sign.
        let sign = usize::from(text[..start].ends_with(b"(-"));
        let start = start - sign;
        let ends = judge.ends("signed-host-port", start);
        if let Some(&end) = ends.iter().find(|&&end| end_of_digits(text, end) == end) {
            found = Some(match accepts("dead-host-port", &text[start..end]) {
                true => Outcome::Port,
                false => Outcome::Endpoint,
            });
            break;
        }
        if judge.begins("any-six", start) {
            refused = Some(Outcome::Address);
        }
    }
    assert_eq!(accepts("numbers-text", text), found.is_some());
    found.or(refused)
}

/// In parentheses, else at the start of the text, else anywhere between `|` or `!` (Q15).
fn delimited_fields(text: &[u8]) -> Option<Outcome> {
    let behind = |signs: &'static [u8], skip: usize| {
        let places = (0..text.len()).filter(move |&at| signs.contains(&text[at]));
        places.map(move |at| &text[at + skip..])
    };
    behind(b"(", 1)
        .chain([text])
        .chain(behind(b"|!", 0))
        .find_map(fields)
}

/// The fields at the start of the text, if there are any.
fn fields(text: &[u8]) -> Option<Outcome> {
    let delimiter = delimiter_of(text).filter(u8::is_ascii_punctuation)?;
    let judge = Judge::new(&with_bars(text, delimiter));
    let start = text.iter().position(|byte| *byte == delimiter)?;
    let three = judge.begins("three-fields", start);
    assert_eq!(
        judge.begins("fields", 0),
        three || judge.begins("two-fields", start)
    );
    if three {
        let port = judge.begins("three-with-port", start);
        let host = judge.begins("three-with-host", start);
        assert_eq!(judge.begins("live-three", start), port && host);
        return Some(match (port, host) {
            (false, _) => Outcome::Port,
            (true, false) => Outcome::Address,
            (true, true) => Outcome::Endpoint,
        });
    }
    judge
        .begins("two-fields", start)
        .then(|| match judge.begins("live-two", start) {
            true => Outcome::Endpoint,
            false => Outcome::Port,
        })
}

/// What the parser makes of the same; an endpoint is written down and read again.
fn parsed(code: u16, text: &[u8]) -> Outcome {
    let line = [code.to_string().as_bytes(), b" ", text].concat();
    let code = ReplyCode::new(code).unwrap();
    match parse_passive_reply(code, [&line[..]].into_iter()) {
        Ok(endpoint) => {
            let rendered = [render_229(endpoint.port).as_bytes(), b"\r\n"].concat();
            assert!(accepts("rendered-229", &rendered));
            if let Some(std::net::IpAddr::V4(address)) = endpoint.address {
                let port = endpoint.port;
                let rendered = render_227(HostPort { address, port });
                let rendered = [rendered.as_bytes(), b"\r\n"].concat();
                assert!(accepts("rendered-227", &rendered));
            }
            Outcome::Endpoint
        }
        Err(PassiveReplyError::Address) => Outcome::Address,
        Err(PassiveReplyError::NoEndpoint) => Outcome::NoEndpoint,
        Err(PassiveReplyError::Port) => Outcome::Port,
    }
}

/// What the codec makes one whole line of, and nothing else of.
fn one_line(input: &[u8]) -> Option<Vec<u8>> {
    let mut buffer = BytesMut::from(input);
    let Ok(Some(Frame::Line(line))) = LineCodec::commands().decode(&mut buffer) else {
        return None;
    };
    (buffer.is_empty() && line.clone().into_bytes() == input).then(|| line.text().to_vec())
}

/// A line that begins with a command of Telnet, which is taken out of it; the grammar has it beside the
/// lines.
fn has_telnet(text: &[u8]) -> bool {
    matches!(text, [0xff, 0xec..=0xfe, ..])
}

/// The text as the codec would let it into a command: no LF, and a NUL behind a CR only.
fn in_a_command(mut text: Vec<u8>) -> Vec<u8> {
    for at in 0..text.len() {
        if text[at] == b'\n' || text[at] == 0 && (at == 0 || text[at - 1] != b'\r') {
            text[at] = b' ';
        }
    }
    text
}

/// The text as the codec would let it into a reply: what could end a line is a space.
fn in_a_reply(mut text: Vec<u8>) -> Vec<u8> {
    let ends = text.iter_mut().filter(|byte| b"\r\n\0".contains(byte));
    ends.for_each(|byte| *byte = b' ');
    text
}

const ARGUMENTS: &[&str] = &[
    "port-argument",
    "eprt-argument",
    "eprt-argument",
    "eprt-foreign",
    "epsv-all",
    "epsv-family",
    "epsv-none",
];

const COMMANDS: &[&str] = &[
    "auth-command",
    "command",
    "eprt-command",
    "epsv-command",
    "grid-command",
    "long-command",
    "pasv-command",
    "port-command",
    "secret-command",
    "standard-command",
    "verb",
];

const LINES: &[&str] = &[
    "single-line",
    "first-line",
    "odd-single-line",
    "odd-first-line",
    "reply-text",
    "numbers-text",
];

const PASSIVE: &[&str] = &[
    "any-six",
    "dead-host-port",
    "fields",
    "fields-text",
    "fields-text",
    "live-fields",
    "numbers-text",
    "numbers-text",
    "host-port",
];

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2 * ProptestConfig::default().cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_argument_of_port(text in damaged(ARGUMENTS).prop_map(in_a_command)) {
        let read = HostPort::parse(&text);
        prop_assert_eq!(read.is_some(), accepts("port-argument", &text), "{}", text.escape_ascii());
        if let Some(read) = read {
            let plain = read.to_string();
            prop_assert!(accepts("plain-host-port", plain.as_bytes()));
            prop_assert_eq!(HostPort::parse(plain.as_bytes()), Some(read));
        }
    }

    #[test]
    fn the_argument_of_eprt(text in damaged(ARGUMENTS), delimiter in select(&b"|!#$%,.:;@~/012aF "[..])) {
        // The grammar's `|` is any byte.
        let text = in_a_command(with_delimiter(&text, delimiter));
        let (here, foreign) = match delimiter_of(&text).filter(u8::is_ascii_graphic) {
            Some(delimiter) => {
                let text = with_bars(&text, delimiter);
                (accepts("eprt-argument", &text), accepts("eprt-foreign", &text))
            }
            None => (false, false),
        };
        prop_assert!(!here || !foreign);
        match ExtendedAddress::parse(&text) {
            Ok(read) => {
                prop_assert!(here, "{}", text.escape_ascii());
                let plain = read.to_string();
                prop_assert!(read.port == 0 || accepts("plain-extended", plain.as_bytes()));
                prop_assert_eq!(ExtendedAddress::parse(plain.as_bytes()), Ok(read));
            }
            Err(ExtendedAddressError::Family(_)) => prop_assert!(foreign, "{}", text.escape_ascii()),
            Err(ExtendedAddressError::Syntax) => {
                prop_assert!(!here && !foreign, "{}", text.escape_ascii());
            }
        }
    }

    #[test]
    fn the_argument_of_epsv(text in damaged(ARGUMENTS).prop_map(in_a_command)) {
        let rule = match EpsvArgument::parse(&text) {
            EpsvArgument::All => Some("epsv-all"),
            EpsvArgument::Family(_) => Some("epsv-family"),
            EpsvArgument::None => Some("epsv-none"),
            EpsvArgument::Other => None,
        };
        let judged = ["epsv-all", "epsv-family", "epsv-none"].into_iter().find(|rule| accepts(rule, &text));
        prop_assert_eq!(rule, judged, "{}", text.escape_ascii());
    }

    #[test]
    fn the_text_of_a_227(text in damaged(PASSIVE).prop_map(in_a_reply)) {
        prop_assert_eq!(parsed(227, &text), judged(227, &text), "{}", text.escape_ascii());
    }

    #[test]
    fn the_text_of_a_229(text in damaged(PASSIVE), delimiter in select(&b"|||!!!#$,.:=()~%-"[..])) {
        let text = in_a_reply(with_delimiter(&text, delimiter));
        prop_assert_eq!(parsed(229, &text), judged(229, &text), "{}", text.escape_ascii());
    }

    #[test]
    fn a_line_of_a_reply(text in damaged(LINES).prop_map(in_a_reply)) {
        let (rule, code) = match ReplyLine::parse(&text) {
            ReplyLine::First(code) => (Some("first-line"), Some(code)),
            ReplyLine::OddFirst(code) => (Some("odd-first-line"), Some(code)),
            ReplyLine::OddSingle(code) => (Some("odd-single-line"), Some(code)),
            ReplyLine::Other => (None, None),
            ReplyLine::Single(code) => (Some("single-line"), Some(code)),
        };
        let rules = ["first-line", "odd-first-line", "odd-single-line", "single-line"];
        let judged: Vec<_> = rules.into_iter().filter(|rule| accepts(rule, &text)).collect();
        prop_assert_eq!(Vec::from_iter(rule), judged, "{}", text.escape_ascii());
        if let Some(code) = code {
            prop_assert!(accepts("reply-code", code.to_string().as_bytes()));
            prop_assert!(text.trim_ascii_start().starts_with(code.to_string().as_bytes()));
        }
    }

    #[test]
    fn a_command(text in damaged(COMMANDS).prop_map(in_a_command)) {
        let Some(command) = Command::parse(&text) else {
            prop_assert!(accepts("blank-line", &text) && !accepts("command", &text));
            return Ok(());
        };
        prop_assert!(accepts("command", &text), "{}", text.escape_ascii());
        prop_assert!(accepts("keyword", command.keyword) && accepts("argument", command.argument));
        prop_assert_eq!(command.verb != Verb::Other, accepts("verb", command.keyword));
        let passive = matches!(command.verb, Verb::Pasv | Verb::Spsv | Verb::Cpsv | Verb::Paw);
        let address = ExtendedAddress::parse(command.argument).is_ok();
        let barred = delimiter_of(command.argument) == Some(b'|');
        let epsv = EpsvArgument::parse(command.argument) != EpsvArgument::Other;
        for (rule, is) in [
            ("auth-command", command.verb == Verb::Auth),
            ("eprt-command", command.verb == Verb::Eprt && address && barred),
            ("epsv-command", command.verb == Verb::Epsv && epsv),
            (
                "grid-command",
                matches!(command.verb, Verb::Get | Verb::Put | Verb::Spas | Verb::Spor),
            ),
            ("long-command", matches!(command.verb, Verb::Lprt | Verb::Lpsv)),
            ("pasv-command", passive),
            ("port-command", command.verb == Verb::Port && HostPort::parse(command.argument).is_some()),
            ("secret-command", command.verb.carries_secret()),
        ] {
            prop_assert_eq!(accepts(rule, &text), is, "{} {}", rule, text.escape_ascii());
        }
    }

    #[test]
    fn a_command_line(
        text in damaged(&["command-line", "command-line", "command"]),
        end in select(&["", "", "\r\n", "\n", "\r"][..]),
    ) {
        let input = [&text[..], end.as_bytes()].concat();
        prop_assume!(!has_telnet(&input));
        let line = one_line(&input);
        prop_assert_eq!(line.is_some(), accepts("command-line", &input), "{}", input.escape_ascii());
        if let Some(text) = line {
            let rule = match Command::parse(&text) {
                Some(_) => "command",
                None => "blank-line",
            };
            prop_assert!(accepts(rule, &text), "{} {}", rule, text.escape_ascii());
        }
    }
}
