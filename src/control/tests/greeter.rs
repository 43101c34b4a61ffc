//! The dialogue with a client before its FTP server is known.

use ferryline_grammar::LineCodec;
use proptest::prelude::*;
use tokio_util::{bytes::BytesMut, codec::Decoder};

use super::bench::frame;
use crate::control::{Ending, Greeter, OtherProtocol, Step};

fn said(step: &Step) -> String {
    let Step::Say(reply) = step else {
        panic!("{step:?}");
    };
    String::from_utf8(reply.to_vec()).unwrap()
}

#[test]
fn a_client_is_led_to_name_its_server() {
    let mut greeter = Greeter::default();
    assert!(Greeter::greeting().starts_with(b"220 ferryline: log in as USER@FTPHOST"));
    for (line, code) in [
        ("FEAT", "530"),
        ("NOOP", "200"),
        ("AUTH TLS", "502"),
        ("USER me", "530"),
        ("PASS x", "530"),
        ("PASV", "530"),
    ] {
        assert!(
            said(&greeter.client(&frame(line))).starts_with(code),
            "{line}"
        );
    }
    assert_eq!(greeter.client(&frame("")), Step::Nothing);
    let named = Step::Named(b"ftp.example:2100".to_vec());
    assert_eq!(
        greeter.client(&frame("USER me@corp.example@ftp.example:2100")),
        named
    );
}

#[test]
fn a_client_that_names_servers_in_vain_is_sent_away_after_ten() {
    let mut greeter = Greeter::default();
    for _ in 0..9 {
        assert!(said(&greeter.refuse("no")).starts_with("530 "));
    }
    let Step::Goodbye {
        answer: Some(answer),
        last_word: Some(last),
    } = greeter.refuse("no")
    else {
        panic!("an eleventh server may be named");
    };
    assert!(answer.starts_with(b"530 ") && last.starts_with(b"421 "));
}

#[test]
fn another_protocol_is_seen_in_the_first_command_only() {
    let mut greeter = Greeter::default();
    let http = frame("GET / HTTP/1.1");
    assert_eq!(
        greeter.client(&http),
        Step::OtherProtocol(OtherProtocol::Http)
    );
    assert!(said(&greeter.client(&http)).starts_with("530 "));
}

#[test]
fn the_end_of_a_client_is_answered_only_where_it_is_its_own_fault() {
    let last_word = Greeter::last_word;
    assert_eq!(last_word(Ending::Eof), None);
    assert_eq!(last_word(Ending::Lost), None);
    assert!(
        last_word(Ending::LineTooLong(8192))
            .unwrap()
            .starts_with(b"500 ")
    );
    assert!(last_word(Ending::Nul).unwrap().starts_with(b"500 "));
}

proptest! {
    /// For any input, a command has one answer of ferryline's own, and Telnet is not answered without limit.
    #[test]
    fn whatever_comes_is_answered_once(
        bytes in prop::collection::vec(prop_oneof![
            8 => prop::sample::select(vec![
                &b"USER me@h\r\n"[..], b"USER me\r\n", b"QUIT\r\n", b"NOOP\r\n", b"\r\n", b"\xff\xfd\x01",
                b"PORT 127,0,0,1,117,48\r\n", b"SSH-2.0-x\r\n", b"\xff\xf4\xff\xf2ABOR\r\n",
            ]).prop_map(<[u8]>::to_vec),
            1 => prop::collection::vec(any::<u8>(), 0..12),
        ], 0..600),
    ) {
        let mut greeter = Greeter::default();
        let mut codec = LineCodec::commands();
        let mut buffer = BytesMut::from(&bytes.concat()[..]);
        let mut refused = 0;
        while let Ok(Some(frame)) = codec.decode(&mut buffer) {
            match greeter.client(&frame) {
                Step::Say(reply) => {
                    let text = String::from_utf8_lossy(&reply);
                    prop_assert!(text.contains(" ferryline: ") && text.ends_with("\r\n"), "{text}");
                    prop_assert_eq!(text.matches('\n').count(), 1);
                }
                Step::Refuse(_) => refused += 1,
                Step::Named(host) => {
                    prop_assert!(!host.is_empty());
                    if let Step::Goodbye { .. } = greeter.refuse("no") {
                        return Ok(());
                    }
                }
                Step::Goodbye { last_word, .. } => {
                    prop_assert!(last_word.is_some());
                    return Ok(());
                }
                Step::OtherProtocol(_) => return Ok(()),
                Step::Nothing => {}
            }
            prop_assert!(refused <= 255);
        }
    }
}
