//! Feeds a recorded session to the state machine, and compares the outputs.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use ferryline_grammar::{Command, Frame};

use super::{
    event::{Event, Header, Incomplete, Line},
    render::render,
};
use crate::control::{Control, ForwardEvent, ForwardId, Output};

/// An output that differs from the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The line of the file, from 1; for an output that is missing, the line behind which it belongs.
    pub line: usize,
    /// The expectation in the file; `None`: nothing.
    pub expected: Option<String>,
    /// What came out; `None`: nothing.
    pub found: Option<String>,
}

/// Result of a replay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Outputs of the state machine that differ.
    pub differences: Vec<Difference>,
    /// The session as it went now: every input of the file (with the number of its line) and the outputs that
    /// followed. Forwards of a file that has none are invented.
    pub events: Vec<(Option<usize>, Option<Duration>, Event)>,
    /// The file held only the peers' lines.
    pub peers_only: bool,
    /// Where and why the file ends before its session: nothing is missing behind its last input.
    pub cut_off: Option<CutOff>,
}

/// The end of a recording that ends before its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutOff {
    /// Its line in the file, from 1.
    pub line: usize,
    /// Why it was ended; `None`: the line is torn.
    pub why: Option<Incomplete>,
}

/// Feeds the inputs of a session to the state machine that the proxy runs, and compares the rest.
///
/// Nothing is compared in a file that holds only the peers' lines (`C>` and `S<`): its forwards are invented
/// on 127.0.0.1, and the events say what ferryline would have done.
pub fn replay(lines: &[Line]) -> Replayed {
    let peers_only = lines.iter().all(|line| {
        matches!(
            line.event,
            Event::Client(_) | Event::Server(_) | Event::Torn
        )
    });
    let header = lines
        .iter()
        .find_map(|line| match &line.event {
            Event::Header(header) => Some(header.clone()),
            _ => None,
        })
        .unwrap_or_default();
    let mut player = Player {
        control: Control::new(header.settings(), header.knowledge),
        now: Duration::ZERO,
        waiting: VecDeque::new(),
        replayed: Replayed {
            peers_only,
            ..Replayed::default()
        },
        last_input: 0,
        invented: 0,
        unused: None,
        used: None,
    };
    if peers_only {
        player.note(None, None, Event::Header(Header::default()));
    }
    for line in lines {
        player.line(line);
    }
    player.nothing_left();
    player.replayed
}

struct Player {
    control: Control,
    now: Duration,
    /// Outputs that have not been found in the file yet.
    waiting: VecDeque<String>,
    replayed: Replayed,
    last_input: usize,
    invented: u16,
    /// The invented data connection that waits for its transfer.
    unused: Option<ForwardId>,
    /// The invented data connection of the transfer that the client has asked for.
    used: Option<ForwardId>,
}

/// First port of an invented forward.
const INVENTED_PORT: u16 = 40001;

impl Player {
    fn line(&mut self, line: &Line) {
        if let Event::Output(output) = &line.event {
            self.expect(line.number, output);
            return;
        }
        let cut_off = match line.event {
            Event::RecordingEnded(why) => Some(Some(why)),
            Event::Torn => Some(None),
            _ => None,
        };
        if let Some(why) = cut_off {
            let line = line.number;
            self.replayed.cut_off = Some(CutOff { line, why });
            // These may have come from the last input as well.
            self.waiting.clear();
        }
        self.nothing_left();
        self.last_input = line.number;
        if let Some(at) = line.at {
            self.now = self.now.max(at);
        }
        self.invent_end(&line.event);
        self.note(Some(line.number), line.at, line.event.clone());
        self.feed(line.event.clone());
        self.take_outputs();
        self.invent_beginning(&line.event);
    }

    /// Lets the data connection of a transfer come that the client has asked for.
    fn invent_beginning(&mut self, event: &Event) {
        if self.is_transfer(event)
            && let Some(id) = self.unused.take()
        {
            self.used = Some(id);
            self.happens(id, ForwardEvent::Claimed);
            self.happens(id, ForwardEvent::Connected { target: 0 });
        }
    }

    /// Lets all of the data have moved before the FTP server says so.
    fn invent_end(&mut self, event: &Event) {
        let success = match event {
            Event::Server(Frame::Line(line)) => line.text().starts_with(b"2"),
            _ => false,
        };
        if success && let Some(id) = self.used.take() {
            self.happens(id, ForwardEvent::Drained);
            self.happens(id, ForwardEvent::Ended);
        }
    }

    fn is_transfer(&self, event: &Event) -> bool {
        let Event::Client(Frame::Line(line)) = event else {
            return false;
        };
        let command = Command::parse(line.text());
        let moves = command.is_some_and(|command| command.verb.transfer().is_some());
        self.replayed.peers_only && moves
    }

    fn happens(&mut self, id: ForwardId, event: ForwardEvent) {
        let event = Event::Forward(id, event);
        self.note(None, None, event.clone());
        self.feed(event);
        self.take_outputs();
    }

    fn feed(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::Client(frame) => self.control.client(now, frame),
            Event::ClientEnded(ending) => self.control.client_ended(now, ending),
            Event::ClientLeft => self.control.client_left(now),
            Event::Forward(id, event) => self.control.forward(now, id, event),
            Event::Header(_) | Event::Output(_) | Event::RecordingEnded(_) | Event::Torn => {}
            Event::Server(frame) => self.control.server(now, frame),
            Event::ServerEnded(ending) => self.control.server_ended(now, ending),
            Event::Cut => self.control.cut(),
            Event::Stop => self.control.stop(now),
            Event::Timeout => self.control.timeout(now),
        }
    }

    fn take_outputs(&mut self) {
        while let Some(output) = self.control.poll_output() {
            let invent = match &output {
                Output::OpenJoined { id, .. }
                | Output::OpenLocal { id, .. }
                | Output::OpenRemote { id, .. } => Some(*id),
                _ => None,
            };
            let event = Event::Output(output);
            let Some(text) = render(None, &event) else {
                continue;
            };
            self.note(None, None, event);
            if !self.replayed.peers_only {
                self.waiting.push_back(text);
                continue;
            }
            if let Some(id) = invent {
                let port = INVENTED_PORT.wrapping_add(self.invented);
                self.invented = self.invented.wrapping_add(1);
                // Only the last one can be the next transfer's.
                self.unused = Some(id);
                let address = SocketAddr::from(([127, 0, 0, 1], port));
                self.happens(id, ForwardEvent::Ready(address));
            }
        }
    }

    fn expect(&mut self, number: usize, output: &Output) {
        let expected = render(None, &Event::Output(output.clone()));
        let found = self.waiting.pop_front();
        if expected != found {
            self.replayed.differences.push(Difference {
                line: number,
                expected,
                found,
            });
        }
    }

    /// Checks that all outputs so far have stood in the file.
    fn nothing_left(&mut self) {
        for found in self.waiting.drain(..) {
            self.replayed.differences.push(Difference {
                line: self.last_input,
                expected: None,
                found: Some(found),
            });
        }
    }

    fn note(&mut self, number: Option<usize>, at: Option<Duration>, event: Event) {
        self.replayed.events.push((number, at, event));
    }
}
