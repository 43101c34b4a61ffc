//! The addresses that a client names: PORT's and EPRT's.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4},
};

use nom::{
    Parser,
    bytes::complete::{tag, take_till},
    character::complete::satisfy,
    combinator::{all_consuming, eof},
    sequence::{delimited, preceded, terminated},
};

use crate::lexical::{Parsed, blanks, comma, find, looked_at, number, octet, port, signed_octet};

/// A host-port of RFC 959 §4.1.2 and §5.3.2: six numbers. `Display` writes `h,h,h,h,p,p`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// The first four numbers.
    pub address: Ipv4Addr,
    /// The last two, high byte first. May be 0.
    pub port: u16,
}

impl HostPort {
    /// Reads the whole argument of a PORT. It tolerates blanks round the numbers and leading zeros, which
    /// stay decimal (Q52); seven numbers, or one above 255, are an error.
    pub fn parse(argument: &[u8]) -> Option<Self> {
        let whole = all_consuming(delimited(blanks, host_port, blanks)).parse(argument);
        whole.ok().map(|(_, host_port)| host_port)
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d] = self.address.octets();
        let [high, low] = self.port.to_be_bytes();
        write!(f, "{a},{b},{c},{d},{high},{low}")
    }
}

impl From<SocketAddrV4> for HostPort {
    fn from(to: SocketAddrV4) -> Self {
        Self {
            address: *to.ip(),
            port: to.port(),
        }
    }
}

impl From<HostPort> for SocketAddr {
    fn from(from: HostPort) -> Self {
        Self::from((from.address, from.port))
    }
}

/// The address of an EPRT (RFC 2428 §2). `Display` writes `|1|h.h.h.h|p|` or `|2|h:h::h|p|`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ExtendedAddress {
    /// The host. An IPv4 address written as IPv6 (`::ffff:h.h.h.h`) stays IPv6.
    pub address: IpAddr,
    /// The port. May be 0.
    pub port: u16,
}

impl ExtendedAddress {
    /// Reads the whole argument of an EPRT, whatever delimiter it uses. A zone (`%eth0`) is dropped: it has
    /// a meaning on the client's own machine only (Q52).
    ///
    /// # Errors
    ///
    /// [`ExtendedAddressError::Family`] for a protocol number that is neither 1 nor 2, for which RFC 2428
    /// requires a 522; [`ExtendedAddressError::Syntax`] for anything else.
    pub fn parse(argument: &[u8]) -> Result<Self, ExtendedAddressError> {
        let (_, (family, address, port)) =
            extended_fields(argument).map_err(|_| ExtendedAddressError::Syntax)?;
        let (_, family) = all_consuming(number)
            .parse(family)
            .map_err(|_| ExtendedAddressError::Syntax)?;
        let address = match family {
            1 => ipv4(address).map(IpAddr::V4),
            2 => ipv6(address).map(IpAddr::V6),
            other => return Err(ExtendedAddressError::Family(other)),
        };
        let (_, port) = all_consuming(self::port)
            .parse(port)
            .map_err(|_| ExtendedAddressError::Syntax)?;
        let address = address.ok_or(ExtendedAddressError::Syntax)?;
        Ok(Self { address, port })
    }
}

impl fmt::Display for ExtendedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let family = match self.address {
            IpAddr::V4(_) => 1,
            IpAddr::V6(_) => 2,
        };
        write!(f, "|{family}|{}|{}|", self.address, self.port)
    }
}

impl From<SocketAddr> for ExtendedAddress {
    fn from(to: SocketAddr) -> Self {
        Self {
            address: to.ip(),
            port: to.port(),
        }
    }
}

impl From<ExtendedAddress> for SocketAddr {
    fn from(from: ExtendedAddress) -> Self {
        Self::from((from.address, from.port))
    }
}

/// Why the argument of an EPRT names no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ExtendedAddressError {
    /// The network protocol is neither 1 (IPv4) nor 2 (IPv6).
    #[error("EPRT names network protocol {0}, which is neither 1 (IPv4) nor 2 (IPv6)")]
    Family(u32),
    /// The argument is not the three fields of an EPRT, or its address is not of its family.
    #[error("EPRT's argument is not |1|IPv4 address|port| or |2|IPv6 address|port|")]
    Syntax,
}

/// Six numbers with commas between them, at the start of `input`.
pub(crate) fn host_port(input: &[u8]) -> Parsed<'_, HostPort> {
    six(octet, input)
}

/// [`host_port`] in a reply: some servers print their bytes as signed (Q92).
pub(crate) fn signed_host_port(input: &[u8]) -> Parsed<'_, HostPort> {
    six(signed_octet, input)
}

fn six(byte: fn(&[u8]) -> Parsed<'_, u8>, input: &[u8]) -> Parsed<'_, HostPort> {
    let next = || preceded(comma, byte);
    (byte, next(), next(), next(), next(), next())
        .map(|(a, b, c, d, high, low)| HostPort {
            address: Ipv4Addr::new(a, b, c, d),
            port: u16::from_be_bytes([high, low]),
        })
        .parse(input)
}

/// An address of either family as text, without its zone.
pub(crate) fn ip(text: &[u8]) -> Option<IpAddr> {
    let v4 = || ipv4(text).map(IpAddr::V4);
    v4().or_else(|| ipv6(text).map(IpAddr::V6))
}

/// `h.h.h.h`, leading zeros decimal as in a PORT (the standard library refuses them).
fn ipv4(text: &[u8]) -> Option<Ipv4Addr> {
    let next = || preceded(tag("."), octet);
    let whole = terminated((octet, next(), next(), next()), eof).parse(text);
    let (_, (a, b, c, d)): (&[u8], _) = whole.ok()?;
    Some(Ipv4Addr::new(a, b, c, d))
}

/// An IPv6 address, with a zone of any printable characters or without (RFC 4007 §11.2).
fn ipv6(text: &[u8]) -> Option<Ipv6Addr> {
    let mut parts = text.splitn(2, |byte| *byte == b'%');
    let address = parts.next()?;
    if parts
        .next()
        .is_some_and(|zone| find(zone, |byte| !byte.is_ascii_graphic()).is_some())
    {
        return None;
    }
    std::str::from_utf8(address).ok()?.parse().ok()
}

/// The three fields between the delimiters, unparsed. A delimiter may be any printable character, also a
/// digit, so that only it ends a field.
fn extended_fields(argument: &[u8]) -> Parsed<'_, (&[u8], &[u8], &[u8])> {
    let is_delimiter = |c: char| c.is_ascii_graphic();
    let (rest, delimiter) = preceded(blanks, satisfy(is_delimiter)).parse(argument)?;
    let text = || {
        take_till(move |byte| {
            looked_at(1);
            char::from(byte) == delimiter
        })
    };
    let field = || terminated(text(), satisfy(move |c| c == delimiter));
    terminated((field(), field(), field()), (blanks, eof)).parse(rest)
}
