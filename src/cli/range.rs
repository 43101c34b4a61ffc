//! Numbers on the command line that have bounds, with a reason for them.

use clap::builder::{TypedValueParser, ValueParser};

/// The bounds of a number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub(super) least: u32,
    pub(super) most: u32,
    /// The reason for `most`, for the error text.
    pub(super) reason: &'static str,
}

impl Range {
    /// Reads a number within the bounds. The error has the bounds and the reason.
    pub(super) fn parse(self, text: &str) -> Result<u32, String> {
        let Self {
            least,
            most,
            reason,
        } = self;
        let expected = || format!("from {least} to at most {most} ({reason})");
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(format!("not a number; expected one {}", expected()));
        }
        match text.parse() {
            Ok(number) if (least..=most).contains(&number) => Ok(number),
            _ => Err(format!("expected {}", expected())),
        }
    }

    /// [`parse`](Self::parse) for clap.
    pub(super) fn parser(self) -> ValueParser {
        ValueParser::new(
            clap::builder::StringValueParser::new().try_map(move |text| self.parse(&text)),
        )
    }
}

/// A number as a size. (No supported platform has less than 32 bits.)
pub(super) fn size(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_within_their_bounds() {
        let range = Range {
            least: 2,
            most: 4,
            reason: "a reason",
        };
        assert_eq!(range.parse("2"), Ok(2));
        assert_eq!(range.parse("04"), Ok(4));
        for text in ["1", "5", "18446744073709551617"] {
            let error = range.parse(text).unwrap_err();
            assert_eq!(error, "expected from 2 to at most 4 (a reason)");
        }
        for text in ["", "-3", "+3", "x", "3 "] {
            assert!(range.parse(text).unwrap_err().starts_with("not a number"));
        }
    }
}
