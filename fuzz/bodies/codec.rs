//! The line codec, in both directions: how the stream was cut does not matter, every line is one
//! bounded line, and what is passed on reads the same again.

use bytes::{Bytes, BytesMut};
use ferryline_grammar::{COMMAND_LIMIT, Frame, LineCodec, REPLY_LIMIT};
use tokio_util::codec::Encoder;

use super::{Dice, decode};

/// Stands for a run of one byte, so that a short input reaches the limits: the byte and a count
/// follow.
const RUN: u8 = 0x1d;
const RUN_UNIT: usize = 300;

/// The first byte chooses the cuts, the rest is the stream.
pub fn run(data: &[u8]) {
    let Some((&seed, rest)) = data.split_first() else {
        return;
    };
    let stream = unrolled(rest);
    let mut dice = Dice::new(seed.into());
    for (codec, limit) in [
        (LineCodec::commands as fn() -> LineCodec, COMMAND_LIMIT),
        (LineCodec::replies, REPLY_LIMIT),
    ] {
        let whole = decode(codec(), [&stream[..]]);
        assert_eq!(
            whole,
            decode(codec(), dice.pieces(&stream)),
            "cut at random"
        );
        if stream.len() < 2 * COMMAND_LIMIT {
            assert_eq!(whole, decode(codec(), stream.chunks(1)), "byte by byte");
        }
        bounded_lines(&whole.0, limit, stream.len());
        reads_the_same_again(codec(), whole.0);
    }
}

fn unrolled(input: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    let mut rest = input;
    while let Some((&byte, more)) = rest.split_first() {
        rest = match (byte, more) {
            (RUN, [repeated, count, more @ ..]) => {
                let count = usize::from(*count) * RUN_UNIT;
                if stream.len() + count < REPLY_LIMIT + 2 * COMMAND_LIMIT {
                    stream.resize(stream.len() + count, *repeated);
                }
                more
            }
            _ => {
                stream.push(byte);
                more
            }
        };
    }
    stream
}

fn bounded_lines(frames: &[Frame], limit: usize, received: usize) {
    let mut passed_on = 0;
    for frame in frames {
        let Frame::Line(line) = frame else { continue };
        assert!(line.text().len() <= limit);
        assert!(!line.text().contains(&b'\n'));
        if limit == REPLY_LIMIT {
            assert!(!line.text().contains(&b'\r') && !line.text().contains(&0));
        }
        let whole = [line.text(), line.end().as_bytes()].concat();
        assert_eq!(line.clone().into_bytes(), whole);
        assert!(
            format!("{line:?}")
                .bytes()
                .all(|b| (b' '..=b'~').contains(&b))
        );
        passed_on += whole.len();
    }
    assert!(passed_on <= received);
}

/// No other reader of what is passed on finds Telnet or ends of lines that this one did not.
fn reads_the_same_again(codec: LineCodec, mut frames: Vec<Frame>) {
    frames.retain(|frame| matches!(frame, Frame::Line(_)));
    let mut passed_on = BytesMut::new();
    for frame in &frames {
        if let Frame::Line(line) = frame {
            let bytes: Bytes = line.clone().into_bytes();
            LineCodec::replies().encode(bytes, &mut passed_on).unwrap();
        }
    }
    assert_eq!(decode(codec, [&passed_on[..]]), (frames, None));
}
