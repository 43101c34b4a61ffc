//! Systems that do not tell the owners of sockets, or not in a way that is used here.

use std::net::SocketAddr;

use tokio::net::TcpStream;

use super::Owner;

pub(super) async fn of_peer(_stream: &TcpStream, _peer: SocketAddr, _local: SocketAddr) -> Owner {
    Owner::Untold
}

pub(super) async fn of_listener(_at: SocketAddr) -> Owner {
    Owner::Untold
}
