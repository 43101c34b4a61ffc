//! What holds for any bytes at all.

// What these tests build themselves may be unwrapped and indexed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::net::{IpAddr, SocketAddr, SocketAddrV4};

use bytes::BytesMut;
use ferryline_grammar::{
    COMMAND_LIMIT, Command, EpsvArgument, ExtendedAddress, Frame, HostPort, LineCodec,
    PassiveEndpoint, Place, REPLY_LIMIT, ReplyCode, ReplyFraming, ReplyLine, parse_passive_reply,
    render_227, render_229,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use tokio_util::codec::Decoder;

/// What a stream became: its frames, and how it failed if it did.
type Outcome = (Vec<Frame>, Option<String>);

/// Decodes `input` in the pieces that `cuts` make, as a reader would, and watches the bounds.
fn decode(mut codec: LineCodec, limit: usize, input: &[u8], cuts: &[usize]) -> Outcome {
    let mut buffer = BytesMut::new();
    let mut frames = Vec::new();
    let mut error = None;
    let mut at = 0;
    for cut in cuts.iter().copied().chain([input.len()]) {
        buffer.extend_from_slice(&input[at..cut]);
        at = cut;
        loop {
            match codec.decode(&mut buffer) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(failed) => error = Some(failed.to_string()),
            }
        }
        // Nothing is left but an unfinished line, its CR, and an unfinished Telnet sequence.
        assert!(buffer.len() <= limit + 3, "{} bytes are left", buffer.len());
    }
    loop {
        match codec.decode_eof(&mut buffer) {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) => break,
            Err(failed) => error = Some(failed.to_string()),
        }
    }
    assert!(buffer.is_empty());
    (frames, error)
}

fn codecs() -> [(LineCodec, usize); 2] {
    [
        (LineCodec::commands(), COMMAND_LIMIT),
        (LineCodec::replies(), REPLY_LIMIT),
    ]
}

/// Bytes of a control connection: what the codec and the parsers look at, and anything else.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => select(PIECES).prop_map(<[u8]>::to_vec),
        2 => any::<u8>().prop_map(|byte| vec![byte]),
        2 => "[ -~]{0,20}".prop_map(String::into_bytes),
        1 => (select(&b"a\xff\r \xf1"[..]), 0..9000usize).prop_map(|(byte, count)| vec![byte; count]),
    ];
    vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

const PIECES: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\0",
    b"\n\r",
    b"\0\r\n",
    b"\n\0",
    b"\r220 ",
    b"\xff",
    b"\xff\xff",
    b"\xff\xf4",
    b"\xff\xfd\x18",
    b"\xff\xfb\x01",
    b"\xff\xfc",
    b"\xff\xfa",
    b"\xff\xf0",
    b"\xf2",
    b"227 ",
    b"227-",
    b"229 ",
    b"200 ",
    b"200-",
    b"PORT ",
    b"1,2,3,4,5,6",
    b"(|||50006|)",
    b"127,0,",
    b"|",
    b",",
    b"(",
    b"300",
];

fn cuts(stream: &[u8], cuts: &[Index]) -> Vec<usize> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
    cuts.sort_unstable();
    cuts
}

/// The places of the reply lines among the frames.
fn places(frames: &[Frame]) -> Vec<Place> {
    let mut framing = ReplyFraming::default();
    let place = |frame: &Frame| match frame {
        Frame::Line(line) => Some(framing.place(line.text())),
        Frame::Negotiation(_) => None,
    };
    frames.iter().filter_map(place).collect()
}

proptest! {
    #[test]
    fn chunking_does_not_matter(stream in stream(), at in vec(any::<Index>(), 0..20)) {
        let cuts = cuts(&stream, &at);
        for ((whole, limit), (cut, _)) in codecs().into_iter().zip(codecs()) {
            let expected = decode(whole, limit, &stream, &[]);
            let got = decode(cut, limit, &stream, &cuts);
            prop_assert_eq!(places(&expected.0), places(&got.0));
            prop_assert_eq!(expected, got);
        }
    }

    #[test]
    fn byte_by_byte_does_not_matter(stream in stream()) {
        let cuts: Vec<_> = (0..stream.len()).collect();
        for ((whole, limit), (cut, _)) in codecs().into_iter().zip(codecs()) {
            prop_assert_eq!(
                decode(whole, limit, &stream, &[]),
                decode(cut, limit, &stream, &cuts)
            );
        }
    }

    #[test]
    fn plain_bytes_come_out_as_they_went_in(
        stream in vec(prop_oneof![6 => 1..=254u8, 1 => Just(b'\n')], 0..5000),
        at in vec(any::<Index>(), 0..9),
    ) {
        // Also a CR, as long as it stays a command's and does not begin a line.
        let mut stream = stream;
        stream.retain({
            let mut begins = true;
            move |byte| {
                let keeps = *byte != b'\r' || !begins;
                begins = *byte == b'\n' || begins && *byte == b'\r';
                keeps
            }
        });
        let cuts = cuts(&stream, &at);
        let (frames, error) = decode(LineCodec::commands(), COMMAND_LIMIT, &stream, &cuts);
        prop_assert_eq!(error, None);
        prop_assert_eq!(concat(frames), &stream[..]);
        let stream: Vec<u8> = stream.into_iter().filter(|byte| *byte != b'\r').collect();
        let (frames, error) = decode(LineCodec::replies(), REPLY_LIMIT, &stream, &[]);
        prop_assert_eq!(error, None);
        prop_assert_eq!(concat(frames), stream);
    }

    #[test]
    fn every_line_is_one_bounded_line(stream in stream()) {
        for (codec, limit) in codecs() {
            let (frames, _) = decode(codec, limit, &stream, &[]);
            for frame in frames {
                let Frame::Line(line) = frame else { continue };
                prop_assert!(line.text().len() <= limit);
                prop_assert!(!line.text().contains(&b'\n'));
                prop_assert!(limit == COMMAND_LIMIT || !line.text().contains(&b'\r'));
                prop_assert!(limit == COMMAND_LIMIT || !line.text().contains(&0));
                let whole = [line.text(), line.end().as_bytes()].concat();
                prop_assert_eq!(line.into_bytes(), whole);
            }
        }
    }

    #[test]
    fn what_was_decoded_decodes_to_itself(stream in stream()) {
        // No other reader of what is passed on finds Telnet or line ends that ferryline did not.
        for ((codec, limit), (again, _)) in codecs().into_iter().zip(codecs()) {
            let (mut frames, _) = decode(codec, limit, &stream, &[]);
            frames.retain(|frame| matches!(frame, Frame::Line(_)));
            let passed_on = concat(frames.clone());
            prop_assert_eq!(decode(again, limit, &passed_on, &[]), (frames, None));
        }
    }

    #[test]
    fn no_parser_panics(stream in stream(), code in 100..700u16) {
        Command::parse(&stream);
        EpsvArgument::parse(&stream);
        HostPort::parse(&stream);
        let _ = ExtendedAddress::parse(&stream);
        ReplyLine::parse(&stream);
        let mut framing = ReplyFraming::default();
        for line in stream.split(|byte| *byte == b'\n') {
            framing.place(line);
        }
        let lines = stream.split(|byte| *byte == b'\n');
        let read = parse_passive_reply(ReplyCode::new(code).unwrap(), lines);
        prop_assert!(read.is_err() || read.unwrap().port != 0);
    }

    #[test]
    fn a_command_is_taken_apart_without_loss(
        verb in "[A-Za-z@]{1,10}", argument in vec(any::<u8>(), 0..50),
    ) {
        let text = [verb.as_bytes(), b" ", &argument].concat();
        let command = Command::parse(&text).unwrap();
        prop_assert_eq!(command.keyword, verb.as_bytes());
        prop_assert_eq!(command.argument, argument);
    }

    #[test]
    fn host_ports_are_read_back(address: SocketAddrV4) {
        let host_port = HostPort::from(address);
        prop_assert_eq!(HostPort::parse(host_port.to_string().as_bytes()), Some(host_port));
    }

    #[test]
    fn extended_addresses_are_read_back(ip: IpAddr, port: u16, delimiter in b'!'..=b'~') {
        let address = ExtendedAddress::from(SocketAddr::new(ip, port));
        let text = address.to_string();
        prop_assert_eq!(ExtendedAddress::parse(text.as_bytes()), Ok(address));
        // A delimiter that is a character of the fields cannot be told from them.
        let other = text.replace('|', &char::from(delimiter).to_string());
        if !text.contains(char::from(delimiter)) {
            prop_assert_eq!(ExtendedAddress::parse(other.as_bytes()), Ok(address));
        }
    }

    #[test]
    fn rendered_passive_replies_are_read_back(ip: std::net::Ipv4Addr, port in 1..=u16::MAX) {
        let text = render_227(HostPort { address: ip, port });
        let read = parse_passive_reply(ReplyCode::new(227).unwrap(), [text.as_bytes()].into_iter());
        prop_assert_eq!(read, Ok(PassiveEndpoint { address: Some(ip.into()), port }));
        let text = render_229(port);
        let read = parse_passive_reply(ReplyCode::new(229).unwrap(), [text.as_bytes()].into_iter());
        prop_assert_eq!(read, Ok(PassiveEndpoint { address: None, port }));
    }
}

fn concat(frames: Vec<Frame>) -> Vec<u8> {
    let bytes = frames.into_iter().map(|frame| match frame {
        Frame::Line(line) => line.into_bytes(),
        Frame::Negotiation(_) => panic!("{frame:?}"),
    });
    bytes.collect::<Vec<_>>().concat()
}
