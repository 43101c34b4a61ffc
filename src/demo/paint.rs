//! The form in which the demo shows what ferryline changed: two aligned lines, one for each side, with the
//! differences set off by colour where there is colour.

use super::changes::Change;

use crate::{paint::Paint, printable::printable};

/// Lines that show a change: first the side it came from, then the side it went to.
pub(super) fn change_lines(paint: Paint, change: &Change) -> Vec<String> {
    match change {
        Change::CommandAdded { server } => {
            vec![alone(paint, "server ←", server, "ferryline's own")]
        }
        Change::CommandRewritten { client, server } => {
            pair(paint, ("client →", client), ("server ←", server))
        }
        Change::CommandWithheld { client } => {
            vec![alone(paint, "client →", client, "not passed on")]
        }
        Change::ReplyAdded { client } => {
            vec![alone(paint, "client ←", client, "ferryline's own")]
        }
        Change::ReplyRewritten { server, client } => {
            pair(paint, ("server →", server), ("client ←", client))
        }
        Change::ReplyWithheld { server } => {
            vec![alone(paint, "server →", server, "not passed on")]
        }
    }
}

fn alone(paint: Paint, side: &str, line: &[u8], remark: &str) -> String {
    let remark = paint.faint(&format!("({remark})"));
    format!("{side} {}  {remark}", printable(line))
}

fn pair(paint: Paint, from: (&str, &[u8]), to: (&str, &[u8])) -> Vec<String> {
    let (before, after) = (printable(from.1), printable(to.1));
    let (prefix, suffix) = common_ends(before.as_bytes(), after.as_bytes());
    let show = |side: &str, line: &str, colour| {
        // Printable ASCII: every index is a boundary.
        let (head, rest) = line.split_at_checked(prefix).unwrap_or((line, ""));
        let middle = rest.len().saturating_sub(suffix);
        let (middle, tail) = rest.split_at_checked(middle).unwrap_or((rest, ""));
        format!("{side} {head}{}{tail}", paint.wrap(middle, colour))
    };
    vec![show(from.0, &before, "33"), show(to.0, &after, "1;32")]
}

/// Number of bytes that two lines share at the beginning and at the end, in whole words.
fn common_ends(one: &[u8], other: &[u8]) -> (usize, usize) {
    let prefix = shared(one.iter(), other.iter());
    let (one, other) = (one.iter().skip(prefix), other.iter().skip(prefix));
    (prefix, shared(one.rev(), other.rev()))
}

/// Number of bytes that are the same, up to the last that belongs to no word or number.
fn shared<'a>(one: impl Iterator<Item = &'a u8>, other: impl Iterator<Item = &'a u8>) -> usize {
    let mut shared = 0;
    let same = one.zip(other).take_while(|(a, b)| a == b);
    for (count, (byte, _)) in (1..).zip(same) {
        if !byte.is_ascii_alphanumeric() {
            shared = count;
        }
    }
    shared
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(server: &str, client: &str) -> Change {
        Change::ReplyRewritten {
            server: server.into(),
            client: client.into(),
        }
    }

    #[test]
    fn both_sides_of_a_reply_are_aligned() {
        let change = rewritten(
            "227 Entering Passive Mode (127,0,0,1,155,66)",
            "227 Entering Passive Mode (127,0,0,1,200,16)",
        );
        assert_eq!(
            change_lines(Paint::new(false), &change),
            [
                "server → 227 Entering Passive Mode (127,0,0,1,155,66)",
                "client ← 227 Entering Passive Mode (127,0,0,1,200,16)",
            ]
        );
    }

    #[test]
    fn colour_marks_the_numbers_that_differ_and_whole_ones() {
        let change = rewritten("227 (1,155,66)", "227 (1,200,16)");
        assert_eq!(
            change_lines(Paint::new(true), &change),
            [
                "server → 227 (1,\x1b[33m155,66\x1b[0m)",
                "client ← 227 (1,\x1b[1;32m200,16\x1b[0m)",
            ]
        );
        let change = rewritten("229 (|||4000|)", "229 (|||4001|)");
        let shown = change_lines(Paint::new(true), &change);
        assert_eq!(shown[0], "server → 229 (|||\x1b[33m4000\x1b[0m|)");
    }

    #[test]
    fn what_has_one_side_only_says_why() {
        let paint = Paint::new(false);
        let added = Change::CommandAdded {
            server: "PORT 1,2".into(),
        };
        let withheld = Change::ReplyWithheld {
            server: "500 no".into(),
        };
        assert_eq!(
            change_lines(paint, &added),
            ["server ← PORT 1,2  (ferryline's own)"]
        );
        assert_eq!(
            change_lines(paint, &withheld),
            ["server → 500 no  (not passed on)"]
        );
    }

    #[test]
    fn a_peers_bytes_are_never_printed_raw() {
        let change = rewritten("227 \x1b[2J\u{e9}", "227 ");
        let shown = change_lines(Paint::new(false), &change).join("\n");
        assert!(shown.contains("\\x1b[2J\\xc3\\xa9"), "{shown}");
        assert!(!shown.contains('\x1b'));
    }

    #[test]
    fn ends_never_overlap() {
        for (one, other) in [("aa", "aaa"), ("", "x"), ("1,1", "1,1,1"), ("same", "same")] {
            let (prefix, suffix) = common_ends(one.as_bytes(), other.as_bytes());
            assert!(
                prefix + suffix <= one.len().min(other.len()),
                "{one} {other}"
            );
        }
    }
}
