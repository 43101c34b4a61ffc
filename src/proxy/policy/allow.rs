//! Which clients may come (`--allow-from`), and which FTP servers may be asked for (`--allow-host`).

use std::{fmt, net::IpAddr, str::FromStr};

use crate::ssh::glob;

/// A range of addresses, `10.1.0.0/16`, or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    network: IpAddr,
    prefix: u8,
}

/// A pattern for FTP servers that a client may name: a host name, in which `*` stands for any number
/// of characters and `?` for one, or a range of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern(Pattern);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Addresses(Cidr),
    /// In lower case, without the root's dot.
    Name(String),
}

/// A text that is no range of addresses, or no pattern for hosts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}': {reason}")]
pub struct AllowError {
    text: String,
    reason: String,
}

impl Cidr {
    /// Whether it contains this address. An IPv4-mapped IPv6 address counts as the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.network, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let differ = network.to_bits() ^ address.to_bits();
                differ.leading_zeros() >= u32::from(self.prefix)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let differ = network.to_bits() ^ address.to_bits();
                differ.leading_zeros() >= u32::from(self.prefix)
            }
            _ => false,
        }
    }

    /// Whether all of it lies within `other`.
    fn is_within(&self, other: &Self) -> bool {
        self.prefix >= other.prefix && other.contains(self.network)
    }
}

impl FromStr for Cidr {
    type Err = AllowError;

    fn from_str(text: &str) -> Result<Self, AllowError> {
        let error = |reason: &str| AllowError {
            text: text.to_owned(),
            reason: reason.to_owned(),
        };
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address
            .parse()
            .map_err(|_| error("expected an address or ADDRESS/BITS"))?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits
                .parse()
                .ok()
                .filter(|prefix| *prefix <= bits)
                .ok_or_else(|| error("the part behind the '/' is too large"))?,
            Some(_) => return Err(error("the part behind the '/' is no number of bits")),
        };
        let (network, prefix) = match (address.to_canonical(), address) {
            (IpAddr::V4(mapped), IpAddr::V6(_)) if prefix >= 96 => (mapped.into(), prefix - 96),
            _ => (address, prefix),
        };
        let whole = match network {
            IpAddr::V4(v4) => v4.to_bits().checked_shl(prefix.into()).unwrap_or(0) == 0,
            IpAddr::V6(v6) => v6.to_bits().checked_shl(prefix.into()).unwrap_or(0) == 0,
        };
        if !whole {
            return Err(error(
                "the address has bits set behind those that count; a network ends in zeros",
            ));
        }
        Ok(Self { network, prefix })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

impl HostPattern {
    fn matches(&self, host: &str, address: Option<IpAddr>) -> bool {
        match (&self.0, address) {
            (Pattern::Addresses(range), Some(address)) => range.contains(address),
            (Pattern::Addresses(_), None) => false,
            (Pattern::Name(pattern), _) => glob(pattern, host),
        }
    }

    /// Whether it names the SSH server's own host or link, and does not only happen to include it.
    fn is_explicit(&self) -> bool {
        match &self.0 {
            Pattern::Addresses(range) => OWN
                .iter()
                .filter_map(|own| own.parse().ok())
                .any(|own: Cidr| range.is_within(&own)),
            Pattern::Name(pattern) => !pattern.contains(['*', '?']),
        }
    }
}

impl FromStr for HostPattern {
    type Err = AllowError;

    fn from_str(text: &str) -> Result<Self, AllowError> {
        let bare = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(text);
        match bare.parse() {
            Ok(range) => return Ok(Self(Pattern::Addresses(range))),
            Err(error) if bare.contains('/') => return Err(error),
            Err(_) => {}
        }
        let error = |reason: &str| AllowError {
            text: text.to_owned(),
            reason: reason.to_owned(),
        };
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        if name.is_empty() {
            return Err(error("the pattern is empty"));
        }
        if !name
            .bytes()
            .all(|byte| is_name(byte) || b"*?".contains(&byte))
        {
            return Err(error(
                "expected a host name, with * and ? where anything goes, or addresses (no port)",
            ));
        }
        Ok(Self(Pattern::Name(name)))
    }
}

/// Whether one of the patterns allows this host: a name in lower case without the root's dot, or an address.
/// The SSH server's own host or link must be named as such: a wildcard, or a wide range, does not allow it.
pub(crate) fn is_allowed(patterns: &[HostPattern], host: &str) -> bool {
    let address = host.parse::<IpAddr>().ok();
    let own = is_own(host, address);
    patterns
        .iter()
        .any(|pattern| pattern.matches(host, address) && (!own || pattern.is_explicit()))
}

/// Whether a host name may hold this byte. Names are ASCII on the wire (RFC 5890).
pub(crate) fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)
}

/// The SSH server's own host (the unspecified address is dialled as loopback) and its own link.
const OWN: [&str; 6] = [
    "127.0.0.0/8",
    "::1",
    "0.0.0.0/8",
    "::",
    "169.254.0.0/16",
    "fe80::/10",
];

fn is_own(host: &str, address: Option<IpAddr>) -> bool {
    match address {
        Some(address) => OWN
            .iter()
            .filter_map(|own| own.parse().ok())
            .any(|own: Cidr| own.contains(address)),
        None => ferryline_grammar::is_loopback(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_what_begins_like_it() {
        for (range, inside, outside) in [
            ("10.1.0.0/16", "10.1.255.255", "10.2.0.0"),
            ("10.1.0.0/16", "::ffff:10.1.2.3", "::ffff:10.2.0.1"),
            ("::ffff:10.1.0.0/112", "10.1.2.3", "10.2.0.1"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("192.0.2.6/31", "192.0.2.7", "192.0.2.8"),
            ("0.0.0.0/0", "255.1.2.3", "::1"),
            ("::/0", "2001:db8::1", "10.0.0.1"),
            ("2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"),
            ("2001:db8::1", "2001:db8::1", "2001:db8::2"),
        ] {
            let range: Cidr = range.parse().unwrap();
            assert_eq!(range.to_string().parse(), Ok(range));
            assert!(range.contains(inside.parse().unwrap()), "{range} {inside}");
            assert!(
                !range.contains(outside.parse().unwrap()),
                "{range} {outside}"
            );
        }
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in [
            "",
            "ten",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.1/8",
            "::1/129",
            "10.0.0.0/8/8",
            "2001:db8::1/64",
            "::ffff:10.0.0.0/80",
            "10.0.0/8",
        ] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
    }

    fn patterns(texts: &[&str]) -> Vec<HostPattern> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn hosts_are_allowed_by_pattern() {
        let patterns = patterns(&[
            "*.example.com.",
            "FTP?.example.org",
            "10.1.0.0/16",
            "[2001:db8::9]",
            "192.0.2.*",
        ]);
        for host in [
            "ftp.example.com",
            "a.b.example.com",
            "ftp1.example.org",
            "10.1.2.3",
            "2001:db8::9",
            "192.0.2.200",
        ] {
            assert!(is_allowed(&patterns, host), "{host}");
        }
        for host in [
            "example.com",
            "ftp.example.com.evil.net",
            "evilexample.com",
            "ftp.example.org",
            "ftp12.example.org",
            "10.2.0.1",
            "2001:db8::8",
            "192.0.3.1",
            "localhost",
            "127.0.0.1",
        ] {
            assert!(!is_allowed(&patterns, host), "{host}");
        }
    }

    #[test]
    fn the_ssh_servers_own_host_must_be_named_as_such() {
        const OWN: [&str; 9] = [
            "localhost",
            "ip6-localhost",
            "a.localhost",
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "0.0.0.0",
            "::",
            "169.254.169.254",
        ];
        let wide = patterns(&[
            "*",
            "0.0.0.0/0",
            "::/0",
            "local*",
            "126.0.0.0/7",
            "127.*",
            "?????????",
        ]);
        for host in OWN {
            assert!(!is_allowed(&wide, host), "{host}");
        }
        for (pattern, host) in [
            ("localhost", "localhost"),
            ("127.0.0.1", "127.0.0.1"),
            ("127.0.0.0/8", "127.9.9.9"),
            ("::1", "::1"),
            ("169.254.0.0/16", "169.254.169.254"),
            ("0.0.0.0", "0.0.0.0"),
        ] {
            assert!(is_allowed(&patterns(&[pattern]), host), "{pattern} {host}");
        }
        assert!(!is_allowed(&patterns(&["localhost"]), "127.0.0.1"));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in [
            "",
            ".",
            "ftp.example.com:21",
            "a b",
            "10.0.0.0/99",
            "b\u{fc}ro",
            "a/b",
            "[ftp]",
        ] {
            assert!(text.parse::<HostPattern>().is_err(), "{text}");
        }
        let error = "10.0.0.0/99".parse::<HostPattern>().unwrap_err();
        assert!(error.to_string().ends_with("is too large"), "{error}");
    }

    #[test]
    fn globs() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "abc", true),
            ("a*c", "abc", true),
            ("a*c", "abcd", false),
            ("*b*b*", "abab", true),
            ("*bb", "abab", false),
            ("?", "", false),
            ("a?c", "abc", true),
            ("a", "ab", false),
            ("ab", "a", false),
            ("", "", true),
            ("a**", "a", true),
            ("*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaa", false),
        ] {
            assert_eq!(glob(pattern, text), expected, "{pattern} {text}");
        }
    }
}
