//! The line codec, quirk by quirk.

// What these tests build themselves may be unwrapped and indexed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use bytes::{Bytes, BytesMut};
use ferryline_grammar::{
    COMMAND_LIMIT, Frame, Line, LineCodec, LineEnd, LineError, Negotiation, REPLY_LIMIT,
};
use tokio_util::codec::{Decoder, Encoder};

/// All frames of `input` in one piece, and the error that ended them.
fn decode(mut codec: LineCodec, input: &[u8]) -> (Vec<Frame>, Option<LineError>) {
    let mut buffer = BytesMut::from(input);
    let mut frames = Vec::new();
    loop {
        match codec.decode_eof(&mut buffer) {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) => return (frames, None),
            Err(error) => return (frames, Some(error)),
        }
    }
}

/// The lines of `input` with their ends, which holds nothing but lines.
fn lines(codec: LineCodec, input: &[u8]) -> Vec<Bytes> {
    let (frames, error) = decode(codec, input);
    assert!(error.is_none(), "{error:?}");
    let line = |frame| match frame {
        Frame::Line(line) => line.into_bytes(),
        Frame::Negotiation(_) => panic!("{frame:?}"),
    };
    frames.into_iter().map(line).collect()
}

fn frame(text: &'static [u8], end: LineEnd) -> Frame {
    Frame::Line(Line::with_end(text, end))
}

#[test]
fn q34_line_ends_may_be_mixed() {
    let (frames, _) = decode(
        LineCodec::replies(),
        b"211-Features:\n MDTM\n SIZE\r\n211 End\r\n\n\r\nrest",
    );
    assert_eq!(
        frames,
        [
            frame(b"211-Features:", LineEnd::Lf),
            frame(b" MDTM", LineEnd::Lf),
            frame(b" SIZE", LineEnd::CrLf),
            frame(b"211 End", LineEnd::CrLf),
            frame(b"", LineEnd::Lf),
            frame(b"", LineEnd::CrLf),
            frame(b"rest", LineEnd::None),
        ]
    );
}

#[test]
fn q35_a_cr_inside_a_reply_becomes_a_space() {
    for (sent, read) in [
        (
            &b"200 x\r227 Entering (1,2,3,4,5,6)\r\n"[..],
            &b"200 x 227 Entering (1,2,3,4,5,6)\r\n"[..],
        ),
        (b"200 x\r\x00227 y\r\n", b"200 x 227 y\r\n"),
        (b"200 x\r\r\n", b"200 x \r\n"),
        (b"200 x\r\r\x00\r\n", b"200 x  \r\n"),
        (b"200 x\r\x00\n", b"200 x \n"),
        (b"200 x\r", b"200 x "),
        (b"\r\xff\xf1\n", b"\r\n"),
        (b"200\r\xff\xf1x\n", b"200 \xff\xf1x\n"),
    ] {
        let greeted = [b"220 ready\r\n", sent].concat();
        let expected = [b"220 ready\r\n", read];
        for greeted in [greeted, [b"hello\n", sent].concat()] {
            assert_eq!(
                lines(LineCodec::replies(), &greeted)[1..],
                expected[1..],
                "{}",
                sent.escape_ascii()
            );
        }
    }
}

#[test]
fn q93_a_cr_that_begins_a_line_belongs_to_the_end_before() {
    for (sent, read) in [
        (
            &b"220-a\n\r220 b\n\r"[..],
            &[&b"220-a\n"[..], b"220 b\n"][..],
        ),
        (b"\r200 x\n", &[b"200 x\n"]),
        (b"\n\r\r\r200 x\n", &[b"\n", b"200 x\n"]),
        (b"a\n\r\n\rb\n", &[b"a\n", b"\r\n", b"b\n"]),
        (b"a\n\r\0b\n", &[b"a\n", b"b\n"]),
        (b"a\n\r\xff\xf4b\n", &[b"a\n", b"b\n"]),
        (b"a\n\r\xff\xffb\n", &[b"a\n", b"\xff\xffb\n"]),
        (b"a\n\r", &[b"a\n"]),
    ] {
        for codec in [LineCodec::replies(), LineCodec::commands()] {
            assert_eq!(lines(codec, sent), read, "{}", sent.escape_ascii());
        }
    }
}

#[test]
fn q93_a_server_may_end_its_lines_with_cr_alone() {
    let mut codec = LineCodec::replies();
    let mut buffer = BytesMut::new();
    // Each line is there as soon as it has ended: the server waits for an answer.
    for (sent, read) in [
        ("220-one\r", "220-one\r\n"),
        ("220 two\r", "220 two\r\n"),
        ("331 password\r", "331 password\r\n"),
        ("no code\r", "no code\r\n"),
        ("227 (1,2,3,4,5,6)\r", "227 (1,2,3,4,5,6)\r\n"),
        ("\n226 done\r\n", "226 done\r\n"),
        ("200 x\n", "200 x\n"),
    ] {
        buffer.extend_from_slice(sent.as_bytes());
        let Ok(Some(Frame::Line(line))) = codec.decode(&mut buffer) else {
            panic!("{sent:?}")
        };
        assert_eq!(line.into_bytes(), read);
        assert!(codec.decode(&mut buffer).unwrap().is_none());
    }
    assert!(codec.decode_eof(&mut buffer).unwrap().is_none());
}

/// What a file is called must not end a line, wherever its name is said.
#[test]
fn q35_q93_a_cr_ends_no_line_of_a_server_that_ends_one_with_lf() {
    for greeting in [
        &b"220 ready\r\n"[..],
        b"220 ready\n",
        b"220 ready\r\r\n",
        b"220 ready\r\0\n",
        b"hello\rthere\r\n",
        b"\r\n",
        b"220-to my\rserver\r\n220 ready\r\n",
    ] {
        for sent in [
            &b"550 x\r227 (1,2,3,4,5,6)\r\n"[..],
            b"550-x\r550 y\r227 (1,2,3,4,5,6)\r\n",
        ] {
            let lines = lines(LineCodec::replies(), &[greeting, sent].concat());
            let last = lines.last().unwrap();
            let read: Vec<u8> = sent
                .strip_suffix(b"\r\n")
                .unwrap()
                .iter()
                .map(|byte| if *byte == b'\r' { b' ' } else { *byte })
                .collect();
            assert_eq!(*last, [&read[..], b"\r\n"].concat());
            let greetings = greeting.iter().filter(|byte| **byte == b'\n').count();
            assert!(lines.len() <= greetings + 2, "{lines:?}");
        }
    }
    // One line that ends so is no server's custom.
    let sent = b"220 a\rb\rc\r227 x\r\n200 ok\r227 y\r\n";
    let read = [&b"220 a\r\n"[..], b"b c 227 x\r\n", b"200 ok 227 y\r\n"];
    assert_eq!(lines(LineCodec::replies(), sent), read);
}

#[test]
fn q94_a_nul_at_the_begin_or_the_end_of_a_line_is_dropped() {
    for (sent, read) in [
        (&b"220 a\0\r\nb\r\n"[..], &[&b"220 a\r\n"[..], b"b\r\n"][..]),
        (b"220 a\0\0\nb\n", &[b"220 a\n", b"b\n"]),
        (b"a\r\n\0b\r\n\0", &[b"a\r\n", b"b\r\n"]),
        (b"\0\0a\n\0\r\n", &[b"a\n", b"\r\n"]),
        (b"\0\xff\xf4a\0\n", &[b"a\n"]),
        (b"a\0", &[b"a"]),
    ] {
        for codec in [LineCodec::replies(), LineCodec::commands()] {
            assert_eq!(lines(codec, sent), read, "{}", sent.escape_ascii());
        }
    }
}

#[test]
fn q35_nul_elsewhere_ends_everything() {
    for input in [
        &b"200 ok\r\n200 a\x00227 b\r\n200 ok\r\n"[..],
        b"200 ok\r\n200 a\0\r227 b\r\n",
        b"200 ok\r\n200 a\0\r\0\n",
        b"200 ok\r\n200 a\0\r\r\n",
        b"200 ok\r\n200 a\0\xff\xf4\r\n",
        b"200 ok\r\n\xff\xfa\x18\0\xff\xf0\r\n",
    ] {
        for codec in [LineCodec::replies(), LineCodec::commands()] {
            let (frames, error) = decode(codec, input);
            assert_eq!(frames, [frame(b"200 ok", LineEnd::CrLf)]);
            assert!(matches!(error, Some(LineError::Nul)), "{error:?}");
        }
    }
}

#[test]
fn q35_nul_is_seen_without_the_end_of_its_line() {
    let mut codec = LineCodec::commands();
    let mut buffer = BytesMut::from(&b"USER a\x00b"[..]);
    assert!(matches!(codec.decode(&mut buffer), Err(LineError::Nul)));
    assert_yields_nothing_more(codec, buffer);
}

/// After an error everything that follows is discarded, in however many pieces.
fn assert_yields_nothing_more(mut codec: LineCodec, mut buffer: BytesMut) {
    assert!(buffer.is_empty());
    for more in [&b"rest\r\n"[..], b"NOOP\r\nNO", b"OP\r\n\x00"] {
        buffer.extend_from_slice(more);
        assert!(matches!(codec.decode(&mut buffer), Ok(None)));
        assert!(buffer.is_empty());
    }
    buffer.extend_from_slice(b"NOOP\r\n");
    assert!(matches!(codec.decode_eof(&mut buffer), Ok(None)));
    assert!(buffer.is_empty());
}

#[test]
fn q37_a_long_reply_line_is_read_up_to_the_limit() {
    let mut text = vec![b'A'; REPLY_LIMIT];
    text[..4].copy_from_slice(b"227 ");
    for end in ["\r\n", "\n", ""] {
        let sent = [&text[..], end.as_bytes()].concat();
        assert_eq!(lines(LineCodec::replies(), &sent), [sent]);
    }
    text.push(b'A');
    let (frames, error) = decode(
        LineCodec::replies(),
        &[&text[..], b"\r\n220 x\r\n"].concat(),
    );
    assert_eq!(frames, []);
    assert!(
        matches!(error, Some(LineError::TooLong { limit: REPLY_LIMIT })),
        "{error:?}"
    );
}

#[test]
fn q38_byte_at_a_time() {
    let input = b"\xff\xfb\x01\xff\xf1227 Entering Passive Mode (127,0,0,1,4,51)\r\n\r\xff";
    let mut codec = LineCodec::replies();
    let mut buffer = BytesMut::new();
    let mut frames = Vec::new();
    for byte in input {
        buffer.extend_from_slice(&[*byte]);
        frames.extend(codec.decode(&mut buffer).unwrap());
        assert!(codec.decode(&mut buffer).unwrap().is_none());
    }
    frames.extend(codec.decode_eof(&mut buffer).unwrap());
    assert!(codec.decode_eof(&mut buffer).unwrap().is_none());
    assert_eq!(
        frames,
        [
            Frame::Negotiation(Negotiation::Will(1)),
            frame(b"227 Entering Passive Mode (127,0,0,1,4,51)", LineEnd::CrLf),
            frame(b"\xff", LineEnd::None),
        ]
    );
}

#[test]
fn q39_several_lines_in_one_segment() {
    let sent = b"150 x\r\n226 y\r\n";
    assert_eq!(
        lines(LineCodec::replies(), sent),
        [&b"150 x\r\n"[..], b"226 y\r\n"]
    );
}

#[test]
fn q58_abort_with_its_synch() {
    // lftp and inetutils with the urgent byte read in line, inetutils without it, Python's ftplib; in two
    // pieces, as a read stops at the mark.
    for sent in [
        &b"\xff\xf4\xff\xf2ABOR\r\n"[..],
        b"\xff\xf4\xf2ABOR\r\n",
        b"ABOR\r\n",
    ] {
        for cut in 0..=sent.len() {
            let mut codec = LineCodec::commands();
            let mut buffer = BytesMut::from(&sent[..cut]);
            let early = codec.decode(&mut buffer).unwrap();
            buffer.extend_from_slice(&sent[cut..]);
            let line = early.or_else(|| codec.decode(&mut buffer).unwrap());
            let Some(Frame::Line(line)) = line else {
                panic!("{line:?}")
            };
            // The second lost its urgent IAC: what is left of the data mark is not Telnet, so it stays.
            assert!(line.text().ends_with(b"ABOR"), "{line:?}");
            assert_eq!(line.text() == b"ABOR", sent != b"\xff\xf4\xf2ABOR\r\n");
        }
    }
}

#[test]
fn q59_telnet_is_taken_out() {
    for (sent, read) in [
        // Commands, options given up, a subnegotiation with a doubled IAC in it.
        (&b"\xff\xf6\xff\xf1NOOP\r\n\xff\xf9"[..], &b"NOOP\r\n"[..]),
        (b"\xff\xfc\x01\xff\xfe\x03NOOP\r\n", b"NOOP\r\n"),
        (b"\xff\xfa\x18a\xff\xff\xf0\xff\xf0NOOP\r\n", b"NOOP\r\n"),
        (b"\xff\xf0\xff\xefNOOP\r\n", b"NOOP\r\n"),
        // A doubled IAC stays doubled, and what follows it is no command.
        (b"\xff\xff\xf4b\r\n", b"\xff\xff\xf4b\r\n"),
        // An IAC that commands nothing is text.
        (b"\xffABOR\r\n", b"\xffABOR\r\n"),
        (b"\xff\r\n", b"\xff\r\n"),
        // The end of the line is never taken for an option.
        (b"\xff\xfe\r\n", b"\r\n"),
        (b"\xff\xfd\n", b"\n"),
        // The connection ends inside a sequence.
        (b"NOOP\r\n\xff\xfd", b"NOOP\r\n"),
    ] {
        for codec in [LineCodec::commands(), LineCodec::replies()] {
            assert_eq!(lines(codec, sent), [read], "{}", sent.escape_ascii());
        }
    }
}

/// The last letters of CP1251 and others have the bytes of Telnet's commands.
#[test]
fn q97_behind_text_an_iac_is_text() {
    for sent in [
        &b"STOR a\xff\xff\xf4b\r\n"[..],
        b"STOR \xffa\r\n",
        b"STOR a\xff\r\n",
        b"STOR a\xff\n",
        b"CWD \xff\xfa\r\n",
        b"CWD \xff\xfd\r\n",
        b"CWD \xff\xfd\x18\xff\xf0\r\n",
        b"257 \"/\xff\xfa\xfe\xff\" is it\r\n",
        b"STOR a\xff",
        b"STOR a\xff\xfd",
        b"STOR a\xff\xfa\x18ab",
        // A name at the begin of a line of a list: a subnegotiation ends before its line does.
        b"\xff\xfa\xe0\xff\xff\xe1\xff\r\n",
    ] {
        for codec in [LineCodec::commands(), LineCodec::replies()] {
            assert_eq!(lines(codec, sent), [sent], "{}", sent.escape_ascii());
        }
    }
    let sent = b"CWD \xff\xfa\r\nNOOP\r\n";
    let read = [&b"CWD \xff\xfa\r\n"[..], b"NOOP\r\n"];
    assert_eq!(lines(LineCodec::commands(), sent), read);
}

#[test]
fn q59_negotiations_come_before_their_line() {
    let (frames, error) = decode(
        LineCodec::commands(),
        b"\xff\xfd\x18USER a\n\xff\xfb\n\xff\xfb\xffUSER b\r\n",
    );
    assert!(error.is_none());
    assert_eq!(
        frames,
        [
            Frame::Negotiation(Negotiation::Do(24)),
            frame(b"USER a", LineEnd::Lf),
            frame(b"", LineEnd::Lf),
            Frame::Negotiation(Negotiation::Will(255)),
            frame(b"USER b", LineEnd::CrLf),
        ]
    );
}

#[test]
fn q59_a_subnegotiation_is_bounded() {
    let long = |count| [&b"\xff\xfa"[..], &vec![b'x'; count], b"\xff\xf0NOOP\r\n"].concat();
    assert_eq!(
        lines(LineCodec::commands(), &long(COMMAND_LIMIT - 2)),
        [&b"NOOP\r\n"[..]]
    );
    let (frames, error) = decode(LineCodec::commands(), &long(COMMAND_LIMIT - 1));
    assert_eq!(frames, []);
    assert!(
        matches!(error, Some(LineError::TooLong { .. })),
        "{error:?}"
    );
}

#[test]
fn q61_lf_ends_a_command_also_after_cr_nul() {
    let sent = b"STOR foo\r\x00\nbar\r\n";
    assert_eq!(
        lines(LineCodec::commands(), sent),
        [&b"STOR foo\r\x00\n"[..], b"bar\r\n"]
    );
}

#[test]
fn q61_a_cr_inside_a_command_stays() {
    for sent in [
        &b"PWD\rQUIT\r\n"[..],
        b"PASV\r\r\n",
        b"STOR a\r\x00b\r\n",
        b"A\r\x00\r\r\x00\r",
        b"A\r",
    ] {
        assert_eq!(lines(LineCodec::commands(), sent), [sent]);
    }
    let (frames, _) = decode(LineCodec::commands(), b"PASV\r\r\n");
    assert_eq!(frames, [frame(b"PASV\r", LineEnd::CrLf)]);
}

#[test]
fn q62_bytes_are_never_text() {
    let sent: Vec<u8> = (1..=254)
        .filter(|byte| !b"\r\n".contains(byte))
        .chain(*b"\r\n")
        .collect();
    for codec in [LineCodec::commands(), LineCodec::replies()] {
        assert_eq!(lines(codec, &sent), [&sent[..]]);
    }
}

#[test]
fn q63_the_rest_of_a_long_command_is_no_command() {
    let mut codec = LineCodec::commands();
    let mut buffer = BytesMut::from(&vec![b'a'; COMMAND_LIMIT][..]);
    assert!(codec.decode(&mut buffer).unwrap().is_none());
    // The limit is for the text: a CR may yet belong to the end.
    buffer.extend_from_slice(b"\r");
    assert!(codec.decode(&mut buffer).unwrap().is_none());
    // It does not, and nobody waits for the LF.
    buffer.extend_from_slice(b"D");
    let error = codec.decode(&mut buffer).unwrap_err();
    assert_eq!(error.to_string(), "a line is longer than 8192 bytes");
    buffer.extend_from_slice(b"ELE x\r\n");
    assert!(codec.decode(&mut buffer).unwrap().is_none());
    assert_yields_nothing_more(codec, buffer);
}

#[test]
fn q63_the_limit_holds_for_every_line_anew() {
    let line = [vec![b'a'; COMMAND_LIMIT], b"\r\n".to_vec()].concat();
    let sent = [&line[..], &line, b"NOOP\r\n", &line].concat();
    assert_eq!(
        lines(LineCodec::commands(), &sent),
        [&line[..], &line, b"NOOP\r\n", &line]
    );
}

/// A line that is kept for long keeps its own bytes, and not what else was read with it: of a thousand lines
/// of which one is kept, the buffer is free to be used again.
#[test]
fn q129_a_line_that_is_kept_keeps_no_buffer() {
    let mut codec = LineCodec::replies();
    let mut buffer = BytesMut::with_capacity(64 * 1024);
    let allocated = buffer.as_ptr() as usize..buffer.as_ptr() as usize + buffer.capacity();
    let mut kept = Vec::new();
    for _ in 0..10 {
        buffer.extend_from_slice("214 x\r\n".repeat(1000).as_bytes());
        let mut count = 0;
        while let Some(Frame::Line(line)) = codec.decode(&mut buffer).unwrap() {
            let at = line.text().as_ptr() as usize;
            assert!(!allocated.contains(&at), "a line is a slice of the buffer");
            if count == 0 {
                kept.push(line);
            }
            count += 1;
        }
        assert_eq!(count, 1000);
        // All of it can be had back: no line has a part in it.
        assert!(buffer.try_reclaim(64 * 1024));
    }
    assert_eq!(kept.len(), 10);
}

#[test]
fn the_encoder_writes_bytes_as_they_are() {
    let mut out = BytesMut::from(&b"a"[..]);
    LineCodec::commands()
        .encode(Bytes::from_static(b"\xff\x00\r"), &mut out)
        .unwrap();
    assert_eq!(out, &b"a\xff\x00\r"[..]);
}
