//! The last look at what goes to the client: no address of the server's own making may be among it.
//!
//! Ferryline reads replies as RFC 959 frames them. Where a server leaves replies open, and for clients
//! that are laxer (three digits and any byte behind them; any reply of several lines ended by any code;
//! any 2xx with six numbers in it), it may take for the middle of one reply, or for no reply, what is
//! the answer to its PASV for the client. Then the client would open its data connection round the
//! tunnel (Q79).

use bytes::Bytes;
use ferryline_grammar::{
    Place, ReplyCode, ReplyFraming, is_longer_number, lax_code, may_name_endpoint,
};

use super::{answers::answer, held::Reply, key::Key, request::Request};

/// Sees the replies as clients do.
#[derive(Debug, Default)]
pub(super) struct Guard {
    framing: ReplyFraming,
    /// The client may have counted other replies than ferryline has: any may be its answer to PASV.
    out_of_step: bool,
    /// The request that the reply of several lines answers which the client is reading.
    open: Option<Key>,
    /// The transfer that a 1xx was the answer to last.
    begun: Option<Key>,
    /// The last line had no end: the server went in the midst of it.
    unfinished: bool,
}

/// A line of the server's as a lax client sees it.
struct Seen<'a> {
    /// The request that the line is in answer to.
    request: &'a Request,
    key: Option<Key>,
    place: Place,
    /// The code that such a client reads in it.
    code: Option<ReplyCode>,
    text: &'a [u8],
}

impl Guard {
    /// What must go before the next line, so that it is one.
    pub(super) fn missing_end(&mut self) -> Option<Bytes> {
        std::mem::take(&mut self.unfinished).then_some(Bytes::from_static(b"\r\n"))
    }

    /// What comes next may answer a later request than the one that the client takes it to answer.
    pub(super) fn out_of_order(&mut self) {
        self.out_of_step = true;
    }

    /// The line as it may go to the client. `key`: of the request that it answers.
    pub(super) fn pass(&mut self, request: &Request, key: Option<Key>, line: Reply) -> Bytes {
        let (line, own) = match line {
            Reply::Own(line) => (line, true),
            Reply::Relayed(line) => (line, false),
        };
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        self.unfinished = !line.ends_with(b"\n");
        let place = self.framing.place(text);
        match place {
            Place::First(_) => self.open = key,
            // The server has left that one open, and goes on with another (Q29).
            Place::Last(_) | Place::Middle(_) => self.out_of_step |= self.open != key,
            Place::Only(_) | Place::Stray => {}
        }
        let code = lax_code(text);
        // A passive reply of ferryline's own, or what stands in place of one.
        if own && code.is_some_and(|code| is_passive(code.value())) {
            // The server has left a reply open in front of it, or was not asked.
            self.out_of_step |=
                matches!(place, Place::Middle(_)) || matches!(request, Request::Unasked);
            return line;
        }
        let seen = Seen {
            request,
            key,
            place,
            code,
            text,
        };
        let was_out_of_step = self.out_of_step;
        self.out_of_step |= self.puts_out_of_step(&seen);
        let minds = may_name_endpoint(text) && self.minds(&seen, was_out_of_step);
        let code = code.map(ReplyCode::value);
        let padded = is_padded(text);
        // What takes the place of a line is a reply to those clients only that the line was one to.
        let in_place = |line: Bytes| match padded && !is_padded(&line) {
            true => padded_line(&line),
            false => line,
        };
        match (code, place) {
            // For most it is no reply at all: it is made none for the others, too.
            (Some(227..=229), Place::Stray) if is_longer_number(text) => match minds {
                true => without_text(None, place),
                false => padded_line(&line),
            },
            (Some(227..=229), Place::Middle(_)) if minds => without_text(code, place),
            (Some(227..=229), Place::Middle(_)) if padded => line,
            // What a server should do with such a line there (RFC 959 §4.2).
            (Some(227..=229), Place::Middle(_)) => padded_line(&line),
            (Some(code @ 227..=229), _) => {
                // One line in place of what may be many.
                self.framing.reply_withheld();
                in_place(withheld(code))
            }
            _ if minds => in_place(without_text(code, place)),
            _ => line,
        }
    }

    /// Whether the client may take this line, which holds an address, for an answer to its PASV. Else it
    /// is a name that is made of numbers, or what a server says of its own connections.
    fn minds(&self, seen: &Seen<'_>, was_out_of_step: bool) -> bool {
        let code = seen.code.map(ReplyCode::value);
        // GridFTP's passive reply, which comes ahead of the transfer's own (Q95).
        if code == Some(127) {
            return true;
        }
        let any = matches!(seen.request, Request::Passive(_) | Request::Unasked);
        match code.is_none_or(is_good) {
            true => any || self.out_of_step,
            // To a client that was in step, it belongs to the answer to the request, whatever code ends that.
            false => (any || was_out_of_step) && may_be_good(seen.place, seen.text),
        }
    }

    /// Whether this line is a reply of its own, or a final one, for some clients and not for others; or
    /// for all, and nobody has asked for it.
    fn puts_out_of_step(&mut self, seen: &Seen<'_>) -> bool {
        let Some(code) = seen.code else {
            return false;
        };
        let text = seen.text;
        match seen.place {
            // A client that looks behind blanks ends a reply at its own code.
            Place::Middle(open) if is_padded(text) => code == open,
            // A passive reply's gets a blank in front.
            Place::Middle(_) => text.get(3) != Some(&b'-') && !is_passive(code.value()),
            Place::Stray => true,
            // A client that does not look behind blanks has had no reply, or no end of one (Q93).
            Place::First(_) | Place::Only(_) | Place::Last(_) if is_padded(text) => true,
            Place::Last(_) => false,
            Place::First(_) | Place::Only(_) => match (seen.request, code.value()) {
                (Request::Unasked, value) => value >= 200,
                // It has had ferryline's.
                (Request::Greeting { withheld }, _) => *withheld,
                (Request::Transfer(_), 100..200) => {
                    let before = std::mem::replace(&mut self.begun, seen.key);
                    before == seen.key
                }
                // Of a transfer it is not the last word (Q42); of ABOR nobody knows (Q44).
                (Request::Transfer(_), 200 | 202) | (Request::Abort, _) | (_, 100..200) => true,
                _ => false,
            },
        }
    }
}

/// Whether a reply may be a success to some client although the code of this line of it is none. Where any
/// code ends a reply of several lines, the last line says whether it is one; only a line that is the last one
/// for all clients settles it.
fn may_be_good(place: Place, text: &[u8]) -> bool {
    let ends = match text {
        [a, b, c] | [a, b, c, b' ', ..] => [a, b, c].iter().all(|digit| digit.is_ascii_digit()),
        _ => false,
    };
    !ends || matches!(place, Place::Middle(open) if is_good(open.value()))
}

fn is_good(code: u16) -> bool {
    (200..400).contains(&code)
}

/// What a client gets in place of a passive reply that answers nothing.
pub(super) fn withheld(code: u16) -> Bytes {
    answer(code, "a passive reply that nobody asked for, withheld")
}

/// Whether blanks stand before whatever it says.
fn is_padded(text: &[u8]) -> bool {
    text.first().is_some_and(u8::is_ascii_whitespace)
}

fn padded_line(line: &[u8]) -> Bytes {
    [b" ", line].concat().into()
}

fn is_passive(code: u16) -> bool {
    matches!(code, 227..=229)
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
