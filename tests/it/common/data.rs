//! Data connections, and the addresses in FTP lines, read without ferryline's parsers.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::PATIENCE;

/// Reads everything up to the end of file; a reset is an error.
pub async fn read_to_end(mut data: TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    timeout(PATIENCE, data.read_to_end(&mut bytes))
        .await
        .unwrap_or_else(|_| panic!("the data connection did not end after {} B", bytes.len()))?;
    Ok(bytes)
}

/// Sends everything and ends the file.
pub async fn upload(mut data: TcpStream, bytes: &[u8]) -> io::Result<()> {
    timeout(PATIENCE, async {
        data.write_all(bytes).await?;
        data.shutdown().await
    })
    .await
    .expect("the data connection took too long to take the bytes")
}

/// Ends the connection with RST rather than FIN.
pub fn reset(stream: TcpStream) {
    stream.set_zero_linger().unwrap();
}

/// An IPv4 address of this host that is not a loopback address. To ferryline, a client that comes from it is
/// on another host. `None` on a host without a network.
pub fn own_address() -> Option<IpAddr> {
    let probe = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    // Nothing is sent: connecting a UDP socket looks up the route.
    probe.connect("198.51.100.1:9").ok()?;
    let own = probe.local_addr().unwrap().ip();
    (!own.is_loopback() && !own.is_unspecified()).then_some(own)
}

/// An address of 127.0.0.1 where nothing listens, and no program can listen as long as the socket is kept.
pub fn nobody() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// Parses the six numbers of a 227 reply or a PORT command.
pub fn host_port(line: &str) -> Option<SocketAddr> {
    let text = line.get(4..)?;
    let text = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    let six = text
        .split(|c: char| !c.is_ascii_digit() && c != ',')
        .next()?;
    let numbers: Vec<u8> = six
        .split(',')
        .map(|n| n.parse().ok())
        .collect::<Option<_>>()?;
    let [a, b, c, d, high, low]: [u8; 6] = numbers.try_into().ok()?;
    Some(SocketAddr::from((
        [a, b, c, d],
        u16::from_be_bytes([high, low]),
    )))
}

/// Parses the address of an EPRT command.
pub fn extended_address(line: &str) -> Option<SocketAddr> {
    let mut fields = line.get(5..)?.split('|').skip(2);
    let address: IpAddr = fields.next()?.parse().ok()?;
    Some(SocketAddr::new(address, fields.next()?.parse().ok()?))
}

/// Parses the port of a 229 reply.
pub fn extended_port(line: &str) -> Option<u16> {
    line.split('|').nth(3)?.parse().ok()
}

/// An address as the six numbers of RFC 959.
pub fn six_numbers(address: SocketAddr) -> String {
    let IpAddr::V4(ip) = address.ip() else {
        panic!("{address} has no six numbers");
    };
    let [a, b, c, d] = ip.octets();
    let [high, low] = address.port().to_be_bytes();
    format!("{a},{b},{c},{d},{high},{low}")
}
