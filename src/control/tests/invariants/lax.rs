//! A client that takes its replies one after the other, and is lax about what a reply is. It must not be led
//! to the FTP server's own address.
//!
//! The fuzz target `session` and the test with hostile peers have the same one.

use std::collections::VecDeque;

use ferryline_grammar::{Command, EpsvArgument, Verb, may_name_endpoint, telnet_readings};

#[derive(Debug)]
pub(super) struct LaxClient {
    /// A reply of several lines ends at any code, not only at its own.
    any_code_ends: bool,
    /// A 1xx is an answer, unless it answers a transfer.
    takes_preliminary: bool,
    /// A reply of several lines ends at its own code, followed by anything but a dash.
    ends_loosely: bool,
    /// Blanks in front of a code are ignored.
    skips_blanks: bool,
    /// The reading that it has of a line with an IAC in it (index into [`telnet_readings`]).
    telnet: usize,
    /// What it awaits an answer to; `None` is its greeting.
    exchange: VecDeque<Option<Verb>>,
    /// Replies that came before it had asked for anything.
    early: VecDeque<Reply>,
    open: Option<Reply>,
}

#[derive(Debug)]
struct Reply {
    code: Vec<u8>,
    /// The address of the server in it, if there is one.
    bad: Option<String>,
}

impl LaxClient {
    /// All kinds that have this reading of lines with an IAC in them. `greeted`: they have had their
    /// greeting.
    pub(super) fn kinds(greeted: bool, telnet: usize) -> Vec<Self> {
        let kinds = (0..12).map(|kind| {
            let is = |bit: usize| kind & (1 << bit) != 0;
            let end = kind / 4;
            Self {
                // A client that ends a reply at any code knows a list's lines by the blank that RFC 959 wants
                // in front.
                any_code_ends: end == 0,
                skips_blanks: end == 1,
                takes_preliminary: is(0),
                ends_loosely: is(1),
                telnet,
                exchange: if greeted {
                    VecDeque::new()
                } else {
                    [None].into()
                },
                early: VecDeque::new(),
                open: None,
            }
        });
        kinds.collect()
    }

    /// Notes a command that it sends, without the line end.
    pub(super) fn sends(&mut self, line: &[u8]) {
        if let Some(command) = Command::parse(line) {
            let all = EpsvArgument::parse(command.argument) == EpsvArgument::All;
            let verb = match command.verb {
                Verb::Epsv if all => Verb::Other,
                verb => verb,
            };
            self.exchange.push_back(Some(verb));
            self.match_up();
        }
    }

    /// Reads a line. `is_servers`: whether this text, which holds an address, names the server's.
    pub(super) fn reads(&mut self, line: &[u8], is_servers: impl Fn(&[u8]) -> bool) {
        let line = &telnet_readings(line.trim_ascii_end())[self.telnet];
        let line = match self.skips_blanks {
            true => line.trim_ascii_start(),
            false => line,
        };
        let code: Vec<u8> = line.iter().copied().take(3).collect();
        let coded = code.len() == 3 && code.iter().all(u8::is_ascii_digit);
        let loosely = self.ends_loosely && line.get(3) != Some(&b'-');
        let ends = coded && (loosely || matches!(line.get(3), None | Some(b' ')));
        let bad = may_name_endpoint(line) && is_servers(line);
        let bad = bad.then(|| String::from_utf8_lossy(line).into_owned());
        match &mut self.open {
            Some(open) => {
                open.bad = open.bad.take().or(bad);
                if ends && (self.any_code_ends || open.code == code) {
                    open.code = code;
                    self.early.extend(self.open.take());
                }
            }
            None if coded && line.get(3) == Some(&b'-') => self.open = Some(Reply { code, bad }),
            // Anything may follow the code.
            None if coded => self.early.push_back(Reply { code, bad }),
            None => {}
        }
        self.match_up();
    }

    fn match_up(&mut self) {
        while let (Some(asked), Some(reply)) = (self.exchange.front(), self.early.front()) {
            let transfer = matches!(
                asked,
                None | Some(Verb::Appe | Verb::List | Verb::Mlsd | Verb::Nlst)
                    | Some(Verb::Retr | Verb::Stor | Verb::Stou)
            );
            let preliminary = reply.code.starts_with(b"1");
            if preliminary && (transfer || !self.takes_preliminary) {
                self.early.pop_front();
                continue;
            }
            let passive = matches!(
                asked,
                Some(Verb::Cpsv | Verb::Epsv | Verb::Pasv | Verb::Paw | Verb::Spsv)
            );
            let good = matches!(reply.code.first(), Some(b'2' | b'3'));
            assert!(
                !(passive && good && reply.bad.is_some()),
                "a lax client takes {reply:?} for the answer to {asked:?}: {self:?}"
            );
            self.exchange.pop_front();
            self.early.pop_front();
        }
    }
}
