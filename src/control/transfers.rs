//! The forwards of a session, the transfer that uses each, and when its final reply may pass.
//!
//! Control and data travel on different ways through the tunnel, so a 226 often overtakes the data
//! it speaks of, and some clients drop what has not come by then (Q43). A final reply is therefore
//! held until the data connection's end of file has been handed to the client; that of an upload,
//! until its data connection has ended on the server's side, too, for where it was cut on the way
//! (`cuts`) the server says 226 all the same.

use std::time::Duration;

use super::{
    cuts::{ABORTED, ENDED, cut_deadline, cut_short},
    event::{ForwardEvent, ForwardId, Notice, Output},
    machine::Control,
    queue::{Key, Stage},
    replies::Treat,
    request::{Request, Transfer},
    unreached::unreached_deadline,
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
    /// The SSH server has opened the way to the FTP server, or the FTP server has.
    pub(super) opened: bool,
    /// A connection to it was refused that may have been the client's.
    pub(super) doubtful: bool,
    /// It is a joined one, and the driver waits to be told that its transfer has begun.
    pub(super) joined: bool,
    /// The server has refused a transfer that would have used it, and may have closed its port.
    pub(super) refused: bool,
    /// How many times it was kept for longer, for a command that waits for its answer.
    pub(super) renewed: u8,
    /// Its client takes nothing of what waits for it.
    pub(super) blocked: bool,
    /// The final reply of its download has passed, although its client had not taken all.
    pub(super) outlives: bool,
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
                refused: false,
                renewed: 0,
                blocked: false,
                outlives: false,
                opened: false,
                doubtful: false,
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

    /// From now on transfers use `id`, the forward of the request at this place in the order of what
    /// the server was sent; the one before, if no transfer uses it, goes (Q55, Q85).
    pub(super) fn use_forward(&mut self, id: ForwardId, order: u64) {
        match self.current {
            // A later request has overtaken it.
            Some(_) if self.current_order > order => self.close_unused(id),
            before => {
                // It may have come and gone already: a small file is faster than a reply.
                let replaced = before.filter(|before| *before != id);
                // In the kept modes its client may be reading yet, and no end of file says when it
                // has all.
                let stream = self.mode == TransferMode::Stream;
                let idle = replaced.filter(|before| !self.is_taken(*before, order) && stream);
                self.current = self.forwards.contains_key(&id).then_some(id);
                self.current_order = order;
                self.nowhere = None;
                if let Some(before) = idle {
                    self.close_forward(before);
                } else if let Some(before) = replaced {
                    self.close_unused(before);
                }
                self.close_forsaken();
            }
        }
    }

    pub(super) fn forward_event(&mut self, now: Duration, id: ForwardId, event: ForwardEvent) {
        match event {
            ForwardEvent::Claimed => {
                if let Some(forward) = self.forwards.get_mut(&id) {
                    forward.state = ForwardState::Connected { drained: false };
                    self.renew_gate(now, id);
                    if self.client_is_lost() {
                        self.outputs.push_back(Output::Settle(id));
                    }
                }
            }
            ForwardEvent::AllReceived => self.arrived(id, false),
            ForwardEvent::AllSent => self.arrived(id, true),
            ForwardEvent::Blocked => self.blocked(now, id),
            ForwardEvent::Connected { target } => self.connected(id, target),
            ForwardEvent::Doubtful => self.doubtful(id),
            ForwardEvent::Drained => self.drained(id),
            ForwardEvent::Broken => self.broken(now, id),
            ForwardEvent::Cut => {
                self.cut_off(now, id);
                self.gone(now, id);
            }
            ForwardEvent::Ended => {
                self.data_ended(id);
                self.gone(now, id);
            }
            ForwardEvent::Failed(reason) => {
                self.forwards.remove(&id);
                if !self.passive_failed(id, &reason) {
                    self.active_failed(now, id, &reason);
                }
            }
            ForwardEvent::Unreachable(reason) => {
                self.unreachable(now, id, reason);
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

    fn gone(&mut self, now: Duration, id: ForwardId) {
        self.forwards.remove(&id);
        if self.current == Some(id) {
            self.current = None;
        }
        if self.passive_failed(id, "the data port was lost") {
            return;
        }
        self.release(id);
        self.active_gone(now, id);
    }

    /// The client's side of a data connection broke. An upload must not be taken for complete: the
    /// server's control connection falls before the way to it does, so that the server knows.
    fn broken(&mut self, now: Duration, id: ForwardId) {
        let upload = self
            .transfer_over(id)
            .is_some_and(|transfer| transfer.upload);
        if upload {
            self.end_with(
                421,
                "the data connection of an upload broke; the session ends, so that the FTP server \
                 does not take what it has for the whole file",
            );
        } else if self.forwards.contains_key(&id) {
            self.client_side_broke(id);
            self.close_forward(id);
            self.gone(now, id);
        }
    }

    /// The transfer that runs over this forward, or will.
    pub(super) fn transfer_over(&mut self, id: ForwardId) -> Option<&mut Transfer> {
        let next = self.current == Some(id);
        // The server may begin before it has been heard to accept the line that names the forward.
        let named = self
            .queue
            .iter()
            .find_map(|owed| match (&owed.request, &owed.stage) {
                (Request::Active(active), Stage::Sent) if active.forward == Some(id) => {
                    Some(owed.order)
                }
                _ => None,
            });
        let renewed = self.queue.renewed_behind(self.current_order);
        let uses = |order| next && order < renewed || named.is_some_and(|named| named < order);
        self.queue
            .iter_mut()
            .find_map(|owed| match (&mut owed.request, &owed.stage) {
                (_, Stage::Unsent(_) | Stage::Waiting) => None,
                (Request::Transfer(transfer), _)
                    if transfer.forward == Some(id)
                        || (transfer.forward.is_none() && uses(owed.order)) =>
                {
                    Some(transfer)
                }
                _ => None,
            })
    }

    /// A reply with this code begins to answer a transfer: what is done with it.
    pub(super) fn transfer_reply(&mut self, now: Duration, key: Key, code: u16) -> Treat {
        if code < 300 {
            self.logged_in();
        }
        let last = Treat::Pass { last: true };
        let preliminary = Treat::Pass { last: false };
        let forward = match (self.queue.forward_before(key), self.current) {
            (Some((order, id)), Some(_)) if order > self.current_order => Some(id),
            (Some((_, id)), None) => Some(id),
            (_, current) => current,
        };
        let aborted = self.queue.is_aborted(key);
        let Some(owed) = self.queue.entry(key) else {
            return last;
        };
        let Request::Transfer(transfer) = &mut owed.request else {
            return last;
        };
        if transfer.forward.is_none() {
            transfer.forward = forward;
        }
        if transfer.unreached.is_some() {
            return self.unreached_reply(key, code);
        }
        if transfer.told {
            // The server is at it all the same, and may answer other commands meanwhile.
            if code < 200 {
                transfer.preliminary = true;
                return Treat::Dropped;
            }
            return Treat::Withheld;
        }
        if code < 200 {
            let begun = !std::mem::replace(&mut transfer.preliminary, true);
            if let Some(id) = transfer.forward.filter(|_| begun) {
                self.join(id);
            }
            return preliminary;
        }
        // Some servers say 200 first, then 150, then 226 (Q42).
        if matches!(code, 200 | 202) && !transfer.preliminary && !transfer.early_success {
            transfer.early_success = true;
            return preliminary;
        }
        transfer.overdue = None;
        // Of a download that it has aborted the client expects no more than it has.
        if let Some(reason) = transfer.cut
            && code < 300
            && (transfer.upload || !aborted)
        {
            owed.out.push_back(cut_short(reason));
            return Treat::Withheld;
        }
        let begun = transfer.preliminary || transfer.early_success || code < 300;
        let Some(id) = transfer.forward else {
            return last;
        };
        let Some(forward) = self.forwards.get(&id) else {
            return last;
        };
        let stands = matches!(forward.state, ForwardState::Connected { .. });
        // Nobody has seen the end of it, and the client waits for the server's word before it ends its
        // side (Q110).
        if aborted && transfer.upload && stands && code < 300 && self.mode == TransferMode::Stream {
            transfer.cut = Some(ABORTED);
            owed.out.push_back(cut_short(ABORTED));
            return Treat::Withheld;
        }
        let awaited = match forward.state {
            // The client does not want it any more.
            _ if aborted => false,
            // The end of the data connection says that the SSH server has handed on all of it: where
            // the way was cut, the FTP server has taken that for the end of the file.
            ForwardState::Connected { drained } if transfer.upload => {
                let sent_all = transfer.guessed && drained;
                code < 300 && self.mode == TransferMode::Stream && !sent_all
            }
            ForwardState::Connected { drained } => begun && !drained,
            // The server's connection may still be on its way to us.
            ForwardState::Ready { .. } => forward.way == Way::Active && code < 300,
            ForwardState::Opening => false,
        };
        if awaited {
            self.hold_reply(now, key, id, code);
            if self.mode == TransferMode::Kept {
                self.outputs.push_back(Output::Drain(id));
            }
        }
        last
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
        let begun = transfer.preliminary || transfer.early_success || code < 300;
        let Some(id) = transfer.forward else {
            return;
        };
        if code >= 400
            && !begun
            && let Some(forward) = self.forwards.get_mut(&id)
        {
            forward.refused = true;
        }
        if self.mode == TransferMode::Stream && !gated {
            let Some(forward) = self.forwards.get(&id) else {
                return;
            };
            if forward.state == ForwardState::Opening {
                // Its passive reply is still to be handed to the client.
            } else if forward.is_connected() {
                // It ends by itself, with its data. After a refusal (no such file, file busy) none
                // has flowed, and the next transfer may use it.
                if self.current == Some(id) && begun {
                    self.current = None;
                }
            } else if (200..500).contains(&code) {
                // The transfer is over; nobody will come any more (Q45, Q57). After a 5xx the server
                // still listens, and so do we.
                self.active_unreached(id, code);
                self.close_forward(id);
            }
        }
    }

    pub(super) fn forward_deadline(&self) -> Option<Duration> {
        let unused = self.forwards.values().filter_map(|f| match f.state {
            ForwardState::Ready { until } => until,
            _ => None,
        });
        let spoken = [
            self.gate_deadline(),
            cut_deadline(&self.queue),
            unreached_deadline(&self.queue),
        ];
        unused.chain(spoken.into_iter().flatten()).min()
    }

    pub(super) fn expire_forwards(&mut self, now: Duration) {
        let unused: Vec<ForwardId> = self
            .forwards
            .iter()
            .filter(|(_, f)| matches!(f.state, ForwardState::Ready { until: Some(until) } if until <= now))
            .map(|(id, _)| *id)
            .collect();
        for id in unused {
            if self.keeps_for_longer(now, id) {
                continue;
            }
            self.close_forward(id);
            self.notice(Notice::UnusedForward(id));
        }
        self.expire_gates(now);
        self.expire_cuts(now);
        self.expire_unreached(now);
    }

    /// Whether a transfer that was sent before the request at this place uses this forward, the current
    /// one. From now on it is known to.
    fn is_taken(&mut self, id: ForwardId, order: u64) -> bool {
        let between = self.current_order..order;
        let mut taken = false;
        for owed in self.queue.iter_mut() {
            let awaited = owed.held || matches!(owed.stage, Stage::Sent);
            if let Request::Transfer(transfer) = &mut owed.request
                && awaited
            {
                if between.contains(&owed.order) {
                    transfer.forward.get_or_insert(id);
                }
                taken |= transfer.forward == Some(id);
            }
        }
        taken
    }

    /// The transfer over a joined forward has begun.
    fn join(&mut self, id: ForwardId) {
        if let Some(forward) = self.forwards.get_mut(&id)
            && std::mem::take(&mut forward.joined)
        {
            self.outputs.push_back(Output::Join(id));
        }
    }

    pub(super) fn close_unused(&mut self, id: ForwardId) {
        if self.forwards.get(&id).is_some_and(|f| !f.is_connected()) {
            self.close_forward(id);
        }
    }

    fn connected(&mut self, id: ForwardId, target: usize) {
        let Some(forward) = self.forwards.get_mut(&id) else {
            return;
        };
        forward.state = ForwardState::Connected { drained: false };
        forward.opened = true;
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
        // No server ends its direction in good faith for a command that it has not been sent.
        if self.mode == TransferMode::Stream
            && self.current == Some(id)
            && self.transfer_over(id).is_none()
            && !self.may_be_unknowns(id)
        {
            self.nowhere = Some(ENDED.to_owned());
        }
        // An upload is over when its own direction has ended, too.
        let download = |t: &mut Transfer| !t.upload || t.guessed;
        if self.transfer_over(id).is_none_or(download) || self.mode == TransferMode::Kept {
            self.release(id);
        }
    }
}
