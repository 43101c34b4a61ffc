//! A session on the bench: a test gives the input line by line, and the output is compared.

use std::{net::SocketAddr, time::Duration};

use ferryline_grammar::{Frame, Line, LineEnd};

use crate::control::{
    ActiveMode, Control, DataAtEnd, DataHost, Ending, ForwardEvent, ForwardId, Knowledge,
    LOWEST_DATA_PORT, Limits, Output, Settings, TransferReport,
};

pub(super) struct Bench {
    pub(super) control: Control,
    pub(super) now: Duration,
    /// The transfers that are over.
    pub(super) reports: Vec<TransferReport>,
}

/// A client on 127.0.0.1 and a server on the SSH server's host.
pub(super) fn settings() -> Settings {
    Settings {
        client_peer: "127.0.0.1:50000".parse().unwrap(),
        client_local: "127.0.0.1:2121".parse().unwrap(),
        server_host: "localhost".into(),
        data_host: DataHost::Control,
        lowest_data_port: LOWEST_DATA_PORT,
        active: ActiveMode::Auto,
        server_addresses: Vec::new(),
        server_on_ssh_host: true,
        remote_bind: None,
        routed: None,
        limits: Limits::default(),
    }
}

impl Bench {
    pub(super) fn new(settings: Settings) -> Self {
        Self::knowing(settings, Knowledge::default())
    }

    pub(super) fn knowing(settings: Settings, knowledge: Knowledge) -> Self {
        Self {
            control: Control::new(settings, knowledge),
            now: Duration::ZERO,
            reports: Vec::new(),
        }
    }

    /// A session past its greeting.
    pub(super) fn greeted(settings: Settings) -> Self {
        let mut bench = Self::new(settings);
        bench.server("220 ready", &["C< 220 ready"]);
        bench
    }

    pub(super) fn local() -> Self {
        Self::greeted(settings())
    }

    /// A session in which active mode is carried by remote forwards, or not at all.
    pub(super) fn remote_only() -> Self {
        Self::greeted(Settings {
            active: ActiveMode::Remote,
            ..settings()
        })
    }

    /// Gives a line of the client, and expects these outputs.
    #[track_caller]
    pub(super) fn client(&mut self, line: &str, expected: &[&str]) {
        self.client_frame(frame(line), expected);
    }

    #[track_caller]
    pub(super) fn client_frame(&mut self, frame: Frame, expected: &[&str]) {
        self.control.client(self.now, frame);
        self.compare(expected);
    }

    /// Gives a line of the server, and expects these outputs.
    #[track_caller]
    pub(super) fn server(&mut self, line: &str, expected: &[&str]) {
        self.control.server(self.now, frame(line));
        self.compare(expected);
    }

    #[track_caller]
    pub(super) fn ready(&mut self, number: u32, address: &str, expected: &[&str]) {
        let address: SocketAddr = address.parse().unwrap();
        self.event(number, ForwardEvent::Ready(address), expected);
    }

    #[track_caller]
    pub(super) fn failed(&mut self, number: u32, reason: &str, expected: &[&str]) {
        self.event(number, ForwardEvent::Failed(reason.into()), expected);
    }

    #[track_caller]
    pub(super) fn connected(&mut self, number: u32) {
        self.event(number, ForwardEvent::Claimed, &[]);
        self.event(number, ForwardEvent::Connected { target: 0 }, &[]);
    }

    #[track_caller]
    pub(super) fn event(&mut self, number: u32, event: ForwardEvent, expected: &[&str]) {
        self.control.forward(self.now, id(number), event);
        self.compare(expected);
    }

    #[track_caller]
    pub(super) fn server_ended(&mut self, ending: Ending, expected: &[&str]) {
        self.control.server_ended(self.now, ending);
        self.compare(expected);
    }

    #[track_caller]
    pub(super) fn client_ended(&mut self, ending: Ending, expected: &[&str]) {
        self.control.client_ended(self.now, ending);
        self.compare(expected);
    }

    #[track_caller]
    pub(super) fn wait(&mut self, seconds: u64, expected: &[&str]) {
        self.now += Duration::from_secs(seconds);
        self.control.timeout(self.now);
        self.compare(expected);
    }

    #[track_caller]
    pub(super) fn stop(&mut self, expected: &[&str]) {
        self.control.stop(self.now);
        self.compare(expected);
    }

    /// PASV, its forward, and the client on it: the beginning of nearly every test of transfers.
    #[track_caller]
    pub(super) fn passive_connected(&mut self, number: u32) {
        let open = format!("! local {number} localhost:40000");
        self.client("PASV", &["S> PASV"]);
        self.server("227 =10,0,0,9,156,64", &[&open]);
        self.ready(
            number,
            "127.0.0.1:51213",
            &["C< 227 Entering Passive Mode (127,0,0,1,200,13)."],
        );
        self.connected(number);
    }

    #[track_caller]
    fn compare(&mut self, expected: &[&str]) {
        let mut found = Vec::new();
        while let Some(output) = self.control.poll_output() {
            match output {
                Output::Notice(_) | Output::Learned(_) => {}
                Output::Transferred(report) => self.reports.push(report),
                output => found.push(show(&output)),
            }
        }
        assert_eq!(found, expected);
    }
}

pub(super) fn id(number: u32) -> ForwardId {
    let mut id = ForwardId::first();
    while id.number() < number {
        id = id.next();
    }
    id
}

/// A line in the form in which a peer sends it; a text that ends in LF stays unchanged.
pub(super) fn frame(line: &str) -> Frame {
    Frame::Line(match line.strip_suffix('\n') {
        Some(text) => Line::with_end(text.to_owned(), LineEnd::Lf),
        None => Line::new(line.to_owned()),
    })
}

pub(super) fn show(output: &Output) -> String {
    let line = |who: &str, bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        match text.strip_suffix("\r\n") {
            Some(text) => format!("{who} {text}"),
            None => format!("{who} {}", text.escape_debug()),
        }
    };
    match output {
        Output::Ask(id) => format!("! ask {id}"),
        Output::Close(id) => format!("! close {id}"),
        Output::Drain(id) => format!("! drain {id}"),
        Output::End {
            data,
            close_after_control,
        } => {
            let how = match data {
                DataAtEnd::Abort => "! end, abort",
                DataAtEnd::Finish => "! end",
            };
            let then = close_after_control
                .iter()
                .map(|id| format!(", then close {id}"));
            how.to_owned() + &then.collect::<String>()
        }
        Output::FinishServer => "! finish server".into(),
        Output::Learned(_) => "! learned".into(),
        Output::Transferred(_) => "! transferred".into(),
        Output::Notice(notice) => format!("! notice {notice}"),
        Output::Join(id) => format!("! join {id}"),
        Output::Settle(id) => format!("! settle {id}"),
        Output::OpenJoined {
            id,
            targets,
            deliver_to,
        } => {
            let targets: Vec<String> = targets.iter().map(ToString::to_string).collect();
            format!("! joined {id} {} to {deliver_to}", targets.join(" or "))
        }
        Output::OpenLocal { id, targets } => {
            let targets: Vec<String> = targets.iter().map(ToString::to_string).collect();
            format!("! local {id} {}", targets.join(" or "))
        }
        Output::OpenRemote {
            id,
            bind,
            deliver_to,
        } => {
            format!("! remote {id} {bind} to {deliver_to}")
        }
        Output::ToClient(bytes) => line("C<", bytes),
        Output::ToServer(bytes) => line("S>", bytes),
    }
}
