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
        (b"\r200 x\n", b" 200 x\n"),
        (b"200 x\r", b"200 x "),
        (b"\r\xff\xf1\n", b"\r\n"),
        (b"200\r\xff\xf1x\n", b"200 x\n"),
    ] {
        assert_eq!(
            lines(LineCodec::replies(), sent),
            [read],
            "{}",
            sent.escape_ascii()
        );
    }
}

#[test]
fn q35_nul_elsewhere_ends_everything() {
    for input in [
        &b"200 ok\r\n200 a\x00227 b\r\n200 ok\r\n"[..],
        b"200 ok\r\n\x00\r\n",
        b"200 ok\r\n\r\x00\x00\n",
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
    let mut buffer = BytesMut::from(&b"USER a\x00"[..]);
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
    let input = b"\xff\xfb\x01227 Entering Passive Mode (127,0\xff\xf1,0,1,4,51)\r\n\r\xff";
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
            frame(b" \xff", LineEnd::None),
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
        // Commands, options given up, a subnegotiation with an LF and a doubled IAC in it.
        (
            &b"\xff\xf6NO\xff\xf1OP\xff\xf9\r\xff\xf1\n"[..],
            &b"NOOP\r\n"[..],
        ),
        (b"\xff\xfc\x01NOOP\xff\xfe\x03\r\n", b"NOOP\r\n"),
        (
            b"NO\xff\xfa\x18\x00\n\xff\xff\xf0\xff\xf0OP\r\n",
            b"NOOP\r\n",
        ),
        (b"NOOP\xff\xf0\xff\xef\r\n", b"NOOP\r\n"),
        // A doubled IAC stays doubled, and what follows it is no command.
        (b"STOR a\xff\xff\xf4b\r\n", b"STOR a\xff\xff\xf4b\r\n"),
        // An IAC that commands nothing is text, also at the end of the line.
        (b"STOR \xffa\r\n", b"STOR \xffa\r\n"),
        (b"STOR a\xff\r\n", b"STOR a\xff\r\n"),
        (b"STOR a\xff\n", b"STOR a\xff\n"),
        // The end of the line is never taken for an option.
        (b"STOR a\xff\xfe\r\n", b"STOR a\r\n"),
        (b"STOR a\xff\xfd\n", b"STOR a\n"),
        // The connection ends inside a sequence.
        (b"STOR a\xff", b"STOR a\xff"),
        (b"STOR a\xff\xfd", b"STOR a"),
        (b"STOR a\xff\xfa\x18ab", b"STOR a"),
    ] {
        for codec in [LineCodec::commands(), LineCodec::replies()] {
            assert_eq!(lines(codec, sent), [read], "{}", sent.escape_ascii());
        }
    }
}

#[test]
fn q59_negotiations_come_before_their_line() {
    let (frames, error) = decode(
        LineCodec::commands(),
        b"US\xff\xfd\x18ER a\xff\xfb\n\r\nUS\xff\xfb\xffER b\r\n",
    );
    assert!(error.is_none());
    assert_eq!(
        frames,
        [
            Frame::Negotiation(Negotiation::Do(24)),
            frame(b"USER a", LineEnd::Lf),
            frame(b"", LineEnd::CrLf),
            Frame::Negotiation(Negotiation::Will(255)),
            frame(b"USER b", LineEnd::CrLf),
        ]
    );
}

#[test]
fn q59_a_subnegotiation_is_bounded() {
    let long = |count| [&b"\xff\xfa"[..], &vec![b'x'; count], b"\xff\xf0NOOP\r\n"].concat();
    assert_eq!(
        lines(LineCodec::commands(), &long(COMMAND_LIMIT)),
        [&b"NOOP\r\n"[..]]
    );
    let (frames, error) = decode(LineCodec::commands(), &long(COMMAND_LIMIT + 1));
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
        b"\r\x00\r\r\x00\r",
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
