//! Times as text.

use std::time::{Duration, SystemTime};

use time::OffsetDateTime;

/// The time in UTC, as RFC 3339 writes it, to the millisecond.
pub(super) fn utc(time: SystemTime) -> String {
    let time = OffsetDateTime::from(time);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        time.year(),
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute(),
        time.second(),
        time.millisecond()
    )
}

/// Seconds, to the millisecond.
pub(super) fn seconds(time: Duration) -> f64 {
    // A session of 3,000 centuries would be rounded.
    #[expect(clippy::cast_precision_loss)]
    let milliseconds = time.as_millis() as f64;
    milliseconds / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_milliseconds_and_are_utc() {
        let at = |milliseconds| utc(SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds));
        assert_eq!(at(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(1_709_210_096_007), "2024-02-29T12:34:56.007Z");
        assert_eq!(
            seconds(Duration::from_micros(1_234_567)).to_string(),
            "1.234"
        );
    }
}
