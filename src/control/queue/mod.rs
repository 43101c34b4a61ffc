//! The answers that the client is still to get, in the order of its requests.
//!
//! Replies pass in the order in which the server sends them, unless ferryline itself has changed the order:
//! by an answer of its own, a reply that waits for a forward or for data, or a request that it sent a second
//! time in another form. What comes behind such an entry waits. (*Held* is only an entry that waits for a
//! forward or for data.) Only these cases need the matching of replies to requests. It goes by order and,
//! where FTP servers are known to differ, by the class of the reply, so that an extra or a missing reply puts
//! nothing out of step for good (Q23, Q42, Q44, Q71).

mod matching;
mod send_order;
mod turns;

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use ferryline_grammar::Line;

use crate::control::{
    active_request::ActiveRequest,
    event::ForwardId,
    exchange::{Asked, Exchange, ExchangePlace, Stage},
    guard::Guard,
    key::Key,
    passive_request::PassiveRequest,
    request::Request,
    transfer::Transfer,
};

#[derive(Debug)]
pub(super) struct Queue {
    entries: VecDeque<Exchange>,
    next_key: Key,
    next_seq: u64,
    /// Number of final replies that the server has sent since no request was under way.
    finals: u64,
    /// Number of commands since then: the client's, and those that ferryline sent besides.
    commands: u64,
    /// When the last final reply came.
    heard: Duration,
    guard: Guard,
    /// Number of transfers that ferryline has answered and that the server may still refuse.
    late_refusals: u8,
    /// A passive request was answered by another reply, and its own may come late (Q23). The value: whether
    /// the client expects a 229.
    stray_passive: Option<bool>,
    /// An EPSV was given up unanswered, and its answer may still come.
    late_epsv: bool,
}

impl Queue {
    /// The queue of a session whose server is still to send its greeting.
    pub(super) fn new(withhold_greeting: bool) -> Self {
        let mut queue = Self {
            entries: VecDeque::new(),
            next_key: Key::first(),
            next_seq: 0,
            finals: 0,
            commands: 0,
            heard: Duration::ZERO,
            guard: Guard::default(),
            late_refusals: 0,
            stray_passive: None,
            late_epsv: false,
        };
        let greeting = Request::Greeting {
            withheld: withhold_greeting,
        };
        let greeting = queue.push(greeting, Stage::Sent);
        queue.sent(greeting);
        queue.commands = 1;
        queue
    }

    /// Whether the server has sent no reply yet.
    pub(super) fn greeting_owed(&self) -> bool {
        let first = self.entries.front();
        first.is_some_and(|exchange| {
            matches!(
                (exchange.request(), exchange.stage()),
                (Request::Greeting { .. }, Stage::Sent)
            )
        })
    }

    pub(super) fn push(&mut self, request: Request, stage: Stage) -> Key {
        let key = self.next_key;
        self.next_key = key.next();
        self.entries.push_back(Exchange::new(key, request, stage));
        key
    }

    /// Adds a command of the client, which waits to be sent.
    pub(super) fn push_command(&mut self, asked: Asked, request: Request, line: Line) -> Key {
        let key = self.push(request, Stage::Unsent(line));
        if let Some(exchange) = self.entries.back_mut() {
            exchange.set_asked(asked);
        }
        key
    }

    /// Adds an answer that needs no server.
    pub(super) fn push_local(&mut self, answer: Bytes, now: Duration) {
        let key = self.push(Request::Local { since: now }, Stage::Answered);
        self.say(key, answer);
    }

    /// Notes that this request was sent to the server, or sent again.
    pub(super) fn sent(&mut self, key: Key) {
        self.next_seq += 1;
        let order = self.next_seq;
        if let Some(exchange) = self.entry(key) {
            exchange.sent(order);
        }
    }

    /// Gives an answer for which nothing was sent the place of what was sent last.
    pub(super) fn came_late(&mut self, key: Key) {
        let order = self.next_seq;
        if let Some(exchange) = self.entry(key) {
            exchange.came_late(order);
        }
    }

    /// Notes that this request waits for its remote forward from now on.
    pub(super) fn awaits_forward(&mut self, key: Key) {
        if let Some(exchange) = self.entry(key) {
            exchange.awaits_forward();
        }
    }

    /// Notes that the final reply to this request has come in, or that none will come.
    pub(super) fn answered(&mut self, key: Key) {
        if let Some(exchange) = self.entry(key) {
            exchange.answered();
        }
    }

    /// Holds the answer to this passive request, which waits for this forward.
    pub(super) fn hold_for_forward(&mut self, key: Key, id: ForwardId) {
        if let Some(exchange) = self.entry(key)
            && let Some(passive) = exchange.passive_mut()
        {
            passive.opens(id);
            exchange.hold();
        }
    }

    /// Turns this request into another.
    pub(super) fn becomes(&mut self, key: Key, request: Request) {
        if let Some(exchange) = self.entry(key) {
            exchange.becomes(request);
        }
    }

    /// Answers a held request with this line, and holds it no longer.
    pub(super) fn answer_held(&mut self, key: Key, line: Bytes) {
        if let Some(exchange) = self.entry(key) {
            exchange.let_go();
            exchange.say(line);
        }
    }

    /// Adds the buffered refusal of this passive request to its answer. Returns whether there is one.
    pub(super) fn tell_refusal(&mut self, key: Key) -> bool {
        let refusal = self.passive(key).map(PassiveRequest::tell_refusal);
        let refusal = refusal.filter(|refusal| !refusal.is_empty());
        match (self.entry(key), refusal) {
            (Some(exchange), Some(refusal)) => {
                exchange.relay_all(refusal);
                true
            }
            _ => false,
        }
    }

    /// Its place in the send order; 0 before it is sent.
    pub(super) fn sent_seq(&self, key: Key) -> u64 {
        self.get(key).map_or(0, |exchange| exchange.sent_seq())
    }

    /// The PORT or EPRT of this key, unless it is carried as passive, or ferryline has answered it.
    pub(super) fn active(&mut self, key: Key) -> Option<&mut ActiveRequest> {
        self.entry(key)?.active_mut()
    }

    /// The passive request of this key.
    pub(super) fn passive(&mut self, key: Key) -> Option<&mut PassiveRequest> {
        self.entry(key)?.passive_mut()
    }

    /// The transfer of this key.
    pub(super) fn transfer(&mut self, key: Key) -> Option<&mut Transfer> {
        self.entry(key)?.transfer_mut()
    }

    pub(super) fn get(&self, key: Key) -> Option<&Exchange> {
        self.entries.iter().find(|exchange| exchange.key() == key)
    }

    pub(super) fn entry(&mut self, key: Key) -> Option<&mut Exchange> {
        self.entries
            .iter_mut()
            .find(|exchange| exchange.key() == key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Exchange> {
        self.entries.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Exchange> {
        self.entries.iter_mut()
    }

    /// The transfers, each with the place of its exchange.
    pub(super) fn transfers_mut(&mut self) -> impl Iterator<Item = (ExchangePlace, &mut Transfer)> {
        self.entries.iter_mut().filter_map(|exchange| {
            let place = exchange.place();
            Some((place, exchange.transfer_mut()?))
        })
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Adds a line of ferryline's own to the answer to this request.
    pub(super) fn say(&mut self, key: Key, line: Bytes) {
        if let Some(exchange) = self.entry(key) {
            exchange.say(line);
        }
    }

    /// Adds a line of the server to the answer to this request.
    pub(super) fn relay(&mut self, key: Key, line: Bytes) {
        if let Some(exchange) = self.entry(key) {
            exchange.relay(line);
        }
    }

    /// Cost of the lines that wait to be written to the client. Looks at each entry, of which there are few,
    /// and at no line.
    pub(super) fn pending_cost(&self) -> usize {
        self.entries.iter().map(|exchange| exchange.cost()).sum()
    }

    /// Bytes of the client's lines that wait to be sent.
    pub(super) fn unsent_bytes(&self) -> usize {
        let unsent = self.entries.iter().filter_map(Exchange::unsent_line);
        unsent.map(|line| line.text().len()).sum()
    }

    /// The first request that has not been sent, unless something before it holds it up: a line that waits
    /// for its forward, or an active request that is carried as a passive one and has no data connection yet.
    /// Where ferryline greeted the client before the server sent its greeting, nothing goes out before that
    /// comes.
    pub(super) fn next_unsent(&self) -> Option<Key> {
        for exchange in &self.entries {
            if exchange.keeps_back_what_follows() {
                return None;
            }
            if exchange.unsent_line().is_some() {
                return Some(exchange.key());
            }
            if exchange.is_waiting() || exchange.awaits_joined_forward() {
                return None;
            }
        }
        None
    }

    /// Takes a reply with this code, which answers no request, for the late refusal of a transfer. Returns
    /// whether it can be one.
    pub(super) fn take_late_refusal(&mut self, code: u16) -> bool {
        let refusal = matches!(code, 422..=499 | 550..=599) && self.late_refusals > 0;
        self.late_refusals -= u8::from(refusal);
        refusal
    }

    /// Whether a request for a data connection ahead of this request is still unanswered.
    pub(super) fn awaits_connection_before(&self, key: Key) -> bool {
        let mut before = self
            .entries
            .iter()
            .take_while(|exchange| exchange.key() != key);
        before.any(Exchange::renews_connection)
    }

    /// Whether anything waits to be sent.
    pub(super) fn has_unsent(&self) -> bool {
        self.entries.iter().any(|exchange| exchange.is_unsent())
    }

    /// Whether a transfer is unfinished: the server owes its final reply, or ferryline holds that, and has not
    /// answered in the server's place.
    pub(super) fn transfer_unfinished(&self) -> bool {
        self.entries.iter().any(|exchange| {
            matches!(exchange.request(), Request::Transfer(transfer) if !transfer.is_answered_by_ferryline())
                && (exchange.awaits_reply() || exchange.is_held())
        })
    }

    /// Notes that a passive request was answered by another reply, so that its own may still come.
    pub(super) fn expect_stray_passive(&mut self, extended: bool) {
        self.stray_passive = Some(extended);
    }

    /// Notes a passive reply: no other is expected late.
    pub(super) fn take_stray_passive(&mut self) -> Option<bool> {
        self.stray_passive.take()
    }

    /// Notes that an EPSV is given up unanswered, so that its answer may still come.
    pub(super) fn expect_late_epsv(&mut self) {
        self.late_epsv = true;
    }

    pub(super) fn expects_late_epsv(&self) -> bool {
        self.late_epsv
    }

    /// Notes the late answer. Returns whether one was expected.
    pub(super) fn take_late_epsv(&mut self) -> bool {
        std::mem::take(&mut self.late_epsv)
    }

    /// When the server's last final reply came.
    pub(super) fn heard(&self) -> Duration {
        self.heard
    }

    /// Begins the time of what waits for the server anew, because what it waited for was given up.
    pub(super) fn wait_anew(&mut self, now: Duration) {
        self.heard = now;
    }

    /// Notes that a final reply of the server is complete.
    pub(super) fn final_came(&mut self, now: Duration) {
        self.finals += 1;
        self.heard = now;
    }

    /// Notes that ferryline itself asked again: one more final reply will come.
    pub(super) fn expect_another_final(&mut self) {
        self.commands += 1;
    }

    /// Whether a passive request waits for the server's reply.
    pub(super) fn passive_sent(&self) -> bool {
        self.entries
            .iter()
            .any(|exchange| exchange.passive().is_some() && exchange.awaits_reply())
    }

    /// Whether a request still needs this forward.
    pub(super) fn needs(&self, id: ForwardId) -> bool {
        self.entries
            .iter()
            .any(|exchange| match exchange.request() {
                Request::Active(active) => active.forward() == Some(id) && !exchange.is_answered(),
                Request::Passive(passive) => passive.forward() == Some(id) && exchange.is_held(),
                Request::Transfer(transfer) => transfer.forward() == Some(id),
                _ => false,
            })
    }
}
