//! Filter for FEAT replies: which features may pass (RFC 2389 §3).

use std::collections::BTreeSet;

use bytes::Bytes;
use ferryline_grammar::{Line, LineEnd};

/// Features that would hide the control connection from ferryline, or name data connections in a way that
/// ferryline does not carry.
const WITHHELD: [&[u8]; 9] = [
    b"AUTH", b"CCC", b"GETPUT", b"LPRT", b"LPSV", b"PBSZ", b"PROT", b"SPAS", b"SPOR",
];

/// State of the filter for one multi-line 211.
#[derive(Debug, Default)]
pub(super) struct FeatFilter {
    seen: BTreeSet<&'static str>,
}

/// Features that ferryline serves whether or not the server does.
const SERVED: [&str; 2] = ["EPRT", "EPSV"];

impl FeatFilter {
    /// Whether a line between the first and the last may pass.
    pub(super) fn passes(&mut self, text: &[u8]) -> bool {
        let word = feature(text);
        for served in SERVED {
            if word.eq_ignore_ascii_case(served.as_bytes()) {
                self.seen.insert(served);
            }
        }
        !WITHHELD
            .iter()
            .any(|withheld| word.eq_ignore_ascii_case(withheld))
    }

    /// Lines to add before the last one.
    pub(super) fn missing(&self, active: bool) -> Vec<Bytes> {
        SERVED
            .into_iter()
            .filter(|served| !self.seen.contains(served))
            .filter(|served| active || *served != "EPRT")
            .map(|served| Line::with_end(format!(" {served}"), LineEnd::CrLf).into_bytes())
            .collect()
    }
}

/// First word of a feature line. Some servers put `211-` before each (Q30).
fn feature(text: &[u8]) -> &[u8] {
    let text = text.strip_prefix(b"211-").unwrap_or(text);
    let text = text.trim_ascii_start();
    let end = text
        .iter()
        .position(|byte| !byte.is_ascii_alphanumeric())
        .unwrap_or(text.len());
    text.get(..end).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_hide_the_control_connection_is_withheld() {
        let mut filter = FeatFilter::default();
        for line in [
            " AUTH TLS;SSL",
            "211-auth ssl",
            " PBSZ",
            " PROT",
            " ccc",
            "LPRT",
            " GETPUT",
            " SPAS",
            " SPOR",
        ] {
            assert!(!filter.passes(line.as_bytes()), "{line}");
        }
        for line in [" MDTM", " UTF8", " REST STREAM", " TVFS", "", " AUTHOR"] {
            assert!(filter.passes(line.as_bytes()), "{line}");
        }
    }

    #[test]
    fn what_ferryline_serves_is_added_once() {
        let mut filter = FeatFilter::default();
        assert!(filter.passes(b" EPSV"));
        assert_eq!(filter.missing(true), [Bytes::from_static(b" EPRT\r\n")]);
        assert!(filter.missing(false).is_empty());
    }
}
