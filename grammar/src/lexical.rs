//! The nom parsers that the other parsers share. All are `complete` parsers: they get whole lines.
//!
//! Every loop over a peer's bytes counts them with [`looked_at`], so that tests can hold the work for a
//! line to be linear in its length (Q128).

use nom::{
    IResult, Parser,
    bytes::complete::{tag, take_while, take_while1},
    combinator::map_opt,
    error::Error,
    sequence::{delimited, preceded},
};

/// The result of every parser here.
pub(crate) type Parsed<'a, T> = IResult<&'a [u8], T, Error<&'a [u8]>>;

/// 1*DIGIT, decimal also with leading zeros (Q5). Saturates, so that no run of digits wraps (Q86).
pub(crate) fn number(input: &[u8]) -> Parsed<'_, u32> {
    take_while1(is_digit)
        .map(|digits: &[u8]| {
            digits.iter().fold(0u32, |value, digit| {
                value
                    .saturating_mul(10)
                    .saturating_add(u32::from(digit - b'0'))
            })
        })
        .parse(input)
}

/// A number of one byte, 0..=255.
pub(crate) fn octet(input: &[u8]) -> Parsed<'_, u8> {
    map_opt(number, |value| u8::try_from(value).ok()).parse(input)
}

/// A number of one byte, from a server that may print its bytes as signed: -128..=255 (Q92).
pub(crate) fn signed_octet(input: &[u8]) -> Parsed<'_, u8> {
    let negative = map_opt(preceded(tag("-"), number), |value| {
        let value = u8::try_from(value).ok()?;
        (value <= 128).then(|| value.wrapping_neg())
    });
    negative.or(octet).parse(input)
}

/// A port, 0..=65535.
pub(crate) fn port(input: &[u8]) -> Parsed<'_, u16> {
    map_opt(number, |value| u16::try_from(value).ok()).parse(input)
}

/// *(SP / HTAB / CR): the blanks that peers leave round an argument (Q53).
pub(crate) fn blanks(input: &[u8]) -> Parsed<'_, &[u8]> {
    take_while(is_blank).parse(input)
}

/// A comma, blanks round it (Q3, Q52).
pub(crate) fn comma(input: &[u8]) -> Parsed<'_, &[u8]> {
    delimited(blanks, tag(","), blanks).parse(input)
}

/// The argument without the blanks round it.
pub(crate) fn trim(mut argument: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = argument
        && is_blank(*first)
    {
        argument = rest;
    }
    while let [rest @ .., last] = argument
        && is_blank(*last)
    {
        argument = rest;
    }
    argument
}

/// SP, HTAB or CR.
pub(crate) fn is_blank(byte: u8) -> bool {
    looked_at(1);
    matches!(byte, b' ' | b'\t' | b'\r')
}

pub(crate) fn is_digit(byte: u8) -> bool {
    looked_at(1);
    byte.is_ascii_digit()
}

/// The place of the first byte of this kind.
pub(crate) fn find(text: &[u8], wanted: impl Fn(u8) -> bool) -> Option<usize> {
    text.iter().position(|&byte| {
        looked_at(1);
        wanted(byte)
    })
}

/// The place of the last byte of this kind.
pub(crate) fn find_last(text: &[u8], wanted: impl Fn(u8) -> bool) -> Option<usize> {
    text.iter().rposition(|&byte| {
        looked_at(1);
        wanted(byte)
    })
}

/// Counts bytes that a parser looks at. Outside this crate's tests it does nothing.
#[cfg(not(test))]
#[inline(always)]
pub(crate) fn looked_at(_bytes: usize) {}

#[cfg(test)]
pub(crate) use crate::growth::looked_at;
