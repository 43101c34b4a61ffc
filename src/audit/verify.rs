//! Whether a record is whole: each line follows on the one before it. The time is linear in the length of the files,
//! and the memory does not depend on it.

use std::{
    collections::BTreeSet,
    fmt,
    io::{self, BufRead, Read},
};

use sha2::{Digest, Sha256};

use super::{
    chain::hash,
    line::{LONGEST, Line, Unfinished},
    text::digits,
};

/// What a record that is whole holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The number of lines.
    pub lines: u64,
    /// The number of transfers among them.
    pub transfers: u64,
    /// The number of lines that were lost, by what the record itself says.
    pub lost: u64,
    /// The number of lines about strangers that were left out, because there were too many.
    pub left_out: u64,
    /// The number of lines that could not be finished, and were closed off.
    pub unfinished: u64,
    /// The number of times that the record goes on although the program had not closed it.
    pub not_closed: u64,
    /// The number of the first line; not 1 where what came before was not given.
    pub first: Option<u64>,
    /// The number of the last line.
    pub last: Option<u64>,
    /// The hash of the last line, in hexadecimal digits.
    pub last_hash: Option<String>,
    /// Whether the program has closed the record: nothing is missing at its end.
    pub closed: bool,
    /// Those of the hashes that were kept elsewhere which no line has.
    pub missing: Vec<String>,
}

/// The first place at which a record is not whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Break {
    /// The name of the file.
    pub file: String,
    /// The number of the line in it, from 1.
    pub line: u64,
    reason: Reason,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Reason {
    NotALine,
    TooLong,
    Unfinished,
    Seq { expected: u64, found: u64 },
    Changed,
    Begins,
    NothingUnfinished,
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.file, self.line)?;
        match &self.reason {
            Reason::NotALine => f.write_str(
                "this is no line of an audit record, and the line behind it does not say that it was cut off: it was changed",
            ),
            Reason::TooLong => write!(
                f,
                "this line is longer than {LONGEST} bytes, which no line of an audit record is"
            ),
            Reason::Unfinished => f.write_str(
                "the last line has no end: the program or the disk ended in it (the next start closes it off), or it was changed",
            ),
            Reason::Seq { expected, found } if found > expected => write!(
                f,
                "this is line {found} of the record where {expected} is due: {} missing before it",
                match found - expected {
                    1 => "a line is".to_owned(),
                    lines => format!("{lines} lines are"),
                }
            ),
            Reason::Seq { expected, found } => write!(
                f,
                "this is line {found} of the record where {expected} is due: it was put in, or stands twice"
            ),
            Reason::Changed => f.write_str(
                "this line was changed after the next one was written, or the next one was: the hash that stands there is another",
            ),
            Reason::Begins => f.write_str(
                "a new chain begins here: this line does not follow on the one before it (a file that was rotated while \
                 ferryline did not run begins so: check it by itself)",
            ),
            Reason::NothingUnfinished => f.write_str(
                "this line says that an unfinished one stands before it, and there is another one or none: it was removed or changed",
            ),
        }
    }
}

impl std::error::Error for Break {}

/// Reads a record, file by file, in the order in which they were written.
#[derive(Debug, Default)]
pub struct Verifier {
    summary: Summary,
    /// The last line.
    last: Option<Last>,
    /// What is no whole line behind it.
    torn: Option<Torn>,
    kept: BTreeSet<String>,
}

/// The last line, and where it stands.
#[derive(Debug)]
struct Last {
    seq: u64,
    hash: String,
    place: Place,
}

/// Lines that are no whole ones.
#[derive(Debug)]
struct Torn {
    place: Place,
    hash: Sha256,
    bytes: u64,
}

#[derive(Clone, Debug)]
struct Place {
    file: String,
    line: u64,
}

impl Place {
    fn because(&self, reason: Reason) -> Break {
        Break {
            file: self.file.clone(),
            line: self.line,
            reason,
        }
    }
}

impl Verifier {
    /// `kept`: hashes of lines that were kept elsewhere; each has to be that of a line.
    pub fn new(kept: impl IntoIterator<Item = String>) -> Self {
        Self {
            kept: kept
                .into_iter()
                .map(|hash| hash.to_ascii_lowercase())
                .collect(),
            ..Self::default()
        }
    }

    /// Reads a file. The inner result has the first break.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn file(&mut self, name: &str, mut from: impl BufRead) -> io::Result<Result<(), Break>> {
        let mut buffer = Vec::new();
        let mut place = Place {
            file: name.to_owned(),
            line: 0,
        };
        loop {
            buffer.clear();
            let most = LONGEST as u64 + 1;
            from.by_ref().take(most).read_until(b'\n', &mut buffer)?;
            if buffer.is_empty() {
                break;
            }
            place.line += 1;
            let checked = match buffer.strip_suffix(b"\n") {
                Some(line) => self.line(line, &place),
                None if buffer.len() > LONGEST => Err(place.because(Reason::TooLong)),
                None => Err(place.because(Reason::Unfinished)),
            };
            if checked.is_err() {
                return Ok(checked);
            }
        }
        Ok(match &self.torn {
            Some(torn) => Err(torn.place.because(Reason::NotALine)),
            None => Ok(()),
        })
    }

    /// What was read.
    pub fn finish(self) -> Summary {
        Summary {
            last: self.last.as_ref().map(|last| last.seq),
            last_hash: self.last.map(|last| last.hash),
            missing: self.kept.into_iter().collect(),
            ..self.summary
        }
    }

    fn line(&mut self, line: &[u8], place: &Place) -> Result<(), Break> {
        let Some(parsed) = Line::parse(line) else {
            match &mut self.torn {
                Some(torn) => {
                    torn.hash.update(b"\n");
                    torn.hash.update(line);
                    torn.bytes += 1 + line.len() as u64;
                }
                none => {
                    *none = Some(Torn {
                        place: place.clone(),
                        hash: Sha256::new_with_prefix(line),
                        bytes: line.len() as u64,
                    });
                }
            }
            return Ok(());
        };
        self.closes_off(parsed.unfinished.as_ref(), place)?;
        self.follows(&parsed, place)?;
        self.count(&parsed);
        let hash = digits(&hash(line));
        self.kept.remove(&hash);
        self.last = Some(Last {
            seq: parsed.seq,
            hash,
            place: place.clone(),
        });
        Ok(())
    }

    /// Checks that a line names what stands before it and is no whole line.
    fn closes_off(&mut self, named: Option<&Unfinished>, place: &Place) -> Result<(), Break> {
        match (self.torn.take(), named) {
            (None, None) => Ok(()),
            (Some(torn), named) => {
                let there = Unfinished {
                    bytes: torn.bytes,
                    sha256: digits(&torn.hash.finalize().into()),
                };
                self.summary.unfinished += 1;
                match named == Some(&there) {
                    true => Ok(()),
                    false => Err(torn.place.because(Reason::NotALine)),
                }
            }
            (None, Some(_)) => Err(place.because(Reason::NothingUnfinished)),
        }
    }

    /// Checks that a line follows on the last one.
    fn follows(&self, line: &Line, place: &Place) -> Result<(), Break> {
        let Some(last) = &self.last else {
            // What came before was not given, or there was nothing.
            let is_first = line.seq == 1;
            return match is_first == line.prev.is_none() {
                true => Ok(()),
                false => Err(place.because(Reason::Seq {
                    expected: 1,
                    found: line.seq,
                })),
            };
        };
        let expected = last.seq.saturating_add(1);
        match &line.prev {
            None => Err(place.because(Reason::Begins)),
            Some(_) if line.seq != expected => Err(place.because(Reason::Seq {
                expected,
                found: line.seq,
            })),
            Some(prev) if *prev != last.hash => Err(last.place.because(Reason::Changed)),
            Some(_) => Ok(()),
        }
    }

    fn count(&mut self, line: &Line) {
        let summary = &mut self.summary;
        let was_open = summary.lines > 0 && !summary.closed;
        summary.first = summary.first.or(Some(line.seq));
        summary.lines += 1;
        summary.left_out = summary.left_out.saturating_add(line.left_out);
        summary.closed = false;
        match line.event.as_str() {
            "transfer" => summary.transfers += 1,
            "lost-lines" => summary.lost = summary.lost.saturating_add(line.lines),
            "end" => summary.closed = true,
            "begin" if was_open && line.why.as_deref() == Some("start") => summary.not_closed += 1,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use proptest::prelude::*;

    use super::super::chain::Chain;
    use super::*;

    /// A record of this many lines.
    fn record(lines: u64) -> String {
        let mut chain = Chain::default();
        let mut text = String::new();
        for number in 1..=lines {
            let event = match number {
                1 => "{\"event\":\"begin\",\"why\":\"start\"}".to_owned(),
                last if last == lines => "{\"event\":\"end\"}".to_owned(),
                _ => format!("{{\"event\":\"transfer\",\"path\":\"/{number}\"}}"),
            };
            let line = chain.next(SystemTime::UNIX_EPOCH + Duration::from_secs(number), &event);
            chain.add(line.as_bytes());
            text.push_str(&line);
            text.push('\n');
        }
        text
    }

    fn verify(text: &[u8], kept: &[String]) -> Result<Summary, Break> {
        let mut verifier = Verifier::new(kept.to_vec());
        verifier.file("f", text).unwrap()?;
        Ok(verifier.finish())
    }

    /// The number of the line at which it breaks, and why.
    fn broken(lines: &[&str]) -> (u64, String) {
        let text = lines.join("\n") + "\n";
        let found = verify(text.as_bytes(), &[]).unwrap_err();
        (found.line, found.to_string())
    }

    #[test]
    fn a_whole_record_is_counted() {
        let text = record(5);
        let summary = verify(text.as_bytes(), &[]).unwrap();
        assert_eq!((summary.lines, summary.transfers), (5, 3));
        assert_eq!((summary.first, summary.last), (Some(1), Some(5)));
        assert!(summary.closed && summary.not_closed == 0);
        let last = text.lines().next_back().unwrap();
        assert_eq!(summary.last_hash, Some(digits(&hash(last.as_bytes()))));
        assert_eq!(verify(b"", &[]).unwrap(), Summary::default());
    }

    #[test]
    fn what_was_done_to_a_record_is_found_and_said() {
        let text = record(6);
        let lines: Vec<&str> = text.lines().collect();
        let changed = lines[2].replace("/3", "/4");
        let mut with = lines.clone();
        with[2] = &changed;
        let (line, why) = broken(&with);
        assert_eq!(line, 3);
        assert!(why.contains("was changed"), "{why}");

        let (line, why) = broken(&[lines[0], lines[1], lines[4], lines[5]]);
        assert_eq!(line, 3);
        assert!(why.contains("2 lines are missing before it"), "{why}");

        let (line, why) = broken(&[lines[0], lines[1], lines[1], lines[2]]);
        assert_eq!(line, 3);
        assert!(why.contains("stands twice"), "{why}");

        let (line, why) = broken(&[lines[0], lines[1], "", lines[2]]);
        assert_eq!(line, 3);
        assert!(why.contains("no line of an audit record"), "{why}");

        let (line, why) = broken(&[lines[0], lines[1], lines[0], lines[1]]);
        assert_eq!(line, 3);
        assert!(why.contains("a new chain begins"), "{why}");

        let found = verify(&text.as_bytes()[..text.len() - 1], &[]).unwrap_err();
        assert_eq!((found.line, found.reason), (6, Reason::Unfinished));
        let long = format!("{}\n{}", lines[0], "x".repeat(LONGEST + 1));
        let found = verify(long.as_bytes(), &[]).unwrap_err();
        assert_eq!((found.line, found.reason), (2, Reason::TooLong));
    }

    #[test]
    fn what_is_missing_at_the_end_shows_by_a_hash_that_was_kept() {
        let text = record(6);
        let lines: Vec<&str> = text.lines().collect();
        let kept = [digits(&hash(lines[5].as_bytes())).to_uppercase()];
        let whole = verify(text.as_bytes(), &kept).unwrap();
        assert_eq!(whole.missing, [""; 0]);
        let short = lines[..4].join("\n") + "\n";
        let short = verify(short.as_bytes(), &kept).unwrap();
        assert_eq!(short.missing, [kept[0].to_lowercase()]);
        assert!(!short.closed);
    }

    #[test]
    fn files_follow_on_each_other() {
        let text = record(6);
        let (first, second) = text.split_at(text.match_indices('\n').nth(2).unwrap().0 + 1);
        let read = |files: &[&str]| {
            let mut verifier = Verifier::default();
            for (number, file) in files.iter().enumerate() {
                verifier
                    .file(&format!("f{number}"), file.as_bytes())
                    .unwrap()?;
            }
            Ok::<_, Break>(verifier.finish())
        };
        assert_eq!(read(&[first, second]).unwrap().lines, 6);
        assert_eq!(read(&[second]).unwrap().first, Some(4));
        let found = read(&[second, first]).unwrap_err();
        assert_eq!((found.file.as_str(), found.line), ("f1", 1));
        let changed = first.replace("/3", "/9");
        let found = read(&[&changed, second]).unwrap_err();
        assert_eq!((found.file.as_str(), found.line), ("f0", 3));
    }

    #[test]
    fn a_line_that_was_closed_off_has_to_be_the_one_that_was() {
        let first = record(1);
        let first = first.trim_end();
        let chain = Chain::after(first.as_bytes(), 1);
        let torn = "{\"v\":1,\"seq\":2,\"pr";
        let said = format!(
            "{{\"event\":\"begin\",\"why\":\"start\",\"unfinished\":{{\"bytes\":{},\"sha256\":\"{}\"}}}}",
            torn.len(),
            digits(&hash(torn.as_bytes()))
        );
        let next = chain.next(SystemTime::UNIX_EPOCH, &said);
        let text = [first, torn, &next, ""].join("\n");
        let summary = verify(text.as_bytes(), &[]).unwrap();
        assert_eq!((summary.lines, summary.unfinished), (2, 1));
        assert_eq!(summary.not_closed, 1);
        assert_eq!(broken(&[first, &torn.replace("pr", "px"), &next]).0, 2);
        let (line, why) = broken(&[first, &next]);
        assert_eq!(line, 2);
        assert!(why.contains("removed or changed"), "{why}");
        assert_eq!(broken(&[first, torn]).0, 2);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn any_single_byte_that_is_changed_is_found(at in 0_usize..1_000_000, to in any::<u8>()) {
            let text = record(8);
            let last = text.lines().next_back().unwrap();
            let kept = [digits(&hash(last.as_bytes()))];
            let mut changed = text.clone().into_bytes();
            let at = at % changed.len();
            prop_assume!(changed[at] != to);
            changed[at] = to;
            let found = verify(&changed, &kept);
            prop_assert!(found.is_err() || !found.unwrap().missing.is_empty(), "{at} {to}");
        }

        #[test]
        fn any_line_that_is_missing_is_found(number in 0_usize..8) {
            let text = record(8);
            let last = text.lines().next_back().unwrap();
            let kept = [digits(&hash(last.as_bytes()))];
            let mut lines: Vec<&str> = text.lines().collect();
            lines.remove(number);
            let found = verify((lines.join("\n") + "\n").as_bytes(), &kept);
            // Where the first is missing, what is left begins later and says so.
            let is_found = match found {
                Err(_) => true,
                Ok(summary) => !summary.missing.is_empty() || summary.first != Some(1),
            };
            prop_assert!(is_found);
        }
    }
}
