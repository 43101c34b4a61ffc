//! A whole session: the state machine under the line codecs, driven by a script of what the client,
//! the server, the forwards and the clock do. The script is run twice, its bytes cut differently.
//!
//! A script is two bytes and then records with 0x1e between them. The two bytes are what the session
//! knows when it begins ([`settings`]); the second one chooses the cuts, too. A record begins with a
//! letter:
//!
//! | record | what happens |
//! |---|---|
//! | `c TEXT`, `s TEXT` | the client, the server sends TEXT and CR LF (without the blank) |
//! | `C TEXT`, `S TEXT` | likewise, without CR LF |
//! | `f N K` | something becomes of a forward, counted back from the newest ([`Session::forward`]) |
//! | `t N` | N seconds pass |
//! | `r N` | the record before is repeated N times |
//! | `x K`, `y K` | the client, the server ends: `e`nd of file, `l`ost |
//! | `q`, `Q` | ferryline is asked to stop; to wait no longer |
//! | `u`, as the first one | the client has to name its server, `USER name@host` ([`Greeting`]) |
//!
//! Anything else says nothing. When the script is over, the session is ended.

use std::{
    net::{Ipv6Addr, SocketAddr},
    time::Duration,
};

use ferryline::control::{
    ActiveMode, Control, DataHost, Ending, ForwardEvent, ForwardId, Knowledge, LOWEST_DATA_PORT,
    Limits, Output, Settings,
};
use ferryline_grammar::{Frame, LineCodec};

use super::{
    Dice,
    greeting::{Greeting, Met},
    model::{Forward, Model, State, Way},
    peer::Peer,
};

/// Between records.
pub const SEPARATOR: u8 = 0x1e;

/// How many records a script may come to, with those that are repeated.
const RECORDS: usize = 400;
/// Number of answers that a server is made to give for each line of the client's, until nothing may be owed any
/// more: a line can come to three requests. (A record may hold many lines.)
const ANSWERS: usize = 4;
const REQUESTS: usize = 8;
const HELD_BYTES: usize = 1024;

/// Runs a script; what must hold is checked as it goes.
pub fn run(script: &[u8]) {
    let [facts, more, records @ ..] = script else {
        return;
    };
    let facts = [*facts, *more];
    // One script in four: it takes as long as all the rest.
    let probed = script.len().is_multiple_of(4);
    let routed = records == b"u" || records.starts_with(&[b'u', SEPARATOR]);
    let dice = Dice::new((*more).into());
    let play = |cuts| match routed {
        true => play_routed(facts, cuts, probed, records),
        false => (
            Vec::new(),
            Session::new(facts, cuts, probed).play(expanded(records)),
        ),
    };
    let whole = play(None);
    let cut = play(Some(dice));
    assert_eq!(whole, cut, "the way the bytes were cut made a difference");
}

/// Plays a script whose client names its server: what the greeter said, and what came out of the session, if
/// there is one.
fn play_routed(
    facts: [u8; 2],
    cuts: Option<Dice>,
    probed: bool,
    records: &[u8],
) -> (Vec<Vec<u8>>, Vec<Output>) {
    let mut records = expanded(records);
    let (said, met) = Greeting::new(cuts).play(&mut records);
    let outputs = match met {
        Some(met) => Session::routed(facts, met, probed).play(records),
        None => Vec::new(),
    };
    (said, outputs)
}

/// The records, with those that are repeated.
fn expanded(records: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut before: &[u8] = b"";
    let records = records.split(|byte| *byte == SEPARATOR);
    let expanded = records.flat_map(move |record| {
        let times = match record {
            [b'r', times, ..] => usize::from(*times),
            _ => {
                before = record;
                1
            }
        };
        std::iter::repeat_n(before, times)
    });
    expanded.take(RECORDS)
}

struct Session {
    control: Control,
    now: Duration,
    client: Peer,
    server: Peer,
    model: Model,
    cuts: Option<Dice>,
    ipv6: bool,
    /// At its end, whether something is kept back for ever.
    probed: bool,
    /// Number of lines that the client has sent.
    lines: usize,
}

impl Session {
    fn new(facts: [u8; 2], cuts: Option<Dice>, probed: bool) -> Self {
        Self::begin(facts, None, cuts, probed)
    }

    /// A session that begins with what its client named its server with.
    fn routed(facts: [u8; 2], met: Met, probed: bool) -> Self {
        let mut this = Self::begin(facts, Some(met.named), met.cuts, probed);
        this.client = met.client;
        this.model.received = met.received;
        this.pump();
        this
    }

    fn begin(facts: [u8; 2], routed: Option<String>, cuts: Option<Dice>, probed: bool) -> Self {
        let (settings, knowledge) = settings(facts, routed);
        Self {
            ipv6: settings.client_local.is_ipv6(),
            model: Model::new(&settings, facts[1] >> 4),
            control: Control::new(settings, knowledge),
            now: Duration::ZERO,
            client: Peer::new(LineCodec::commands()),
            server: Peer::new(LineCodec::replies()),
            cuts,
            probed,
            lines: 0,
        }
    }

    fn play<'a>(mut self, records: impl Iterator<Item = &'a [u8]>) -> Vec<Output> {
        for record in records {
            if self.model.over.is_some() {
                break;
            }
            self.record(record);
            self.pump();
        }
        self.end()
    }

    fn record(&mut self, record: &[u8]) {
        let Some((letter, rest)) = record.split_first() else {
            return;
        };
        match (letter, rest) {
            (b'c' | b's', text) => self.sends(*letter == b'c', &[text, b"\r\n"].concat()),
            (b'C' | b'S', text) => self.sends(*letter == b'C', text),
            (b'f', [back, kind, ..]) => self.forward(*back, *kind),
            (b't', [seconds, ..]) => self.passes(Duration::from_secs(u64::from(seconds & 0x3f))),
            (b'x', [kind, ..]) => self.client.ends(ending(*kind)),
            (b'y', [kind, ..]) => self.server.ends(ending(*kind)),
            (b'q', _) => {
                self.model.inputs += 1;
                self.control.stop(self.now);
            }
            (b'Q', _) => {
                self.model.inputs += 1;
                self.control.cut();
            }
            _ => {}
        }
    }

    fn sends(&mut self, client: bool, bytes: &[u8]) {
        self.model.received += bytes.len();
        let peer = if client {
            self.lines += bytes.iter().filter(|byte| **byte == b'\n').count();
            &mut self.client
        } else {
            &mut self.server
        };
        peer.sends_cut(bytes, self.cuts.as_mut());
    }

    /// Reads both sides as far as the machine wants them read.
    fn pump(&mut self) {
        self.poll();
        loop {
            let mut idle = true;
            while self.control.wants_client()
                && let Some(said) = self.client.next()
            {
                idle = false;
                self.model.inputs += 1;
                match said {
                    Ok(frame) => {
                        if let Frame::Line(line) = &frame {
                            self.model.client_said(line);
                        }
                        self.control.client(self.now, frame);
                    }
                    Err(ending) => {
                        self.model.client_lost |= ending == Ending::Lost;
                        self.control.client_ended(self.now, ending);
                    }
                }
                self.poll();
            }
            while self.control.wants_server()
                && let Some(said) = self.server.next()
            {
                idle = false;
                self.model.inputs += 1;
                match said {
                    Ok(frame) => {
                        if let Frame::Line(line) = &frame {
                            self.model.server_said(line);
                        }
                        self.control.server(self.now, frame);
                    }
                    Err(ending) => self.control.server_ended(self.now, ending),
                }
                self.poll();
            }
            if idle {
                return;
            }
        }
    }

    fn poll(&mut self) {
        while let Some(output) = self.control.poll_output() {
            self.model.output(output);
        }
        assert_eq!(self.control.is_over(), self.model.over.is_some());
        if self.model.over.is_some() {
            assert_eq!(self.control.poll_timeout(), None);
            assert!(!self.control.wants_client() && !self.control.wants_server());
        }
    }

    /// Time passes, and every deadline on the way is kept.
    fn passes(&mut self, span: Duration) {
        let until = self.now + span;
        while let Some(due) = self.control.poll_timeout()
            && due <= until
        {
            self.deadline(due);
        }
        self.now = until;
    }

    /// Every deadline comes, and nothing else.
    fn deadlines(&mut self) {
        for _ in 0..4 * RECORDS {
            match self.control.poll_timeout() {
                Some(due) => self.deadline(due),
                None => break,
            }
        }
    }

    fn deadline(&mut self, due: Duration) {
        self.now = self.now.max(due);
        self.model.inputs += 1;
        self.control.timeout(self.now);
        self.poll();
        let next = self.control.poll_timeout();
        assert!(
            next.is_none_or(|next| next > self.now),
            "due at {next:?}, which is past at {:?}: the driver would spin",
            self.now
        );
        self.pump();
    }

    /// Something becomes of a forward, if the driver could say so of it now: `r`eady, `c`laimed, `k`
    /// and `K` connected to its first or second target, `d`rained, d`o`ubtful, `p`rogress, `e`nded, `f`ailed,
    /// `u`nreachable, `x` cut, `b`roken, `a`ll received, all `s`ent, `w`aiting for a client that takes nothing.
    fn forward(&mut self, back: u8, kind: u8) {
        let count = self.model.forwards.len();
        let Some(place) = count.checked_sub(1 + usize::from(back & 0x0f)) else {
            return;
        };
        let Some((&id, forward)) = self.model.forwards.iter_mut().nth(place) else {
            return;
        };
        let reason = || "refused: a\r\n227 =1,2,3,4,5,6".into();
        let local = forward.way == Way::Local;
        let (event, state) = match (kind, forward.state) {
            (_, State::Gone) => return,
            (b'r', State::Opening) => {
                let (way, address) = (forward.way, address(id, forward, self.ipv6));
                forward.state = State::Ready;
                self.model.ready(way, address);
                return self.tell(id, ForwardEvent::Ready(address));
            }
            (b'f', State::Opening) => (ForwardEvent::Failed(reason()), State::Gone),
            (b'c', State::Ready) => (ForwardEvent::Claimed, State::Claimed),
            (b'k' | b'K', State::Claimed) => {
                let target = usize::from(kind == b'K' && local);
                (ForwardEvent::Connected { target }, State::Connected)
            }
            (b'u', State::Claimed) if local => (ForwardEvent::Unreachable(reason()), State::Gone),
            (b'o', State::Ready) if local => {
                self.model.doubts += 1;
                (ForwardEvent::Doubtful, State::Ready)
            }
            (b'd', State::Connected) => (ForwardEvent::Drained, State::Connected),
            (b'd', state) if forward.drain => (ForwardEvent::Drained, state),
            (b'a', State::Connected) => (ForwardEvent::AllReceived, State::Connected),
            (b'w', State::Connected) => (ForwardEvent::Blocked, State::Connected),
            (b's', State::Connected) => (ForwardEvent::AllSent, State::Connected),
            (b'p', State::Connected) => (ForwardEvent::Progress, State::Connected),
            (b'b', State::Connected) => (ForwardEvent::Broken, State::Broken),
            (b'x', State::Connected) => {
                self.model.upload.cut();
                (ForwardEvent::Cut, State::Gone)
            }
            (b'e', state) if state != State::Opening => (ForwardEvent::Ended, State::Gone),
            _ => return,
        };
        forward.state = state;
        self.tell(id, event);
    }

    fn tell(&mut self, id: ForwardId, event: ForwardEvent) {
        self.model.inputs += 1;
        self.control.forward(self.now, id, event);
    }

    /// All forwards end, every deadline comes, and the server says something to whatever it is asked: then
    /// nothing that either side has said is kept back any more.
    fn nothing_is_kept_back(&mut self) {
        const COMMAND: &[u8] = b"NOOP still there\r\n";
        let client = !self.client.has_ended();
        if client {
            self.sends(true, b"\r\n");
            self.sends(true, COMMAND);
        }
        self.sends(false, b"\r\n");
        for number in 0..ANSWERS * (RECORDS + self.lines) {
            // Replies of several lines that it has left open.
            for code in self.model.codes.clone() {
                self.sends(false, format!("{code:03} x\r\n").as_bytes());
            }
            let answer = format!("450 answer {number}\r\n");
            self.sends(false, answer.as_bytes());
            self.pump();
            self.forwards_end();
            self.deadlines();
            let mut outputs = self.model.outputs.iter().rev();
            let came = |output: &Output| match output {
                Output::ToClient(bytes) => bytes == answer.as_bytes(),
                _ => false,
            };
            let went = |output: &Output| match output {
                Output::ToServer(bytes) => bytes == COMMAND,
                _ => false,
            };
            if self.model.over.is_some()
                || outputs.clone().any(came) && (!client || outputs.any(went))
            {
                return;
            }
        }
        panic!("something is kept back for ever: {:?}", self.control);
    }

    fn forwards_end(&mut self) {
        let ids: Vec<ForwardId> = self.model.forwards.keys().copied().collect();
        for id in ids {
            let Some(forward) = self.model.forwards.get_mut(&id) else {
                continue;
            };
            let event = match forward.state {
                State::Gone => continue,
                State::Opening => ForwardEvent::Failed("refused".into()),
                _ => ForwardEvent::Ended,
            };
            forward.state = State::Gone;
            if self.model.over.is_none() {
                self.tell(id, event);
                self.pump();
            }
        }
    }

    /// The client closes. Whatever is waited for then has its deadline, though the server and the
    /// forwards say nothing more.
    fn end(mut self) -> Vec<Output> {
        if self.probed {
            self.nothing_is_kept_back();
        }
        self.client.ends(Ending::Eof);
        self.pump();
        // Where too much of what it said is unanswered, its end is seen before it is read.
        self.model.inputs += 1;
        self.control.client_left(self.now);
        self.poll();
        self.deadlines();
        assert!(
            self.model.over.is_some(),
            "the session does not end: {:?}",
            self.control
        );
        let size = format!("{:?}", self.control).len();
        assert!(
            size < 16 * (REQUESTS + 1) * HELD_BYTES * 4,
            "{size} bytes to show"
        );
        self.model.outputs
    }
}

pub(super) fn ending(kind: u8) -> Ending {
    match kind {
        b'l' => Ending::Lost,
        _ => Ending::Eof,
    }
}

/// What a session knows when it begins: each bit of a script's first two bytes is one fact, and so is the
/// server that the client has named.
fn settings([facts, more]: [u8; 2], routed: Option<String>) -> (Settings, Knowledge) {
    let fact = |bit: u8| facts & (1 << bit) != 0;
    let [peer, local] = match fact(3) {
        true => ["[::1]:50000", "[::1]:2121"],
        false => ["127.0.0.1:50000", "127.0.0.1:2121"],
    };
    let settings = Settings {
        client_peer: peer.parse().unwrap(),
        client_local: local.parse().unwrap(),
        server_host: if fact(2) { "ftp.example" } else { "localhost" }.into(),
        data_host: match facts & 3 {
            1 => DataHost::Reply,
            2 => DataHost::Auto,
            _ => DataHost::Control,
        },
        lowest_data_port: if more & 32 != 0 {
            900
        } else {
            LOWEST_DATA_PORT
        },
        active: match more & 3 {
            1 => ActiveMode::Passive,
            2 => ActiveMode::Remote,
            _ => ActiveMode::Auto,
        },
        server_addresses: match fact(2) {
            true => vec!["192.0.2.1".parse().unwrap(), "10.1.60.99".parse().unwrap()],
            false => Vec::new(),
        },
        server_on_ssh_host: !fact(2),
        remote_bind: (more & 8 != 0).then(|| "192.0.2.7".parse().unwrap()),
        routed,
        limits: Limits {
            requests: REQUESTS,
            held_bytes: HELD_BYTES,
            ..Limits::default()
        },
    };
    let knowledge = Knowledge {
        no_epsv: fact(4),
        no_eprt: fact(5),
        active_over_ipv6: fact(6),
        active_as_passive: more & 4 != 0,
        reply_address_works: fact(7),
    };
    (settings, knowledge)
}

/// The address of a forward that stands; no two have the same port.
fn address(id: ForwardId, forward: &Forward, ipv6: bool) -> SocketAddr {
    let number = u16::try_from(id.number() % 10_000).unwrap();
    match (forward.way, ipv6) {
        (Way::Joined, _) => forward.address,
        (Way::Remote, _) => SocketAddr::new(forward.address.ip(), 40_000 + number),
        (Way::Local, false) => SocketAddr::from(([127, 0, 0, 1], 50_001 + number)),
        (Way::Local, true) => SocketAddr::new(Ipv6Addr::LOCALHOST.into(), 50_001 + number),
    }
}
