//! The last look at each line for the client: no address of the server's own making may be in it.
//!
//! Ferryline reads replies as RFC 959 frames them. Some clients are laxer: they take three digits and any
//! byte behind them for a reply, end a reply of several lines at any code, or take six numbers from any 2xx.
//! Where the server also leaves replies open, such a client may find its answer to PASV in what ferryline
//! takes for the middle of a reply, or for no reply. It would then open its data connection around the tunnel
//! (Q79).

use bytes::Bytes;
use ferryline_grammar::{
    Place, ReplyCode, ReplyFraming, is_longer_number, lax_code, may_name_endpoint,
};

use super::{answers::answer, key::Key, pending_lines::ClientLine, request::Request};

/// Reads the replies as clients do.
#[derive(Debug, Default)]
pub(super) struct Guard {
    framing: ReplyFraming,
    /// The client may have counted other replies than ferryline has: it may take any for the answer to its
    /// PASV.
    out_of_step: bool,
    /// The request whose multi-line reply the client is reading.
    open: Option<Key>,
    /// The transfer that the last 1xx answered.
    begun: Option<Key>,
    /// The last line had no end: the server's connection ended in the middle of it.
    unfinished: bool,
}

/// A line of the server as a lax client sees it.
struct Seen<'a> {
    /// The request that the line answers.
    request: &'a Request,
    key: Option<Key>,
    place: Place,
    /// The code that such a client reads in it.
    code: Option<ReplyCode>,
    text: &'a [u8],
}

impl Guard {
    /// Takes the line end that must go out before the next line.
    pub(super) fn missing_end(&mut self) -> Option<Bytes> {
        std::mem::take(&mut self.unfinished).then_some(Bytes::from_static(b"\r\n"))
    }

    /// Notes that the next line may answer a later request than the one that the client takes it to answer.
    pub(super) fn out_of_order(&mut self) {
        self.out_of_step = true;
    }

    /// Returns the line in the form in which it may go to the client. `key`: the request that it answers.
    pub(super) fn pass(&mut self, request: &Request, key: Option<Key>, line: ClientLine) -> Bytes {
        let (line, own) = match line {
            ClientLine::Own(line) => (line, true),
            ClientLine::Relayed(line) => (line, false),
        };
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        self.unfinished = !line.ends_with(b"\n");
        let place = self.framing.place(text);
        match place {
            Place::First(_) => self.open = key,
            // The server left the open reply unfinished, and goes on with another (Q29).
            Place::Last(_) | Place::Middle(_) => self.out_of_step |= self.open != key,
            Place::Only(_) | Place::Stray => {}
        }
        let code = lax_code(text);
        // A passive reply of ferryline's own, or what stands in place of one.
        if own && code.is_some_and(|code| is_passive(code.value())) {
            // The server left a reply open before it, or was not asked.
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
        // The replacement of a line must be a reply for the same clients as the line was.
        let in_place = |line: Bytes| match padded && !is_padded(&line) {
            true => padded_line(&line),
            false => line,
        };
        match (code, place) {
            // For most clients it is no reply at all: it is made none for the others, too.
            (Some(227..=229), Place::Stray) if is_longer_number(text) => match minds {
                true => without_text(None, place),
                false => padded_line(&line),
            },
            (Some(227..=229), Place::Middle(_)) if minds => without_text(code, place),
            (Some(227..=229), Place::Middle(_)) if padded => line,
            // This is what a server should do with such a line there (RFC 959 §4.2).
            (Some(227..=229), Place::Middle(_)) => padded_line(&line),
            (Some(code @ 227..=229), _) => {
                // One line replaces what may be several.
                self.framing.reply_withheld();
                in_place(withheld(code))
            }
            _ if minds => in_place(without_text(code, place)),
            _ => line,
        }
    }

    /// Whether the client may take this line, which may hold an address, for an answer to its PASV. Otherwise
    /// the numbers are a name, or what the server says of its own connections.
    fn minds(&self, seen: &Seen<'_>, was_out_of_step: bool) -> bool {
        let code = seen.code.map(ReplyCode::value);
        // GridFTP's passive reply, which comes ahead of the transfer's own (Q95).
        if code == Some(127) {
            return true;
        }
        let any = matches!(seen.request, Request::Passive(_) | Request::Unasked);
        match code.is_none_or(is_good) {
            true => any || self.out_of_step,
            // A client in step takes it for a part of the answer to the request, whatever code ends that.
            false => (any || was_out_of_step) && may_be_good(seen.place, seen.text),
        }
    }

    /// Whether the counts of replies differ from here on: this line is a reply of its own, or a final one,
    /// for some clients only; or it is one for all, and answers no request.
    fn puts_out_of_step(&mut self, seen: &Seen<'_>) -> bool {
        let Some(code) = seen.code else {
            return false;
        };
        let text = seen.text;
        match seen.place {
            // A client that skips blanks ends a reply at the reply's own code.
            Place::Middle(open) if is_padded(text) => code == open,
            // A passive reply's code gets a blank in front.
            Place::Middle(_) => text.get(3) != Some(&b'-') && !is_passive(code.value()),
            Place::Stray => true,
            // A client that does not skip blanks has had no reply, or no end of one (Q93).
            Place::First(_) | Place::Only(_) | Place::Last(_) if is_padded(text) => true,
            Place::Last(_) => false,
            Place::First(_) | Place::Only(_) => match (seen.request, code.value()) {
                (Request::Unasked, value) => value >= 200,
                // The client has had ferryline's greeting.
                (Request::Greeting { withheld }, _) => *withheld,
                (Request::Transfer(_), 100..200) => {
                    let before = std::mem::replace(&mut self.begun, seen.key);
                    before == seen.key
                }
                // It is not the final reply of a transfer (Q42); for ABOR it may or may not be (Q44).
                (Request::Transfer(_), 200 | 202) | (Request::Abort, _) | (_, 100..200) => true,
                _ => false,
            },
        }
    }
}

/// Whether some client may take a reply for a success although the code of this line of it is none. Where any
/// code ends a reply of several lines, the last line decides; only a line that is the last one for all
/// clients settles it.
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

/// Replacement for a passive reply that answers no request.
pub(super) fn withheld(code: u16) -> Bytes {
    answer(code, "a passive reply that nobody asked for, withheld")
}

/// Whether blanks stand before its text.
fn is_padded(text: &[u8]) -> bool {
    text.first().is_some_and(u8::is_ascii_whitespace)
}

fn padded_line(line: &[u8]) -> Bytes {
    [b" ", line].concat().into()
}

fn is_passive(code: u16) -> bool {
    matches!(code, 227..=229)
}

/// A line of the same place and code without the text.
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
