//! The kernel's table of TCP sockets as text, `/proc/net/tcp` and `/proc/net/tcp6`
//! (proc_net_tcp in the kernel's documentation).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A socket, with what is needed to find its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Socket {
    pub(super) state: u8,
    pub(super) uid: u32,
    pub(super) inode: u64,
}

/// `TCP_LISTEN` of the kernel.
pub(super) const LISTEN: u8 = 10;

/// What the kernel shows for users that this user namespace does not know.
const OVERFLOW_UID: u32 = 65534;

impl Socket {
    /// Its owner. A socket that its program has closed has no inode, and kernels before 6.16 say that root
    /// owns it. They say the same of one that no program has accepted yet.
    pub(super) fn owner(self) -> Option<u32> {
        (self.inode != 0 || (self.uid != 0 && self.uid != OVERFLOW_UID)).then_some(self.uid)
    }
}

/// The socket with these two ends; `remote` is `None` for a listener.
pub(super) fn find(text: &str, local: SocketAddr, remote: Option<SocketAddr>) -> Option<Socket> {
    let mut best: Option<(bool, Socket)> = None;
    for (at, to, socket) in text.lines().filter_map(line) {
        if remote.is_none() != (socket.state == LISTEN) || at.port() != local.port() {
            continue;
        }
        let exact = at.ip() == local.ip();
        let found = match remote {
            Some(remote) => exact && to == remote,
            None => exact || at.ip().is_unspecified(),
        };
        // A listener on this very address is preferred to one on all addresses.
        if found && best.is_none_or(|(before, _)| exact && !before) {
            best = Some((exact, socket));
        }
    }
    best.map(|(_, socket)| socket)
}

/// Parses `sl local_address rem_address st tx:rx tr:tm retrnsmt uid timeout inode …`
fn line(text: &str) -> Option<(SocketAddr, SocketAddr, Socket)> {
    let mut fields = text.split_ascii_whitespace();
    let local = address(fields.nth(1)?)?;
    let remote = address(fields.next()?)?;
    let state = u8::from_str_radix(fields.next()?, 16).ok()?;
    let uid = fields.nth(3)?.parse().ok()?;
    let inode = fields.nth(1)?.parse().ok()?;
    Some((local, remote, Socket { state, uid, inode }))
}

/// Parses hexadecimal words in the host's byte order, a colon, and the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut bytes = Vec::with_capacity(16);
    for word in ip.as_bytes().chunks(8) {
        let word = u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    let ip = match bytes.len() {
        4 => IpAddr::from(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?)),
        16 => IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?)),
        _ => return None,
    };
    Some(SocketAddr::new(ip.to_canonical(), port))
}

#[cfg(test)]
#[cfg(target_endian = "little")]
mod tests {
    use super::*;

    const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:9331 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11 1 0
   1: 0100007F:9331 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 12 1 0
   2: 0100007F:9331 0100007F:AF38 08 00000000:00000001 00:00000000 00000000  1000        0 13 2 0
   3: 0100007F:AF38 0100007F:9331 04 00000001:00000000 01:00000014 00000000     0        0 0 2 0
   4: 0100007F:AF4D 0100007F:8A7E 06 00000000:00000000 03:0000116F 00000000     0        0 0 3 0
   5: 00000000000000000000000001000000:0016 00000000000000000000000001000000:9C28 01 0:0 0:0 0 33 0 14
   6: 0000000000000000FFFF00000100007F:0017 0000000000000000FFFF00000100007F:9C29 01 0:0 0:0 0 34 0 15
   7: torn";

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn sockets_of_every_kind_are_found() {
        let uid = |local, remote| find(TABLE, at(local), Some(at(remote))).map(|s| s.uid);
        assert_eq!(uid("127.0.0.1:37681", "127.0.0.1:44856"), Some(1000));
        assert_eq!(uid("[::1]:22", "[::1]:39976"), Some(33));
        // An IPv6 socket with an IPv4 connection.
        assert_eq!(uid("127.0.0.1:23", "127.0.0.1:39977"), Some(34));
        assert_eq!(uid("127.0.0.1:37681", "127.0.0.1:1"), None);
        let listener = |address| find(TABLE, at(address), None).map(|s| s.inode);
        assert_eq!(listener("127.0.0.1:37681"), Some(12));
        assert_eq!(listener("127.0.0.2:37681"), Some(11));
        assert_eq!(listener("127.0.0.1:23"), None);
    }

    /// The table says that root owns it, but it may belong to any user that has connected and closed at once.
    #[test]
    fn q83_a_closed_socket_is_not_roots() {
        for (local, remote) in [
            ("127.0.0.1:44856", "127.0.0.1:37681"),
            ("127.0.0.1:44877", "127.0.0.1:35454"),
        ] {
            let socket = find(TABLE, at(local), Some(at(remote))).unwrap();
            assert_eq!((socket.uid, socket.owner()), (0, None));
        }
    }
    /// Kernels from 6.16 on still know who owned a closed socket. Of a user that the namespace does not know
    /// that says nothing.
    #[test]
    fn q83_a_socket_without_an_inode_is_its_users_but_not_roots() {
        for (inode, uid, expected) in [
            (0, 0, None),
            (0, 1000, Some(1000)),
            (0, OVERFLOW_UID, None),
            (7, 0, Some(0)),
            (7, OVERFLOW_UID, Some(OVERFLOW_UID)),
        ] {
            let socket = Socket {
                state: LISTEN,
                uid,
                inode,
            };
            assert_eq!(socket.owner(), expected, "{socket:?}");
        }
    }
}
