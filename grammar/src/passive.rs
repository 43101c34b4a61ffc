//! The endpoint in a passive reply.
//!
//! Servers choose the wording of these replies (RFC 1123 §4.1.2.6 tells clients to look for the digits), so
//! nothing here depends on words, on parentheses or on the line that holds the endpoint.

use std::net::IpAddr;

use nom::{
    Parser,
    branch::alt,
    bytes::complete::{tag, take_till, take_while},
    character::complete::{one_of, satisfy},
    combinator::opt,
    sequence::{preceded, terminated},
};

use crate::{
    address::{HostPort, ip, signed_host_port},
    lexical::{Parsed, blanks, comma, find, is_digit, looked_at, number},
    reply::{ReplyCode, ReplyLine, without_padding},
};

/// The endpoint at which the server listens, as its passive reply says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PassiveEndpoint {
    /// The host. `None` where a 229 leaves it blank, as it should: then it is the host of the control
    /// connection.
    pub address: Option<IpAddr>,
    /// The port, never 0.
    pub port: u16,
}

/// Why a passive reply names no endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum PassiveReplyError {
    /// The endpoint's host is invalid: a number above 255, or not an address.
    #[error("the FTP server's passive reply names a host that is not an address")]
    Address,
    /// The reply has no endpoint anywhere.
    #[error("the FTP server's passive reply names no port to connect to")]
    NoEndpoint,
    /// The endpoint's port is 0 or above 65535.
    #[error("the FTP server's passive reply names a port that is not within 1 to 65535")]
    Port,
}

/// Finds the endpoint in a passive reply, given the texts of all its lines, codes included.
///
/// It looks for both forms whatever the code says (Q13, Q14), for that of the code first: six numbers for a
/// 227, delimited fields for a 229. In a line that starts with the code, it skips the code.
///
/// # Errors
///
/// See [`PassiveReplyError`].
pub fn parse_passive_reply<'a>(
    code: ReplyCode,
    lines: impl Iterator<Item = &'a [u8]> + Clone,
) -> Result<PassiveEndpoint, PassiveReplyError> {
    let texts = lines.map(move |line| skip_code(code, line));
    let numbers = || six_numbers(texts.clone());
    let fields = || delimited_fields(texts.clone());
    let found = match code.value() {
        229 => fields().or_else(numbers),
        _ => numbers().or_else(fields),
    };
    found.unwrap_or(Err(PassiveReplyError::NoEndpoint))
}

/// The reply to PASV in the one form that every client and every NAT on the way reads (Q2), without its end.
pub fn render_227(to: HostPort) -> String {
    format!("227 Entering Passive Mode ({to}).")
}

/// The reply to EPSV (RFC 2428 §3), without its end.
pub fn render_229(port: u16) -> String {
    format!("229 Entering Extended Passive Mode (|||{port}|)")
}

/// The endpoint that was found, if any.
type Found = Option<Result<PassiveEndpoint, PassiveReplyError>>;

fn skip_code(code: ReplyCode, line: &[u8]) -> &[u8] {
    let behind = |count: usize| without_padding(line).get(count..).unwrap_or_default();
    match ReplyLine::parse(line) {
        ReplyLine::First(own) | ReplyLine::OddFirst(own) | ReplyLine::Single(own)
            if own == code =>
        {
            behind(4)
        }
        // The byte behind the code may be part of the address.
        ReplyLine::OddSingle(own) if own == code => behind(3),
        _ => line,
    }
}

/// The first run of six numbers. Each line is tried from every number on (Q4), never from inside one.
fn six_numbers<'a>(texts: impl Iterator<Item = &'a [u8]>) -> Found {
    let mut refused = None;
    for text in texts {
        let mut rest = text;
        while let Some(start) = from_digit(rest) {
            let signed = with_sign(rest, start);
            if let Ok((_, found)) = signed_host_port(signed) {
                return Some(match found.port {
                    0 => Err(PassiveReplyError::Port),
                    port => Ok(PassiveEndpoint {
                        address: Some(IpAddr::V4(found.address)),
                        port,
                    }),
                });
            }
            if six_of_any_size(signed).is_ok() {
                refused = Some(Err(PassiveReplyError::Address));
            }
            rest = skip_digits(start);
        }
    }
    refused
}

/// The text from its first digit on.
fn from_digit(text: &[u8]) -> Option<&[u8]> {
    text.get(find(text, |byte| byte.is_ascii_digit())?..)
}

/// `start`, the end of `text`, with the minus of its first number. Only a minus directly behind an opening
/// parenthesis is one. Any other is a dash, and clients, too, begin at the first digit (Q92).
fn with_sign<'a>(text: &'a [u8], start: &'a [u8]) -> &'a [u8] {
    let at = text.len() - start.len();
    match text.get(..at) {
        Some([.., b'(', b'-']) => text.get(at - 1..).unwrap_or(start),
        _ => start,
    }
}

pub(crate) fn skip_digits(text: &[u8]) -> &[u8] {
    let end = find(text, |byte| !byte.is_ascii_digit());
    text.get(end.unwrap_or(text.len())..).unwrap_or_default()
}

/// Whether six numbers are anywhere in this text, as clients look for them.
pub(crate) fn has_six_numbers(text: &[u8]) -> bool {
    let mut rest = text;
    while let Some(start) = from_digit(rest) {
        if six_as_scanned(start).is_ok() {
            return true;
        }
        rest = skip_digits(start);
    }
    false
}

fn six_of_any_size(input: &[u8]) -> Parsed<'_, ()> {
    let signed = || preceded(opt(tag("-")), number);
    let next = || preceded(comma, signed());
    (signed(), next(), next(), next(), next(), next())
        .map(|_| ())
        .parse(input)
}

/// Six numbers as C's `scanf` reads them: white space and a sign before each make no difference (Q92).
fn six_as_scanned(input: &[u8]) -> Parsed<'_, ()> {
    let space = || take_while(|byte| matches!(byte, b'\t'..=b'\r' | b' '));
    let next = || preceded((comma, space(), opt(one_of("+-"))), number);
    (number, next(), next(), next(), next(), next())
        .map(|_| ())
        .parse(input)
}

/// The delimited form: in parentheses, else at the start of the text, else anywhere between `|` or `!` (the
/// EBCDIC servers', Q15), the only delimiters that do not also decorate prose.
fn delimited_fields<'a>(texts: impl Iterator<Item = &'a [u8]> + Clone) -> Found {
    let parenthesised = |text: &'a [u8]| {
        let mut candidates = suffixes(text).filter(|suffix| suffix.starts_with(b"("));
        candidates.find_map(|suffix| fields(suffix.get(1..)?))
    };
    let piped = |text: &'a [u8]| {
        let mut candidates =
            suffixes(text).filter(|suffix| suffix.starts_with(b"|") || suffix.starts_with(b"!"));
        candidates.find_map(fields)
    };
    texts
        .clone()
        .find_map(parenthesised)
        .or_else(|| texts.clone().find_map(fields))
        .or_else(|| texts.clone().find_map(piped))
}

fn suffixes(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    (0..text.len()).filter_map(|index| {
        looked_at(1);
        text.get(index..)
    })
}

/// `d [family] d [address] d port d` at the start of `input`, or `d d port d` (Q16).
fn fields(input: &[u8]) -> Found {
    let (_, (family, address, port)) = three_fields(input).or_else(|_| two_fields(input)).ok()?;
    let address = match address {
        b"" => None,
        text => Some(ip(text)),
    };
    Some(match (address, u16::try_from(port)) {
        (_, Ok(0) | Err(_)) => Err(PassiveReplyError::Port),
        (None, Ok(port)) => Ok(PassiveEndpoint {
            address: None,
            port,
        }),
        (Some(Some(address)), Ok(port)) if family_agrees(family, address) => Ok(PassiveEndpoint {
            address: Some(address),
            port,
        }),
        (Some(_), Ok(_)) => Err(PassiveReplyError::Address),
    })
}

fn family_agrees(family: &[u8], address: IpAddr) -> bool {
    match family {
        b"" => true,
        b"1" => address.is_ipv4(),
        b"2" => address.is_ipv6(),
        _ => false,
    }
}

fn three_fields(input: &[u8]) -> Parsed<'_, (&[u8], &[u8], u32)> {
    let (rest, delimiter) = delimiter(input)?;
    let close = || satisfy(move |c| c == delimiter);
    let family = terminated(take_while(is_digit), close());
    let address = terminated(
        take_till(move |byte| {
            looked_at(1);
            char::from(byte) == delimiter
        }),
        close(),
    );
    (
        family,
        address,
        terminated(number, alt((close(), satisfy(|c| c == ')')))),
    )
        .parse(rest)
}

fn two_fields(input: &[u8]) -> Parsed<'_, (&[u8], &[u8], u32)> {
    let (rest, delimiter) = delimiter(input)?;
    let close = || satisfy(move |c| c == delimiter);
    let (rest, port) = preceded(close(), terminated(number, close())).parse(rest)?;
    Ok((rest, (b"", b"", port)))
}

/// Any printable byte but a digit, which could not be told from the port, and a letter, which belongs to a
/// word.
fn delimiter(input: &[u8]) -> Parsed<'_, char> {
    preceded(blanks, satisfy(|c| c.is_ascii_punctuation())).parse(input)
}
