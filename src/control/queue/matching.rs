//! Which request a reply of the server answers: by order and, where FTP servers are known to differ, by the
//! class of the reply.

use crate::control::{key::Key, queue::Queue, request::Request, transfer::Transfer};

impl Queue {
    /// Finds the request that a reply with this code answers, and gives up the requests before it that this
    /// shows to have been passed over.
    pub(in crate::control) fn answering(&mut self, code: u16) -> Option<Key> {
        let mut waiting: Vec<(u64, usize)> = self
            .entries
            .iter()
            .enumerate()
            .filter(|(_, exchange)| exchange.is_sent())
            .map(|(index, exchange)| (exchange.sent_seq(), index))
            .collect();
        waiting.sort_unstable();
        let waiting: Vec<usize> = waiting.into_iter().map(|(_, index)| index).collect();

        if matches!(code, 227..=229) {
            let found = waiting
                .iter()
                .position(|&index| self.is(index, |r| matches!(r, Request::Passive(_))))?;
            return self.settle_on(&waiting, found);
        }
        if (100..200).contains(&code) {
            return self.beginning(&waiting);
        }
        let own_abort = waiting
            .iter()
            .any(|&index| self.is(index, |r| matches!(r, Request::OwnAbort)));
        let last_of = |what: fn(&Transfer) -> bool| {
            let begun =
                |r: &Request| matches!(r, Request::Transfer(t) if t.has_preliminary() && what(t));
            waiting.iter().rposition(|&index| self.is(index, begun))
        };
        let (begun, cut) = (last_of(|_| true), last_of(Transfer::is_lost));
        let mut running = None;
        for (place, &index) in waiting.iter().enumerate() {
            let last = place + 1 == waiting.len();
            let Some(exchange) = self.entries.get_mut(index) else {
                continue;
            };
            // A transfer without a data connection gets no such answer: only the ABOR does.
            if own_abort
                && matches!(code, 225 | 226)
                && matches!(exchange.request(), Request::Transfer(t) if t.is_answered())
            {
                exchange.answered();
                continue;
            }
            let answer = match of_one_behind(
                exchange.request(),
                code,
                begun > Some(place),
                cut > Some(place),
            ) {
                true => Fit::PassedOver,
                false => fit(exchange.request(), code, last),
            };
            match answer {
                Fit::Answers => {
                    let key = exchange.key();
                    let granted = code < 300 && matches!(exchange.request(), Request::Active(_));
                    if let Some(running) = running.filter(|_| granted) {
                        self.pass_by(running);
                    }
                    return Some(key);
                }
                Fit::Extra => return None,
                Fit::Later => running = Some(index),
                Fit::PassedOver => {
                    exchange.answered();
                    self.guard.out_of_order();
                }
            }
        }
        None
    }

    /// Finds the transfer that a 1xx answers: the first that has had none. (Servers may send several 1xx for
    /// one transfer, or for any command.)
    fn beginning(&mut self, waiting: &[usize]) -> Option<Key> {
        let begins = |overtaken: bool| {
            waiting.iter().position(|&index| {
                self.is(index, |r| match r {
                    Request::Transfer(t) => {
                        !t.has_preliminary() && (overtaken || !t.is_overtaken())
                    }
                    Request::Greeting { .. } => true,
                    _ => false,
                })
            })
        };
        let found = begins(false).or_else(|| begins(true)).unwrap_or(0);
        for &index in waiting.iter().take(found) {
            if let Some(exchange) = self.entries.get_mut(index)
                && matches!(exchange.request(), Request::Transfer(t) if t.is_overtaken())
            {
                exchange.answered();
                self.guard.out_of_order();
            }
        }
        let index = *waiting.get(found)?;
        self.entries.get(index).map(|exchange| exchange.key())
    }

    fn pass_by(&mut self, index: usize) {
        if let Some(exchange) = self.entries.get_mut(index)
            && let Request::Transfer(transfer) = exchange.request_mut()
        {
            transfer.overtake();
        }
    }

    fn is(&self, index: usize, what: impl Fn(&Request) -> bool) -> bool {
        self.entries
            .get(index)
            .is_some_and(|exchange| what(exchange.request()))
    }

    /// Settles on the request at place `found` of those that wait; those before it were passed over.
    fn settle_on(&mut self, waiting: &[usize], found: usize) -> Option<Key> {
        for (place, &index) in waiting.iter().enumerate() {
            let Some(exchange) = self.entries.get_mut(index) else {
                continue;
            };
            if place == found {
                return Some(exchange.key());
            }
            // A server may answer while a transfer runs, whose own final reply is still to come.
            match exchange.request_mut() {
                // The client has gone on; a refusal that comes late belongs to no request.
                Request::Transfer(transfer)
                    if transfer.is_answered() || transfer.unreached().is_some() =>
                {
                    exchange.answered();
                    self.late_refusals = self.late_refusals.saturating_add(1);
                }
                Request::Transfer(transfer) => transfer.overtake(),
                _ => exchange.answered(),
            }
            self.guard.out_of_order();
        }
        None
    }
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

/// Whether this reply can only be the success of a transfer behind the request: a server answers in order,
/// and it has begun that one. If the server sends one 1xx too many, the 250 may be the request's own; so this
/// counts only where the reply must not pass for that of a transfer that was cut.
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
