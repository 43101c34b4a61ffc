//! A whole line: its number, the hash of the line before it, its time, and what it says.

use std::time::SystemTime;

use serde::Deserialize;

use super::{stamp, text::digits};

/// The version of the format.
const VERSION: u32 = 1;

/// How each line begins.
const BEGINNING: &[u8] = b"{\"v\":1,\"seq\":";

/// Greatest length of a line in bytes: that of the longest ones that there can be, and room.
pub(super) const LONGEST: usize = 256 * 1024;

/// What is read of a line.
#[derive(Debug, Deserialize)]
pub(super) struct Line {
    v: u32,
    pub(super) seq: u64,
    /// `None`: a chain begins here.
    pub(super) prev: Option<String>,
    pub(super) event: String,
    #[serde(default)]
    pub(super) unfinished: Option<Unfinished>,
    /// Of a `begin`.
    #[serde(default)]
    pub(super) why: Option<String>,
    /// Of a `lost-lines`.
    #[serde(default)]
    pub(super) lines: u64,
    /// Of lines about strangers.
    #[serde(default)]
    pub(super) left_out: u64,
}

/// What a line says of the part of the file before it that is no whole line.
#[derive(Debug, Deserialize, PartialEq, Eq)]
pub(super) struct Unfinished {
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

impl Line {
    /// Reads a line; `None`: it is no whole line of an audit record.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let line: Self = serde_json::from_slice(line).ok()?;
        (line.v == VERSION).then_some(line)
    }

    /// The text of a line. `said` is a JSON object that begins with its event.
    pub(super) fn text(seq: u64, prev: Option<&[u8; 32]>, at: SystemTime, said: &str) -> String {
        let prev = match prev {
            Some(hash) => format!("\"{}\"", digits(hash)),
            None => "null".to_owned(),
        };
        let said = said.strip_prefix('{').unwrap_or(said);
        let at = stamp::utc(at);
        format!("{{\"v\":{VERSION},\"seq\":{seq},\"prev\":{prev},\"ts\":\"{at}\",{said}")
    }
}

/// Whether this may be the beginning of a line that is not whole.
pub(super) fn may_begin(part: &[u8]) -> bool {
    part.iter().zip(BEGINNING).all(|(one, other)| one == other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_it_was_written_and_no_part_of_it_is() {
        let said =
            "{\"event\":\"lost-lines\",\"lines\":3,\"unfinished\":{\"bytes\":2,\"sha256\":\"x\"}}";
        let text = Line::text(4, Some(&[1; 32]), SystemTime::UNIX_EPOCH, said);
        let line = Line::parse(text.as_bytes()).unwrap();
        assert_eq!(
            (line.seq, line.lines, line.event.as_str()),
            (4, 3, "lost-lines")
        );
        assert_eq!(line.prev.unwrap(), "01".repeat(32));
        assert_eq!(line.unfinished.unwrap().bytes, 2);
        for end in 0..text.len() {
            let part = &text.as_bytes()[..end];
            assert!(Line::parse(part).is_none(), "{end}");
            assert!(may_begin(part));
        }
        let newer = text.replace("\"v\":1", "\"v\":2");
        assert!(Line::parse(newer.as_bytes()).is_none());
        assert!(!may_begin(b"2026-01-01 a log"));
    }
}
