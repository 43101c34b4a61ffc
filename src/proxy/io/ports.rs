//! Ports to listen on for a moment, which cannot be guessed (Q83).

use std::{
    hash::{BuildHasher as _, RandomState},
    ops::RangeInclusive,
    sync::OnceLock,
};

use crate::control::LOWEST_DATA_PORT;

/// Random ports, of those that the system would take by itself, too.
pub(super) fn at_random(tries: u64) -> impl Iterator<Item = u16> {
    static CHOICE: OnceLock<Choice> = OnceLock::new();
    let choice = CHOICE.get_or_init(Choice::of_the_system);
    let (low, high) = (*choice.range.start(), *choice.range.end());
    let span = u64::from(high - low) + 1;
    let random = RandomState::new();
    let ports = (0..tries).map(move |step| {
        let offset = random.hash_one(step) % span;
        low + u16::try_from(offset).unwrap_or(0)
    });
    ports.filter(|port| !choice.reserved.iter().any(|range| range.contains(port)))
}

/// The ports that the system takes by itself, except for the reserved ones.
struct Choice {
    range: RangeInclusive<u16>,
    reserved: Vec<RangeInclusive<u16>>,
}

impl Choice {
    /// The system's choice, as it was when this was first called.
    fn of_the_system() -> Self {
        // These files exist on Linux.
        let read = |name| std::fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).ok();
        let range = read("ip_local_port_range").and_then(|text| range(&text));
        let reserved = read("ip_local_reserved_ports").map(|text| reserved(&text));
        Self {
            range: range.unwrap_or(DYNAMIC),
            reserved: reserved.unwrap_or_default(),
        }
    }
}

/// Parses two numbers, as the kernel writes them.
fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let mut words = text.split_whitespace().map(|word| word.parse().ok());
    let (low, high) = (words.next()??, words.next()??);
    (LOWEST_DATA_PORT <= low && low <= high).then_some(low..=high)
}

/// Parses numbers and ranges with commas between.
fn reserved(text: &str) -> Vec<RangeInclusive<u16>> {
    let parts = text.trim().split(',').map(|part| {
        let (low, high) = part.split_once('-').unwrap_or((part, part));
        Some(low.parse().ok()?..=high.parse().ok()?)
    });
    parts.flatten().collect()
}

/// The dynamic ports of RFC 6335 section 6.
const DYNAMIC: RangeInclusive<u16> = 49_152..=65_535;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_is_the_kernels() {
        assert_eq!(range("32768\t60999\n"), Some(32_768..=60_999));
        for odd in ["", "32768", "60999 32768", "1 99999", "80 90", "low high"] {
            assert_eq!(range(odd), None, "{odd}");
        }
    }

    #[test]
    fn no_two_walks_through_it_are_alike() {
        let (one, other): (Vec<_>, Vec<_>) = (at_random(20).collect(), at_random(20).collect());
        assert_ne!(one, other);
        assert!(one.iter().all(|port| *port >= 1024));
    }

    #[test]
    fn reserved_ports_are_left_alone() {
        assert_eq!(reserved("\n"), []);
        assert_eq!(
            reserved("8080,33000-33010\n"),
            [8080..=8080, 33_000..=33_010]
        );
    }
}
