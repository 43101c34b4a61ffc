//! A server that answers each command once and in order.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;

use super::world::{Kind, SERVER_ADDRESS, SERVER_PORTS, Stage, Tape, World, port_of};
use crate::control::ForwardId;

/// Habits of a server.
#[derive(Clone, Debug)]
pub(super) struct Profile {
    /// Its answer to EPSV, where it does not serve it.
    epsv_refusal: Option<u16>,
    pasv_refused: bool,
    eprt_refused: bool,
    port_refused: bool,
    /// It sends 150 before it has the data connection.
    eager: bool,
    /// It reads ABOR during a transfer.
    hears_abor: bool,
    several_lines: bool,
    /// Every third request for a passive port fails.
    tires: bool,
}

pub(super) fn profiles() -> impl Strategy<Value = Profile> {
    let refusal = prop_oneof![
        4 => Just(None),
        1 => prop::sample::select(vec![200, 202, 425, 500, 502, 522, 530]).prop_map(Some),
    ];
    let seldom = || prop::bool::weighted(0.2);
    (refusal, seldom(), seldom(), seldom(), any::<[bool; 4]>()).prop_map(
        |(epsv_refusal, pasv_refused, eprt_refused, port_refused, flags)| Profile {
            epsv_refusal,
            pasv_refused,
            eprt_refused,
            port_refused,
            eager: flags[0],
            hears_abor: flags[1],
            several_lines: flags[2],
            tires: flags[3],
        },
    )
}

/// A transfer that the server has begun.
#[derive(Debug)]
struct Running {
    tag: String,
    port: u16,
    seen: bool,
    said_preliminary: bool,
    /// Whether its data connection was still there when it began.
    stood: Option<bool>,
}

pub(super) struct Server {
    profile: Profile,
    read: usize,
    commands: VecDeque<String>,
    endpoint: Option<u16>,
    next_port: u16,
    running: Option<Running>,
    /// The data ports of finished transfers, by their tags.
    pub(super) finished: BTreeMap<String, u16>,
    pub(super) wire: VecDeque<u8>,
    /// Lines that must reach the client unchanged, in this order: all but those that ferryline may change,
    /// and the answers to ABOR, which overtakes what waits.
    pub(super) passing: Vec<String>,
    pub(super) closed: bool,
}

impl Server {
    pub(super) fn new(profile: Profile) -> Self {
        let mut server = Self {
            profile,
            read: 0,
            commands: VecDeque::new(),
            endpoint: None,
            next_port: SERVER_PORTS,
            running: None,
            finished: BTreeMap::new(),
            wire: VecDeque::new(),
            passing: Vec::new(),
            closed: false,
        };
        server.pass("220-welcome");
        server.pass("220 ready");
        server
    }

    /// Does one thing, if there is anything to do.
    pub(super) fn step(&mut self, world: &mut World, tape: &mut Tape) -> bool {
        while let Some(end) = world.to_server[self.read..]
            .iter()
            .position(|b| *b == b'\n')
        {
            let line = &world.to_server[self.read..self.read + end];
            let line = String::from_utf8_lossy(line).trim_end().to_owned();
            self.read += end + 1;
            if !line.is_empty() {
                self.commands.push_back(line);
            }
        }
        if self.closed {
            return false;
        }
        if self.running.is_some() {
            return self.go_on(world, tape);
        }
        let Some(command) = self.commands.pop_front() else {
            return false;
        };
        self.answer(&command, tape);
        true
    }

    fn answer(&mut self, command: &str, tape: &mut Tape) {
        let (verb, argument) = command.split_once(' ').unwrap_or((command, ""));
        match verb {
            "ABOR" => self.say("225 nothing to abort"),
            "EPRT" if self.profile.eprt_refused => self.say("500 no EPRT"),
            "PORT" if self.profile.port_refused => self.say("500 Illegal PORT command."),
            "EPRT" | "PORT" => {
                self.endpoint = Some(port_of(command));
                self.say("200 active");
            }
            "EPSV" if argument == "ALL" => self.pass("200 EPSV ALL"),
            "EPSV" | "PASV" if self.is_tired() => self.say("425 no port is free"),
            "EPSV" => match self.profile.epsv_refusal {
                Some(code) => self.say(&format!("{code} no EPSV")),
                None => {
                    let port = self.listen();
                    self.say(&format!("229 listening (|||{port}|)"));
                }
            },
            "FEAT" => {
                self.pass("211-features");
                self.pass(" MDTM");
                self.say(" AUTH TLS");
                self.pass("211 end");
            }
            "MODE" => self.pass("200 mode"),
            "NOOP" => self.pass(&format!("200 ok {argument}")),
            "PASV" if self.profile.pasv_refused => self.say("502 no PASV"),
            "PASV" => {
                let [high, low] = self.listen().to_be_bytes();
                if self.profile.several_lines {
                    self.say("227-listening");
                }
                self.say(&format!("227 here ({SERVER_ADDRESS},{high},{low})"));
            }
            "QUIT" => {
                self.pass("221 bye");
                self.closed = true;
            }
            "REIN" => {
                self.endpoint = None;
                self.pass("220 again");
            }
            "RETR" | "STOR" => self.begin(argument, tape),
            "STAT" => {
                self.pass(&format!("211-status {argument}"));
                self.pass(&format!(" 227 x ({SERVER_ADDRESS})"));
                self.pass("550 in the middle");
                self.pass(&format!("211 end {argument}"));
            }
            other => panic!("the server was sent {other:?}"),
        }
    }

    fn is_tired(&mut self) -> bool {
        let tired = self.profile.tires && self.next_port % 3 == 2;
        self.next_port += u16::from(tired);
        tired
    }

    fn listen(&mut self) -> u16 {
        let port = self.next_port;
        self.next_port += 1;
        self.endpoint = Some(port);
        port
    }

    fn begin(&mut self, tag: &str, tape: &mut Tape) {
        if tape.choose(8) == Some(7) {
            self.pass(&format!("550 no {tag}"));
            return;
        }
        let Some(port) = self.endpoint.take() else {
            self.pass(&format!("425 where to? {tag}"));
            return;
        };
        if self.profile.eager {
            self.pass(&format!("150 soon {tag}"));
        }
        self.running = Some(Running {
            tag: tag.to_owned(),
            port,
            seen: false,
            said_preliminary: self.profile.eager,
            stood: None,
        });
    }

    /// Whether it could answer a command now, and has not.
    pub(super) fn is_slow(&self, world: &World) -> bool {
        let unread = self.read < world.to_server.len();
        self.running.is_none() && (unread || !self.commands.is_empty()) || !self.wire.is_empty()
    }

    /// Forward of the running transfer.
    pub(super) fn uses(&self, world: &World) -> Option<ForwardId> {
        let port = self.running.as_ref()?.port;
        forward_of(world, port)
    }

    fn go_on(&mut self, world: &mut World, tape: &mut Tape) -> bool {
        let way = self.uses(world);
        let stage = way.map_or(Stage::Gone, |id| world.forwards[&id].stage);
        let cut = way.is_some_and(|id| world.forwards[&id].cut);
        let hears = self.profile.hears_abor;
        let Some(running) = &mut self.running else {
            return false;
        };
        let stood = *running.stood.get_or_insert(stage != Stage::Gone);
        if hears
            && self
                .commands
                .front()
                .is_some_and(|command| command == "ABOR")
        {
            let tag = running.tag.clone();
            self.commands.pop_front();
            self.running = None;
            self.pass(&format!("426 aborted {tag}"));
            self.say("226 abort done");
            return true;
        }
        match stage {
            Stage::Asked | Stage::Claimed => false,
            Stage::Ready => match way.map(|id| (id, world.forwards[&id].kind)) {
                Some((id, Kind::Remote)) => {
                    world.advance(id);
                    true
                }
                // It has its connection; the client's comes later.
                Some((_, Kind::Joined(_))) if !running.said_preliminary => {
                    running.seen = true;
                    running.said_preliminary = true;
                    let line = format!("150 here it comes {}", running.tag);
                    self.pass(&line);
                    true
                }
                Some((_, Kind::Joined(_))) if tape.choose(2) == Some(0) => {
                    self.end_transfer("226 done", cut);
                    true
                }
                _ => false,
            },
            Stage::Connected | Stage::Drained if !running.said_preliminary => {
                running.seen = true;
                running.said_preliminary = true;
                let line = format!("150 here it comes {}", running.tag);
                self.pass(&line);
                true
            }
            Stage::Connected | Stage::Drained => {
                if stage == Stage::Connected && tape.choose(3) == Some(0) {
                    return true;
                }
                self.end_transfer("226 done", cut);
                true
            }
            // To the FTP server a cut is an EOF, because there is an SSH server between. What a transfer does
            // with a data connection of an earlier one, lost before it, is another question.
            Stage::Gone if stood && cut => {
                if !running.said_preliminary {
                    let line = format!("150 here it comes {}", running.tag);
                    self.say(&line);
                }
                self.end_transfer("226 done", cut);
                true
            }
            Stage::Gone | Stage::Closed if running.seen => {
                self.end_transfer("426 cut", cut);
                true
            }
            Stage::Gone | Stage::Closed => {
                self.end_transfer("425 nobody came", cut);
                true
            }
        }
    }

    fn end_transfer(&mut self, word: &str, cut: bool) {
        let Some(running) = self.running.take() else {
            return;
        };
        self.finished.insert(running.tag.clone(), running.port);
        let line = format!("{word} {}", running.tag);
        // Ferryline may have answered before, where the data was cut.
        match cut && !word.starts_with('2') {
            true => self.say(&line),
            false => self.pass(&line),
        }
    }

    /// Sends a line that must reach the client.
    fn pass(&mut self, line: &str) {
        self.passing.push(line.to_owned());
        self.say(line);
    }

    /// Sends a line that ferryline may change.
    fn say(&mut self, line: &str) {
        self.wire.extend(line.bytes());
        self.wire.extend(b"\r\n");
    }
}

/// Forward that leads to this port of the server, or from it.
pub(super) fn forward_of(world: &World, port: u16) -> Option<ForwardId> {
    world
        .forwards
        .iter()
        .find(|(_, f)| {
            if f.kind == Kind::Remote {
                f.port == port
            } else {
                f.server_port == port
            }
        })
        .map(|(id, _)| *id)
}
