//! The lines of the control connections, as the proxy saw them: what the server was really sent, and what it
//! sent before anything was rewritten.

use std::sync::Mutex;

use ferryline_grammar::{
    Command, PassiveEndpoint, Place, ReplyCode, ReplyFraming, Verb, parse_passive_reply,
};

use crate::{
    lock::lock,
    proxy::{Direction, Observer},
};

/// Keeps every line since the last look.
#[derive(Debug, Default)]
pub(super) struct Watch(Mutex<Vec<(Direction, Vec<u8>)>>);

impl Observer for Watch {
    fn line(&self, _: u64, direction: Direction, line: &[u8]) {
        if matches!(direction, Direction::FromServer | Direction::ToServer) {
            let mut lines = lock(&self.0);
            lines.push((direction, line.to_vec()));
        }
    }
}

impl Watch {
    /// What ferryline itself says in this reply to the client; `None`: the server said it.
    pub(super) fn own_word<'a>(&self, reply: &'a str) -> Option<&'a str> {
        let lines = lock(&self.0);
        let of_server = lines.iter().any(|(way, line)| {
            *way == Direction::FromServer && String::from_utf8_lossy(line) == reply
        });
        let (_, own) = reply.split_once(' ')?;
        own.strip_prefix("ferryline: ").filter(|_| !of_server)
    }

    /// Takes the lines since the last call.
    pub(super) fn take(&self) -> Passed {
        let mut lines = lock(&self.0);
        Passed(std::mem::take(&mut *lines))
    }
}

/// A piece of the dialogue with the server.
#[derive(Debug)]
pub(super) struct Passed(Vec<(Direction, Vec<u8>)>);

impl Passed {
    /// Commands for data connections that the server was sent, in order.
    pub(super) fn asked(&self) -> Vec<Verb> {
        let to_server = self.0.iter().filter(|(way, _)| *way == Direction::ToServer);
        let commands = to_server.filter_map(|(_, line)| Command::parse(line));
        let data = [Verb::Pasv, Verb::Epsv, Verb::Port, Verb::Eprt];
        commands
            .map(|command| command.verb)
            .filter(|verb| data.contains(verb))
            .collect()
    }

    /// Replies of the server, with their lines.
    pub(super) fn replies(&self) -> Vec<(ReplyCode, Vec<&[u8]>)> {
        let mut framing = ReplyFraming::default();
        let mut replies = Vec::new();
        let mut open = Vec::new();
        for (way, line) in &self.0 {
            if *way == Direction::ToServer {
                framing.command_sent();
                continue;
            }
            open.push(line.as_slice());
            match framing.place(line) {
                Place::Last(code) | Place::Only(code) => {
                    replies.push((code, std::mem::take(&mut open)));
                }
                Place::First(_) | Place::Middle(_) => {}
                Place::Stray => open.clear(),
            }
        }
        replies
    }

    /// The endpoint that the last passive reply of the server names.
    pub(super) fn passive(&self) -> Option<(ReplyCode, PassiveEndpoint)> {
        let replies = self.replies();
        replies.into_iter().rev().find_map(|(code, lines)| {
            let endpoint = parse_passive_reply(code, lines.into_iter()).ok()?;
            Some((code, endpoint))
        })
    }

    /// The server's refusal of PORT and EPRT, if it refused both.
    pub(super) fn active_refused(&self) -> Option<String> {
        let asked = self.asked();
        if !asked.iter().any(|v| matches!(v, Verb::Port | Verb::Eprt)) {
            return None;
        }
        let replies = self.replies();
        let refusal = replies.iter().find(|(code, _)| code.class() == 5)?;
        let line = refusal.1.last()?;
        Some(line.escape_ascii().to_string())
    }

    /// Features that a reply to FEAT lists, with their parameters (RFC 2389 §3.2).
    pub(super) fn features(&self) -> Vec<String> {
        let replies = self.replies();
        let Some((_, lines)) = replies.iter().find(|(code, _)| code.value() == 211) else {
            return Vec::new();
        };
        let inner = lines.len().saturating_sub(2);
        let features = lines.iter().skip(1).take(inner).map(|line| {
            // Some servers put the code before each (Q30).
            let line = line.strip_prefix(b"211-").unwrap_or(line);
            line.trim_ascii().escape_ascii().to_string()
        });
        features.filter(|feature| !feature.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(lines: &[(&str, &str)]) -> Passed {
        let watch = Watch::default();
        for (way, line) in lines {
            let way = match *way {
                "S<" => Direction::FromServer,
                "S>" => Direction::ToServer,
                _ => Direction::ToClient,
            };
            watch.line(1, way, line.as_bytes());
        }
        watch.take()
    }

    #[test]
    fn it_tells_what_the_server_was_asked_and_named() {
        let passed = passed(&[
            ("S>", "EPSV"),
            ("S<", "500 EPSV?"),
            ("S>", "PASV"),
            ("S<", "227-listen"),
            ("S<", "227 (10,1,2,3,4,5)"),
            ("C<", "227 (127,0,0,1,9,9)"),
            ("S>", "LIST"),
        ]);
        assert_eq!(passed.asked(), [Verb::Epsv, Verb::Pasv]);
        let (code, endpoint) = passed.passive().unwrap();
        assert_eq!(code.value(), 227);
        assert_eq!(endpoint.address.unwrap().to_string(), "10.1.2.3");
        assert_eq!(passed.active_refused(), None);
    }

    #[test]
    fn ferrylines_own_reply_is_told_from_the_servers() {
        let watch = Watch::default();
        let own = "421 ferryline: what answers is not an FTP server";
        let told = watch.own_word(own);
        assert_eq!(told, Some("what answers is not an FTP server"));
        assert_eq!(watch.own_word("421 Too many users."), None);
        // A server may be behind another ferryline.
        watch.line(1, Direction::FromServer, own.as_bytes());
        assert_eq!(watch.own_word(own), None);
    }

    #[test]
    fn features_are_listed_in_both_forms() {
        for (before, after) in [(" ", ""), ("211-", "")] {
            let (auth, mdtm) = (format!("{before}AUTH TLS"), format!("{before}MDTM{after}"));
            let passed = passed(&[
                ("S>", "FEAT"),
                ("S<", "211-Features:"),
                ("S<", &auth),
                ("S<", &mdtm),
                ("S<", "211 End"),
            ]);
            assert_eq!(passed.features(), ["AUTH TLS", "MDTM"]);
        }
        assert!(passed(&[("S<", "500 no")]).features().is_empty());
    }

    #[test]
    fn a_refusal_of_active_mode_is_told() {
        let refused = passed(&[("S>", "PORT 127,0,0,1,9,9"), ("S<", "500 Illegal PORT")]);
        assert_eq!(refused.active_refused().unwrap(), "500 Illegal PORT");
    }
}
