//! Hosts that mean the loopback of the machine that resolves them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The two addresses of a loopback, in the order in which they are tried.
const BOTH: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

/// The common names of the loopback addresses in /etc/hosts.
const EITHER_FAMILY: [&str; 2] = ["localhost", "localhost.localdomain"];
const IPV4_ONLY: [&str; 2] = ["localhost4", "localhost4.localdomain4"];
const IPV6_ONLY: [&str; 4] = [
    "localhost6",
    "localhost6.localdomain6",
    "ip6-localhost",
    "ip6-loopback",
];

/// Whether `host`, a name or an address, is the loopback of the machine that resolves it.
pub fn is_loopback(host: &str) -> bool {
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => !loopback_addresses(host).is_empty(),
    }
}

/// The addresses that a loopback *name* may stand for, IPv4 first. Empty for any other name, and for
/// an address, which stands for itself.
pub fn loopback_addresses(name: &str) -> &'static [IpAddr] {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_in = |names: &[&str]| names.iter().any(|known| name.eq_ignore_ascii_case(known));
    let [ipv4, ipv6] = BOTH.each_ref().map(std::slice::from_ref);
    if is_in(&IPV4_ONLY) {
        ipv4
    } else if is_in(&IPV6_ONLY) {
        ipv6
    } else if is_in(&EITHER_FAMILY) || is_below_localhost(name) {
        &BOTH
    } else {
        &[]
    }
}

/// Whether a name is within `.localhost` (RFC 6761 §6.3).
fn is_below_localhost(name: &str) -> bool {
    name.rsplit_once('.')
        .is_some_and(|(label, zone)| !label.is_empty() && zone.eq_ignore_ascii_case("localhost"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q120_loopback_names_stand_for_the_addresses_of_their_family() {
        let text = |name: &str| {
            let addresses = loopback_addresses(name).iter();
            addresses.map(ToString::to_string).collect::<Vec<_>>()
        };
        for name in [
            "localhost",
            "LocalHost",
            "localhost.",
            "localhost.localdomain",
            "ftp.localhost",
        ] {
            assert_eq!(text(name), ["127.0.0.1", "::1"], "{name}");
            assert!(is_loopback(name), "{name}");
        }
        for (name, address) in [
            ("localhost4", "127.0.0.1"),
            ("ip6-localhost", "::1"),
            ("IP6-Loopback", "::1"),
            ("localhost6.localdomain6", "::1"),
        ] {
            assert_eq!(text(name), [address], "{name}");
            assert!(is_loopback(name), "{name}");
        }
    }

    #[test]
    fn q120_an_address_stands_for_itself_and_other_names_for_no_loopback() {
        for address in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(is_loopback(address), "{address}");
            assert!(loopback_addresses(address).is_empty(), "{address}");
        }
        for host in [
            "",
            ".",
            ".localhost",
            "localhost.example",
            "notlocalhost",
            "ftp.example",
            "10.0.0.1",
            "0.0.0.0",
            "::",
        ] {
            assert!(!is_loopback(host), "{host}");
            assert!(loopback_addresses(host).is_empty(), "{host}");
        }
    }
}
