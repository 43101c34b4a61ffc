//! Options of the client's sockets.

use std::{io, net::SocketAddr, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

#[cfg(unix)]
use super::ports;

/// Prepares a client's control connection: lines go out as they come; urgent data is read in line (a client
/// may send the last byte of its ABOR so, Q58); a client that has vanished is found out.
pub(crate) fn control(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_out_of_band_inline(true)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(Duration::from_secs(60)))
}

/// Prepares a data connection: any close but an orderly end resets it, so that half a file is never taken for
/// a whole one, even if this process is killed.
pub(crate) fn data(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_linger(Some(Duration::ZERO))?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(Duration::from_secs(60)))
}

/// Marks a data connection as ended in order: closing it must not cut what is still on its way.
pub(crate) fn orderly(stream: &TcpStream) {
    if let Err(error) = SockRef::from(stream).set_linger(None) {
        tracing::debug!("cannot end a data connection in order: {error}");
    }
}

/// Closes a connection by a reset.
pub(crate) fn reset(stream: TcpStream) {
    abortive(&stream);
}

/// Makes any close of the connection from here on reset it.
pub(crate) fn abortive(stream: &TcpStream) {
    if let Err(error) = SockRef::from(stream).set_linger(Some(Duration::ZERO)) {
        tracing::debug!("cannot reset a connection: {error}");
    }
}

/// A listener for one data connection, at any free port (Q83) or the one that is asked for. Either port may
/// have had connections that are not quite over.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    if address.port() != 0 {
        return listen_again(address);
    }
    // A kernel that chooses takes no port with a connection that ended within the last minute. With some
    // hundred files a second none is left, and the search for one takes milliseconds before that.
    #[cfg(unix)]
    for port in ports::at_random(TRIES) {
        match listen_again(SocketAddr::new(address.ip(), port)) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            done => return done,
        }
    }
    let socket = tcp_socket(address)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// A listener at exactly this port.
fn listen_again(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = tcp_socket(address)?;
    // Not on Windows, where it lets two programs share a port.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

const BACKLOG: u32 = 8;
/// Number of ports that are tried before the search is left to the kernel.
#[cfg(unix)]
const TRIES: u64 = 16;

/// Connects from a given address of ours: clients check that data comes from the host that they have their
/// control connection with (Q74).
pub(crate) async fn connect(from: SocketAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = tcp_socket(to)?;
    if from.is_ipv4() == to.is_ipv4() {
        socket.bind(from)?;
    }
    socket.connect(to).await
}

/// The address; where it is a link-local one, with the link of `other`, because it means nothing without a
/// link.
pub(crate) fn on_link_of(address: SocketAddr, other: SocketAddr) -> SocketAddr {
    match (address, other) {
        (SocketAddr::V6(mut address), SocketAddr::V6(other))
            if address.ip().is_unicast_link_local() =>
        {
            address.set_scope_id(other.scope_id());
            address.into()
        }
        _ => address,
    }
}

fn tcp_socket(address: SocketAddr) -> io::Result<TcpSocket> {
    if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// On Linux a port with a connection that has ended within the last minute is free only for such a
    /// listener.
    #[tokio::test]
    async fn q131_a_data_port_may_have_had_a_connection_just_now() {
        for _ in 0..100 {
            let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
            assert!(SockRef::from(&listener).reuse_address().unwrap());
        }
    }
}
