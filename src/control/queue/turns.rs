//! When an answer may go to the client.

use std::time::Duration;

use bytes::Bytes;

use crate::control::{
    answers::answer,
    event::Output,
    exchange::{Exchange, Stage},
    guard::Guard,
    outputs::Outputs,
    queue::Queue,
    request::Request,
    transfer::Transfer,
};

impl Queue {
    /// Moves what may go to the client now into `outputs`, and drops what is finished. An answer of
    /// ferryline's own goes too where it has waited, by `now`, long enough for an earlier reply.
    pub(in crate::control) fn flush(
        &mut self,
        now: Duration,
        patience: Duration,
        outputs: &mut Outputs,
    ) {
        let mut walk = self.walk(patience);
        let mut index = 0;
        while let Some(exchange) = self.entries.get_mut(index) {
            match walk.look(exchange) {
                Turn::Now => {}
                Turn::At(at) if at <= now => {}
                _ => break,
            }
            if walk.behind && exchange.lines() > 0 {
                self.guard.out_of_order();
            }
            hand_out(&mut self.guard, exchange, outputs);
            if exchange.is_answered() {
                self.entries.remove(index);
            } else {
                walk.leave_behind(exchange);
                index += 1;
            }
        }
    }

    /// Time at which an answer of ferryline's own that holds up all others has waited long enough.
    pub(in crate::control) fn deadline(&self, patience: Duration) -> Option<Duration> {
        match self.turn(patience) {
            Turn::At(at) => Some(at),
            _ => None,
        }
    }

    /// Whether nothing goes to the client before the server has sent more.
    pub(in crate::control) fn waits_for_server(&self, patience: Duration) -> bool {
        matches!(self.turn(patience), Turn::AfterServer)
    }

    /// What the first entry that may not pass waits for.
    fn turn(&self, patience: Duration) -> Turn {
        let mut walk = self.walk(patience);
        for exchange in &self.entries {
            match walk.look(exchange) {
                Turn::Now => walk.leave_behind(exchange),
                other => return other,
            }
        }
        Turn::Now
    }

    /// Ends the wait for the server, which sends no more: all that it has sent goes out, and what ferryline
    /// made it owe (a request asked again, or still waiting for its forward) is answered by `last_word`.
    pub(in crate::control) fn give_up(&mut self, last_word: &Bytes, outputs: &mut Outputs) {
        for mut exchange in std::mem::take(&mut self.entries) {
            let (awaited, held) = (exchange.is_open(), exchange.is_held());
            if let Some(active) = exchange.active_mut().filter(|_| awaited) {
                let refusal = active.take_refusal();
                if !refusal.is_empty() {
                    exchange.relay_all(refusal);
                } else if exchange.is_waiting() {
                    exchange.say(last_word.clone());
                }
            } else if let Some(passive) = exchange.passive() {
                if awaited && passive.is_owed_an_answer(held) {
                    exchange.say(last_word.clone());
                }
            } else if let Some(unreached) =
                exchange.transfer_mut().and_then(Transfer::take_unreached)
            {
                exchange.say(answer(425, &unreached.reason));
            }
            hand_out(&mut self.guard, &mut exchange, outputs);
            // What the server still owed an answer to: no later look finds it.
            let owed = exchange.transfer_mut();
            if let Some(report) = owed.and_then(|transfer| transfer.report(None)) {
                outputs.push(Output::Transferred(report));
            }
        }
    }

    fn walk(&self, patience: Duration) -> Walk {
        Walk {
            running: self.transfer_unfinished(),
            patience,
            heard: self.heard,
            behind: false,
            behind_sure: false,
            behind_unsent: false,
            latest: 0,
        }
    }
}

/// When an entry may go to the client.
enum Turn {
    Now,
    /// After an event: a forward stands, or data has gone.
    AfterEvent,
    AfterServer,
    At(Duration),
}

/// A walk along the queue.
struct Walk {
    running: bool,
    patience: Duration,
    heard: Duration,
    /// An entry before this one still waits for an answer.
    behind: bool,
    /// One of them waits for an answer that is sure to come.
    behind_sure: bool,
    /// One of them is a request that keeps the client's next lines back until it is answered.
    behind_unsent: bool,
    /// Highest send order among them.
    latest: u64,
}

impl Walk {
    fn look(&self, exchange: &Exchange) -> Turn {
        // An entry before it was sent after it: an ABOR that overtook, or a request that was asked twice.
        let overtook = exchange.sent_seq() != 0 && exchange.sent_seq() < self.latest;
        match (exchange.request(), exchange.stage()) {
            _ if exchange.is_held() => Turn::AfterEvent,
            (_, Stage::Unsent(_)) if self.behind_unsent => Turn::AfterServer,
            (_, Stage::Unsent(_) | Stage::Waiting) => Turn::AfterEvent,
            _ if overtook => Turn::AfterServer,
            (Request::Local { .. }, _) if !self.behind => Turn::Now,
            (Request::Local { .. }, _) if self.running => Turn::AfterServer,
            (Request::Local { since }, _) => {
                let times = if self.behind_sure { SURELY_COMES } else { 1 };
                Turn::At((*since).max(self.heard) + self.patience * times)
            }
            _ => Turn::Now,
        }
    }

    /// Passes by an entry whose final reply is still to come.
    fn leave_behind(&mut self, exchange: &Exchange) {
        self.behind = true;
        self.behind_unsent |= exchange.keeps_back_what_follows();
        self.latest = self.latest.max(exchange.sent_seq());
        // One of ABOR's two replies may be missing; a reply may be left open without end (Q29).
        self.behind_sure |= !matches!(exchange.request(), Request::Abort | Request::OwnAbort)
            && !matches!(exchange.stage(), Stage::Incoming);
    }
}

/// Factor by which ferryline waits longer for a reply that is sure to come, from a server that is slow. The
/// client would take an answer that overtakes it for that reply.
const SURELY_COMES: u32 = 12;

fn hand_out(guard: &mut Guard, exchange: &mut Exchange, outputs: &mut Outputs) {
    let mut last = None;
    for line in exchange.take_lines() {
        if let Some(end) = guard.missing_end() {
            outputs.say_to_client(end);
        }
        let line = guard.pass(exchange.request(), Some(exchange.key()), line);
        last = Some(line.clone());
        outputs.say_to_client(line);
    }
    if let Some(report) = exchange.report(last) {
        outputs.push(Output::Transferred(report));
    }
}
