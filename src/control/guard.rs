//! The last look at what goes to the client: no address of the server's own making may be among it.
//!
//! Ferryline reads replies as RFC 959 frames them. Where a server leaves replies open, and for clients
//! that are laxer (three digits and any byte behind them; any reply of several lines ended by any code;
//! any 2xx with six numbers in it), it may take for the middle of one reply, or for no reply, what is
//! the answer to its PASV for the client. Then the client would open its data connection round the
//! tunnel (Q79).

use bytes::Bytes;
use ferryline_grammar::{Place, ReplyCode, ReplyFraming, lax_code, may_name_endpoint};

use super::{answers::answer, request::Request};

/// Sees the replies as clients do.
#[derive(Debug, Default)]
pub(super) struct Guard {
    framing: ReplyFraming,
    /// A lax client may have counted more replies than ferryline has: any may be its answer to PASV.
    out_of_step: bool,
    /// The last line had no end: the server went in the midst of it.
    unfinished: bool,
}

impl Guard {
    /// What must go before the next line, so that it is one.
    pub(super) fn missing_end(&mut self) -> Option<Bytes> {
        std::mem::take(&mut self.unfinished).then_some(Bytes::from_static(b"\r\n"))
    }

    /// The line as it may go to the client.
    pub(super) fn pass(&mut self, request: &Request, line: Bytes) -> Bytes {
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        self.unfinished = !line.ends_with(b"\n");
        let place = self.framing.place(text);
        if is_own(request, &line) {
            return line;
        }
        let code = lax_code(text);
        self.out_of_step |= puts_out_of_step(request, place, code, text);
        match (code.map(ReplyCode::value), place) {
            // What a server should do with such a line there (RFC 959 §4.2).
            (Some(code @ 227..=229), Place::Middle(_)) if line != withheld(code) => {
                [b" ", &*line].concat().into()
            }
            (Some(code @ 227..=229), _) => {
                // One line in place of what may be many.
                self.framing = ReplyFraming::default();
                withheld(code)
            }
            (code, place) if may_name_endpoint(text) && self.minds(request, code) => {
                without_text(code, place)
            }
            _ => line,
        }
    }

    /// Whether an address matters in a line with this code.
    fn minds(&self, request: &Request, code: Option<u16>) -> bool {
        let good = code.is_some_and(|code| (200..400).contains(&code));
        let may_answer_pasv =
            self.out_of_step || matches!(request, Request::Passive(_) | Request::Unasked);
        match code {
            // A name, which may be made of numbers.
            Some(257) | None => may_answer_pasv,
            _ => good,
        }
    }
}

/// What a client gets in place of a passive reply that answers nothing.
pub(super) fn withheld(code: u16) -> Bytes {
    answer(code, "a passive reply that nobody asked for, withheld")
}

fn is_own(request: &Request, line: &Bytes) -> bool {
    matches!(request, Request::Passive(passive) if passive.answer.as_ref() == Some(line))
}

/// Whether some clients take this line for a reply of its own, and others do not; or all do, and nobody
/// has asked for it.
fn puts_out_of_step(request: &Request, place: Place, code: Option<ReplyCode>, text: &[u8]) -> bool {
    let Some(code) = code else {
        return false;
    };
    match place {
        // A passive reply's gets a blank in front.
        Place::Middle(_) => text.get(3) != Some(&b'-') && !matches!(code.value(), 227..=229),
        Place::Stray => true,
        Place::First(_) | Place::Last(_) | Place::Only(_) => {
            matches!(request, Request::Unasked) && code.class() > 1
        }
    }
}

/// A line of the same place and code that says nothing else.
fn without_text(code: Option<u16>, place: Place) -> Bytes {
    const WITHHELD: &str = "an address that nobody asked for, withheld";
    match (code, place) {
        (Some(code), Place::First(_)) => {
            Bytes::from(format!("{code:03}-ferryline: {WITHHELD}\r\n"))
        }
        (Some(code), Place::Last(_) | Place::Only(_) | Place::Stray) => answer(code, WITHHELD),
        _ => Bytes::from(format!(" ferryline: {WITHHELD}\r\n")),
    }
}
