//! The beginning of a session whose client names its server: the greeter, driven as in the product until the
//! client has a server.

use std::iter;

use ferryline::control::{Greeter, Step, refusal};
use ferryline_grammar::{Command, Frame, Line, LineCodec, Verb, masked};

use super::{Dice, peer::Peer};

/// The servers whose names begin so are there, whatever is behind it, such as a port. No other server is.
const SERVER: &[u8] = b"ftp.example";
/// How many servers a client may name in vain.
const MOST_NAMES: usize = 10;

/// The client and the greeter.
pub struct Greeting {
    client: Peer,
    cuts: Option<Dice>,
    greeter: Greeter,
    /// Gets the same lines without their secrets.
    blind: Greeter,
    /// What was written to the client.
    said: Vec<Vec<u8>>,
    received: usize,
    named: usize,
}

/// The client has its server: what the session begins with.
pub struct Met {
    /// The USER is still to be read, and what came behind it.
    pub client: Peer,
    pub cuts: Option<Dice>,
    /// The server's name as the client typed it.
    pub named: String,
    /// How many bytes the client has sent.
    pub received: usize,
}

/// The client gets no server.
struct Over;

impl Greeting {
    pub fn new(cuts: Option<Dice>) -> Self {
        Self {
            client: Peer::new(LineCodec::commands()),
            cuts,
            greeter: Greeter::default(),
            blind: Greeter::default(),
            said: Vec::new(),
            received: 0,
            named: 0,
        }
    }

    /// Plays records up to the one with which the client names its server. Returns what the client was told,
    /// and the rest, unless it never has a server.
    pub fn play<'a>(
        mut self,
        records: &mut impl Iterator<Item = &'a [u8]>,
    ) -> (Vec<Vec<u8>>, Option<Met>) {
        self.says_line(&Greeter::greeting());
        // In the end the client closes; an unfinished line before that is a line.
        for record in records.by_ref().chain(iter::once(&b"xe"[..])) {
            match record {
                [b'c', text @ ..] => self.sends(&[text, b"\r\n"].concat()),
                [b'C', text @ ..] => self.sends(text),
                [b'x', kind, ..] => self.client.ends(super::session::ending(*kind)),
                [b'q' | b'Q', ..] => {
                    self.says_line(&refusal("shutting down"));
                    return (self.said, None);
                }
                // There is no server yet, and there are no forwards.
                _ => {}
            }
            match self.pump() {
                Ok(None) => {}
                Ok(Some(named)) => {
                    let met = Met {
                        client: self.client,
                        cuts: self.cuts,
                        named,
                        received: self.received,
                    };
                    return (self.said, Some(met));
                }
                Err(Over) => return (self.said, None),
            }
        }
        panic!("the greeter's dialogue does not end: {:?}", self.greeter);
    }

    fn sends(&mut self, bytes: &[u8]) {
        self.received += bytes.len();
        self.client.sends_cut(bytes, self.cuts.as_mut());
    }

    /// Hands the greeter all that the client has sent, or as much as leads to a server, whose name it returns.
    fn pump(&mut self) -> Result<Option<String>, Over> {
        while let Some(said) = self.client.next() {
            let frame = match said {
                Ok(frame) => frame,
                Err(ending) => {
                    if let Some(word) = Greeter::last_word(ending) {
                        self.says_line(&word);
                    }
                    return Err(Over);
                }
            };
            let (mut step, blind) = self.step(&frame);
            if let Step::Named(host) = &step {
                let name = String::from_utf8_lossy(host).into_owned();
                // As in the product, a name of other bytes means no server.
                let is_name = host.iter().all(u8::is_ascii_graphic);
                if is_name && host.to_ascii_lowercase().starts_with(SERVER) {
                    self.client.put_back(frame);
                    return Ok(Some(name));
                }
                self.named += 1;
                assert!(self.named <= MOST_NAMES, "the client may search for hosts");
                step = match is_name {
                    true => self.greeter.refuse(&format!("{name}: refused")),
                    false => self.greeter.refuse_name(&format!("'{name}' is no host")),
                };
                // A name that is hidden has been refused already.
                let blind = match blind {
                    Step::Named(_) => self.blind.refuse(""),
                    refused => refused,
                };
                assert_eq!(is_goodbye(&step), is_goodbye(&blind));
            }
            self.takes(step, &frame)?;
        }
        Ok(None)
    }

    /// Has the greeter take a frame. What it does is the same for every secret that the line may hold. Also
    /// returns what it does where the secret is hidden.
    fn step(&mut self, frame: &Frame) -> (Step, Step) {
        let step = self.greeter.client(frame);
        let shown = match frame {
            Frame::Line(line) => Frame::Line(without_secret(line)),
            Frame::Negotiation(_) => frame.clone(),
        };
        let blind = self.blind.client(&shown);
        match (&step, frame) {
            (Step::Named(host), Frame::Line(line)) => {
                let command = Command::parse(line.text()).expect("a command");
                assert_eq!(command.verb, Verb::User);
                let typed = command.argument.trim_ascii_end();
                assert!(typed.ends_with(&[b"@", &host[..]].concat()), "{host:?}");
                let cut = is_cut(line, &shown);
                assert!(blind == step || cut, "{step:?}, not {blind:?}");
            }
            // The line names no server, and what is shown of it does.
            (_, Frame::Line(line)) if matches!(blind, Step::Named(_)) && is_cut(line, &shown) => {
                let refused = self.blind.refuse("");
                assert_eq!(is_goodbye(&step), is_goodbye(&refused));
            }
            _ => assert_eq!(step, blind, "a secret makes a difference"),
        }
        (step, blind)
    }

    /// Does as the greeter says.
    fn takes(&mut self, step: Step, frame: &Frame) -> Result<(), Over> {
        match (step, frame) {
            (Step::Nothing, Frame::Negotiation(_)) => {}
            (Step::Nothing, Frame::Line(line)) => {
                assert_eq!(Command::parse(line.text()), None, "no answer");
            }
            (Step::Refuse(refusal), Frame::Negotiation(_)) => {
                assert!(matches!(refusal[..], [0xff, 0xfc | 0xfe, _]));
                self.said.push(refusal.to_vec());
            }
            (Step::Say(answer), Frame::Line(_)) => self.says_line(&answer),
            (Step::Goodbye { answer, last_word }, Frame::Line(_)) => {
                let words = answer.iter().chain(&last_word);
                assert!(words.clone().count() > 0, "no answer");
                words.for_each(|word| self.says_line(word));
                return Err(Over);
            }
            (Step::OtherProtocol(_), Frame::Line(_)) => return Err(Over),
            (step, frame) => panic!("{step:?} upon {frame:?}"),
        }
        Ok(())
    }

    /// Writes a reply to the client: one whole line, with a code, in ferryline's name.
    fn says_line(&mut self, reply: &[u8]) {
        let text = reply.strip_suffix(b"\r\n").expect("a whole line");
        let [code @ .., b' '] = &text[..4] else {
            panic!("no reply: {}", reply.escape_ascii());
        };
        assert!(code.iter().all(u8::is_ascii_digit), "{code:?}");
        assert!(text[4..].starts_with(b"ferryline: "));
        assert!(text.iter().all(|byte| matches!(byte, b' '..=b'~')));
        self.said.push(reply.to_vec());
    }
}

/// Whether a secret of this line is hidden, and with it all that stands behind its CR.
fn is_cut(line: &Line, shown: &Frame) -> bool {
    let hidden = matches!(shown, Frame::Line(shown) if shown != line);
    hidden && line.text().contains(&b'\r')
}

fn is_goodbye(step: &Step) -> bool {
    matches!(step, Step::Goodbye { .. })
}

fn without_secret(line: &Line) -> Line {
    Line::with_end(masked(line.text()).into_owned(), line.end())
}
