//! [`Control`], the face of the machine. The other files of this folder hold its steps.

mod abandoned;
mod active;
mod commands;
mod cuts;
mod doubts;
mod final_reply;
mod forward_limit;
mod forwards;
mod holds;
mod idle;
mod overdue;
mod passive;
mod replies;
mod silence;
mod targets;
mod transfers;
mod unknown;
mod unreached;

use std::time::Duration;

use bytes::Bytes;
use ferryline_grammar::{Frame, Line};

use crate::control::{
    activity::Activity,
    answers::answer,
    data::{Data, Forward},
    end_reason::EndReason,
    event::{DataAtEnd, Ending, ForwardEvent, ForwardId, Notice, Output, RunningTransfer},
    exchange::Exchange,
    incoming::Incoming,
    other_protocol::OtherProtocol,
    outputs::Outputs,
    parameters::Parameters,
    peers::{ClientEof, Peers},
    queue::Queue,
    request::Request,
    settings::{Knowledge, Settings},
    transfer::Transfer,
    wait::Hold,
};

/// One FTP session between a client and a server. Rewrites what names a data connection, and passes all else
/// on unchanged.
///
/// # How to drive it
///
/// It has four kinds of methods:
///
/// - *Inputs*. [`client`](Self::client) and [`server`](Self::server) take what the line codecs decoded, in
///   order. [`client_ended`](Self::client_ended) and [`server_ended`](Self::server_ended) come after the last
///   line of that side, and a second call for the same side does nothing. [`Ending::Lost`] may come at any
///   time, and [`client_left`](Self::client_left) before the client's end.
///   [`forward`](Self::forward) takes the events of a forward. [`timeout`](Self::timeout) is due at
///   [`poll_timeout`](Self::poll_timeout). [`stop`](Self::stop) winds the session up, and
///   [`cut`](Self::cut) ends it. All but `cut` take `now`, the time since the session began, which never
///   goes back.
/// - *Outputs*. The driver calls [`poll_output`](Self::poll_output) after every input until it returns
///   `None`, and carries the outputs out in that order. It answers those that concern a forward through
///   [`forward`](Self::forward). After [`Output::End`] there is nothing more to do.
/// - *Flow*. While [`wants_client`](Self::wants_client) or [`wants_server`](Self::wants_server) is false,
///   that side should not be read: this bounds the machine's memory.
/// - *Questions*. [`takes_data`](Self::takes_data) and [`keeps_end`](Self::keeps_end) say whether the client's
///   data, and its EOF, may go to the FTP server. [`running_transfer`](Self::running_transfer) is for views.
///   [`is_over`](Self::is_over): nothing more is to be done but to carry the last outputs out.
///
/// A forward's events must come in their causal order: [`ForwardEvent::Claimed`] before any line that the
/// server sent after it had accepted that connection.
#[derive(Debug)]
pub struct Control {
    settings: Settings,
    knowledge: Knowledge,
    queue: Queue,
    incoming: Incoming,
    data: Data,
    parameters: Parameters,
    outputs: Outputs,
    peers: Peers,
    activity: Activity,
    /// The wait of the next command, or of the client's EOF, for a transfer before it.
    hold: Option<Hold>,
}

impl Control {
    /// A session whose control connections both stand, before the server's greeting has come.
    pub fn new(mut settings: Settings, knowledge: Knowledge) -> Self {
        settings.limits = settings.limits.addable();
        Self {
            queue: Queue::new(settings.routed.is_some()),
            activity: Activity::new(settings.routed.is_some()),
            settings,
            knowledge,
            incoming: Incoming::default(),
            data: Data::new(),
            parameters: Parameters::new(),
            outputs: Outputs::default(),
            peers: Peers::new(),
            hold: None,
        }
    }

    /// Takes one frame of the client.
    pub fn client(&mut self, now: Duration, frame: Frame) {
        if !self.peers.hears_client() {
            return;
        }
        match frame {
            Frame::Line(line) => {
                self.activity.note(now);
                self.client_line(now, line);
            }
            Frame::Negotiation(asked) => {
                if self.peers.refuses_client() {
                    let refusal = Bytes::copy_from_slice(&asked.refusal());
                    self.outputs.say_to_client(refusal);
                }
            }
        }
        self.advance(now);
    }

    /// Takes one frame of the server.
    pub fn server(&mut self, now: Duration, frame: Frame) {
        if !self.peers.hears_server() {
            return;
        }
        match frame {
            Frame::Line(line) => {
                self.peers.note_activity(now);
                self.server_line(now, line);
            }
            Frame::Negotiation(asked) => {
                if self.peers.refuses_server() {
                    let refusal = Bytes::copy_from_slice(&asked.refusal());
                    self.outputs.say_to_server(refusal);
                }
            }
        }
        self.advance(now);
    }

    /// Takes the end of the client's side.
    pub fn client_ended(&mut self, now: Duration, ending: Ending) {
        if !self.peers.hears_client() {
            return;
        }
        self.peers.client_ended(ending);
        match ending {
            Ending::Eof => {
                self.peers.note_activity(now);
                self.peers.owe_client_eof();
            }
            Ending::Flood => self.end_for(EndReason::Flood),
            Ending::Lost | Ending::Silent => self.client_lost(now),
            // It could read no reply.
            Ending::Tls => {
                self.outputs.notice(Notice::NotFtp(OtherProtocol::Tls));
                self.end(DataAtEnd::Abort);
            }
            Ending::LineTooLong(_) | Ending::Nul => {
                self.end_with(500, &ending.command_fault().unwrap_or_default());
            }
        }
        self.advance(now);
    }

    /// Takes the news that the client has ended its side, although some of what it sent has not been read yet
    /// ([`wants_client`](Self::wants_client)). That will be read as soon as there is room for it. While the
    /// server is silent there never is, so that the end itself would never be read.
    pub fn client_left(&mut self, now: Duration) {
        if self.peers.hears_client() && self.peers.client_left() {
            self.peers.note_activity(now);
        }
    }

    /// Takes the end of the server's side.
    pub fn server_ended(&mut self, now: Duration, ending: Ending) {
        if !self.peers.hears_server() {
            return;
        }
        self.peers.server_ended(ending);
        match ending {
            // A final reply that waits for its data still gets its time: see `advance`.
            Ending::Eof => {}
            Ending::Flood => self.end_for(EndReason::Flood),
            Ending::LineTooLong(limit) => self.end_for(EndReason::LongReply(limit)),
            // No server begins so: its first bytes are not looked at.
            Ending::Lost | Ending::Tls => self.end_for(EndReason::SshLost),
            Ending::Nul => self.end_for(EndReason::NulInReply),
            Ending::Silent => self.end_for(EndReason::SshSilent),
        }
        self.advance(now);
    }

    /// Takes an event of a forward. Names that are not known (any more) are ignored.
    pub fn forward(&mut self, now: Duration, id: ForwardId, event: ForwardEvent) {
        if self.peers.is_over() {
            return;
        }
        self.peers.note_activity(now);
        if let Some(forward) = self.data.get_mut(id) {
            forward.note_event(now);
        }
        self.forward_event(now, id, event);
        self.advance(now);
    }

    /// Handles what is due by `now`.
    pub fn timeout(&mut self, now: Duration) {
        if self.peers.is_over() {
            return;
        }
        self.expire_abandoned(now);
        if self.peers.is_over() {
            return;
        }
        self.expire_forwards(now);
        self.expire_hold(now);
        self.expire_doubts(now);
        self.end_silence(now);
        self.tell_overdue(now);
        self.expire_idle(now);
        self.advance(now);
    }

    /// Winds the session up: a running transfer may end first, then the client gets a 421, unless the server
    /// has said farewell.
    pub fn stop(&mut self, now: Duration) {
        if self.peers.is_over() {
            return;
        }
        self.peers.stop();
        self.advance(now);
    }

    /// Ends the session at once: what still runs is cut, and the client gets a 421, unless the server has said
    /// farewell.
    pub fn cut(&mut self) {
        if !self.peers.is_over() {
            self.end_for(EndReason::ShuttingDown);
        }
    }

    /// Takes the next output.
    pub fn poll_output(&mut self) -> Option<Output> {
        let mut output = self.outputs.pop();
        if let Some(Output::Transferred(report)) = &mut output {
            report.asked_by = report.forward.and_then(|id| self.data.asked_by(id));
        }
        output
    }

    /// The transfer that runs; the first, where the client has sent several.
    pub fn running_transfer(&self) -> Option<RunningTransfer<'_>> {
        let mut transfers = self.queue.iter().filter_map(Exchange::transfer);
        let running = transfers.find_map(Transfer::running)?;
        let asked_by = running.forward.and_then(|id| self.data.asked_by(id));
        Some(RunningTransfer {
            asked_by,
            ..running
        })
    }

    /// Time at which [`timeout`](Self::timeout) is to be called, unless another input comes before.
    pub fn poll_timeout(&self) -> Option<Duration> {
        if self.peers.is_over() {
            return None;
        }
        [
            self.abandoned_deadline(),
            self.forward_deadline(),
            self.hold_deadline(),
            self.doubt_deadline(),
            self.silence_deadline(),
            self.overdue_deadline(),
            self.idle_or_login_deadline(),
            self.queue.deadline(self.settings.limits.missing_reply),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Whether the client should be read.
    pub fn wants_client(&self) -> bool {
        self.peers.hears_client()
            && self.queue.len() < self.settings.limits.requests
            && self.queue.unsent_bytes() < self.settings.limits.held_bytes
    }

    /// Whether the server should be read.
    pub fn wants_server(&self) -> bool {
        self.peers.hears_server() && self.has_room()
    }

    /// Whether the client's data over this forward may go to the FTP server: the server has begun to answer
    /// the transfer that the data is for, or knew of it before it had the data connection.
    pub fn takes_data(&mut self, id: ForwardId) -> bool {
        if !self.data.get(id).is_some_and(Forward::is_passive) {
            return true;
        }
        self.transfer_over(id).is_some_and(|t| t.takes_data())
    }

    /// Whether the client's EOF on this data connection is kept from the FTP server until the server has sent
    /// its own.
    ///
    /// In a download the client's EOF says nothing. An SSH server that had both EOFs could end the channel
    /// early, and that would look like the end of the file (Q130).
    pub fn keeps_end(&mut self, id: ForwardId) -> bool {
        // After an ABOR the server may wait for the client's end.
        if !self.data.is_stream() || self.queue.last_abort() > 0 {
            return false;
        }
        match self.data.get(id) {
            None => return false,
            Some(forward) if forward.is_drained() => return false,
            Some(forward) if forward.outlives() => return true,
            Some(_) => {}
        }
        self.transfer_over(id)
            .is_some_and(|t| !t.may_be_upload() && !t.is_answered_by_ferryline())
    }

    /// Whether the session has ended; [`Output::End`] has been given out or is about to be.
    pub fn is_over(&self) -> bool {
        self.peers.is_over()
    }

    /// Notes what the next sessions with this server can start from.
    fn learn(&mut self, change: impl FnOnce(&mut Knowledge)) {
        let before = self.knowledge;
        change(&mut self.knowledge);
        if before != self.knowledge {
            self.outputs.push(Output::Learned(self.knowledge));
        }
    }

    /// Whether there is room to hold more replies.
    fn has_room(&self) -> bool {
        let limits = &self.settings.limits;
        self.queue.pending_cost() < limits.held_bytes
            && self.queue.len() < limits.requests.saturating_mul(4)
    }

    /// Ends the session with a 421, unless the server's last line has been passed on. Tells the log why.
    fn end_for(&mut self, reason: EndReason) {
        let text = reason.to_string();
        if self.has_last_word() {
            self.outputs.notice(Notice::Ended(reason));
        }
        self.end_with(421, &text);
    }

    /// Whether the client has not been told yet that the session ends.
    fn has_last_word(&self) -> bool {
        !self.peers.has_said_farewell() || self.queue.pending_cost() > 0
    }

    /// Ends the session with a last line to the client, unless the server's own has been passed on.
    fn end_with(&mut self, code: u16, text: &str) {
        if self.has_last_word() {
            self.peers.say_farewell();
            self.outputs.say_to_client(answer(code, text));
        }
        self.end(DataAtEnd::Abort);
    }

    /// Ends the session.
    fn end(&mut self, data: DataAtEnd) {
        if !self.peers.end() {
            return;
        }
        for (_, transfer) in self.queue.transfers_mut() {
            if let Some(report) = transfer.report(None) {
                self.outputs.push(Output::Transferred(report));
            }
        }
        let forwards = self.data.take_all().into_iter();
        let closing = forwards
            .filter(|(_, forward)| data == DataAtEnd::Abort || !forward.is_connected())
            .map(|(id, _)| id);
        self.outputs.push(Output::End {
            data,
            close_after_control: closing.collect(),
        });
    }

    /// Carries on with all that an input has made possible.
    fn advance(&mut self, now: Duration) {
        if self.peers.is_over() {
            return;
        }
        let mut held = self.send_waiting(now);
        self.flush(now);
        self.close_forgotten();
        self.activity
            .note_transfers(now, self.queue.transfer_unfinished());
        self.note_doubts(now);
        if self.peers.client_eof() == ClientEof::Due && !self.queue.has_unsent() {
            if self.end_waits(now) {
                held = true;
            } else if self.peers.client_is_lost() {
                self.end(DataAtEnd::Abort);
                return;
            } else {
                self.outputs.push(Output::FinishServer);
                self.peers.client_eof_sent(now);
            }
        }
        if !held {
            self.hold = None;
        }
        let data_awaited = self.queue.iter().any(
            |exchange| matches!(exchange.request(), Request::Transfer(t) if t.gate().is_some()),
        );
        let patience = self.settings.limits.missing_reply;
        if self.peers.server_has_ended() && !data_awaited {
            self.end_in_order();
        } else if !self.has_room() && self.queue.waits_for_server(patience) {
            // Ferryline reads no more here, so it would wait without end for what it does not read.
            self.end_for(EndReason::TooManyReplies);
        } else if self.peers.is_stopping() && !self.queue.transfer_unfinished() {
            self.end_for(EndReason::ShuttingDown);
        }
    }

    /// Ends a session whose server sends no more: all that it has sent goes out, and what runs may end.
    fn end_in_order(&mut self) {
        if self.peers.is_over() {
            return;
        }
        let last_word = answer(425, "the FTP server closed the control connection");
        self.queue.give_up(&last_word, &mut self.outputs);
        self.end(DataAtEnd::Finish);
    }

    /// Hands the client what may go to it now.
    fn flush(&mut self, now: Duration) {
        let patience = self.settings.limits.missing_reply;
        self.queue.flush(now, patience, &mut self.outputs);
    }
}

/// What tests look at from outside.
#[cfg(test)]
impl Control {
    pub(in crate::control) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(in crate::control) fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Number of forwards that are not known to be gone.
    pub(in crate::control) fn forwards(&self) -> usize {
        self.data.iter().count()
    }
}

/// The bytes of a line exactly as they came.
fn verbatim(line: &Line) -> Bytes {
    line.clone().into_bytes()
}
