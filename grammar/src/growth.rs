//! The growth of the work for a line with its length (Q128). Counted, never timed.

use std::cell::Cell;

use bytes::BytesMut;
use proptest::prelude::*;
use tokio_util::codec::Decoder;

use crate::{
    Command, EpsvArgument, ExtendedAddress, HostPort, LineCodec, ReplyCode, holds_active_request,
    is_disguised, lax_code, lax_verbs, masked, may_name_endpoint, parse_passive_reply,
    telnet_readings,
};

thread_local! {
    static LOOKED_AT: Cell<usize> = const { Cell::new(0) };
}

/// Counts bytes that a parser looks at.
pub(crate) fn looked_at(bytes: usize) {
    LOOKED_AT.set(LOOKED_AT.get() + bytes);
}

/// Number of bytes that parsers look at while this runs.
fn count(run: impl FnOnce()) -> usize {
    let before = LOOKED_AT.get();
    run();
    LOOKED_AT.get() - before
}

/// A function that examines a line, and its name.
type Question = (&'static str, fn(&[u8]));

/// All functions that examine a line.
const QUESTIONS: [Question; 11] = [
    ("Command::parse", |text| ask(Command::parse(text))),
    ("EpsvArgument::parse", |text| ask(EpsvArgument::parse(text))),
    ("ExtendedAddress::parse", |text| {
        ask(ExtendedAddress::parse(text));
    }),
    ("HostPort::parse", |text| ask(HostPort::parse(text))),
    ("holds_active_request", |text| {
        ask(holds_active_request(text));
    }),
    ("is_disguised", |text| {
        ask(Command::parse(text).map(|command| is_disguised(text, &command)));
    }),
    ("lax_code, lax_verbs, telnet_readings", |text| {
        ask((
            lax_code(text),
            lax_verbs(text).count(),
            telnet_readings(text),
        ));
    }),
    ("masked", |text| ask(masked(text))),
    ("may_name_endpoint", |text| ask(may_name_endpoint(text))),
    ("parse_passive_reply, 227", |text| passive(227, text)),
    ("parse_passive_reply, 229", |text| passive(229, text)),
];

/// Drops the answer, which makes no difference here.
fn ask<T>(answer: T) {
    std::hint::black_box(answer);
}

fn passive(code: u16, text: &[u8]) {
    let code = ReplyCode::new(code).unwrap();
    ask(parse_passive_reply(code, std::iter::once(text)));
}

/// The pieces of lines that make parsers look far ahead.
const PIECES: [&[u8]; 30] = [
    b" ",
    b"\t",
    b"\r",
    b"\0",
    b"\xff",
    b"\xff\xf4",
    b"1",
    b"255",
    b",",
    b"1,",
    b"1 ,",
    b"|",
    b"||",
    b"|||",
    b"!",
    b"(",
    b"(|",
    b"(!!",
    b")",
    b"a",
    b"X",
    b":",
    b"@",
    b"PORT ",
    b"EPRT |1",
    b"LPRT ",
    b"LPRT 1,",
    b"USER ",
    b"\rUSER :",
    b"\rUSER @",
];

/// How often one question may look at each byte of a line. Six numbers with blanks round them are tried
/// from each of the six; every other question needs less.
const MOST: usize = 40;

/// Length of the middle of a line, about. A second line has a middle of twice that.
const LENGTH: usize = 256;

fn hold(begin: &[u8], unit: &[u8], end: &[u8]) -> Result<(), String> {
    // Whole units, so that both lines end alike.
    let units = LENGTH.div_ceil(unit.len());
    let line = |units: usize| [begin, &unit.repeat(units), end].concat();
    let (once, twice) = (line(units), line(2 * units));
    for (name, ask) in QUESTIONS {
        let (work, more) = (count(|| ask(&once)), count(|| ask(&twice)));
        let shown = format!(
            "{name}, {} and {} times {} and {}: {work} bytes looked at, {more} in twice as many",
            begin.escape_ascii(),
            units,
            unit.escape_ascii(),
            end.escape_ascii(),
        );
        // Short work may grow at any rate: it ends within the start of the line.
        if more > 3 * work && more > LENGTH || more > MOST * twice.len() {
            return Err(shown);
        }
    }
    Ok(())
}

#[test]
fn q128_what_is_asked_of_a_line_is_linear_in_its_length() {
    for one in PIECES {
        for other in PIECES {
            let unit = [one, other].concat();
            for begin in [&b"CWD x"[..], b"227 "] {
                hold(begin, &unit, b"").unwrap();
            }
            hold(b"USER a", &unit, b":").unwrap();
            hold(b"USER a", &unit, b"@").unwrap();
        }
    }
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(&PIECES[..]), 1..6)
        .prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn q128_what_is_asked_of_any_line_is_linear_in_its_length(
        begin in piece(),
        unit in piece(),
        end in piece(),
    ) {
        prop_assert_eq!(hold(&begin, &unit, &end), Ok(()));
    }

    /// The text behind one LPRT is also behind every earlier one.
    #[test]
    fn q128_an_lprt_is_found_wherever_its_numbers_are(
        text in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..40)
    ) {
        let text = text.concat();
        let found = (1..text.len()).any(|at| {
            let verb = text.get(at..at + 4).is_some_and(|verb| verb.eq_ignore_ascii_case(b"LPRT"));
            let argument = text.get(at + 4..).unwrap_or_default();
            verb && matches!(argument, [b' ' | b'\t' | b'\r', rest @ ..]
                if crate::passive::has_six_numbers(rest))
        });
        let junk = crate::command::junk(&text);
        let own = text.get(junk..junk + 4) == Some(b"LPRT");
        prop_assume!(!own);
        prop_assert!(!found || holds_active_request(&text), "{}", text.escape_ascii());
    }
}

/// The codec does not look at earlier bytes again when bytes come one by one.
#[test]
fn q128_a_line_that_comes_byte_by_byte_is_read_once() {
    for unit in PIECES.iter().filter(|unit| !unit.contains(&0)) {
        let work = |length: usize| {
            count(|| {
                let mut codec = LineCodec::replies();
                let mut buffer = BytesMut::new();
                for byte in unit.iter().copied().cycle().take(length) {
                    buffer.extend_from_slice(&[byte]);
                    while codec.decode(&mut buffer).unwrap().is_some() {}
                }
            })
        };
        let (work, more) = (work(8192), work(16384));
        assert!(more <= 3 * work, "{}: {work}, {more}", unit.escape_ascii());
        assert!(more <= 4 * 16384, "{}: {more}", unit.escape_ascii());
    }
}
