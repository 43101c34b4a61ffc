//! Which user owns the other end of a connection within this host.
//!
//! Every local user can reach a data port on loopback, and the first to connect gets the file (Q83). The
//! kernel knows which user made a socket, so a data connection is taken from (and made to) the user of the
//! control connection only. Where the kernel does not tell, on other hosts and other systems than Linux, only
//! the address is checked.
//!
//! # Layout
//!
//! - `linux`: one question to the kernel about one connection (`sock_diag`), a few microseconds
//! - `table`: `/proc/net/tcp`, where the kernel answers no such question
//! - `elsewhere`: other systems

#[cfg(not(target_os = "linux"))]
#[path = "elsewhere.rs"]
mod system;
#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod system;
#[cfg(any(target_os = "linux", test))]
mod table;

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

use tokio::net::TcpStream;

/// The owner of the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The kernel tells no owners here, or the other end is on another host.
    Untold,
    /// It should be known, and is not: the socket is closed already, or the kernel could not be asked. It is
    /// taken for no session's owner.
    Unknown,
    /// The local user with this number.
    User(u32),
}

impl Owner {
    /// Whether data of this owner's session may go over a connection of `other`. Root can read it anyway.
    pub(crate) fn shares_with(self, other: Self) -> bool {
        match self {
            Self::Untold => true,
            Self::Unknown => false,
            Self::User(_) => other == self || other == Self::User(0),
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Untold => f.write_str("a user that cannot be told"),
            Self::Unknown => f.write_str("a user that could not be found out"),
            Self::User(number) => write!(f, "user {number}"),
        }
    }
}

/// The owner of the socket at the other end of a connection that was accepted.
pub(crate) async fn of_peer(stream: &TcpStream) -> Owner {
    match ends(stream) {
        Some((peer, local)) => system::of_peer(stream, peer, local).await,
        None => Owner::Untold,
    }
}

/// The owner of the socket that listens at this address of this host.
pub(crate) async fn of_listener(at: SocketAddr) -> Owner {
    system::of_listener(SocketAddr::new(at.ip().to_canonical(), at.port())).await
}

/// Both ends of a connection, if both are on this host.
fn ends(stream: &TcpStream) -> Option<(SocketAddr, SocketAddr)> {
    let (peer, local) = (
        canonical(stream.peer_addr()),
        canonical(stream.local_addr()),
    );
    let (peer, local) = match (peer, local) {
        (Some(peer), Some(local)) => (peer, local),
        // The connection was reset by now. An address of which nothing is known is looked up in vain.
        (_, Some(local)) => (SocketAddr::new(local.ip(), 0), local),
        (_, None) => return None,
    };
    is_within_host(peer.ip(), local.ip()).then_some((peer, local))
}

fn is_within_host(peer: IpAddr, local: IpAddr) -> bool {
    peer.is_loopback() || peer == local
}

/// The address, with an IPv4-mapped IPv6 address as the IPv4 address that it is.
fn canonical(address: std::io::Result<SocketAddr>) -> Option<SocketAddr> {
    let address = address.ok()?;
    Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q83_data_is_shared_with_oneself_and_with_root() {
        use Owner::{Unknown, Untold, User};
        for (session, other, expected) in [
            (User(1000), User(1000), true),
            (User(1000), User(0), true),
            (User(1000), User(1001), false),
            (User(1000), Unknown, false),
            (User(1000), Untold, false),
            (User(0), User(1000), false),
            (User(0), Unknown, false),
            (Unknown, User(1000), false),
            (Unknown, Unknown, false),
            (Untold, Untold, true),
        ] {
            assert_eq!(session.shares_with(other), expected, "{session} {other}");
        }
    }

    #[test]
    fn q83_users_are_told_apart_on_each_address_of_this_host() {
        for (peer, local, expected) in [
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", true),
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
        ] {
            let [peer, local] = [peer, local].map(|address| address.parse().unwrap());
            assert_eq!(is_within_host(peer, local), expected, "{peer} {local}");
        }
    }
}
