//! The nom parsers that several others are made of. All are complete: a line is there as a whole.

use nom::bytes::complete::{tag, take_while};
use nom::character::complete::digit1;
use nom::combinator::map_opt;
use nom::error::Error;
use nom::sequence::delimited;
use nom::{IResult, Parser};

/// What every parser here returns.
pub(crate) type Parsed<'a, T> = IResult<&'a [u8], T, Error<&'a [u8]>>;

/// 1*DIGIT, decimal whatever zeros lead (Q5); saturates, so that no run of digits wraps (Q86).
pub(crate) fn number(input: &[u8]) -> Parsed<'_, u32> {
    digit1
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

/// A port, 0..=65535.
pub(crate) fn port(input: &[u8]) -> Parsed<'_, u16> {
    map_opt(number, |value| u16::try_from(value).ok()).parse(input)
}

/// *(SP / HTAB / CR): what peers leave round an argument (Q53).
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
    matches!(byte, b' ' | b'\t' | b'\r')
}
