//! How fast transfers go.

use std::collections::BTreeMap;

use crate::monitor::{Now, Transfer};

/// The rates of running transfers, from the last two readings of each.
#[derive(Debug, Default)]
pub(super) struct Rates(BTreeMap<u64, Rate>);

#[derive(Debug)]
struct Rate {
    command: String,
    /// When it began.
    began: f64,
    /// When it was read last, and its bytes then.
    at: f64,
    bytes: u64,
    a_second: Option<f64>,
}

/// Two readings of one transfer differ by no more in when it began, in seconds.
const SAME: f64 = 0.5;

impl Rates {
    /// Notes a reading.
    pub(super) fn note(&mut self, now: &Now) {
        let mut before = std::mem::take(&mut self.0);
        for session in &now.sessions {
            let Some(transfer) = &session.transfer else {
                continue;
            };
            let began = now.now - transfer.age;
            let known = before.remove(&session.number).filter(|known| {
                known.command == transfer.command && (known.began - began).abs() < SAME
            });
            let rate = match known {
                // The same reading, or a clock that was set back.
                Some(known) if known.at >= now.now => known,
                Some(known) => Rate {
                    a_second: Some(rate(
                        transfer.bytes.saturating_sub(known.bytes),
                        now.now - known.at,
                    )),
                    at: now.now,
                    bytes: transfer.bytes,
                    ..known
                },
                None => Rate {
                    command: transfer.command.clone(),
                    began,
                    at: now.now,
                    bytes: transfer.bytes,
                    a_second: None,
                },
            };
            self.0.insert(session.number, rate);
        }
    }

    /// Bytes a second of the transfer of this session: of the last step, or of the whole before there are two
    /// readings.
    pub(super) fn of(&self, session: u64, transfer: &Transfer) -> f64 {
        let known = self.0.get(&session).and_then(|rate| rate.a_second);
        known.unwrap_or_else(|| rate(transfer.bytes, transfer.age))
    }
}

// A rate, to be read.
#[expect(clippy::cast_precision_loss)]
fn rate(bytes: u64, seconds: f64) -> f64 {
    match seconds > 0.0 {
        true => bytes as f64 / seconds,
        false => 0.0,
    }
}
