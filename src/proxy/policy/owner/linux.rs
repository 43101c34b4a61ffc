//! Linux: the kernel is asked about one connection by `sock_diag` (sock_diag(7)), which takes a few
//! microseconds whatever the number of sockets. Where it does not answer, its table is read.

use std::{
    fs, io,
    net::{IpAddr, SocketAddr},
    os::fd::AsRawFd,
    sync::LazyLock,
};

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};
use tokio::net::TcpStream;

use super::{
    Owner,
    table::{self, LISTEN, Socket},
};
use crate::log_limit::LogLimit;

pub(super) async fn of_peer(stream: &TcpStream, peer: SocketAddr, local: SocketAddr) -> Owner {
    let found = match lookup(peer, Some(local)).await {
        // The connection was redirected on its way here (netfilter's REDIRECT and DNAT). The peer's own
        // socket names the address that it wanted to reach.
        Ok(None) => match original_destination(stream, local) {
            Some(wanted) if wanted != local => lookup(peer, Some(wanted)).await,
            _ => Ok(None),
        },
        found => found,
    };
    owner(found)
}

pub(super) async fn of_listener(at: SocketAddr) -> Owner {
    owner(lookup(at, None).await)
}

fn owner(found: Result<Option<Socket>, Owner>) -> Owner {
    match found {
        Ok(found) => found
            .and_then(Socket::owner)
            .map_or(Owner::Unknown, Owner::User),
        Err(other) => other,
    }
}

/// The socket at `at`, connected to `to` or listening. The error where it cannot be looked up says that the
/// kernel tells no owners at all, or (out of descriptors or memory) not this one.
async fn lookup(at: SocketAddr, to: Option<SocketAddr>) -> Result<Option<Socket>, Owner> {
    match ask(at, to) {
        Ok(Some(socket)) => return Ok(Some(socket)),
        Err(error) if is_want(&error) => {
            WANT.warn(format_args!("cannot find out whose {at} is: {error}"));
            return Err(Owner::Unknown);
        }
        // The socket is not there, or the kernel lacks this interface: these cannot be told apart.
        Ok(None) | Err(_) => {}
    }
    let read = tokio::task::spawn_blocking(move || read_table(at, to)).await;
    match read {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => Err(Owner::Untold),
        Ok(Err(error)) => {
            WANT.warn(format_args!("cannot find out whose {at} is: {error}"));
            Err(Owner::Unknown)
        }
        Err(_) => Err(Owner::Unknown),
    }
}

static WANT: LazyLock<LogLimit> = LazyLock::new(LogLimit::new);

/// The address to which the peer of an accepted connection has connected, as the kernel's connection tracking
/// has it; `None` where connections are not tracked.
fn original_destination(stream: &TcpStream, local: SocketAddr) -> Option<SocketAddr> {
    let socket = socket2::SockRef::from(stream);
    let wanted = match local {
        SocketAddr::V4(_) => socket.original_dst_v4(),
        SocketAddr::V6(_) => socket.original_dst_v6(),
    };
    wanted.ok()?.as_socket()
}

/// Whether something ran out that another user may have used up.
fn is_want(error: &io::Error) -> bool {
    use nix::errno::Errno::{EMFILE, ENFILE, ENOBUFS, ENOMEM};
    let code = error.raw_os_error();
    [EMFILE, ENFILE, ENOBUFS, ENOMEM]
        .map(|want| Some(want as i32))
        .contains(&code)
}

const TABLE_V4: &str = "/proc/net/tcp";
const TABLE_V6: &str = "/proc/net/tcp6";

fn read_table(at: SocketAddr, to: Option<SocketAddr>) -> io::Result<Option<Socket>> {
    // An IPv4 connection may belong to an IPv6 socket.
    let files: &[&str] = match at {
        SocketAddr::V4(_) => &[TABLE_V4, TABLE_V6],
        SocketAddr::V6(_) => &[TABLE_V6],
    };
    for file in files {
        let text = match fs::read_to_string(file) {
            // A host without IPv6.
            Err(error)
                if error.kind() == io::ErrorKind::NotFound && *file == TABLE_V6 && at.is_ipv4() =>
            {
                continue;
            }
            read => read?,
        };
        if let Some(found) = table::find(&text, at, to) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Sends one request and reads one answer. The kernel has the answer ready when it has taken the request, so
/// this does not wait.
fn ask(at: SocketAddr, to: Option<SocketAddr>) -> io::Result<Option<Socket>> {
    let kernel = socket(
        AddressFamily::Netlink,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkSockDiag,
    )?;
    send(kernel.as_raw_fd(), &request(at, to), MsgFlags::empty())?;
    let mut reply = [0; 512];
    let length = recv(kernel.as_raw_fd(), &mut reply, MsgFlags::MSG_DONTWAIT)?;
    let found = answer(reply.get(..length).unwrap_or_default())?;
    // Where there is no such connection, the kernel names a listener that it could belong to.
    Ok(found.filter(|socket| to.is_none() == (socket.state == LISTEN)))
}

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
const ENOENT: i32 = -(nix::errno::Errno::ENOENT as i32);
/// `struct nlmsghdr`.
const HEADER: usize = 16;
/// `struct nlmsghdr` and `struct inet_diag_req_v2`.
const REQUEST: usize = HEADER + 56;

/// Builds `struct nlmsghdr`, then `struct inet_diag_req_v2` with its `struct inet_diag_sockid`. All is in the
/// host's byte order, addresses and ports in the network's.
fn request(at: SocketAddr, to: Option<SocketAddr>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(REQUEST);
    bytes.extend((REQUEST as u32).to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend(NLM_F_REQUEST.to_ne_bytes());
    bytes.extend([0; 8]);
    let family = match at {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let tcp = SockProtocol::Tcp as u8;
    bytes.extend([family as u8, tcp, 0, 0]);
    // In any state.
    bytes.extend(u32::MAX.to_ne_bytes());
    bytes.extend(at.port().to_be_bytes());
    bytes.extend(to.map_or(0, |to| to.port()).to_be_bytes());
    bytes.extend(octets(Some(at)));
    bytes.extend(octets(to));
    // Any interface; any socket.
    bytes.extend(0_u32.to_ne_bytes());
    bytes.extend(u64::MAX.to_ne_bytes());
    bytes
}

fn octets(address: Option<SocketAddr>) -> [u8; 16] {
    let mut all = [0; 16];
    match address.map(|address| address.ip()) {
        Some(IpAddr::V4(v4)) => {
            for (byte, octet) in all.iter_mut().zip(v4.octets()) {
                *byte = octet;
            }
        }
        Some(IpAddr::V6(v6)) => all = v6.octets(),
        None => {}
    }
    all
}

/// Parses `struct inet_diag_msg` or an error after the header.
fn answer(reply: &[u8]) -> io::Result<Option<Socket>> {
    let word = |at: usize| -> io::Result<[u8; 4]> {
        let bytes = reply
            .get(at..at + 4)
            .and_then(|bytes| bytes.try_into().ok());
        bytes.ok_or_else(|| io::ErrorKind::InvalidData.into())
    };
    let [low, high, ..] = word(4)?;
    match u16::from_ne_bytes([low, high]) {
        SOCK_DIAG_BY_FAMILY => {
            let [_family, state, ..] = word(HEADER)?;
            Ok(Some(Socket {
                state,
                uid: u32::from_ne_bytes(word(HEADER + 64)?),
                inode: u32::from_ne_bytes(word(HEADER + 68)?).into(),
            }))
        }
        NLMSG_ERROR => match i32::from_ne_bytes(word(HEADER)?) {
            ENOENT => Ok(None),
            error => Err(io::Error::from_raw_os_error(error.wrapping_neg())),
        },
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    fn own() -> u32 {
        fs::metadata("/proc/self").unwrap().uid()
    }

    /// The kernel's answer and its table agree, for each kind of socket, in both families and with an IPv4
    /// client on an IPv6 socket.
    #[tokio::test]
    async fn both_ways_find_the_same_socket() {
        for (bind, ip) in [
            ("127.0.0.1:0", "127.0.0.1"),
            ("[::1]:0", "::1"),
            ("[::]:0", "127.0.0.1"),
        ] {
            let Ok(listener) = TcpListener::bind(bind).await else {
                eprintln!("no {bind} on this host");
                continue;
            };
            let port = listener.local_addr().unwrap().port();
            let server = SocketAddr::new(ip.parse().unwrap(), port);
            let client = TcpStream::connect(server).await.unwrap();
            let peer = client.local_addr().unwrap();
            let wait = listener.accept().await.unwrap();
            for (at, to) in [(peer, Some(server)), (server, Some(peer)), (server, None)] {
                let asked = ask(at, to)
                    .unwrap()
                    .unwrap_or_else(|| panic!("{bind} {at} {to:?}"));
                assert_eq!(asked.owner(), Some(own()), "{bind} {at} {to:?}");
                assert_eq!(
                    read_table(at, to).unwrap(),
                    Some(asked),
                    "{bind} {at} {to:?}"
                );
            }
            drop(wait);
        }
    }

    #[tokio::test]
    async fn what_is_not_there_is_not_found() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let nobody = "127.0.0.1:1".parse().unwrap();
        // A listener is none of its connections, and an address that is not in use has no connection.
        assert_eq!(ask(at, Some(nobody)).unwrap(), None);
        assert_eq!(read_table(at, Some(nobody)).unwrap(), None);
        assert_eq!(owner(lookup(nobody, Some(at)).await), Owner::Unknown);
    }

    #[tokio::test]
    async fn a_listener_is_known_with_and_without_connections() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        assert_eq!(of_listener(at).await, Owner::User(own()));
        let client = TcpStream::connect(at).await.unwrap();
        assert_eq!(of_listener(at).await, Owner::User(own()));
        drop((listener, client));
        assert_eq!(of_listener(at).await, Owner::Unknown);
    }

    /// Every data connection waits for it: one question about one socket is enough, whatever the number of
    /// sockets. (Reading the table takes a thousand times as long.)
    #[tokio::test]
    async fn one_question_finds_a_socket_among_many() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let mut crowd = Vec::new();
        for _ in 0..200 {
            crowd.push(TcpStream::connect(at).await.unwrap());
            crowd.push(listener.accept().await.unwrap().0);
        }
        for stream in &crowd {
            let (peer, local) = (stream.peer_addr().unwrap(), stream.local_addr().unwrap());
            let asked = ask(peer, Some(local)).unwrap().and_then(Socket::owner);
            assert_eq!(asked, Some(own()));
            assert_eq!(super::super::of_peer(stream).await, Owner::User(own()));
        }
    }

    #[tokio::test]
    async fn a_peer_that_has_closed_is_nobodys() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        assert_eq!(super::super::of_peer(&accepted).await, Owner::User(own()));
        drop(client);
        let owner = super::super::of_peer(&accepted).await;
        // Kernels from 6.16 on still know the owner, unless it is root.
        assert!(
            owner == Owner::Unknown || (own() != 0 && owner == Owner::User(own())),
            "{owner}"
        );
    }
}
