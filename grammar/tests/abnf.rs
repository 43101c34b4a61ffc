//! The parsers against `ftp.abnf`: what the grammar generates is read, what is rendered is in the grammar.

// What these tests build themselves may be unwrapped and indexed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use abnf_oracle::{CheckedGrammar, Generator, Grammar, Recognizer};
use bytes::BytesMut;
use ferryline_grammar::{
    Command, EpsvArgument, ExtendedAddress, Frame, HostPort, Line, LineCodec, Negotiation,
    PassiveReplyError, Place, ReplyCode, ReplyFraming, Verb, parse_passive_reply, render_227,
    render_229,
};
use tokio_util::codec::Decoder;

const SOURCE: &str = include_str!("../ftp.abnf");

/// How many inputs are generated from a rule.
const GENERATED: usize = 1000;

fn grammar() -> CheckedGrammar {
    Grammar::parse(SOURCE)
        .expect("valid ABNF")
        .check()
        .expect("whole")
}

/// Whether `rule` matches these bytes. The crate thinks in characters: a byte is the one of its number.
fn accepts(grammar: &CheckedGrammar, rule: &str, bytes: &[u8]) -> bool {
    let text: String = bytes.iter().copied().map(char::from).collect();
    Recognizer::new(grammar, &text)
        .accepts(rule)
        .expect("decidable")
}

/// Inputs that `rule` generates, every alternative of it among them.
fn generated(grammar: &CheckedGrammar, rule: &str) -> Vec<Vec<u8>> {
    let mut generator = Generator::new(grammar, 1);
    let byte = |c| u8::try_from(c).expect("a byte");
    let mut next = || {
        generator
            .generate(rule)
            .expect("generates")
            .chars()
            .map(byte)
            .collect()
    };
    (0..GENERATED).map(|_| next()).collect()
}

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
    let grammar = grammar();
    for rule in grammar.rules() {
        grammar
            .can_recognize(rule.name.as_str())
            .expect("recognizable");
    }
}

#[test]
fn commands_that_the_grammar_generates_are_read() {
    let grammar = grammar();
    for text in generated(&grammar, "port-command") {
        let command = Command::parse(&text).unwrap();
        assert_eq!(command.verb, Verb::Port, "{}", text.escape_ascii());
        assert!(
            HostPort::parse(command.argument).is_some(),
            "{}",
            text.escape_ascii()
        );
    }
    for text in generated(&grammar, "eprt-command") {
        let command = Command::parse(&text).unwrap();
        assert_eq!(command.verb, Verb::Eprt, "{}", text.escape_ascii());
        assert!(
            ExtendedAddress::parse(command.argument).is_ok(),
            "{}",
            text.escape_ascii()
        );
    }
    for text in generated(&grammar, "epsv-command") {
        let command = Command::parse(&text).unwrap();
        assert_eq!(command.verb, Verb::Epsv, "{}", text.escape_ascii());
        let argument = EpsvArgument::parse(command.argument);
        assert_ne!(argument, EpsvArgument::Other, "{}", text.escape_ascii());
    }
    for text in generated(&grammar, "pasv-command") {
        let verb = Command::parse(&text).unwrap().verb;
        let passive = [Verb::Pasv, Verb::Spsv, Verb::Cpsv, Verb::Paw];
        assert!(passive.contains(&verb), "{}", text.escape_ascii());
    }
    for text in generated(&grammar, "secret-command") {
        assert!(
            Command::parse(&text).unwrap().verb.carries_secret(),
            "{}",
            text.escape_ascii()
        );
    }
    for text in generated(&grammar, "verb") {
        assert_ne!(
            Command::parse(&text).unwrap().verb,
            Verb::Other,
            "{}",
            text.escape_ascii()
        );
    }
    for text in generated(&grammar, "blank-line") {
        assert_eq!(Command::parse(&text), None, "{}", text.escape_ascii());
    }
}

#[test]
fn telnet_that_the_grammar_generates_is_taken_out() {
    let grammar = grammar();
    let rest = |telnet: &[u8]| frames(LineCodec::commands(), &[telnet, b"NOOP\r\n"].concat());
    let noop = Frame::Line(Line::new("NOOP"));
    for rule in ["telnet-command", "telnet-subnegotiation"] {
        for telnet in generated(&grammar, rule) {
            assert_eq!(
                rest(&telnet),
                std::slice::from_ref(&noop),
                "{}",
                telnet.escape_ascii()
            );
        }
    }
    for telnet in generated(&grammar, "telnet-negotiation") {
        let frames = rest(&telnet);
        assert_eq!(frames.last(), Some(&noop));
        assert_eq!(frames.len() == 2, telnet[1] == 0xfb || telnet[1] == 0xfd);
    }
}

#[test]
fn lines_that_the_grammar_generates_are_lines() {
    let grammar = grammar();
    // An IAC that the generator put before a command of Telnet is not the grammar's `telnet-text`.
    let is_telnet = |text: &[u8]| {
        text.windows(2)
            .any(|pair| pair[0] == 0xff && pair[1] > 0xeb)
    };
    let mut read = 0;
    for text in generated(&grammar, "command-line") {
        if !is_telnet(&text) {
            let [line] = &lines(LineCodec::commands(), &text)[..] else {
                panic!("{text:?}")
            };
            assert_eq!(line.clone().into_bytes(), text);
            read += 1;
        }
    }
    assert!(read > GENERATED / 2, "{read}");
    for rule in ["single-line-reply", "family-reply", "long-passive-reply"] {
        for text in generated(&grammar, rule)
            .iter()
            .filter(|text| !is_telnet(text))
        {
            let [line] = &lines(LineCodec::replies(), text)[..] else {
                panic!("{text:?}")
            };
            let place = ReplyFraming::default().place(line.text());
            assert!(matches!(place, Place::Only(_)), "{place:?} {line:?}");
        }
    }
    for text in generated(&grammar, "feat-reply")
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
    let grammar = grammar();
    for (rule, code) in [("passive-reply", 227), ("extended-passive-reply", 229)] {
        let mut read = 0;
        for text in generated(&grammar, rule) {
            let lines = text.split(|byte| *byte == b'\n');
            match parse_passive_reply(ReplyCode::new(code).unwrap(), lines) {
                Ok(_) => read += 1,
                Err(PassiveReplyError::Port) => {}
                Err(error) => panic!("{error}: {}", text.escape_ascii()),
            }
        }
        assert!(read > GENERATED / 2, "{read} of {rule}");
    }
}

#[test]
fn what_is_rendered_is_in_the_grammar() {
    let grammar = grammar();
    let ended = |text: String| [text.as_bytes(), b"\r\n"].concat();
    for address in [
        "0.0.0.0:1",
        "10.99.100.200:65535",
        "127.0.0.1:50006",
        "255.255.255.255:256",
    ] {
        let host_port = HostPort::from(address.parse::<std::net::SocketAddrV4>().unwrap());
        let reply = ended(render_227(host_port));
        assert!(accepts(&grammar, "rendered-227", &reply), "{address}");
        assert!(accepts(&grammar, "passive-reply", &reply), "{address}");
        assert!(accepts(
            &grammar,
            "written-port",
            &ended(format!("PORT {host_port}"))
        ));
    }
    for port in [
        1, 9, 10, 999, 1000, 9999, 10000, 59999, 60000, 64999, 65499, 65529, 65535,
    ] {
        let reply = ended(render_229(port));
        assert!(accepts(&grammar, "rendered-229", &reply), "{port}");
        assert!(
            accepts(&grammar, "extended-passive-reply", &reply),
            "{port}"
        );
    }
    for address in [
        "127.0.0.1:50006",
        "[::]:1",
        "[2001:db8::1:0:0:1]:65535",
        "[::ffff:1.2.3.4]:80",
    ] {
        let address = ExtendedAddress::from(address.parse::<std::net::SocketAddr>().unwrap());
        let command = ended(format!("EPRT {address}"));
        assert!(accepts(&grammar, "written-eprt", &command), "{address}");
        assert!(
            accepts(&grammar, "eprt-command", &command[..command.len() - 2]),
            "{address}"
        );
    }
    for negotiation in [Negotiation::Do(24), Negotiation::Will(255)] {
        assert!(accepts(
            &grammar,
            "rendered-refusal",
            &negotiation.refusal()
        ));
    }
}

#[test]
fn the_grammar_refuses_what_the_parsers_refuse() {
    let grammar = grammar();
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
        assert!(!accepts(&grammar, rule, text.as_bytes()), "{rule} {text}");
    }
    assert!(!accepts(&grammar, "command-line", b"USER a\x00b\r\n"));
}
