//! The Telnet of FTP's control connection (RFC 959 §4.1, RFC 854, RFC 1123 §4.1.2.12).

/// Interpret As Command: the byte that starts every Telnet command.
pub(crate) const IAC: u8 = 0xff;
/// End of a subnegotiation.
pub(crate) const SE: u8 = 0xf0;

pub(crate) const WILL: u8 = 0xfb;
const WONT: u8 = 0xfc;
const DO: u8 = 0xfd;
pub(crate) const DONT: u8 = 0xfe;
/// Start of a subnegotiation.
pub(crate) const SB: u8 = 0xfa;
/// Lowest byte that is a command after IAC (EOF, RFC 1184; EOR, RFC 885, is 0xef).
const FIRST_COMMAND: u8 = 0xec;

/// A DO or WILL of a peer, with its option. Ferryline refuses each, towards the peer that sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Negotiation {
    /// The peer asks ferryline to use the option.
    Do(u8),
    /// The peer offers to use the option.
    Will(u8),
}

impl Negotiation {
    /// The refusal in bytes: WONT for a DO, DONT for a WILL.
    pub fn refusal(self) -> [u8; 3] {
        match self {
            Self::Do(option) => [IAC, WONT, option],
            Self::Will(option) => [IAC, DONT, option],
        }
    }
}

/// The meaning of an IAC and the bytes behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sequence {
    /// N bytes of text, to be kept: a doubled IAC, or an IAC that is no command.
    Text(usize),
    /// N bytes of Telnet without a meaning for FTP.
    Command(usize),
    /// Three bytes that require an answer.
    Negotiation(Negotiation),
    /// Two bytes that begin a subnegotiation.
    Subnegotiation,
}

/// Reads the sequence at the start of `bytes`, which begin with IAC; `None` if it needs more bytes.
///
/// CR and LF are never taken for an option: an undoubled 0xFF in a name (the last letter of the
/// alphabet in CP1251) must not swallow the end of the line.
pub(crate) fn sequence(bytes: &[u8]) -> Option<Sequence> {
    let (command, option) = match bytes {
        [_, command, option, ..] => (*command, Some(*option)),
        [_, command] => (*command, None),
        _ => return None,
    };
    Some(match command {
        IAC => Sequence::Text(2),
        ..FIRST_COMMAND => Sequence::Text(1),
        SB => Sequence::Subnegotiation,
        WILL..=DONT => match (command, option?) {
            (_, b'\r' | b'\n') => Sequence::Command(2),
            (DO, option) => Sequence::Negotiation(Negotiation::Do(option)),
            (WILL, option) => Sequence::Negotiation(Negotiation::Will(option)),
            _ => Sequence::Command(3),
        },
        _ => Sequence::Command(2),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q59_negotiations_are_refused() {
        assert_eq!(Negotiation::Do(24).refusal(), [0xff, 0xfc, 24]);
        assert_eq!(Negotiation::Will(1).refusal(), [0xff, 0xfe, 1]);
    }

    #[test]
    fn q59_every_sequence() {
        for (bytes, expected) in [
            (&b"\xff"[..], None),
            (b"\xff\xfd", None),
            (b"\xff\xfe", None),
            (b"\xff\xff", Some(Sequence::Text(2))),
            (b"\xffa", Some(Sequence::Text(1))),
            (b"\xff\n", Some(Sequence::Text(1))),
            (b"\xff\xeb", Some(Sequence::Text(1))),
            (b"\xff\xec", Some(Sequence::Command(2))),
            (b"\xff\xf4", Some(Sequence::Command(2))),
            (b"\xff\xf2", Some(Sequence::Command(2))),
            (b"\xff\xfa", Some(Sequence::Subnegotiation)),
            (
                b"\xff\xfd\x18",
                Some(Sequence::Negotiation(Negotiation::Do(24))),
            ),
            (
                b"\xff\xfb\x01",
                Some(Sequence::Negotiation(Negotiation::Will(1))),
            ),
            (b"\xff\xfc\x01", Some(Sequence::Command(3))),
            (b"\xff\xfe\x01", Some(Sequence::Command(3))),
            (b"\xff\xfd\r", Some(Sequence::Command(2))),
            (b"\xff\xfe\n", Some(Sequence::Command(2))),
        ] {
            assert_eq!(sequence(bytes), expected, "{}", bytes.escape_ascii());
        }
    }
}
