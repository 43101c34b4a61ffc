//! [`Control`]: the machine's face. What it does with each input is in its neighbours.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use ferryline_grammar::{Frame, Line, ReplyFraming};

use super::{
    answers::answer,
    data::Data,
    event::{DataAtEnd, Ending, ForwardEvent, ForwardId, Notice, Output},
    holds::Hold,
    queue::Queue,
    quiet::Quiet,
    replies::Route,
    request::Request,
    settings::{Knowledge, Settings},
};

/// One FTP session between a client and a server: rewrites what names a data connection, and
/// passes all else on as it is.
///
/// # How to drive it
///
/// Three kinds of methods:
///
/// - *Inputs*: [`client`](Self::client) and [`server`](Self::server) take what the line codecs
///   decoded, in order; [`client_ended`](Self::client_ended) and
///   [`server_ended`](Self::server_ended) come once each, after the last line of that side;
///   [`client_left`](Self::client_left) may come before;
///   [`forward`](Self::forward) tells what became of a forward; [`timeout`](Self::timeout) is due at
///   [`poll_timeout`](Self::poll_timeout); [`stop`](Self::stop) winds the session up,
///   [`cut`](Self::cut) ends it.
///   All others take `now`, the time since the session began, which never goes back.
/// - *Outputs*: [`poll_output`](Self::poll_output), to be called after every input until it gives
///   `None`, and carried out in that order. What is asked for on behalf of a forward is answered
///   through [`forward`](Self::forward). After [`Output::End`] there is nothing more to do.
/// - *Flow*: while [`wants_client`](Self::wants_client) or [`wants_server`](Self::wants_server) is
///   false, that side should not be read: this is what bounds the machine's memory.
///
/// A forward's events must come in their causal order: [`ForwardEvent::Claimed`] before any line
/// that the server sent after it had accepted that connection.
#[derive(Debug)]
pub struct Control {
    pub(super) settings: Settings,
    pub(super) knowledge: Knowledge,
    pub(super) queue: Queue,
    pub(super) framing: ReplyFraming,
    /// Where the lines of the server's current reply go.
    pub(super) route: Route,
    pub(super) data: Data,
    /// A passive request was answered by something else; its reply may come late (Q23). Whether
    /// the client expects a 229.
    pub(super) late_passive: Option<bool>,
    /// An EPSV was given up unanswered; its answer may still come.
    pub(super) late_epsv: bool,
    /// The log says that the server insists on TLS.
    pub(super) tls_noted: bool,
    /// The first line of the client has come.
    pub(super) greeted: bool,
    /// The server's passive replies were found to name another host, and the log says so.
    pub(super) other_host_noted: bool,
    /// The server has said that it closes (221, 421).
    pub(super) farewell: bool,
    pub(super) outputs: VecDeque<Output>,
    pub(super) quiet: Quiet,
    /// When the server was last heard, or something became of a data connection.
    pub(super) stirred: Duration,
    pub(super) finish_server: FinishServer,
    /// What waits for a transfer before it.
    pub(super) hold: Option<Hold>,
    /// The client is known to have ended its side, which is not read to its end yet.
    pub(super) client_left: bool,
    /// How many Telnet options are still refused, the client's and the server's. Nobody asks for
    /// more but to fill the memory, or in a circle.
    refusals: (u8, u8),
    client: Side,
    server: Side,
    stopping: bool,
    over: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Open,
    Ended(Ending),
}

/// The client's end of file on its way to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FinishServer {
    No,
    /// As soon as the client's last line has been sent.
    Due,
    /// Passed on, at this time.
    Done(Duration),
}

impl Control {
    /// A session whose control connections both stand, before the server's greeting has come.
    pub fn new(mut settings: Settings, knowledge: Knowledge) -> Self {
        settings.limits = settings.limits.addable();
        Self {
            queue: Queue::new(settings.routed.is_some()),
            quiet: Quiet::new(settings.routed.is_some()),
            settings,
            knowledge,
            framing: ReplyFraming::default(),
            route: Route::None,
            data: Data::new(),
            late_passive: None,
            late_epsv: false,
            tls_noted: false,
            greeted: false,
            other_host_noted: false,
            farewell: false,
            outputs: VecDeque::new(),
            stirred: Duration::ZERO,
            finish_server: FinishServer::No,
            hold: None,
            client_left: false,
            refusals: (u8::MAX, u8::MAX),
            client: Side::Open,
            server: Side::Open,
            stopping: false,
            over: false,
        }
    }

    /// What the client sent.
    pub fn client(&mut self, now: Duration, frame: Frame) {
        if self.over || self.client != Side::Open {
            return;
        }
        match frame {
            Frame::Line(line) => {
                self.heard_client(now);
                self.client_line(now, line);
            }
            Frame::Negotiation(asked) => {
                if let Some(left) = self.refusals.0.checked_sub(1) {
                    self.refusals.0 = left;
                    let refusal = Bytes::copy_from_slice(&asked.refusal());
                    self.outputs.push_back(Output::ToClient(refusal));
                }
            }
        }
        self.settle(now);
    }

    /// What the server sent.
    pub fn server(&mut self, now: Duration, frame: Frame) {
        if self.over || self.server != Side::Open {
            return;
        }
        match frame {
            Frame::Line(line) => {
                self.stirs(now);
                self.server_line(now, line);
            }
            Frame::Negotiation(asked) => {
                if let Some(left) = self.refusals.1.checked_sub(1) {
                    self.refusals.1 = left;
                    let refusal = Bytes::copy_from_slice(&asked.refusal());
                    self.outputs.push_back(Output::ToServer(refusal));
                }
            }
        }
        self.settle(now);
    }

    /// The client's side ended.
    pub fn client_ended(&mut self, now: Duration, ending: Ending) {
        if self.over || self.client != Side::Open {
            return;
        }
        self.client = Side::Ended(ending);
        match ending {
            Ending::Eof => {
                self.stirs(now);
                self.finish_server = FinishServer::Due;
            }
            Ending::Flood => self.end_with(421, FLOOD),
            Ending::LineTooLong(limit) => {
                let text = format!("a command line longer than {limit} bytes; the session ends");
                self.end_with(500, &text);
            }
            Ending::Lost | Ending::Silent => self.client_lost(now),
            Ending::Nul => self.end_with(500, "a NUL in a command line; the session ends"),
        }
        self.settle(now);
    }

    /// The client has ended its side, although not all that it said before has been read
    /// ([`wants_client`](Self::wants_client)), and will be as soon as there is room for it. While
    /// the server is silent there never is, so that the client's end would never come.
    pub fn client_left(&mut self, now: Duration) {
        if self.over || self.client != Side::Open || self.client_left {
            return;
        }
        self.client_left = true;
        self.stirs(now);
    }

    /// The server's side ended.
    pub fn server_ended(&mut self, now: Duration, ending: Ending) {
        if self.over || self.server != Side::Open {
            return;
        }
        self.server = Side::Ended(ending);
        match ending {
            // A final reply that waits for its data is waited for: see `settle`.
            Ending::Eof => {}
            Ending::Flood => self.end_with(421, FLOOD),
            Ending::LineTooLong(limit) => self.end_with(
                421,
                &format!("the FTP server sent a reply line longer than {limit} bytes"),
            ),
            Ending::Lost => self.end_with(421, "the SSH connection was lost"),
            Ending::Nul => self.end_with(421, "the FTP server sent a NUL in a reply"),
            Ending::Silent => self.end_with(
                421,
                "the SSH connection was lost: the SSH server does not answer any more",
            ),
        }
        self.settle(now);
    }

    /// What became of a forward. Names that are not known (any more) are ignored.
    pub fn forward(&mut self, now: Duration, id: ForwardId, event: ForwardEvent) {
        if self.over {
            return;
        }
        self.stirs(now);
        self.forward_event(now, id, event);
        self.settle(now);
    }

    /// Time has passed.
    pub fn timeout(&mut self, now: Duration) {
        if self.over {
            return;
        }
        self.expire_abandoned(now);
        if self.over {
            return;
        }
        self.expire_forwards(now);
        self.expire_hold(now);
        self.expire_doubts(now);
        self.end_silence(now);
        self.expire_quiet(now);
        self.settle(now);
    }

    /// Ferryline is to stop: a running transfer may end first, then the client gets a 421.
    pub fn stop(&mut self, now: Duration) {
        if self.over {
            return;
        }
        self.stopping = true;
        self.settle(now);
    }

    /// Ferryline stops, and waits for nothing any more: what still runs is cut, the client gets a
    /// 421.
    pub fn cut(&mut self) {
        if !self.over {
            self.end_with(421, SHUTTING_DOWN);
        }
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`timeout`](Self::timeout) is to be called, unless something comes before.
    pub fn poll_timeout(&self) -> Option<Duration> {
        if self.over {
            return None;
        }
        [
            self.abandoned_deadline(),
            self.forward_deadline(),
            self.hold_deadline(),
            self.doubt_deadline(),
            self.silence_deadline(),
            self.quiet_deadline(),
            self.queue.deadline(self.settings.limits.missing_reply),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Whether the client should be read.
    pub fn wants_client(&self) -> bool {
        self.client == Side::Open
            && !self.is_over()
            && self.queue.len() < self.settings.limits.requests
            && self.queue.unsent_bytes() < self.settings.limits.held_bytes
    }

    /// Whether the server should be read.
    pub fn wants_server(&self) -> bool {
        self.server == Side::Open && !self.is_over() && self.has_room()
    }

    /// Whether the session has ended; [`Output::End`] has been given out or is about to be.
    pub fn is_over(&self) -> bool {
        self.over
    }

    pub(super) fn notice(&mut self, notice: Notice) {
        self.outputs.push_back(Output::Notice(notice));
    }

    pub(super) fn send_to_server(&mut self, bytes: Bytes) {
        self.outputs.push_back(Output::ToServer(bytes));
    }

    /// Whether more replies can be held back.
    fn has_room(&self) -> bool {
        let limits = &self.settings.limits;
        self.queue.held_bytes() < limits.held_bytes
            && self.queue.len() < limits.requests.saturating_mul(4)
    }

    /// Ends the session with a last word to the client, unless the server's own has been passed on.
    pub(super) fn end_with(&mut self, code: u16, text: &str) {
        if !self.farewell || self.queue.held_bytes() > 0 {
            self.farewell = true;
            self.outputs.push_back(Output::ToClient(answer(code, text)));
        }
        self.end(DataAtEnd::Abort);
    }

    pub(super) fn end(&mut self, data: DataAtEnd) {
        if self.over {
            return;
        }
        self.over = true;
        let forwards = self.data.take_all();
        for (id, forward) in forwards {
            if data == DataAtEnd::Abort || !forward.is_connected() {
                self.outputs.push_back(Output::Close(id));
            }
        }
        self.outputs.push_back(Output::End(data));
    }

    /// Carries on with all that an input has made possible.
    fn settle(&mut self, now: Duration) {
        if self.over {
            return;
        }
        let mut held = self.send_waiting(now);
        self.flush(now);
        self.close_forgotten();
        self.note_transfers(now);
        self.note_doubts(now);
        if self.finish_server == FinishServer::Due && !self.queue.has_unsent() {
            if self.end_waits(now) {
                held = true;
            } else if self.client_is_lost() {
                self.end(DataAtEnd::Abort);
                return;
            } else {
                self.outputs.push_back(Output::FinishServer);
                self.finish_server = FinishServer::Done(now);
            }
        }
        if !held {
            self.hold = None;
        }
        let data_awaited = self
            .queue
            .iter()
            .any(|owed| matches!(&owed.request, Request::Transfer(t) if t.gate.is_some()));
        let patience = self.settings.limits.missing_reply;
        if self.server != Side::Open && !data_awaited {
            self.finish();
        } else if !self.has_room() && self.queue.waits_for_server(patience) {
            // Reading no more, ferryline would wait for ever for what it does not read.
            self.end_with(421, "too many replies wait for an earlier one");
        } else if self.stopping && !self.queue.transfer_running() {
            self.end_with(421, SHUTTING_DOWN);
        }
    }

    /// The client's control connection broke.
    pub(super) fn client_is_lost(&self) -> bool {
        matches!(self.client, Side::Ended(Ending::Lost | Ending::Silent))
    }

    /// The server says no more, or is not waited for any longer.
    pub(super) fn finish(&mut self) {
        if self.over {
            return;
        }
        let last_word = answer(425, "the FTP server closed the control connection");
        self.queue.give_up(&last_word, &mut self.outputs);
        self.end(DataAtEnd::Finish);
    }

    fn flush(&mut self, now: Duration) {
        let patience = self.settings.limits.missing_reply;
        self.queue.flush(now, patience, &mut self.outputs);
    }
}

const FLOOD: &str = "the FTP server sends more replies than the client takes";
const SHUTTING_DOWN: &str = "the tunnel is being shut down";

/// The bytes of a line exactly as they came.
pub(super) fn verbatim(line: &Line) -> Bytes {
    line.clone().into_bytes()
}
