//! A client with a script. It sends when it likes, and knows which answers it must get.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::world::{CLIENT_PORTS, World};

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Abor,
    Auth,
    Blank,
    Eprt,
    EprtForeign,
    Epsv,
    EpsvAll,
    EpsvOther,
    Feat,
    ModeB,
    ModeS,
    Noop,
    Pasv,
    Port,
    Rein,
    Retr,
    Stat,
    Stor,
}

/// Commands in the order in which clients send them, with some that only some clients send.
pub(super) fn scripts() -> impl Strategy<Value = Vec<Ask>> {
    let step = prop_oneof![
        8 => Just(vec![Ask::Pasv, Ask::Retr]),
        8 => Just(vec![Ask::Epsv, Ask::Retr]),
        4 => Just(vec![Ask::Epsv, Ask::Pasv, Ask::Stor]),
        4 => Just(vec![Ask::Pasv, Ask::Stor]),
        6 => Just(vec![Ask::Port, Ask::Retr]),
        6 => Just(vec![Ask::Eprt, Ask::Retr]),
        3 => Just(vec![Ask::Eprt, Ask::Port, Ask::Stor]),
        3 => Just(vec![Ask::Pasv, Ask::Retr, Ask::Abor]),
        1 => Just(vec![Ask::Port, Ask::Retr, Ask::Abor]),
        1 => Just(vec![Ask::ModeB]),
        1 => Just(vec![Ask::ModeS]),
        1 => Just(vec![Ask::Rein]),
        1 => Just(vec![Ask::EpsvAll]),
        6 => prop::sample::select(vec![
            Ask::Abor, Ask::Auth, Ask::Blank, Ask::EprtForeign, Ask::EpsvOther, Ask::Feat,
            Ask::Noop, Ask::Pasv, Ask::Port, Ask::Retr, Ask::Stat,
        ]).prop_map(|ask| vec![ask]),
    ];
    prop::collection::vec(step, 0..8).prop_map(|steps| steps.concat())
}

/// One command that was sent: with its tag, which its answer repeats.
struct Asked {
    ask: Ask,
    tag: String,
}

pub(super) struct Client {
    script: VecDeque<Ask>,
    /// Number of answers that it can do without before it sends on.
    window: usize,
    asked: Vec<Asked>,
    /// All lines that it has sent.
    pub(super) sent: Vec<String>,
    /// The final replies that it has seen; the first is the greeting.
    pub(super) finals: Vec<String>,
    /// All lines that it has seen, as they came.
    pub(super) lines: Vec<String>,
    open: Option<String>,
    read: usize,
    pub(super) wire: VecDeque<u8>,
    pub(super) quit: bool,
}

impl Client {
    pub(super) fn new(script: Vec<Ask>, window: usize) -> Self {
        Self {
            script: script.into(),
            window,
            asked: Vec::new(),
            sent: Vec::new(),
            finals: Vec::new(),
            lines: Vec::new(),
            open: None,
            read: 0,
            wire: VecDeque::new(),
            quit: false,
        }
    }

    pub(super) fn step(&mut self) -> bool {
        if self.quit || self.asked.len() + 1 >= self.finals.len() + self.window {
            return false;
        }
        let number = self.asked.len();
        let tag = format!("t{number}.");
        let port = CLIENT_PORTS + u16::try_from(number).unwrap();
        let [high, low] = port.to_be_bytes();
        let Some(ask) = self.script.pop_front() else {
            self.quit = true;
            self.wire.extend(b"QUIT\r\n");
            self.sent.push("QUIT".into());
            return true;
        };
        let line = match ask {
            Ask::Abor => "ABOR".into(),
            Ask::Auth => "AUTH TLS".into(),
            Ask::Blank => String::new(),
            Ask::Eprt => format!("EPRT |1|127.0.0.1|{port}|"),
            Ask::EprtForeign => "EPRT |1|10.9.8.7|30000|".into(),
            Ask::Epsv => "EPSV".into(),
            Ask::EpsvAll => "EPSV ALL".into(),
            Ask::EpsvOther => "EPSV 2".into(),
            Ask::Feat => "FEAT".into(),
            Ask::ModeB => "MODE B".into(),
            Ask::ModeS => "MODE S".into(),
            Ask::Noop => format!("NOOP {tag}"),
            Ask::Pasv => "PASV".into(),
            Ask::Port => format!("PORT 127,0,0,1,{high},{low}"),
            Ask::Rein => "REIN".into(),
            Ask::Retr => format!("RETR {tag}"),
            Ask::Stat => format!("STAT {tag}"),
            Ask::Stor => format!("STOR {tag}"),
        };
        self.wire.extend(line.bytes());
        self.wire.extend(b"\r\n");
        self.sent.push(line);
        if ask != Ask::Blank {
            self.asked.push(Asked { ask, tag });
        }
        true
    }

    /// Reads what has come. `early`: whether a 226 with this tag has come before its data, or without.
    pub(super) fn read(&mut self, world: &World, early: impl Fn(&str) -> bool) {
        while let Some(end) = world.to_client[self.read..]
            .iter()
            .position(|b| *b == b'\n')
        {
            let line = &world.to_client[self.read..self.read + end];
            let line = String::from_utf8_lossy(line).trim_end().to_owned();
            self.read += end + 1;
            self.lines.push(line.clone());
            match &self.open {
                Some(code) if line.starts_with(code) => self.open = None,
                Some(_) => continue,
                None if line.as_bytes().get(3) == Some(&b'-') => {
                    self.open = Some(format!("{} ", code_of(&line)));
                    continue;
                }
                None => {}
            }
            assert!(
                line.as_bytes()[..3].iter().all(u8::is_ascii_digit),
                "{line}"
            );
            if let Some(tag) = line.strip_prefix("226 done ") {
                assert!(!early(tag), "{line:?} came before its data");
            }
            if !line.starts_with('1') {
                self.finals.push(line);
            }
        }
    }

    /// Checks that each command has had its one answer, in order.
    pub(super) fn check(&self) {
        let mut finals = self.finals.iter();
        assert_eq!(finals.next().map(String::as_str), Some("220 ready"));
        for asked in &self.asked {
            let reply = finals
                .next()
                .unwrap_or_else(|| panic!("no answer to {:?} {}", asked.ask, asked.tag));
            assert!(
                asked.is_answered_by(reply),
                "{:?} {}: {reply}",
                asked.ask,
                asked.tag
            );
        }
        assert_eq!(finals.next().map(String::as_str), Some("221 bye"));
        assert_eq!(finals.next(), None);
    }
}

impl Asked {
    fn is_answered_by(&self, reply: &str) -> bool {
        let code = code_of(reply);
        let own = reply.contains("ferryline");
        let refused = code.starts_with('4') || code.starts_with('5');
        match self.ask {
            Ask::Abor => matches!(code, "225" | "226"),
            Ask::Auth => own && code == "502",
            Ask::Blank => false,
            Ask::EprtForeign => own && code == "501",
            Ask::Epsv => code == "229" || refused || code.starts_with('2') && !own,
            Ask::EpsvOther => own && code == "522",
            Ask::Feat => code == "211",
            Ask::Eprt | Ask::Port => code == "200" || refused,
            Ask::EpsvAll | Ask::ModeB | Ask::ModeS => code == "200",
            Ask::Noop => reply == format!("200 ok {}", self.tag),
            Ask::Pasv => code == "227" || refused,
            Ask::Rein => reply == "220 again",
            Ask::Retr | Ask::Stor => reply.ends_with(&self.tag) || own && refused,
            Ask::Stat => reply == format!("211 end {}", self.tag),
        }
    }
}

fn code_of(line: &str) -> &str {
    line.get(..3).unwrap_or_default()
}
