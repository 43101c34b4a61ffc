//! Where clients reach the listeners of a forward, in a form that people and scripts can use.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

/// The places of these listeners, as `address:port`. All addresses of this host are one place, `*:port`, as in a
/// bind address: no client on another host could use `0.0.0.0`.
pub fn reachable(addresses: &[SocketAddr]) -> Vec<String> {
    let mut places: Vec<String> = Vec::new();
    for address in addresses {
        let place = match address.ip().is_unspecified() {
            true => format!("*:{}", address.port()),
            false => address.to_string(),
        };
        if !places.contains(&place) {
            places.push(place);
        }
    }
    places
}

/// The address of this host from which it reaches others, and where others most probably reach it. Asks the
/// routing table, and sends nothing. `None`: it has no route.
pub fn own_address() -> Option<IpAddr> {
    // An address for documents (RFC 5737): only the way towards it matters.
    let elsewhere = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 9));
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(elsewhere).ok()?;
    let own = socket.local_addr().ok()?.ip();
    (!own.is_loopback() && !own.is_unspecified()).then_some(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_are_one_place() {
        for (addresses, expected) in [
            (
                &["127.0.0.1:21", "[::1]:21"][..],
                &["127.0.0.1:21", "[::1]:21"][..],
            ),
            (&["0.0.0.0:21", "[::]:21"], &["*:21"]),
            (&["[::]:21"], &["*:21"]),
            (&["192.0.2.1:21"], &["192.0.2.1:21"]),
            (&[], &[]),
        ] {
            let addresses: Vec<SocketAddr> = addresses.iter().map(|a| a.parse().unwrap()).collect();
            assert_eq!(reachable(&addresses), expected);
        }
    }

    #[test]
    fn the_own_address_is_one_that_others_can_name() {
        if let Some(own) = own_address() {
            assert!(std::net::TcpListener::bind((own, 0)).is_ok(), "{own}");
        }
    }
}
