//! One request, and its answer as far as it has come.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use ferryline_grammar::{Line, Verb};

use super::{
    active_request::ActiveRequest,
    event::{ForwardId, TransferReport},
    gate::Gate,
    key::Key,
    passive_request::PassiveRequest,
    pending_lines::{ClientLine, PendingLines},
    request::Request,
    transfer::Transfer,
};

/// One request of the client or of ferryline, or a reply that answers no request.
#[derive(Debug)]
pub(super) struct Exchange {
    key: Key,
    request: Request,
    /// The client's command; `None`: it is no command of the client.
    asked: Option<Asked>,
    stage: Stage,
    /// Its place in the send order; 0 before it is sent, and where nothing is sent.
    sent_seq: u64,
    /// Lines that go to the client as soon as the entry's turn has come.
    out: PendingLines,
    /// Ferryline holds this entry's output back, and with it all output behind it.
    held: bool,
}

/// A command of the client.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    verb: Verb,
    at: Duration,
}

impl Asked {
    /// A command with this verb, which came at this time.
    pub(super) fn new(verb: Verb, at: Duration) -> Self {
        Self { verb, at }
    }

    pub(super) fn verb(self) -> Verb {
        self.verb
    }

    /// When it came.
    pub(super) fn at(self) -> Duration {
        self.at
    }
}

/// How far a request is.
#[derive(Debug)]
pub(super) enum Stage {
    /// Its final reply has come in, or none will come.
    Answered,
    /// Nothing was sent for it, and its lines are coming in.
    Incoming,
    /// Its final reply is awaited.
    Sent,
    /// It waits to be sent.
    Unsent(Line),
    /// It waits for its remote forward; of what is behind it, only ABOR is sent before.
    Waiting,
}

/// Where an exchange stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct ExchangePlace {
    key: Key,
    sent_seq: u64,
    unsent: bool,
    awaits_reply: bool,
    held: bool,
}

impl ExchangePlace {
    pub(super) fn key(self) -> Key {
        self.key
    }

    /// Its place in the send order; 0 before it is sent.
    pub(super) fn sent_seq(self) -> u64 {
        self.sent_seq
    }

    /// Whether it has not been sent yet.
    pub(super) fn is_unsent(self) -> bool {
        self.unsent
    }

    /// Whether its final reply is awaited.
    pub(super) fn awaits_reply(self) -> bool {
        self.awaits_reply
    }

    /// Whether ferryline holds its output back.
    pub(super) fn is_held(self) -> bool {
        self.held
    }
}

impl Exchange {
    pub(super) fn new(key: Key, request: Request, stage: Stage) -> Self {
        Self {
            key,
            request,
            asked: None,
            stage,
            sent_seq: 0,
            out: PendingLines::default(),
            held: false,
        }
    }

    pub(super) fn key(&self) -> Key {
        self.key
    }

    /// Notes that it is this command of the client.
    pub(super) fn set_asked(&mut self, asked: Asked) {
        self.asked = Some(asked);
    }

    /// The client's command; `None`: it is no command of the client.
    pub(super) fn asked(&self) -> Option<Asked> {
        self.asked
    }

    pub(super) fn request(&self) -> &Request {
        &self.request
    }

    /// Turns it into another request: what was sent, or is to be sent, is now taken for that.
    pub(super) fn becomes(&mut self, request: Request) {
        self.request = request;
    }

    pub(super) fn passive(&self) -> Option<&PassiveRequest> {
        match &self.request {
            Request::Passive(passive) => Some(passive),
            _ => None,
        }
    }

    pub(super) fn passive_mut(&mut self) -> Option<&mut PassiveRequest> {
        match &mut self.request {
            Request::Passive(passive) => Some(passive),
            _ => None,
        }
    }

    pub(super) fn active(&self) -> Option<&ActiveRequest> {
        match &self.request {
            Request::Active(active) => Some(active),
            _ => None,
        }
    }

    pub(super) fn active_mut(&mut self) -> Option<&mut ActiveRequest> {
        match &mut self.request {
            Request::Active(active) => Some(active),
            _ => None,
        }
    }

    pub(super) fn transfer(&self) -> Option<&Transfer> {
        match &self.request {
            Request::Transfer(transfer) => Some(transfer),
            _ => None,
        }
    }

    pub(super) fn transfer_mut(&mut self) -> Option<&mut Transfer> {
        match &mut self.request {
            Request::Transfer(transfer) => Some(transfer),
            _ => None,
        }
    }

    /// Where it is a command of no known verb: why the data connection that it may have been meant for failed.
    pub(super) fn lost_mut(&mut self) -> Option<&mut Option<String>> {
        match &mut self.request {
            Request::Other { lost, .. } => Some(lost),
            _ => None,
        }
    }

    pub(super) fn stage(&self) -> &Stage {
        &self.stage
    }

    /// Whether its final reply is awaited.
    pub(super) fn awaits_reply(&self) -> bool {
        matches!(self.stage, Stage::Sent)
    }

    /// Whether its final reply has come in, or none will come.
    pub(super) fn is_answered(&self) -> bool {
        matches!(self.stage, Stage::Answered)
    }

    /// Whether it has not been sent yet, also where it waits for its remote forward.
    pub(super) fn is_unsent(&self) -> bool {
        matches!(self.stage, Stage::Unsent(_) | Stage::Waiting)
    }

    /// Whether it waits for its remote forward.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.stage, Stage::Waiting)
    }

    /// The client's line, until it is sent.
    pub(super) fn unsent_line(&self) -> Option<&Line> {
        match &self.stage {
            Stage::Unsent(line) => Some(line),
            _ => None,
        }
    }

    /// Its place in the send order; 0 before it is sent, and where nothing is sent.
    pub(super) fn sent_seq(&self) -> u64 {
        self.sent_seq
    }

    /// Notes that it was sent to the server, or sent again, at this place in the send order.
    pub(super) fn sent(&mut self, order: u64) {
        self.stage = Stage::Sent;
        self.sent_seq = order;
    }

    /// Gives an answer for which nothing was sent a place in the send order.
    pub(super) fn came_late(&mut self, order: u64) {
        self.sent_seq = order;
    }

    /// Notes that it waits for its remote forward from now on.
    pub(super) fn awaits_forward(&mut self) {
        self.stage = Stage::Waiting;
    }

    /// Notes that its final reply has come in, or that none will come.
    pub(super) fn answered(&mut self) {
        self.stage = Stage::Answered;
    }

    /// Answers it in the place of the server, which has not been sent it. Its answer goes out when its turn in
    /// the queue comes.
    pub(super) fn answer_unsent(&mut self, now: Duration, answer: Bytes) {
        self.out.say(answer);
        self.request = Request::Local { since: now };
        self.stage = Stage::Answered;
    }

    /// Whether ferryline holds its output back.
    pub(super) fn is_held(&self) -> bool {
        self.held
    }

    /// Holds its output back, and with it all output behind it.
    pub(super) fn hold(&mut self) {
        self.held = true;
    }

    /// Holds its output back no longer.
    pub(super) fn let_go(&mut self) {
        self.held = false;
    }

    /// Whether something of it is still to come: a reply, or what its output is held for.
    pub(super) fn is_open(&self) -> bool {
        self.held || !self.is_answered()
    }

    /// Adds a line of ferryline's own to its answer.
    pub(super) fn say(&mut self, line: Bytes) {
        self.out.say(line);
    }

    /// Adds a line of the server to its answer.
    pub(super) fn relay(&mut self, line: Bytes) {
        self.out.relay(line);
    }

    /// Adds lines of the server to its answer.
    pub(super) fn relay_all(&mut self, lines: impl IntoIterator<Item = Bytes>) {
        self.out.relay_all(lines);
    }

    /// Number of lines that wait to go out.
    pub(super) fn lines(&self) -> usize {
        self.out.len()
    }

    /// Cost of the lines that wait to go out.
    pub(super) fn cost(&self) -> usize {
        self.out.cost()
    }

    /// Whether it is a transfer over this forward.
    pub(super) fn uses(&self, id: ForwardId) -> bool {
        self.transfer()
            .is_some_and(|transfer| transfer.forward() == Some(id))
    }

    /// Holds the final reply of its transfer, which comes in now, behind this gate.
    pub(super) fn hold_final_reply(&mut self, success: bool, gate: impl FnOnce(&Transfer) -> Gate) {
        let at = self.out.len();
        if let Some(transfer) = self.transfer_mut() {
            let gate = gate(transfer);
            transfer.hold(gate, success.then_some(at));
            self.held = true;
        }
    }

    /// Ends the wait of the final reply of its transfer. Returns whether it waited.
    pub(super) fn release_final_reply(&mut self) -> bool {
        let released = self.transfer_mut().is_some_and(Transfer::release);
        self.held &= !released;
        released
    }

    /// Withdraws the held success of its transfer, which was cut for this reason, and says this in its place.
    /// Returns whether there was one.
    pub(super) fn withdraw_success(&mut self, reason: &'static str, instead: Bytes) -> bool {
        let held = self.held;
        let transfer = self.transfer_mut().filter(|_| held);
        let withdrawn = transfer.and_then(|transfer| {
            let at = transfer.withdraw_success()?;
            transfer.cut_unless_known(reason);
            Some(at)
        });
        if let Some(at) = withdrawn {
            self.out.truncate(at);
            self.out.say(instead);
        }
        withdrawn.is_some()
    }

    /// The report of its transfer, if that is over now and has not been reported. `last`: the last line that
    /// has been handed to the client just now.
    pub(super) fn report(&mut self, last: Option<Bytes>) -> Option<TransferReport> {
        let answered = self.is_answered();
        let transfer = self.transfer_mut()?;
        let told = transfer.is_answered_by_ferryline() && last.is_some();
        (answered || told).then(|| transfer.report(last)).flatten()
    }

    /// Its place in the queue, for a caller that has its transfer in hand.
    pub(super) fn place(&self) -> ExchangePlace {
        ExchangePlace {
            key: self.key,
            sent_seq: self.sent_seq,
            unsent: self.is_unsent(),
            awaits_reply: self.awaits_reply(),
            held: self.held,
        }
    }

    /// Takes the lines that wait to go out.
    pub(super) fn take_lines(&mut self) -> VecDeque<ClientLine> {
        self.out.take()
    }

    /// Whether the client's lines behind it are kept back until the server has answered it.
    pub(super) fn keeps_back_what_follows(&self) -> bool {
        let keeps = match &self.request {
            Request::Greeting { withheld } => *withheld,
            Request::Passive(passive) => passive.is_joined(),
            _ => false,
        };
        keeps && self.awaits_reply()
    }

    /// Whether it is an active request that is carried as passive, and has no data connection yet.
    pub(super) fn awaits_joined_forward(&self) -> bool {
        self.held && self.passive().is_some_and(PassiveRequest::is_joined)
    }

    /// Whether it has asked the server for a data connection of which the client does not know yet.
    pub(super) fn renews_connection(&self) -> bool {
        match &self.request {
            Request::Active(_) => self.awaits_reply(),
            Request::Passive(_) => self.awaits_reply() || self.held,
            _ => false,
        }
    }
}

#[cfg(test)]
impl Exchange {
    /// Cost of the lines that wait to go out, counted anew.
    pub(super) fn recount(&self) -> usize {
        self.out.recount()
    }
}
