//! Which request a reply of the server answers: by order and, where FTP servers are known to differ, by the
//! class of the reply.

use crate::control::{
    exchange::{Exchange, Stage},
    guard::Guard,
    key::Key,
    queue::Queue,
    request::Request,
    transfer::Transfer,
};

impl Queue {
    /// Finds the request that a reply with this code answers, and gives up the requests before it that this
    /// shows to have been passed over.
    pub(in crate::control) fn match_reply(&mut self, code: u16) -> Option<Key> {
        let mut waiting: Vec<&mut Exchange> = self
            .entries
            .iter_mut()
            .filter(|exchange| exchange.awaits_reply())
            .collect();
        waiting.sort_by_key(|exchange| exchange.sent_seq());

        if matches!(code, 227..=229) {
            let passive = |exchange: &&mut Exchange| exchange.passive().is_some();
            let found = waiting.iter().position(passive)?;
            let key = waiting.get(found).map(|exchange| exchange.key());
            let late_refusals = pass_over(waiting.into_iter().take(found), &mut self.guard);
            self.late_refusals = self.late_refusals.saturating_add(late_refusals);
            return key;
        }
        if (100..200).contains(&code) {
            return beginning(waiting, &mut self.guard);
        }
        let own_abort = waiting
            .iter()
            .any(|exchange| matches!(exchange.request(), Request::OwnAbort));
        let last_of = |what: fn(&Transfer) -> bool| {
            let begun = |t: &Transfer| t.has_preliminary() && what(t);
            waiting
                .iter()
                .rposition(|exchange| exchange.transfer().is_some_and(begun))
        };
        let (begun, cut) = (last_of(|_| true), last_of(Transfer::bars_success));
        let count = waiting.len();
        let mut running: Option<&mut Exchange> = None;
        for (place, exchange) in waiting.into_iter().enumerate() {
            // Ferryline has answered this transfer, and has sent an ABOR for it: the 225 or 226 is the ABOR's.
            if own_abort
                && matches!(code, 225 | 226)
                && exchange
                    .transfer()
                    .is_some_and(Transfer::is_answered_by_ferryline)
            {
                exchange.answered();
                continue;
            }
            let (begun, cut) = (begun > Some(place), cut > Some(place));
            let answer = match of_one_behind(exchange.request(), code, begun, cut) {
                true => Fit::PassedOver,
                false => fit(exchange.request(), code, place + 1 == count),
            };
            match answer {
                Fit::Answers => {
                    let granted = code < 300 && exchange.active().is_some();
                    let running = running.filter(|_| granted);
                    if let Some(transfer) = running.and_then(Exchange::transfer_mut) {
                        transfer.mark_overtaken();
                    }
                    return Some(exchange.key());
                }
                Fit::Extra => return None,
                Fit::Later => running = Some(exchange),
                Fit::PassedOver => {
                    exchange.answered();
                    self.guard.out_of_order();
                }
            }
        }
        None
    }

    /// Notes a command of the client. Where the server has sent a final reply for every command before, the
    /// requests that still wait for one got fewer replies than expected: they are given up, except the one
    /// whose reply is coming in.
    pub(in crate::control) fn command_came(&mut self, incoming: Option<Key>) {
        if self.finals >= self.commands {
            for exchange in &mut self.entries {
                if Some(exchange.key()) == incoming {
                    continue;
                }
                let running = matches!(exchange.request(), Request::Transfer(t) if t.has_begun());
                if exchange.awaits_reply() && !running && !exchange.is_held() {
                    if let Some(passive) = exchange.passive() {
                        self.stray_passive = Some(passive.expects_229());
                    }
                    exchange.answered();
                    self.guard.out_of_order();
                }
            }
        }
        if self
            .entries
            .iter()
            .all(|exchange| matches!(exchange.stage(), Stage::Answered | Stage::Incoming))
        {
            self.finals = 0;
            self.commands = 0;
        }
        self.commands += 1;
    }

    /// Gives up the transfers that were sent before this ABOR, which has been answered: they will not be.
    pub(in crate::control) fn give_up_transfers_before(&mut self, key: Key) {
        let order = self.get(key).map_or(0, |exchange| exchange.sent_seq());
        for exchange in &mut self.entries {
            if matches!(exchange.request(), Request::Transfer(_))
                && exchange.awaits_reply()
                && exchange.sent_seq() < order
            {
                exchange.answered();
                self.guard.out_of_order();
            }
        }
    }

    /// Gives up the transfers that ferryline has answered before this ABOR of its own, which has been
    /// answered: the server will not answer them.
    pub(in crate::control) fn give_up_answered_before(&mut self, key: Key) {
        let order = self.get(key).map_or(0, |exchange| exchange.sent_seq());
        for exchange in &mut self.entries {
            if matches!(exchange.request(), Request::Transfer(transfer) if transfer.is_answered_by_ferryline())
                && exchange.awaits_reply()
                && exchange.sent_seq() < order
            {
                exchange.answered();
            }
        }
    }
}

/// Finds the transfer that a 1xx answers: the first that has had none. (Servers may send several 1xx for one
/// transfer, or for any command.)
fn beginning(mut waiting: Vec<&mut Exchange>, guard: &mut Guard) -> Option<Key> {
    let begins = |overtaken: bool| {
        waiting
            .iter()
            .position(|exchange| match exchange.request() {
                Request::Transfer(t) => !t.has_preliminary() && (overtaken || !t.is_overtaken()),
                Request::Greeting { .. } => true,
                _ => false,
            })
    };
    let found = begins(false).or_else(|| begins(true)).unwrap_or(0);
    for exchange in waiting.iter_mut().take(found) {
        if exchange.transfer().is_some_and(Transfer::is_overtaken) {
            exchange.answered();
            guard.out_of_order();
        }
    }
    waiting.get(found).map(|exchange| exchange.key())
}

/// Gives up the requests before the passive one that a reply answers, except transfers that may still run:
/// these are overtaken. Returns the number of transfers given up, which the server may still refuse.
fn pass_over<'a>(passed_over: impl Iterator<Item = &'a mut Exchange>, guard: &mut Guard) -> u8 {
    let mut late_refusals: u8 = 0;
    for exchange in passed_over {
        // A server may answer while a transfer runs, whose own final reply is still to come.
        match exchange.transfer_mut() {
            // The client has gone on; a refusal that comes late belongs to no request.
            Some(transfer)
                if transfer.is_answered_by_ferryline() || transfer.unreached().is_some() =>
            {
                exchange.answered();
                late_refusals = late_refusals.saturating_add(1);
            }
            Some(transfer) => transfer.mark_overtaken(),
            None => exchange.answered(),
        }
        guard.out_of_order();
    }
    late_refusals
}

/// How a final reply fits a request.
enum Fit {
    /// It answers it.
    Answers,
    /// It answers no request: the server sends one reply more than it should.
    Extra,
    /// It answers a later request; this one still waits.
    Later,
    /// It answers a later request; this one will get no answer any more.
    PassedOver,
}

/// Whether this reply is the success of a transfer behind the request: a server answers in order, and it has
/// begun that transfer.
///
/// A 226 or 250 is the success of a transfer behind this request if that transfer was cut. It is so, too, if
/// that transfer has begun and the request is a PORT or PASV. For other requests the code must be 226 (if the
/// server sends one 1xx too many, a 250 may be the request's own). An ABOR may have the 226 itself.
fn of_one_behind(request: &Request, code: u16, begun: bool, cut: bool) -> bool {
    let plain = match request {
        Request::Transfer(_) | Request::OwnAbort => return false,
        Request::Passive(_) | Request::Active(_) => true,
        Request::Abort => false,
        _ => code == 226,
    };
    matches!(code, 226 | 250) && (cut || begun && plain)
}

/// How this reply fits a request. `last`: no later request waits.
fn fit(request: &Request, code: u16, last: bool) -> Fit {
    match request {
        Request::Transfer(transfer) => {
            let own = matches!(code, 226 | 250 | 421..=499 | 532 | 534 | 550..=599);
            match (own, transfer.has_preliminary(), last) {
                (true, ..) | (false, true, true) => Fit::Answers,
                // Servers may answer NOOP, STAT and the like while the transfer runs.
                (false, true, false) => Fit::Later,
                (false, false, _) if transfer.has_only_200() && code < 400 => {
                    if last {
                        Fit::Extra
                    } else {
                        Fit::PassedOver
                    }
                }
                (false, false, _) => Fit::Answers,
            }
        }
        Request::Abort | Request::OwnAbort => match code {
            225 | 226 | 400..=599 => Fit::Answers,
            _ if last => Fit::Answers,
            _ => Fit::PassedOver,
        },
        // A reply that can only answer something else does not answer a request for a data connection: the
        // server has sent one reply more than it was asked for (Q23).
        Request::Passive(_) | Request::Active(_) => match code {
            220 | 221 | 225 | 226 | 230 | 250 | 257 | 300..=399 => Fit::Extra,
            _ => Fit::Answers,
        },
        _ => Fit::Answers,
    }
}
