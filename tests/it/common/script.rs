//! The answers of a scripted server to each line.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;

use super::{Answer, answer};

/// The script of a [`ScriptedServer`], before it starts.
#[derive(Clone)]
pub struct Script {
    pub(super) greeting: Answer,
    pub(super) rules: Vec<Rule>,
    pub(super) address: SocketAddr,
}

#[derive(Clone)]
pub(super) struct Rule {
    /// The start of the lines that the rule is for, in upper or lower case.
    start: String,
    /// The first answer is for the first such line; the last one stays.
    answers: VecDeque<Answer>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            greeting: answer().send("220 scripted server\r\n"),
            rules: Vec::new(),
            address: (Ipv4Addr::LOCALHOST, 0).into(),
        }
    }
}

impl Script {
    /// Sets the greeting, in place of a plain 220.
    pub fn greeting(mut self, greeting: impl Into<Answer>) -> Self {
        self.greeting = greeting.into();
        self
    }

    /// Sets the answer to a line that begins with `start`. Another call for the same start is for the next
    /// such line; the last one stays in force.
    pub fn on(mut self, start: &str, answer: impl Into<Answer>) -> Self {
        let answer = answer.into();
        match self.rules.iter_mut().find(|rule| rule.start == start) {
            Some(rule) => rule.answers.push_back(answer),
            None => self.rules.push(Rule {
                start: start.to_owned(),
                answers: [answer].into(),
            }),
        }
        self
    }

    /// Sets where to listen, if not on a free port of 127.0.0.1.
    pub fn at(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }
}

/// The script's answer to a line, or that of an ordinary server.
pub(super) fn find(rules: &Mutex<Vec<Rule>>, line: &str) -> Answer {
    let mut rules = rules.lock().unwrap();
    let rule = rules
        .iter_mut()
        .find(|rule| begins(line.as_bytes(), &rule.start));
    if let Some(rule) = rule {
        if rule.answers.len() > 1 {
            return rule.answers.pop_front().unwrap();
        }
        return rule.answers[0].clone();
    }
    let verb = line.split(' ').next().unwrap_or_default();
    match verb.to_ascii_uppercase().as_str() {
        "USER" => "331 password, please\r\n".into(),
        "PASS" => "230 logged in\r\n".into(),
        "TYPE" | "MODE" | "STRU" | "NOOP" | "PORT" | "EPRT" => "200 as you wish\r\n".into(),
        "SYST" => "215 UNIX Type: L8\r\n".into(),
        "PWD" => "257 \"/\"\r\n".into(),
        "PASV" => answer()
            .listen()
            .send("227 Entering Passive Mode ({hostport}).\r\n"),
        "EPSV" => answer()
            .listen()
            .send("229 Entering Extended Passive Mode (|||{port}|)\r\n"),
        "QUIT" => answer().send("221 bye\r\n").close(),
        _ => "500 not in the script\r\n".into(),
    }
}

pub(super) fn begins(line: &[u8], start: &str) -> bool {
    line.len() >= start.len() && line[..start.len()].eq_ignore_ascii_case(start.as_bytes())
}

/// A line as text, without its end.
pub(super) fn text(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    String::from_utf8_lossy(line).into_owned()
}
