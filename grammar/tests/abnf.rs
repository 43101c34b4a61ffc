//! The parsers against `ftp.abnf`: what the grammar generates is read, what is rendered is in the grammar.

// What these tests build themselves may be unwrapped and indexed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod oracle;

use std::collections::BTreeSet;

use abnf_oracle::{GenError, Generator, LintWarning};
use bytes::BytesMut;
use ferryline_grammar::{
    Command, EpsvArgument, ExtendedAddress, Frame, HostPort, Line, LineCodec, Negotiation,
    PassiveReplyError, Place, ReplyCode, ReplyFraming, ReplyLine, Verb, parse_passive_reply,
    render_227, render_229,
};
use tokio_util::codec::Decoder;

use oracle::{GRAMMAR, SOURCE, STARTS, accepts, sentences};

fn frames(mut codec: LineCodec, input: &[u8]) -> Vec<Frame> {
    let mut buffer = BytesMut::from(input);
    let frames = std::iter::from_fn(|| codec.decode(&mut buffer).expect("no error")).collect();
    assert!(buffer.is_empty(), "{} is left", buffer.escape_ascii());
    frames
}

fn lines(codec: LineCodec, input: &[u8]) -> Vec<Line> {
    let line = |frame| match frame {
        Frame::Line(line) => line,
        Frame::Negotiation(_) => panic!("{frame:?}"),
    };
    frames(codec, input).into_iter().map(line).collect()
}

#[test]
fn the_grammar_is_plain_ascii_and_whole() {
    assert!(SOURCE.is_ascii());
    for rule in GRAMMAR.rules() {
        let rule = rule.name.as_str();
        GRAMMAR.can_recognize(rule).expect("recognizable");
        GRAMMAR.can_generate(rule).expect("generatable");
    }
    for warning in GRAMMAR.lint() {
        // Rules that others begin from are named by no rule.
        let known = matches!(warning, LintWarning::UnreferencedRule { .. });
        assert!(known, "{warning}");
    }
}

/// Every alternative of every rule is generated, by the rules that the tests here begin from.
#[test]
fn every_alternative_of_the_grammar_is_visited() -> Result<(), GenError> {
    for warning in GRAMMAR.lint_from(STARTS) {
        let reached = !matches!(warning, LintWarning::UnreachableRule { .. });
        assert!(reached, "{warning}");
    }
    let mut alternatives = 0;
    for rule in STARTS {
        let visited: BTreeSet<_> = sentences(rule).into_iter().collect();
        for sentence in &visited {
            assert!(
                accepts(rule, sentence),
                "{rule} {}",
                sentence.escape_ascii()
            );
        }
        // Nothing is covered at first: what `sentences` asserts can fail.
        alternatives += Generator::new(&GRAMMAR, 1).uncovered(rule)?;
    }
    assert!(alternatives > 1000, "{alternatives}");
    Ok(())
}

/// Section 8: what a client should say is a command of section 2, and of its own verb.
#[test]
fn commands_of_the_rfcs_are_read_as_what_they_are() {
    let mut verbs = BTreeSet::new();
    for text in sentences("standard-command") {
        let shown = text.escape_ascii();
        assert!(accepts("command", &text), "{shown}");
        let command = Command::parse(&text).unwrap();
        assert_ne!(command.verb, Verb::Other, "{shown}");
        verbs.insert(command.verb);
        let divider = usize::from(command.keyword.len() < text.len());
        assert!(text.starts_with(command.keyword), "{shown}");
        assert_eq!(command.argument, &text[command.keyword.len() + divider..]);
        match command.verb {
            Verb::Port => assert!(HostPort::parse(command.argument).is_some(), "{shown}"),
            Verb::Eprt => assert!(ExtendedAddress::parse(command.argument).is_ok(), "{shown}"),
            Verb::Epsv => {
                let argument = EpsvArgument::parse(command.argument);
                assert_ne!(argument, EpsvArgument::Other, "{shown}");
            }
            _ => {}
        }
    }
    // All but the ones that no RFC has.
    let customs = [
        Verb::Cpsv,
        Verb::Get,
        Verb::Paw,
        Verb::Pret,
        Verb::Put,
        Verb::Spas,
        Verb::Spor,
        Verb::Spsv,
    ];
    for text in sentences("verb") {
        let verb = Command::parse(&text).unwrap().verb;
        assert!(verbs.contains(&verb) || customs.contains(&verb), "{verb}");
    }
}

/// Section 9: what a server should say is a reply of section 5, and passes the codec unchanged.
#[test]
fn replies_of_the_rfcs_are_framed_and_pass_unchanged() {
    for text in sentences("standard-reply") {
        let shown = text.escape_ascii();
        assert!(accepts("reply", &text), "{shown}");
        let mut framing = ReplyFraming::default();
        let mut passed = Vec::new();
        let mut ends = 0;
        let doubled = doubled_iac(&text);
        for line in lines(LineCodec::replies(), &doubled) {
            let place = framing.place(line.text());
            assert_ne!(place, Place::Stray, "{shown}");
            ends += usize::from(matches!(place, Place::Only(_) | Place::Last(_)));
            passed.extend_from_slice(&line.into_bytes());
        }
        assert_eq!((passed, ends), (doubled, 1), "{shown}");
    }
}

/// Section 5: a reply of several lines is over with its last one and no sooner.
#[test]
fn replies_of_several_lines_end_where_they_end() {
    let mut read = 0;
    for text in sentences("multi-line-reply") {
        let text = doubled_iac(&text);
        let lines = lines(LineCodec::replies(), &text);
        let mut texts: Vec<Vec<u8>> = lines.iter().map(|line| line.text().to_vec()).collect();
        // What the grammar cannot say: the last code is the first one, and ends no line before.
        let code = texts[0][..3].to_vec();
        let last = texts.len() - 1;
        texts[last].splice(..3, code.iter().copied());
        let own = ReplyLine::Single(ReplyCode::from_digits(&code).unwrap());
        if texts[1..last]
            .iter()
            .any(|text| ReplyLine::parse(text) == own)
        {
            continue;
        }
        let mut framing = ReplyFraming::default();
        for (index, text) in texts.iter().enumerate() {
            let place = framing.place(text);
            let expected = match index {
                0 => matches!(place, Place::First(_)),
                _ if index == last => matches!(place, Place::Last(_)),
                _ => matches!(place, Place::Middle(_)),
            };
            assert!(expected, "{place:?} {}", text.escape_ascii());
        }
        read += 1;
    }
    assert!(read > 100, "{read}");
}

/// As a sender escapes what is no Telnet: an IAC that would begin a command is doubled.
fn doubled_iac(text: &[u8]) -> Vec<u8> {
    let mut doubled = Vec::new();
    for byte in text {
        doubled.extend_from_slice(if *byte == 0xff {
            b"\xff\xff"
        } else {
            std::slice::from_ref(byte)
        });
    }
    doubled
}

#[test]
fn commands_that_the_grammar_generates_are_read() {
    for text in sentences("port-command") {
        let command = Command::parse(&text).unwrap();
        assert_eq!(command.verb, Verb::Port, "{}", text.escape_ascii());
        assert!(
            HostPort::parse(command.argument).is_some(),
            "{}",
            text.escape_ascii()
        );
    }
    for text in sentences("eprt-command") {
        let command = Command::parse(&text).unwrap();
        assert_eq!(command.verb, Verb::Eprt, "{}", text.escape_ascii());
        assert!(
            ExtendedAddress::parse(command.argument).is_ok(),
            "{}",
            text.escape_ascii()
        );
    }
    for text in sentences("epsv-command") {
        let command = Command::parse(&text).unwrap();
        assert_eq!(command.verb, Verb::Epsv, "{}", text.escape_ascii());
        let argument = EpsvArgument::parse(command.argument);
        assert_ne!(argument, EpsvArgument::Other, "{}", text.escape_ascii());
    }
    for text in sentences("pasv-command") {
        let verb = Command::parse(&text).unwrap().verb;
        let passive = [Verb::Pasv, Verb::Spsv, Verb::Cpsv, Verb::Paw];
        assert!(passive.contains(&verb), "{}", text.escape_ascii());
    }
    for text in sentences("secret-command") {
        assert!(
            Command::parse(&text).unwrap().verb.carries_secret(),
            "{}",
            text.escape_ascii()
        );
    }
    for text in sentences("verb") {
        assert_ne!(
            Command::parse(&text).unwrap().verb,
            Verb::Other,
            "{}",
            text.escape_ascii()
        );
    }
    for text in sentences("blank-line") {
        assert_eq!(Command::parse(&text), None, "{}", text.escape_ascii());
    }
}

#[test]
fn telnet_that_the_grammar_generates_is_taken_out() {
    let rest = |telnet: &[u8]| frames(LineCodec::commands(), &[telnet, b"NOOP\r\n"].concat());
    let noop = Frame::Line(Line::new("NOOP"));
    for rule in ["telnet-command", "telnet-subnegotiation"] {
        for telnet in sentences(rule) {
            assert_eq!(
                rest(&telnet),
                std::slice::from_ref(&noop),
                "{}",
                telnet.escape_ascii()
            );
        }
    }
    for telnet in sentences("telnet-negotiation") {
        let frames = rest(&telnet);
        assert_eq!(frames.last(), Some(&noop));
        assert_eq!(frames.len() == 2, telnet[1] == 0xfb || telnet[1] == 0xfd);
    }
}

#[test]
fn lines_that_the_grammar_generates_are_lines() {
    // An IAC that the generator put before a command of Telnet is not the grammar's `telnet-text`.
    let is_telnet = |text: &[u8]| {
        text.windows(2)
            .any(|pair| pair[0] == 0xff && pair[1] > 0xeb)
    };
    let mut read = 0;
    for text in sentences("command-line") {
        if !is_telnet(&text) {
            let [line] = &lines(LineCodec::commands(), &text)[..] else {
                panic!("{text:?}")
            };
            assert_eq!(line.clone().into_bytes(), text);
            read += 1;
        }
    }
    assert!(read > 100, "{read}");
    for rule in ["single-line-reply", "family-reply", "long-passive-reply"] {
        for text in sentences(rule).iter().filter(|text| !is_telnet(text)) {
            let [line] = &lines(LineCodec::replies(), text)[..] else {
                panic!("{text:?}")
            };
            let place = ReplyFraming::default().place(line.text());
            assert!(matches!(place, Place::Only(_)), "{place:?} {line:?}");
        }
    }
    for text in sentences("feat-reply")
        .iter()
        .filter(|text| !is_telnet(text))
    {
        let mut framing = ReplyFraming::default();
        let lines = lines(LineCodec::replies(), text);
        let places: Vec<_> = lines
            .iter()
            .map(|line| framing.place(line.text()))
            .collect();
        let code = ReplyCode::new(211).unwrap();
        let (Some(first), Some(last)) = (places.first(), places.last()) else {
            panic!()
        };
        assert_eq!((*first, *last), (Place::First(code), Place::Last(code)));
        assert!(
            places[1..places.len() - 1]
                .iter()
                .all(|place| *place == Place::Middle(code))
        );
    }
}

#[test]
fn passive_replies_that_the_grammar_generates_are_read() {
    for (rule, code) in [("passive-reply", 227), ("extended-passive-reply", 229)] {
        let mut read = 0;
        for text in sentences(rule) {
            let lines = text.split(|byte| *byte == b'\n');
            match parse_passive_reply(ReplyCode::new(code).unwrap(), lines) {
                Ok(_) => read += 1,
                Err(PassiveReplyError::Port) => {}
                Err(error) => panic!("{error}: {}", text.escape_ascii()),
            }
        }
        assert!(read > 100, "{read} of {rule}");
    }
}

/// The grammar writes `|` for a delimiter that may be another.
#[test]
fn q15_and_q52_delimiters_are_as_good_as_each_other() {
    let code = ReplyCode::new(229).unwrap();
    let mut read = 0;
    for text in sentences("extended-passive-reply") {
        let exchanged = exchanged(&text, b'!');
        let outcome = parse_passive_reply(code, [&text[..]].into_iter());
        let other = parse_passive_reply(code, [&exchanged[..]].into_iter());
        assert_eq!(outcome, other, "{}", exchanged.escape_ascii());
        read += usize::from(other.is_ok());
    }
    assert!(read > 100, "{read}");
    for text in sentences("eprt-argument") {
        let unused = (b'!'..=b'~').filter(|delimiter| !text.contains(delimiter));
        for delimiter in unused {
            let exchanged = exchanged(&text, delimiter);
            let read = ExtendedAddress::parse(&exchanged);
            assert!(read.is_ok(), "{}", exchanged.escape_ascii());
            assert_eq!(read, ExtendedAddress::parse(&text));
        }
    }
}

fn exchanged(text: &[u8], delimiter: u8) -> Vec<u8> {
    let exchanged = |byte: &u8| match *byte {
        b'|' => delimiter,
        byte if byte == delimiter => b'|',
        byte => byte,
    };
    text.iter().map(exchanged).collect()
}

#[test]
fn what_is_rendered_is_in_the_grammar() {
    let ended = |text: String| [text.as_bytes(), b"\r\n"].concat();
    for address in [
        "0.0.0.0:1",
        "10.99.100.200:65535",
        "127.0.0.1:50006",
        "255.255.255.255:256",
    ] {
        let host_port = HostPort::from(address.parse::<std::net::SocketAddrV4>().unwrap());
        let reply = ended(render_227(host_port));
        assert!(accepts("rendered-227", &reply), "{address}");
        assert!(accepts("passive-reply", &reply), "{address}");
        assert!(accepts("written-port", &ended(format!("PORT {host_port}"))));
    }
    for port in [
        1, 9, 10, 999, 1000, 9999, 10000, 59999, 60000, 64999, 65499, 65529, 65535,
    ] {
        let reply = ended(render_229(port));
        assert!(accepts("rendered-229", &reply), "{port}");
        assert!(accepts("extended-passive-reply", &reply), "{port}");
    }
    for address in [
        "127.0.0.1:50006",
        "[::]:1",
        "[2001:db8::1:0:0:1]:65535",
        "[::ffff:1.2.3.4]:80",
    ] {
        let address = ExtendedAddress::from(address.parse::<std::net::SocketAddr>().unwrap());
        let command = ended(format!("EPRT {address}"));
        assert!(accepts("written-eprt", &command), "{address}");
        assert!(
            accepts("eprt-command", &command[..command.len() - 2]),
            "{address}"
        );
    }
    for negotiation in [Negotiation::Do(24), Negotiation::Will(255)] {
        assert!(accepts("rendered-refusal", &negotiation.refusal()));
    }
}

#[test]
fn the_grammar_refuses_what_the_parsers_refuse() {
    for (rule, text) in [
        ("port-command", "PORT 127,0,0,1,200"),
        ("port-command", "PORT 127,0,0,1,200,1,1"),
        ("port-command", "PORT 256,0,0,1,200,1"),
        ("port-command", "PORT127,0,0,1,200,1"),
        ("eprt-command", "EPRT |1|::1|2000|"),
        ("eprt-command", "EPRT |2|127.0.0.1|2000|"),
        ("eprt-command", "EPRT |1|127.0.0.1|65536|"),
        ("eprt-command", "EPRT |1|127.0.0.1!2000|"),
        ("epsv-command", "EPSV 256"),
        ("epsv-command", "EPSV ALL 1"),
        (
            "passive-reply",
            "227 Entering Passiv Mode (1216,256,2,127,127,127)\r\n",
        ),
        ("passive-reply", "227 (127,0,0,1,4)\r\n"),
        (
            "extended-passive-reply",
            "229 Entering Passiv Mode (|||1000000|)\r\n",
        ),
        ("extended-passive-reply", "229 (|||50x|)\r\n"),
        ("single-line-reply", "230_no_space\r\n"),
        ("single-line-reply", "99 PASV invalid\r\n"),
        ("single-line-reply", "700 x\r\n"),
        ("rendered-227", "227 =127,0,0,1,4,51\r\n"),
        (
            "rendered-229",
            "229 Entering Extended Passive Mode (|||0|)\r\n",
        ),
        ("command-line", "NOOP\r\nNOOP\r\n"),
    ] {
        assert!(!accepts(rule, text.as_bytes()), "{rule} {text}");
    }
    assert!(!accepts("command-line", b"USER a\x00b\r\n"));
}
