//! Clients on other hosts: which may come, where their data connections come to, and which addresses they are
//! told.

use std::net::{IpAddr, SocketAddr};

use tokio::net::TcpListener;

use super::{
    allow::Cidr,
    data_ports::{DataPorts, Lease},
    reachable::reachable,
    spec::{ForwardKind, ForwardSpec},
};
use crate::proxy::io::socket;

/// What applies to the clients' side of all forwards.
#[derive(Clone, Debug, Default)]
pub struct Gateway {
    /// The hosts that may use a forward beyond this host's loopback. All others are refused.
    pub allow_from: Vec<Cidr>,
    /// The address that a 227 tells clients on other hosts, in place of the one that they reached: this host
    /// is behind NAT for them.
    pub advertise: Option<IpAddr>,
    /// The ports for passive data connections; without a range, any free one.
    pub data_ports: Option<DataPorts>,
}

impl Gateway {
    /// Whether a client may come: over this host's loopback, or from an address that is allowed. Another
    /// address of this host counts like any other.
    pub(crate) fn admits(&self, local: SocketAddr, peer: SocketAddr) -> bool {
        is_on_loopback(local)
            || is_on_loopback(peer)
            || self
                .allow_from
                .iter()
                .any(|range| range.contains(peer.ip()))
    }

    /// A listener for one data connection, at the address that the client reached.
    ///
    /// # Errors
    ///
    /// The reason, for the client's 425.
    pub(crate) fn listen(&self, local: SocketAddr) -> Result<DataListener, String> {
        let mut address = local;
        address.set_port(0);
        match &self.data_ports {
            Some(ports) => {
                let (listener, lease) = ports.listen(address)?;
                Ok(DataListener {
                    listener,
                    _lease: Some(lease),
                })
            }
            None => match socket::listen(address) {
                Ok(listener) => Ok(DataListener {
                    listener,
                    _lease: None,
                }),
                Err(error) => Err(format!(
                    "no port for the data connection on {}: {error}",
                    address.ip()
                )),
            },
        }
    }

    /// The address at which this client reaches a listener of ours.
    pub(crate) fn told(&self, peer: SocketAddr, bound: SocketAddr) -> SocketAddr {
        match self.advertise {
            Some(address)
                if !is_on_loopback(peer)
                    && address.is_ipv4() == bound.ip().to_canonical().is_ipv4() =>
            {
                SocketAddr::new(address, bound.port())
            }
            _ => bound,
        }
    }

    /// Warns once, and loudly, of what a forward beyond loopback means.
    pub(crate) fn warn(&self, spec: &ForwardSpec, addresses: &[SocketAddr]) {
        let ranges: Vec<String> = self.allow_from.iter().map(ToString::to_string).collect();
        let open: Vec<SocketAddr> = addresses
            .iter()
            .copied()
            .filter(|address| !is_on_loopback(*address))
            .collect();
        let open: Vec<String> = reachable(&open)
            .into_iter()
            .map(|at| format!("{}://{at}", spec.kind))
            .collect();
        if !open.is_empty() {
            let what = match spec.kind {
                ForwardKind::Ftp => "names, passwords and files",
                ForwardKind::Tcp => "what passes",
            };
            tracing::warn!(
                "open to other hosts (--allow-from {}): {}. Between them and this host NOTHING IS ENCRYPTED: \
                 {what} can be read and changed there",
                ranges.join(","),
                open.join(", ")
            );
        }
    }
}

/// Warns of what remote forwards beyond the SSH server's loopback mean where the FTP server is known by a
/// name only: the first originator is taken for it.
pub(crate) fn warn_remote_bind(spec: &ForwardSpec, bind: IpAddr) {
    if takes_whoever_is_first(spec, bind) {
        tracing::warn!(
            "--remote-bind {bind}: the address of {} is the SSH server's to find out, so active data \
             connections are taken from whoever connects to {bind} first; with the address in place of \
             the name only that host is",
            spec.destination()
        );
    }
}

fn takes_whoever_is_first(spec: &ForwardSpec, bind: IpAddr) -> bool {
    let named = spec.kind == ForwardKind::Ftp
        && !ferryline_grammar::is_loopback(&spec.host)
        && spec.host.parse::<IpAddr>().is_err();
    named && !bind.is_loopback()
}

/// A listener for one data connection, and its port's lease.
#[derive(Debug)]
pub(crate) struct DataListener {
    // In this order: the port is given back after the listener is gone.
    pub(crate) listener: TcpListener,
    _lease: Option<Lease>,
}

fn is_on_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn beyond_loopback_only_who_is_allowed_comes_in() {
        let gateway = Gateway {
            allow_from: vec!["10.1.0.0/16".parse().unwrap()],
            ..Gateway::default()
        };
        let reached = at("10.0.0.1:2121");
        for peer in [
            "10.1.2.3:5",
            "[::ffff:10.1.2.3]:5",
            "127.0.0.1:5",
            "[::1]:5",
        ] {
            assert!(gateway.admits(reached, at(peer)), "{peer}");
        }
        // The last one is this host, by the address that it has for others.
        for peer in [
            "10.2.0.1:5",
            "[2001:db8::1]:5",
            "[::ffff:10.2.0.1]:5",
            "10.0.0.1:5",
        ] {
            assert!(!gateway.admits(reached, at(peer)), "{peer}");
        }
        let closed = Gateway::default();
        assert!(!closed.admits(reached, at("10.0.0.1:5")));
        assert!(closed.admits(at("127.0.0.1:2121"), at("10.0.0.1:5")));
    }

    #[test]
    fn the_address_behind_nat_is_for_other_hosts_of_its_family() {
        let gateway = Gateway {
            advertise: Some("203.0.113.5".parse().unwrap()),
            ..Gateway::default()
        };
        let bound = at("10.0.0.1:50000");
        assert_eq!(
            gateway.told(at("10.0.0.9:5"), bound),
            at("203.0.113.5:50000")
        );
        assert_eq!(gateway.told(at("127.0.0.1:5"), bound), bound);
        let six = at("[2001:db8::1]:50000");
        assert_eq!(gateway.told(at("[2001:db8::9]:5"), six), six);
    }

    #[test]
    fn q102_of_a_server_with_a_name_only_whoever_is_first_is_taken() {
        for (spec, bind, expected) in [
            ("2121:ftp.example:21", "10.0.0.1", true),
            ("2121:ftp.example:21", "0.0.0.0", true),
            ("2121:ftp.example:21", "127.0.0.1", false),
            ("2121:localhost:21", "10.0.0.1", false),
            ("2121:10.0.0.9:21", "10.0.0.1", false),
            ("tcp/2121:ftp.example:21", "10.0.0.1", false),
        ] {
            let parsed = spec.parse().unwrap();
            let found = takes_whoever_is_first(&parsed, bind.parse().unwrap());
            assert_eq!(found, expected, "{spec} {bind}");
        }
    }
}
