//! Times on the command line, as ssh writes them: `90`, `10m`, `2h`, `1d`, `1h30m`.

use std::time::Duration;

use clap::builder::{StringValueParser, TypedValueParser, ValueParser};

/// The bounds of a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeRange {
    pub(super) least: Duration,
    pub(super) most: Duration,
    /// The bounds in words, with the reason for them, for the error text.
    pub(super) bounds: &'static str,
}

impl TimeRange {
    /// Reads a time within the bounds. The error has the bounds and an example.
    pub(super) fn parse(self, text: &str) -> Result<Duration, String> {
        span(text)
            .filter(|time| (self.least..=self.most).contains(time))
            .ok_or_else(|| {
                format!(
                    "expected seconds, or a time such as {EXAMPLES}; {}",
                    self.bounds
                )
            })
    }

    /// [`parse`](Self::parse) for clap.
    pub(super) fn parser(self) -> ValueParser {
        ValueParser::new(StringValueParser::new().try_map(move |text| self.parse(&text)))
    }
}

/// Reads seconds, or numbers with units, which add up. `None`: it is no time, or too long for any clock.
pub(super) fn span(text: &str) -> Option<Duration> {
    let mut total: u64 = 0;
    let mut number: Option<u64> = None;
    for c in text.chars() {
        if let Some(digit) = c.to_digit(10) {
            let so_far = number.unwrap_or(0).checked_mul(10)?;
            number = Some(so_far.checked_add(u64::from(digit))?);
            continue;
        }
        let unit = match c.to_ascii_lowercase() {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        total = total.checked_add(number.take()?.checked_mul(unit)?)?;
    }
    if text.is_empty() {
        return None;
    }
    let seconds = total.checked_add(number.unwrap_or(0))?;
    Some(Duration::from_secs(seconds))
}

pub(super) const DAY: Duration = Duration::from_secs(86_400);
const EXAMPLES: &str = "90s, 10m, 2h or 1d";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_units() {
        for (text, seconds) in [
            ("0", 0),
            ("90", 90),
            ("90s", 90),
            ("10m", 600),
            ("2h", 7200),
            ("1D", 86_400),
            ("1h30m", 5400),
            ("1m5", 65),
        ] {
            assert_eq!(span(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in [
            "",
            "m",
            "1x",
            "-1",
            "1 h",
            "99999999999999999999",
            "9999999999999999w",
        ] {
            assert_eq!(span(text), None, "{text}");
        }
    }

    #[test]
    fn errors_have_the_bounds_and_an_example() {
        let range = TimeRange {
            least: Duration::from_secs(1),
            most: DAY,
            bounds: "from 1 s to at most 1 d",
        };
        assert_eq!(range.parse("1d"), Ok(DAY));
        for text in ["0", "25h", "soon", ""] {
            let error = range.parse(text).unwrap_err();
            assert_eq!(
                error,
                "expected seconds, or a time such as 90s, 10m, 2h or 1d; from 1 s to at most 1 d"
            );
        }
    }
}
