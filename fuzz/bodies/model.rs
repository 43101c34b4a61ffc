//! What may come out of the state machine, kept apart from how it comes about: who was told which
//! address, which forwards stand, how much was said.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    net::{IpAddr, SocketAddr},
};

use bytes::{Bytes, BytesMut};
use ferryline::control::{DataAtEnd, ForwardId, Output, Settings, Target};
use ferryline_grammar::{
    Command, ExtendedAddress, Frame, HostPort, Line, LineCodec, Place, ReplyFraming, Verb,
    behind_signal, lax_code, lax_verbs, may_name_endpoint, render_227, render_229,
};
use tokio_util::codec::Decoder;

use super::{lax::LaxClient, upload::Upload};

/// Everything that came out, and what must hold of it.
pub struct Model {
    /// All outputs, in order.
    pub outputs: Vec<Output>,
    /// Every forward that was ever asked for.
    pub forwards: BTreeMap<ForwardId, Forward>,
    /// The session is over.
    pub over: Option<DataAtEnd>,
    /// How many lines, events and the like went in.
    pub inputs: usize,
    /// What the peers have sent, in bytes.
    pub received: usize,
    /// Where remote forwards may listen besides on loopback.
    remote_bind: Option<IpAddr>,
    /// The lowest port that a data connection may go to on the server's side.
    lowest_data_port: u16,
    /// How many requests for passive ports may go to the server yet.
    passive: usize,
    /// Lines that passed through the machine untouched, as they came.
    client_lines: HashSet<Bytes>,
    server_lines: HashSet<Bytes>,
    /// What a 227, a 229, a PORT or an EPRT may say.
    tellable: HashSet<Vec<u8>>,
    /// The server that the client has named, and the USER lines without it.
    routed: Option<String>,
    /// The server has been sent a line that interrupts nothing.
    logs_in: bool,
    plain_users: HashSet<Vec<u8>>,
    said: usize,
    client_reads: Reader,
    client_frames: ReplyFraming,
    server_reads: Reader,
    /// The client's end of file was passed on.
    finished_server: bool,
    /// The client's control connection broke.
    pub client_lost: bool,
    /// How many aborts of ferryline's own may go to the server yet.
    pub doubts: usize,
    /// The codes of all replies of the server's.
    pub codes: BTreeSet<u16>,
    /// Clients that see other replies than RFC 959 has.
    lax: Vec<LaxClient>,
    /// The one upload of a session that has no other.
    pub upload: Upload,
}

/// One forward as the driver sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    pub way: Way,
    /// Where a remote forward is to listen, and where a joined one leads.
    pub address: SocketAddr,
    pub state: State,
    /// The machine has asked for its end.
    pub closed: bool,
    /// The machine wants to know when it is drained.
    pub drain: bool,
}

/// The kinds of forwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Between a channel to the server's listener and a connection to the client's.
    Joined,
    /// The client connects.
    Local,
    /// The server connects, on the SSH server's host.
    Remote,
}

/// How far the driver is with a forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Opening,
    Ready,
    Claimed,
    Connected,
    /// The client's side is gone, the server's waits to be closed.
    Broken,
    Gone,
}

impl Model {
    /// `lax`: which kinds of lax clients look on. All would take three times as long as the session.
    pub fn new(settings: &Settings, lax: u8) -> Self {
        let kind = usize::from(lax & 0x0f);
        let lax = LaxClient::kinds(settings.routed.is_some(), kind / 4);
        Self {
            remote_bind: settings.remote_bind,
            lowest_data_port: settings.lowest_data_port,
            passive: 0,
            outputs: Vec::new(),
            forwards: BTreeMap::new(),
            over: None,
            inputs: 0,
            received: 0,
            client_lines: HashSet::new(),
            server_lines: HashSet::new(),
            tellable: HashSet::new(),
            routed: settings.routed.clone(),
            logs_in: false,
            plain_users: HashSet::new(),
            said: 0,
            client_reads: Reader::new(LineCodec::replies()),
            client_frames: ReplyFraming::default(),
            server_reads: Reader::new(LineCodec::commands()),
            finished_server: false,
            client_lost: false,
            doubts: 0,
            codes: BTreeSet::new(),
            lax: lax.into_iter().skip(kind % 4).step_by(4).collect(),
            upload: Upload::default(),
        }
    }

    /// The client has sent this line.
    pub fn client_said(&mut self, line: &Line) {
        self.client_lines.insert(line.clone().into_bytes());
        self.upload.client_said(line.text());
        self.plain_users.extend(self.plain_user(line.text()));
        for client in &mut self.lax {
            client.sends(line.text());
        }
        let verb = Command::parse(line.text()).map(|command| command.verb);
        // In its own form, and in the other one.
        if let Some(
            Verb::Pasv | Verb::Cpsv | Verb::Paw | Verb::Spsv | Verb::Epsv | Verb::Port | Verb::Eprt,
        ) = verb
        {
            self.passive += 2;
        }
        // What interrupts goes plain where the rest of a Telnet signal leads it.
        if let Some(plain) = behind_signal(line.text()) {
            let plain = Line::with_end(plain.to_vec(), line.end());
            self.client_lines.insert(plain.into_bytes());
        }
    }

    /// The server has sent this line.
    pub fn server_said(&mut self, line: &Line) {
        self.server_lines.insert(line.clone().into_bytes());
        self.upload.server_said(line.text());
        self.codes
            .extend(lax_code(line.text()).map(|code| code.value()));
    }

    /// The driver tells the machine this address.
    pub fn ready(&mut self, way: Way, address: SocketAddr) {
        let mut tell = |text: String| self.tellable.insert(text.into_bytes());
        let port = address.port();
        let v4 = match address.ip().to_canonical() {
            IpAddr::V4(address) => Some(HostPort { address, port }),
            IpAddr::V6(_) => None,
        };
        match way {
            // Both peers speak of addresses that they know already.
            Way::Joined => {}
            Way::Local => {
                tell(render_229(port));
                v4.map(|v4| tell(render_227(v4)));
            }
            Way::Remote => {
                tell(format!("EPRT {}", ExtendedAddress::from(address)));
                v4.map(|v4| tell(format!("PORT {v4}")));
            }
        }
    }

    pub fn output(&mut self, output: Output) {
        assert_eq!(self.over, None, "after the end: {output:?}");
        match &output {
            Output::Ask(id) => {
                let forward = self.forwards.get(id).expect("a forward that was asked for");
                assert!(!forward.closed, "closed already: {id}");
            }
            Output::Close(id) => self.closed(*id),
            Output::Drain(id) => {
                let forward = self
                    .forwards
                    .get_mut(id)
                    .expect("a forward that was asked for");
                forward.drain = true;
            }
            Output::End {
                data,
                close_after_control,
            } => {
                for id in close_after_control {
                    self.closed(*id);
                }
                self.ended(*data);
            }
            Output::FinishServer => self.finished_server = true,
            Output::Join(id) => {
                let forward = self.forwards.get(id).expect("a forward that was asked for");
                assert_eq!(forward.way, Way::Joined);
                assert!(!forward.closed, "closed already: {id}");
            }
            Output::Settle(id) => {
                let forward = self.forwards.get(id).expect("a forward that was asked for");
                assert!(!forward.closed, "closed already: {id}");
                assert!(self.client_lost, "the client's control connection stands");
            }
            Output::Learned(_) | Output::Notice(_) | Output::Transferred(_) => {}
            Output::OpenJoined {
                id,
                targets,
                deliver_to,
            } => {
                self.may_be_dialled(targets);
                assert!(deliver_to.port() >= 1024);
                self.opened(*id, Way::Joined, *deliver_to);
            }
            Output::OpenLocal { id, targets } => {
                self.may_be_dialled(targets);
                self.opened(*id, Way::Local, SocketAddr::from(([0, 0, 0, 0], 0)));
            }
            Output::OpenRemote {
                id,
                bind,
                deliver_to,
            } => {
                assert!(bind.is_loopback() || Some(*bind) == self.remote_bind);
                assert!(deliver_to.port() >= 1024);
                self.opened(*id, Way::Remote, SocketAddr::new(*bind, 0));
            }
            Output::ToClient(bytes) => self.told_client(bytes),
            Output::ToServer(bytes) => self.told_server(bytes),
        }
        self.outputs.push(output);
        // Each input has a few consequences at most, however long they were held back.
        assert!(
            self.outputs.len() <= 8 * self.inputs + 16,
            "{} outputs of {} inputs",
            self.outputs.len(),
            self.inputs
        );
        assert!(
            self.said <= self.received + 512 * (self.inputs + 1),
            "{} bytes said",
            self.said
        );
    }

    fn may_be_dialled(&self, targets: &[Target]) {
        assert!((1..=2).contains(&targets.len()));
        let lowest = self.lowest_data_port;
        assert!(targets.iter().all(|target| target.port >= lowest));
    }

    fn opened(&mut self, id: ForwardId, way: Way, address: SocketAddr) {
        let forward = Forward {
            way,
            address,
            state: State::Opening,
            closed: false,
            drain: false,
        };
        assert_eq!(
            self.forwards.insert(id, forward),
            None,
            "{id} was used before"
        );
    }

    fn closed(&mut self, id: ForwardId) {
        let forward = self
            .forwards
            .get_mut(&id)
            .expect("a forward that was asked for");
        assert!(!forward.closed, "closed twice: {id}");
        forward.closed = true;
    }

    fn ended(&mut self, data: DataAtEnd) {
        self.over = Some(data);
        for (id, forward) in &self.forwards {
            let may_run_on = data == DataAtEnd::Finish
                && matches!(
                    forward.state,
                    State::Claimed | State::Connected | State::Broken
                );
            assert!(
                forward.closed || forward.state == State::Gone || may_run_on,
                "forward {id} is left open at the end: {forward:?}"
            );
        }
    }

    fn told_client(&mut self, bytes: &Bytes) {
        self.said += bytes.len();
        let unpadded = bytes.trim_ascii_start();
        let own = unpadded.len() >= 4 && unpadded[4..].starts_with(b"ferryline: ")
            || bytes.starts_with(b" ferryline: an address")
            || is_refusal(bytes)
            // Ends a line that the server did not.
            || bytes == &b"\r\n"[..]
            || [&b" EPRT\r\n"[..], b" EPSV\r\n"].contains(&&bytes[..]);
        let text = bytes.strip_suffix(b"\r\n");
        let told = text.is_some_and(|text| self.tellable.contains(text));
        // What looks like a passive reply in the midst of another gets a blank in front.
        let padded = bytes.strip_prefix(b" ").is_some_and(|line| {
            lax_code(line).is_some_and(|code| matches!(code.value(), 227..=229))
                && self.server_lines.contains(line)
        });
        assert!(
            own || told || padded || self.server_lines.contains(bytes),
            "neither the server's nor ferryline's: {}",
            bytes.escape_ascii()
        );
        for line in self.client_reads.lines(bytes) {
            self.upload.told_client(&line);
            for client in &mut self.lax {
                // Ferryline's own words may hold the SSH server's, which is trusted with them.
                client.reads(&line, |line| {
                    !self.tellable.contains(line)
                        && !line.windows(11).any(|part| part == b"ferryline: ")
                });
            }
            // As lax clients read it, wherever it stands. Behind a blank it is a reply where none is open.
            let code = lax_code(&line).map_or(0, |code| code.value());
            let place = self.client_frames.place(&line);
            let blank = line.first().is_some_and(u8::is_ascii_whitespace);
            let line = line.trim_ascii_start();
            let none = match place {
                Place::Middle(_) => blank,
                Place::Stray => blank && !may_name_endpoint(line),
                _ => false,
            };
            if matches!(code, 227..=229) && !none {
                assert!(
                    self.tellable.contains(line)
                        || line
                            .get(4..)
                            .is_some_and(|text| text.starts_with(b"ferryline: ")),
                    "a passive reply that names no forward: {}",
                    line.escape_ascii()
                );
            }
        }
    }

    /// What the server gets of `USER name@host`, where that is the session's own server.
    fn plain_user(&self, line: &[u8]) -> Option<Vec<u8>> {
        let command = Command::parse(behind_signal(line).unwrap_or(line))?;
        let argument = command.argument.trim_ascii();
        let at = argument.iter().rposition(|&byte| byte == b'@')?;
        let (user, host) = argument.split_at(at);
        let own = host[1..].eq_ignore_ascii_case(self.routed.as_ref()?.as_bytes());
        let line = || [b"USER ", user, b"\r\n"].concat();
        (own && command.verb == Verb::User && !user.is_empty()).then(line)
    }

    fn told_server(&mut self, bytes: &Bytes) {
        self.said += bytes.len();
        let passive = [&b"PASV\r\n"[..], b"EPSV\r\n"].contains(&&bytes[..]);
        if passive {
            let left = self.passive.checked_sub(1);
            self.passive = left.expect("a request for a passive port that nobody asked for");
        }
        let abort = bytes == &b"ABOR\r\n"[..] && self.doubts > 0;
        self.doubts -= usize::from(abort);
        let own = is_refusal(bytes) || passive || abort;
        let text = bytes.strip_suffix(b"\r\n");
        let told = text.is_some_and(|text| self.tellable.contains(text));
        assert!(
            own || told
                || self.plain_users.contains(&bytes[..])
                || self.client_lines.contains(bytes),
            "neither the client's nor ferryline's: {}",
            bytes.escape_ascii()
        );
        // With nothing else a session begins whose client has named its server. What interrupts waits for no
        // log-in.
        let verb = Command::parse(bytes).map(|command| command.verb);
        let interrupts = matches!(verb, Some(Verb::Abor | Verb::Quit | Verb::Stat));
        let begins = self.routed.is_some() && !is_refusal(bytes) && !interrupts;
        if begins && !std::mem::replace(&mut self.logs_in, true) {
            assert!(
                self.plain_users.contains(&bytes[..]),
                "the log-in comes first: {}",
                bytes.escape_ascii()
            );
        }
        // A request that is asked again in another form is all that may come so late.
        assert!(
            own || told || !self.finished_server,
            "said behind the end of file: {}",
            bytes.escape_ascii()
        );
        let mut forwards = self.forwards.values();
        let ready = match (forwards.next(), forwards.next()) {
            (Some(forward), None) => {
                forward.way == Way::Local && forward.state != State::Opening && !forward.closed
            }
            _ => false,
        };
        for line in self.server_reads.lines(bytes) {
            self.upload.told_server(&line, ready);
            for part in line.split(|byte| *byte == b'\r') {
                for verb in lax_verbs(part) {
                    match verb {
                        Verb::Port | Verb::Eprt => assert!(
                            self.tellable.contains(&line) || names_nothing(&line),
                            "names no forward: {}",
                            line.escape_ascii()
                        ),
                        Verb::Auth
                        | Verb::Adat
                        | Verb::Get
                        | Verb::Lprt
                        | Verb::Lpsv
                        | Verb::Put
                        | Verb::Spas
                        | Verb::Spor => {
                            panic!("never passed on: {}", line.escape_ascii())
                        }
                        _ => {}
                    }
                }
            }
        }
    }
}

/// A command without an argument.
fn names_nothing(line: &[u8]) -> bool {
    Command::parse(line).is_some_and(|command| command.argument.trim_ascii().is_empty())
}

/// A WONT or DONT of ferryline's own.
fn is_refusal(bytes: &[u8]) -> bool {
    matches!(bytes, [0xff, 0xfc | 0xfe, _])
}

/// How the other end reads what it is sent.
struct Reader {
    codec: LineCodec,
    buffer: BytesMut,
}

impl Reader {
    fn new(codec: LineCodec) -> Self {
        Self {
            codec,
            buffer: BytesMut::new(),
        }
    }

    fn lines(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.buffer.extend_from_slice(bytes);
        let mut lines = Vec::new();
        while let Some(frame) = self
            .codec
            .decode(&mut self.buffer)
            .expect("lines of an allowed kind")
        {
            if let Frame::Line(line) = frame {
                lines.push(line.text().to_vec());
            }
        }
        lines
    }
}
