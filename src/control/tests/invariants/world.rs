//! A driver without sockets. It carries out what the machine asks, and checks every step.
//!
//! Each kind of address has its own range of ports, so that an address in the wrong place shows: the FTP
//! server's 20000.., the client's 30000.., local forwards' 40000.., remote forwards' 50000...

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use bytes::{Bytes, BytesMut};
use ferryline_grammar::{Frame, LineCodec, ReplyCode, lax_code};
use tokio_util::codec::Decoder;

use super::lax::LaxClient;
use crate::control::{
    Control, DataAtEnd, Ending, ForwardEvent, ForwardId, Knowledge, Notice, Output, Settings,
    TransferReport, answer,
};

pub(super) const SERVER_PORTS: u16 = 20_000;
pub(super) const CLIENT_PORTS: u16 = 30_000;
const LOCAL_PORTS: u16 = 40_000;
const REMOTE_PORTS: u16 = 50_000;
/// The address in every line of the server that names one.
pub(super) const SERVER_ADDRESS: &str = "203,0,113,77";

/// Choices, made by proptest; when they are used up the world comes to rest.
#[derive(Debug)]
pub(super) struct Tape {
    choices: std::vec::IntoIter<u16>,
}

impl Tape {
    pub(super) fn new(choices: Vec<u16>) -> Self {
        Self {
            choices: choices.into_iter(),
        }
    }

    /// A number below `count`, or `None` when there is nothing left to choose.
    pub(super) fn choose(&mut self, count: usize) -> Option<usize> {
        self.choices
            .next()
            .map(|choice| usize::from(choice) % count.max(1))
    }

    pub(super) fn is_used_up(&self) -> bool {
        self.choices.len() == 0
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Asked,
    Ready,
    Claimed,
    Connected,
    Drained,
    /// Reported as ended, cut or failed.
    Gone,
    /// Closed by the machine.
    Closed,
}

#[derive(Debug)]
pub(super) struct Forward {
    pub(super) stage: Stage,
    pub(super) kind: Kind,
    /// Where the data connection of a local or joined forward goes.
    pub(super) server_port: u16,
    /// The port that it listens on, once it is ready.
    pub(super) port: u16,
    /// The peer has been told of it; for a joined one, the driver has been told that its transfer has begun.
    pub(super) told: bool,
    /// It was cut before all data had passed.
    pub(super) cut: bool,
    /// Whether the machine asked if all has arrived, and whether that was answered.
    pub(super) asked: bool,
    pub(super) answered: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A joined one, with the port of the client's listener.
    Joined(u16),
    Local,
    Remote,
}

pub(super) struct World {
    pub(super) control: Control,
    pub(super) now: Duration,
    pub(super) forwards: BTreeMap<ForwardId, Forward>,
    pub(super) to_client: Vec<u8>,
    pub(super) to_server: Vec<u8>,
    /// Everything that came out, in one line each.
    pub(super) log: Vec<String>,
    pub(super) ended: Option<DataAtEnd>,
    /// The transfers that are over.
    pub(super) reports: Vec<TransferReport>,
    /// The 421 of which the log has just been told, and which comes next.
    own_421: Option<Bytes>,
    pub(super) finished_server: bool,
    /// Number of the server's successes that were withdrawn, because the end of the data connection was not
    /// seen.
    pub(super) unconfirmed: usize,
    client: Decoding,
    server: Decoding,
    next_port: u16,
    /// Lax clients, which see all that the client does.
    lax: Vec<LaxClient>,
}

struct Decoding {
    codec: LineCodec,
    buffer: BytesMut,
}

impl World {
    pub(super) fn new(settings: Settings) -> Self {
        let routed = settings.routed.is_some();
        let lax = (0..4)
            .flat_map(|telnet| LaxClient::kinds(routed, telnet))
            .collect();
        Self {
            control: Control::new(settings, Knowledge::default()),
            now: Duration::ZERO,
            forwards: BTreeMap::new(),
            to_client: Vec::new(),
            to_server: Vec::new(),
            log: Vec::new(),
            ended: None,
            reports: Vec::new(),
            own_421: None,
            finished_server: false,
            unconfirmed: 0,
            client: Decoding {
                codec: LineCodec::commands(),
                buffer: BytesMut::new(),
            },
            server: Decoding {
                codec: LineCodec::replies(),
                buffer: BytesMut::new(),
            },
            next_port: 0,
            lax,
        }
    }

    /// Takes bytes of the client.
    pub(super) fn client_bytes(&mut self, bytes: &[u8]) {
        self.client.buffer.extend_from_slice(bytes);
        self.pump();
    }

    pub(super) fn server_bytes(&mut self, bytes: &[u8]) {
        self.server.buffer.extend_from_slice(bytes);
        self.pump();
    }

    /// Decodes what has arrived, as far as the machine wants it.
    pub(super) fn pump(&mut self) {
        loop {
            if self.control.wants_client() && !self.client.buffer.is_empty() {
                match self.client.codec.decode(&mut self.client.buffer) {
                    Ok(Some(frame)) => {
                        if let Frame::Line(line) = &frame {
                            self.lax
                                .iter_mut()
                                .for_each(|client| client.sends(line.text()));
                        }
                        self.input(|control, now| control.client(now, frame));
                        continue;
                    }
                    Ok(None) => {}
                    Err(_) => {
                        self.input(|control, now| control.client_ended(now, Ending::Nul));
                        continue;
                    }
                }
            }
            if self.control.wants_server() && !self.server.buffer.is_empty() {
                match self.server.codec.decode(&mut self.server.buffer) {
                    Ok(Some(frame)) => {
                        self.input(|control, now| control.server(now, frame));
                        continue;
                    }
                    Ok(None) => {}
                    Err(_) => {
                        self.input(|control, now| control.server_ended(now, Ending::Nul));
                        continue;
                    }
                }
            }
            return;
        }
    }

    pub(super) fn client_ends(&mut self, ending: Ending) {
        self.input(|control, now| control.client_ended(now, ending));
        self.pump();
    }

    pub(super) fn server_ends(&mut self, ending: Ending) {
        self.input(|control, now| control.server_ended(now, ending));
        self.pump();
    }

    pub(super) fn stop(&mut self) {
        self.input(Control::stop);
        self.pump();
    }

    pub(super) fn event(&mut self, id: ForwardId, event: ForwardEvent) {
        self.log.push(format!("  {id} {event:?} at {:?}", self.now));
        self.input(|control, now| control.forward(now, id, event));
        self.pump();
    }

    /// Makes the forward listen.
    pub(super) fn make_ready(&mut self, id: ForwardId) {
        let port = self.next_port;
        self.next_port += 1;
        let forward = self.forwards.get_mut(&id).unwrap();
        forward.port = match forward.kind {
            Kind::Joined(listener) => listener,
            Kind::Local => LOCAL_PORTS + port,
            Kind::Remote => REMOTE_PORTS + port,
        };
        forward.stage = Stage::Ready;
        let ip = match (forward.kind, self.control.settings().remote_bind) {
            (Kind::Remote, Some(bind)) => bind,
            _ => [127, 0, 0, 1].into(),
        };
        let address = SocketAddr::new(ip, forward.port);
        self.event(id, ForwardEvent::Ready(address));
    }

    /// Ends the forward with this event.
    pub(super) fn lose(&mut self, id: ForwardId, event: ForwardEvent) {
        let forward = self.forwards.get_mut(&id).unwrap();
        forward.stage = Stage::Gone;
        forward.cut = event == ForwardEvent::Cut;
        self.event(id, event);
    }

    /// Takes the next step of a forward that goes well, except for what the peers must do.
    pub(super) fn advance(&mut self, id: ForwardId) {
        let forward = self.forwards.get_mut(&id).unwrap();
        match forward.stage {
            Stage::Asked => self.make_ready(id),
            Stage::Ready => {
                forward.stage = Stage::Claimed;
                self.event(id, ForwardEvent::Claimed);
            }
            Stage::Claimed => {
                forward.stage = Stage::Connected;
                self.event(id, ForwardEvent::Connected { target: 0 });
            }
            Stage::Connected => {
                forward.stage = Stage::Drained;
                self.event(id, ForwardEvent::Drained);
            }
            Stage::Drained => self.lose(id, ForwardEvent::Ended),
            Stage::Gone | Stage::Closed => {}
        }
    }

    /// Reports that all has arrived over the forward, whose data connection stays open.
    pub(super) fn answer(&mut self, id: ForwardId) {
        self.forwards.get_mut(&id).unwrap().answered = true;
        self.event(id, ForwardEvent::AllReceived);
        if self.ended.is_none() {
            self.event(id, ForwardEvent::AllSent);
        }
    }

    /// Lets time pass, with all deadlines on the way.
    pub(super) fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.control.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.log.push(format!("  timeout at {:?}", self.now));
            self.input(Control::timeout);
            let next = self.control.poll_timeout();
            assert!(
                next.is_none_or(|next| next > self.now),
                "at {:?} the next deadline is {next:?}: that spins",
                self.now
            );
            self.pump();
        }
        self.now = until;
    }

    /// Hands an input in, and carries out all outputs that follow.
    fn input(&mut self, hand_in: impl FnOnce(&mut Control, Duration)) {
        let most = self
            .control
            .queue()
            .iter()
            .map(|exchange| 2 + exchange.lines())
            .sum::<usize>()
            + 2 * self.control.forwards()
            + 16;
        let was_over = self.control.is_over();
        hand_in(&mut self.control, self.now);
        let mut count = 0;
        while let Some(output) = self.control.poll_output() {
            count += 1;
            assert!(
                !was_over && self.ended.is_none(),
                "{output:?} after the end"
            );
            self.log.push(super::super::bench::show(&output));
            self.carry_out(output);
        }
        assert!(count <= most, "{count} outputs of one input");
        self.check_bounds();
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Ask(id) => {
                let forward = self.forwards.get_mut(&id).expect("a forward there is");
                let connected = matches!(
                    forward.stage,
                    Stage::Claimed | Stage::Connected | Stage::Drained
                );
                assert!(connected, "asked of forward {id}: {:?}", forward.stage);
                forward.asked = true;
            }
            Output::Close(id) => self.close(id),
            Output::Drain(id) | Output::Settle(id) => assert!(self.forwards.contains_key(&id)),
            Output::End {
                data,
                close_after_control,
            } => {
                for id in close_after_control {
                    self.close(id);
                }
                self.end(data);
            }
            Output::FinishServer => {
                assert!(!self.finished_server);
                self.finished_server = true;
            }
            Output::Notice(Notice::UnconfirmedTransfer(_)) => self.unconfirmed += 1,
            Output::Notice(Notice::Ended(reason)) => {
                let word = answer(421, &reason.to_string());
                assert_eq!(self.own_421.replace(word), None, "a second 421");
            }
            Output::Learned(_) | Output::Notice(_) => {}
            Output::Transferred(report) => self.reports.push(report),
            Output::OpenLocal { id, targets } => {
                let [target] = targets.as_slice() else {
                    panic!("{targets:?}");
                };
                assert_eq!(target.host, self.control.settings().server_host);
                self.opened(id, Kind::Local, target.port);
            }
            Output::OpenJoined {
                id,
                targets,
                deliver_to,
            } => {
                assert!(deliver_to.ip().is_loopback() && deliver_to.port() >= 1024);
                self.opened(id, Kind::Joined(deliver_to.port()), targets[0].port);
            }
            Output::Join(id) => self.forwards.get_mut(&id).unwrap().told = true,
            Output::OpenRemote {
                id,
                bind,
                deliver_to,
            } => {
                match self.control.settings().remote_bind {
                    Some(address) => assert_eq!(bind, address),
                    None => assert!(bind.is_loopback(), "{bind}"),
                }
                assert!(deliver_to.ip().is_loopback() && deliver_to.port() >= 1024);
                self.opened(id, Kind::Remote, 0);
            }
            Output::ToClient(bytes) => {
                self.check_to_client(&bytes);
                if bytes.starts_with(b"421 ferryline: ") {
                    let told = self.own_421.take();
                    assert_eq!(told.as_ref(), Some(&bytes), "the log has the reason");
                }
                self.to_client.extend_from_slice(&bytes);
            }
            Output::ToServer(bytes) => {
                self.check_to_server(&bytes);
                self.to_server.extend_from_slice(&bytes);
            }
        }
    }

    fn opened(&mut self, id: ForwardId, kind: Kind, server_port: u16) {
        let forward = Forward {
            stage: Stage::Asked,
            kind,
            server_port,
            port: 0,
            told: false,
            cut: false,
            asked: false,
            answered: false,
        };
        assert!(self.forwards.insert(id, forward).is_none(), "{id} twice");
    }

    fn close(&mut self, id: ForwardId) {
        let forward = self
            .forwards
            .get_mut(&id)
            .expect("close of an unknown forward");
        assert!(
            !matches!(forward.stage, Stage::Gone | Stage::Closed),
            "close of forward {id}, which is {:?}",
            forward.stage
        );
        forward.stage = Stage::Closed;
    }

    /// Checks that every forward is used up, closed, or (where data may finish) has its data connection.
    fn end(&mut self, data: DataAtEnd) {
        self.ended = Some(data);
        for (id, forward) in &self.forwards {
            let connected = matches!(
                forward.stage,
                Stage::Claimed | Stage::Connected | Stage::Drained
            );
            assert!(
                matches!(forward.stage, Stage::Gone | Stage::Closed)
                    || (data == DataAtEnd::Finish && connected),
                "forward {id} is {:?} at the end",
                forward.stage
            );
        }
    }

    /// Checks that no passive reply names anything but a local forward that stands, also for lax readers, and
    /// that no other line holds an address.
    fn check_to_client(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let code = lax_code(bytes).map_or(0, ReplyCode::value);
        let is_servers = |line: &[u8]| {
            let line = String::from_utf8_lossy(line);
            [SERVER_ADDRESS, "20008"]
                .iter()
                .any(|part| line.contains(part))
        };
        for client in &mut self.lax {
            client.reads(bytes, is_servers);
        }
        // The lax clients judge a line with a blank in front, of any kind.
        let blank = matches!(bytes.first(), Some(b'\t'..=b'\r' | b' '));
        if !matches!(code, 227..=229) || text.contains("ferryline") || blank {
            return;
        }
        let port = port_of(&text);
        let forward = self
            .forwards
            .values_mut()
            .find(|forward| forward.port == port && forward.kind == Kind::Local)
            .unwrap_or_else(|| panic!("{text:?} names no local forward"));
        assert_ne!(forward.stage, Stage::Asked, "{text:?}");
        forward.told = true;
    }

    /// Checks that no active request names anything but a remote forward that stands.
    fn check_to_server(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes).to_ascii_uppercase();
        if !text.starts_with("PORT ") && !text.starts_with("EPRT ") {
            return;
        }
        let port = port_of(&text);
        let forward = self
            .forwards
            .values_mut()
            .find(|forward| forward.port == port && forward.kind == Kind::Remote)
            .unwrap_or_else(|| panic!("{text:?} names no remote forward"));
        assert!(
            !matches!(forward.stage, Stage::Asked | Stage::Gone | Stage::Closed),
            "{text:?} names one that is {:?}",
            forward.stage
        );
        forward.told = true;
    }

    fn check_bounds(&self) {
        let limits = &self.control.settings().limits;
        let queue = self.control.queue();
        assert!(
            queue.len() <= 8 * limits.requests,
            "{} entries",
            queue.len()
        );
        let held = queue.pending_cost();
        assert!(held <= limits.held_bytes + 128 * 1024, "{held} bytes held");
        let recounted: usize = queue.iter().map(|exchange| exchange.recount()).sum();
        assert_eq!(held, recounted, "what is held is not what is counted");
        let unsent = queue.unsent_bytes();
        assert!(
            unsent <= limits.held_bytes + 8 * 1024,
            "{unsent} bytes unsent"
        );
        assert!(self.control.forwards() <= 4 * limits.requests);
    }
}

/// The port in `…h,h,h,h,p,p…` or `…|port|…`.
pub(super) fn port_of(text: &str) -> u16 {
    let text = text.get(3..).unwrap_or_default();
    let numbers: Vec<u32> = text
        .split(|c: char| !c.is_ascii_digit())
        .filter(|part| !part.is_empty())
        .map(|part| part.parse().unwrap_or(u32::MAX))
        .collect();
    let port = match numbers.as_slice() {
        [.., high, low] if text.contains(',') => high * 256 + low,
        [.., port] => *port,
        [] => 0,
    };
    u16::try_from(port).unwrap_or(0)
}
