//! Reply lines and their framing, quirk by quirk.

// What these tests build themselves may be unwrapped and indexed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use ferryline_grammar::{Place, ReplyCode, ReplyFraming, ReplyLine};

fn code(value: u16) -> ReplyCode {
    ReplyCode::new(value).unwrap()
}

/// The places of these lines, one after another.
fn places(lines: &[&str]) -> Vec<Place> {
    let mut framing = ReplyFraming::default();
    lines
        .iter()
        .map(|line| framing.place(line.as_bytes()))
        .collect()
}

#[test]
fn codes_are_three_digits_of_six_classes() {
    assert_eq!(
        (code(227).value(), code(227).class(), code(227).to_string()),
        (227, 2, "227".into())
    );
    assert_eq!(ReplyCode::from_digits(b"631"), ReplyCode::new(631));
    assert!(
        (0..100)
            .chain(700..2000)
            .all(|value| ReplyCode::new(value).is_none())
    );
    assert!((100..700).all(|value| code(value).to_string().len() == 3));
    for digits in ["", "22", "2277", "099", "700", "2x7", " 22", "\u{b2}7"] {
        assert_eq!(ReplyCode::from_digits(digits.as_bytes()), None, "{digits}");
    }
}

#[test]
fn q28_only_its_own_code_ends_a_reply() {
    assert_eq!(
        places(&[
            "123-First",
            "421 some line",
            "123",
            "250-",
            "550",
            "550-x",
            "250 last",
            "200 ok"
        ]),
        [
            Place::First(code(123)),
            Place::Middle(code(123)),
            Place::Last(code(123)),
            Place::First(code(250)),
            Place::Middle(code(250)),
            Place::Middle(code(250)),
            Place::Last(code(250)),
            Place::Only(code(200)),
        ]
    );
}

#[test]
fn q29_another_code_ends_a_reply_after_a_command() {
    let open = || {
        let mut framing = ReplyFraming::default();
        framing.place(b"553-");
        framing.place(b"553- Directory excluded");
        assert_eq!(framing.open(), Some(code(553)));
        framing
    };

    let mut framing = open();
    framing.command_sent();
    assert_eq!(framing.place(b"150 Opening"), Place::Only(code(150)));
    assert_eq!(framing.open(), None);

    let mut framing = open();
    framing.command_sent();
    assert_eq!(framing.place(b"220-x"), Place::First(code(220)));
    assert_eq!(framing.open(), Some(code(220)));

    // The reply goes on after all: from then on it takes its own code again.
    for on in ["", " text", "553-more", "99 x"] {
        let mut framing = open();
        framing.command_sent();
        assert_eq!(framing.place(on.as_bytes()), Place::Middle(code(553)));
        assert_eq!(framing.place(b"150 Opening"), Place::Middle(code(553)));
        assert_eq!(framing.place(b"553 "), Place::Last(code(553)));
    }

    // Its own code ends it, command or not.
    let mut framing = open();
    framing.command_sent();
    assert_eq!(framing.place(b"553 End"), Place::Last(code(553)));

    // A command sent while nothing is open says nothing about what opens next.
    let mut framing = ReplyFraming::default();
    framing.command_sent();
    framing.place(b"211-");
    assert_eq!(framing.place(b"500 x"), Place::Middle(code(211)));
}

#[test]
fn q30_the_code_on_every_line() {
    assert_eq!(
        places(&["211-Features:", "211-CLNT", "211-EPSV", "211 End"]),
        [
            Place::First(code(211)),
            Place::Middle(code(211)),
            Place::Middle(code(211)),
            Place::Last(code(211)),
        ]
    );
}

#[test]
fn q31_continuation_without_code_or_indent() {
    assert_eq!(
        places(&[
            "211-FTP Server Status",
            "Connected to x",
            "2110 y",
            "21",
            "211 End"
        ])[1..4],
        [Place::Middle(code(211)); 3]
    );
}

#[test]
fn q32_a_bare_code_is_a_whole_line() {
    assert_eq!(
        places(&["200-", "200", "226"]),
        [
            Place::First(code(200)),
            Place::Last(code(200)),
            Place::Only(code(226))
        ]
    );
}

#[test]
fn q33_blank_lines_inside_a_reply() {
    assert_eq!(
        places(&["220-", "", "220 Hi", ""]),
        [
            Place::First(code(220)),
            Place::Middle(code(220)),
            Place::Last(code(220)),
            Place::Stray
        ]
    );
}

#[test]
fn q36_missing_and_short_codes() {
    for text in [
        "SYST not supported",
        "99 PASV invalid",
        "2300 x",
        "700 x",
        "099 x",
        " 2300 x",
        " 23",
        "",
        "23",
        "\u{661}\u{662}\u{663} x",
    ] {
        assert_eq!(
            ReplyLine::parse(text.as_bytes()),
            ReplyLine::Other,
            "{text}"
        );
        assert_eq!(
            places(&[text, "200 ok"]),
            [Place::Stray, Place::Only(code(200))],
            "{text}"
        );
    }
}

#[test]
fn q91_whatever_divides_a_code_from_its_text() {
    for text in [
        "230_no_space",
        "230\tx",
        "230: x",
        "230x",
        "230(1)",
        "230.",
        "230\u{e4}",
    ] {
        assert_eq!(
            ReplyLine::parse(text.as_bytes()),
            ReplyLine::OddSingle(code(230)),
            "{text}"
        );
        let only = [Place::Only(code(230)), Place::Only(code(200))];
        assert_eq!(places(&[text, "200 ok"]), only, "{text}");
    }
}

#[test]
fn q93_blanks_in_front_of_a_code() {
    for text in [" 230 x", "  230", "\t230:x"] {
        assert_eq!(
            ReplyLine::parse(text.as_bytes()),
            ReplyLine::OddSingle(code(230)),
            "{text}"
        );
        assert_eq!(places(&[text])[0], Place::Only(code(230)), "{text}");
    }
    let line = ReplyLine::parse(b" 230-x");
    assert_eq!(line, ReplyLine::OddFirst(code(230)));
    assert_eq!(line.code(), Some(code(230)));
}

/// A line that RFC 959 would not have ends no reply of a server that has written none so yet.
#[test]
fn q91_q93_an_odd_line_ends_a_reply_of_an_odd_server_only() {
    let middle = Place::Middle(code(211));
    let last = Place::Last(code(211));
    for odd in ["211: end", "211.5 GB", " 211 end", " 211"] {
        assert_eq!(
            places(&["220 ready", "211-x", odd, "211 end"])[2..],
            [middle, last],
            "{odd}"
        );
        assert_eq!(
            places(&["220: ready", "211-x", odd, "200 ok"])[2..],
            [last, Place::Only(code(200))],
            "{odd}"
        );
    }
    // Nor does one begin a reply inside of another, also where one was left open.
    let mut framing = ReplyFraming::default();
    framing.place(b"553-no");
    framing.command_sent();
    assert_eq!(framing.place(b" 150 x"), Place::Middle(code(553)));
    // A server that puts a blank in front of all of a reply's lines.
    let padded = [
        " 220-hello",
        "  more",
        " 220-code",
        " 331 other",
        " 220 end",
        " 331 x",
    ];
    let middle = Place::Middle(code(220));
    assert_eq!(
        places(&padded),
        [
            Place::First(code(220)),
            middle,
            middle,
            middle,
            Place::Last(code(220)),
            Place::Only(code(331)),
        ]
    );
}

#[test]
fn q47_a_passive_reply_inside_a_listing_is_none() {
    assert_eq!(
        places(&["213-status", "227 x (1,2,3,4,5,6)", "213 End"])[1],
        Place::Middle(code(213))
    );
}
