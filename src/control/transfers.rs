//! The forwards of a session, the transfer that uses each, and when its final reply may pass.
//!
//! Control and data travel on different ways through the tunnel, so a 226 often overtakes the data
//! it speaks of, and some clients drop what has not come by then (Q43). A final reply is therefore
//! held until the data connection's end of file has been handed to the client.

use std::time::Duration;

use super::{
    answers::answer,
    event::{ForwardEvent, ForwardId, Notice, Output},
    machine::Control,
    queue::{Key, Request, Stage},
};

/// MODE of RFC 959 §3.4: whether the end of file ends the data connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TransferMode {
    /// Block or compressed: the data connection stays for the next transfer (Q73).
    Kept,
    /// Stream: the end of the data connection is the end of the file.
    Stream,
}

/// One forward.
#[derive(Debug)]
pub(super) struct Forward {
    pub(super) way: Way,
    pub(super) state: ForwardState,
    /// It is a joined one, and the driver waits to be told that its transfer has begun.
    pub(super) joined: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// A local forward; with the number of its targets.
    Passive { targets: usize },
    /// A remote forward, or a joined one: it is the server's side that comes first.
    Active,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum ForwardState {
    /// Asked for.
    Opening,
    /// It stands; a local one for no longer than until then.
    Ready { until: Option<Duration> },
    /// Its data connection stands, or is being made.
    Connected { drained: bool },
}

impl Forward {
    pub(super) fn is_connected(&self) -> bool {
        matches!(self.state, ForwardState::Connected { .. })
    }
}

impl Control {
    /// A new forward, to be asked for by the caller.
    pub(super) fn new_forward(&mut self, way: Way) -> ForwardId {
        let id = self.next_forward;
        self.next_forward = id.next();
        self.forwards.insert(
            id,
            Forward {
                way,
                state: ForwardState::Opening,
                joined: false,
            },
        );
        id
    }

    /// Closes a forward, whatever its state.
    pub(super) fn close_forward(&mut self, id: ForwardId) {
        if self.forwards.remove(&id).is_some() {
            self.outputs.push_back(Output::Close(id));
        }
        if self.current == Some(id) {
            self.current = None;
        }
    }

    /// From now on transfers use `id`; the one before, if it was never used, goes (Q55).
    pub(super) fn use_forward(&mut self, id: ForwardId) {
        if !self.forwards.contains_key(&id) {
            return;
        }
        match self.current {
            // A later request has overtaken it.
            Some(current) if current > id => self.close_unused(id),
            before => {
                self.current = Some(id);
                self.nowhere = None;
                if let Some(before) = before
                    && before != id
                {
                    self.close_unused(before);
                }
            }
        }
    }

    pub(super) fn forward_event(&mut self, now: Duration, id: ForwardId, event: ForwardEvent) {
        match event {
            ForwardEvent::Claimed => {
                if let Some(forward) = self.forwards.get_mut(&id) {
                    forward.state = ForwardState::Connected { drained: false };
                }
            }
            ForwardEvent::Connected { target } => self.connected(id, target),
            ForwardEvent::Drained => self.drained(id),
            ForwardEvent::Ended => {
                self.forwards.remove(&id);
                if self.current == Some(id) {
                    self.current = None;
                }
                self.release(id);
                self.active_gone(id);
            }
            ForwardEvent::Failed(reason) => {
                self.forwards.remove(&id);
                if !self.passive_failed(id, &reason) {
                    self.active_failed(id, &reason);
                }
            }
            ForwardEvent::Unreachable(reason) => {
                self.forwards.remove(&id);
                self.unreachable(id, reason);
            }
            ForwardEvent::Progress => self.progress(now, id),
            ForwardEvent::Ready(address) => {
                let until = now + self.settings.limits.unused_forward;
                let Some(forward) = self.forwards.get_mut(&id) else {
                    return;
                };
                if forward.state != ForwardState::Opening {
                    return;
                }
                let passive = matches!(forward.way, Way::Passive { .. });
                forward.state = ForwardState::Ready {
                    until: passive.then_some(until),
                };
                if !self.passive_ready(id, address) {
                    self.active_ready(id, address);
                }
            }
        }
    }

    /// A reply with this code begins to answer a transfer. Returns whether it is its final one.
    pub(super) fn transfer_reply(&mut self, now: Duration, key: Key, code: u16) -> bool {
        let stalled = now + self.settings.limits.stalled_data;
        let current = self.current;
        let Some(owed) = self.queue.entry(key) else {
            return true;
        };
        let Request::Transfer(transfer) = &mut owed.request else {
            return true;
        };
        if transfer.forward.is_none() {
            transfer.forward = current;
        }
        if code < 200 {
            let begun = !std::mem::replace(&mut transfer.preliminary, true);
            if let Some(id) = transfer.forward.filter(|_| begun) {
                self.join(id);
            }
            return false;
        }
        // Some servers say 200 first, then 150, then 226 (Q42).
        if matches!(code, 200 | 202) && !transfer.preliminary && !transfer.early_success {
            transfer.early_success = true;
            return false;
        }
        let upload = transfer.upload;
        let begun = transfer.preliminary || transfer.early_success || code < 300;
        let Some(id) = transfer.forward else {
            return true;
        };
        let Some(forward) = self.forwards.get(&id) else {
            return true;
        };
        let awaited = match forward.state {
            _ if upload && code < 300 => false,
            ForwardState::Connected { drained } => begun && !drained,
            // The server's connection may still be on its way to us.
            ForwardState::Ready { .. } => forward.way == Way::Active && code < 300,
            ForwardState::Opening => false,
        };
        if awaited {
            transfer.gate = Some(stalled);
            owed.held = true;
            if self.mode == TransferMode::Kept {
                self.outputs.push_back(Output::Drain(id));
            }
        }
        true
    }

    /// A transfer's final reply is in.
    pub(super) fn transfer_done(&mut self, key: Key, code: u16) {
        let Some(owed) = self.queue.entry(key) else {
            return;
        };
        owed.stage = Stage::Answered;
        let gated = owed.held;
        let Request::Transfer(transfer) = &owed.request else {
            return;
        };
        let Some(id) = transfer.forward else {
            return;
        };
        if self.mode == TransferMode::Stream && !gated {
            let connected = self.forwards.get(&id).is_some_and(Forward::is_connected);
            if connected {
                // It ends by itself, with its data.
                if self.current == Some(id) {
                    self.current = None;
                }
            } else if (200..500).contains(&code) {
                // The transfer is over; nobody will come any more (Q45, Q57). After a 5xx (no such
                // file) the server still listens, and so do we.
                self.close_forward(id);
            }
        }
    }

    pub(super) fn forward_deadline(&self) -> Option<Duration> {
        let unused = self.forwards.values().filter_map(|f| match f.state {
            ForwardState::Ready { until } => until,
            _ => None,
        });
        let gates = self.queue.iter().filter_map(|owed| match &owed.request {
            Request::Transfer(transfer) => transfer.gate,
            _ => None,
        });
        unused.chain(gates).min()
    }

    pub(super) fn expire_forwards(&mut self, now: Duration) {
        let unused: Vec<ForwardId> = self
            .forwards
            .iter()
            .filter(|(_, f)| matches!(f.state, ForwardState::Ready { until: Some(until) } if until <= now))
            .map(|(id, _)| *id)
            .collect();
        for id in unused {
            self.close_forward(id);
            self.notice(Notice::UnusedForward(id));
        }
        let stalled: Vec<ForwardId> = self
            .queue
            .iter()
            .filter_map(|owed| match &owed.request {
                Request::Transfer(t) if t.gate.is_some_and(|until| until <= now) => t.forward,
                _ => None,
            })
            .collect();
        for id in stalled {
            self.notice(Notice::StalledTransfer(id));
            self.release(id);
        }
    }

    /// Closes every forward that no data connection uses yet.
    pub(super) fn close_all_unused(&mut self) {
        let ids: Vec<ForwardId> = self.forwards.keys().copied().collect();
        for id in ids {
            self.close_unused(id);
        }
    }

    /// The data connection that the client has just opened leads nowhere: whoever waits for the
    /// server's word on it would wait for the server's own time limit, so ferryline speaks.
    fn unreachable(&mut self, id: ForwardId, reason: String) {
        let current = self.current == Some(id);
        if current {
            self.current = None;
        }
        let transfer = self.queue.iter_mut().find(|owed| {
            matches!(owed.stage, Stage::Sent)
                && matches!(&owed.request, Request::Transfer(t)
                    if !t.told && (t.forward == Some(id) || t.forward.is_none() && current))
        });
        match transfer {
            Some(owed) => {
                owed.out.push_back(answer(425, &reason));
                if let Request::Transfer(transfer) = &mut owed.request {
                    transfer.told = true;
                }
            }
            None if current => self.nowhere = Some(reason),
            None => {}
        }
    }

    /// The transfer over a joined forward has begun.
    fn join(&mut self, id: ForwardId) {
        if let Some(forward) = self.forwards.get_mut(&id)
            && std::mem::take(&mut forward.joined)
        {
            self.outputs.push_back(Output::Join(id));
        }
    }

    fn close_unused(&mut self, id: ForwardId) {
        if self.forwards.get(&id).is_some_and(|f| !f.is_connected()) {
            self.close_forward(id);
        }
    }

    fn connected(&mut self, id: ForwardId, target: usize) {
        let Some(forward) = self.forwards.get_mut(&id) else {
            return;
        };
        forward.state = ForwardState::Connected { drained: false };
        if target > 0
            && matches!(forward.way, Way::Passive { targets } if target < targets)
            && !self.knowledge.reply_address_works
        {
            self.knowledge.reply_address_works = true;
            self.outputs.push_back(Output::Learned(self.knowledge));
        }
    }

    fn drained(&mut self, id: ForwardId) {
        if self.mode == TransferMode::Stream
            && let Some(forward) = self.forwards.get_mut(&id)
        {
            forward.state = ForwardState::Connected { drained: true };
        }
        self.release(id);
    }

    fn progress(&mut self, now: Duration, id: ForwardId) {
        let stalled = now + self.settings.limits.stalled_data;
        for owed in self.queue.iter_mut() {
            if let Request::Transfer(transfer) = &mut owed.request
                && transfer.forward == Some(id)
                && let Some(until) = &mut transfer.gate
            {
                *until = stalled;
            }
        }
    }

    /// Lets the final reply go that waits for this forward's data.
    fn release(&mut self, id: ForwardId) {
        let mut over = false;
        for owed in self.queue.iter_mut() {
            if let Request::Transfer(transfer) = &mut owed.request
                && transfer.forward == Some(id)
                && transfer.gate.take().is_some()
            {
                owed.held = false;
                over |= matches!(owed.stage, Stage::Answered);
            }
        }
        if over && self.mode == TransferMode::Stream {
            if self.current == Some(id) {
                self.current = None;
            }
            // Only an active forward that never saw its data connection can still be unused here.
            self.close_unused(id);
        }
    }
}
