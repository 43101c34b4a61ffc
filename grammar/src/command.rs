//! A client's command lines.

use nom::{Parser, combinator::all_consuming};

use crate::{
    lexical::{find, looked_at, octet, trim},
    telnet::IAC,
    verb::Verb,
};

/// A parsed command line. The meaning of the argument depends on the verb.
///
/// Its `Debug` hides what [`masked`](crate::masked) hides (Q88).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Command<'a> {
    /// The verb.
    pub verb: Verb,
    /// The verb as the client typed it.
    pub keyword: &'a [u8],
    /// The text behind the one white space (a CR with its NUL) after the verb; further blanks belong to
    /// it (RFC 2640 §3.1).
    pub argument: &'a [u8],
}

impl<'a> Command<'a> {
    /// Parses a line without its end; `None` for a blank line, which no server answers (Q53).
    ///
    /// White space before the verb is tolerated, and any white space ends it: a server may take such a
    /// line for the command it resembles, so it must not pass as an unknown one. Also tolerated before
    /// the verb are an IAC, which stays there if the byte behind it was urgent and got lost (Q58), and
    /// the byte order mark of UTF-8 (Q99).
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let (_, text) = text.split_at_checked(junk(text))?;
        let end = find(text, is_space);
        let (keyword, rest) = text.split_at_checked(end.unwrap_or(text.len()))?;
        if keyword.is_empty() {
            return None;
        }
        let argument = match rest {
            [b'\r', 0, argument @ ..] | [_, argument @ ..] => argument,
            [] => rest,
        };
        Some(Self {
            verb: Verb::from_keyword(keyword),
            keyword,
            argument,
        })
    }
}

/// The request of an EPSV (RFC 2428 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EpsvArgument {
    /// `EPSV ALL`: from now on the client sets up data connections by EPSV only.
    All,
    /// A network protocol by its number: 1 is IPv4, 2 is IPv6.
    Family(u8),
    /// No argument: the protocol of the control connection.
    None,
    /// Any other argument.
    Other,
}

impl EpsvArgument {
    /// Reads the argument of an EPSV. Blanks round it and the case of ALL make no difference (Q64).
    pub fn parse(argument: &[u8]) -> Self {
        let argument = trim(argument);
        if argument.is_empty() {
            return Self::None;
        }
        if argument.eq_ignore_ascii_case(b"ALL") {
            return Self::All;
        }
        match all_consuming(octet).parse(argument) {
            Ok((_, family)) => Self::Family(family),
            Err(_) => Self::Other,
        }
    }
}

/// The command behind the remains of a Telnet signal. Clients send ABOR, STAT and QUIT behind one, and
/// some send it wrong (Q98). `None` if only white space is in front, or another command follows.
pub fn behind_signal(text: &[u8]) -> Option<&[u8]> {
    let start = find(text, |byte| byte.is_ascii_graphic())?;
    let (signal, plain) = text.split_at_checked(start)?;
    let command = Command::parse(plain)?;
    let interrupts = matches!(command.verb, Verb::Abor | Verb::Quit | Verb::Stat);
    (interrupts && !signal.iter().all(|byte| is_space(*byte))).then_some(plain)
}

/// Number of bytes before the verb.
pub(crate) fn junk(text: &[u8]) -> usize {
    let mut rest = text;
    loop {
        rest = match rest {
            [byte, more @ ..] if is_space(*byte) || *byte == IAC => more,
            [0xef, 0xbb, 0xbf, more @ ..] => more,
            _ => break,
        };
    }
    let junk = text.len() - rest.len();
    looked_at(junk);
    junk
}

/// Whether C's `isspace` takes the byte, or it ends a C string: some server ends a word there.
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, 0 | b'\t'..=b'\r' | b' ')
}
