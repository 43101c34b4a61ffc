//! Connections that the SSH server passes on, and which originators are expected.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use russh::client::{ChannelOpenHandle, Msg};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// Whose connection a remote forward takes. Connections of others are refused, and do not use the forward up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Origin {
    /// Any originator; the first connection is taken. For an FTP server that is known by its name only, where
    /// only the SSH server can resolve that name.
    Anyone,
    /// The host with this address.
    Host(IpAddr),
    /// The SSH server's own host, over its loopback.
    Loopback,
}

impl Origin {
    /// Whether a connection from `address` is taken.
    pub(crate) fn admits(self, address: IpAddr) -> bool {
        match self {
            Self::Anyone => true,
            Self::Host(host) => address.to_canonical() == host.to_canonical(),
            // Also as an IPv4-mapped IPv6 address.
            Self::Loopback => address.to_canonical().is_loopback(),
        }
    }
}

/// Where connections to a forward go.
pub(crate) struct Expected {
    pub(crate) origin: Origin,
    pub(crate) arrivals: oneshot::Sender<Arrival>,
    /// Set while no peer has been told the port. A connection is refused then, and cancels this token: the
    /// prefetched forward is spoilt.
    pub(crate) prefetch: Option<CancellationToken>,
}

/// A `forwarded-tcpip` channel that is not answered yet. Dropping it refuses it.
pub(crate) struct Arrival {
    pub(super) raw: russh::Channel<Msg>,
    pub(super) reply: ChannelOpenHandle,
    pub(super) originator: SocketAddr,
}

impl Arrival {
    /// An arrival; `None` where the originator is not an address. The channel is refused then.
    pub(crate) fn new(
        raw: russh::Channel<Msg>,
        reply: ChannelOpenHandle,
        originator: &str,
        originator_port: u32,
    ) -> Option<Self> {
        let ip = match originator.parse() {
            Ok(ip) => ip,
            // Some servers give a name (Q102). This one always means the same host.
            Err(_) if originator.eq_ignore_ascii_case("localhost") => Ipv4Addr::LOCALHOST.into(),
            Err(_) => return None,
        };
        let port = u16::try_from(originator_port).ok()?;
        Some(Self {
            raw,
            reply,
            originator: SocketAddr::new(ip, port),
        })
    }

    pub(crate) fn originator(&self) -> SocketAddr {
        self.originator
    }
}

impl fmt::Debug for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arrival")
            .field("originator", &self.originator)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_loopback_in_any_clothes() {
        for yes in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(Origin::Loopback.admits(yes.parse().unwrap()), "{yes}");
        }
        for no in ["10.0.0.1", "::", "0.0.0.0", "::ffff:10.0.0.1", "fe80::1"] {
            assert!(!Origin::Loopback.admits(no.parse().unwrap()), "{no}");
        }
    }

    #[test]
    fn a_host_is_itself_in_any_clothes_and_nobody_else() {
        let origin = Origin::Host("10.0.0.9".parse().unwrap());
        for yes in ["10.0.0.9", "::ffff:10.0.0.9"] {
            assert!(origin.admits(yes.parse().unwrap()), "{yes}");
        }
        for no in ["10.0.0.10", "127.0.0.1", "::1"] {
            assert!(!origin.admits(no.parse().unwrap()), "{no}");
        }
    }
}
