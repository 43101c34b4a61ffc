//! The forwards of a session: which one the next transfer uses, what their events mean, and their end.

use std::time::Duration;

use crate::control::{
    data::Forward,
    event::{ForwardEvent, ForwardId, Notice, Output},
    key::Key,
    machine::Control,
    machine::cuts::{ENDED, cut_deadline},
    machine::unreached::unreached_deadline,
    request::Request,
    transfer::Transfer,
};

impl Control {
    /// Does what this event of a forward asks for.
    pub(super) fn forward_event(&mut self, now: Duration, id: ForwardId, event: ForwardEvent) {
        match event {
            ForwardEvent::Claimed => {
                if let Some(forward) = self.data.get_mut(id) {
                    forward.claimed();
                    self.renew_gate(now, id);
                    if self.peers.client_is_lost() {
                        self.outputs.push(Output::Settle(id));
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
                self.note_data_ended(id);
                self.gone(now, id);
            }
            ForwardEvent::Failed(reason) => {
                if let Some(forward) = self.data.remove(id) {
                    match self.requester(id, &forward) {
                        Some(Requester::Passive(key)) => self.passive_failed(key, &reason),
                        Some(Requester::Active(key)) => self.give_up_active(now, key, &reason),
                        None => {}
                    }
                }
            }
            ForwardEvent::Unreachable(reason) => {
                self.unreachable(now, id, reason);
            }
            ForwardEvent::Progress => self.progress(now, id),
            ForwardEvent::Ready(address) => {
                let until = now + self.settings.limits.unused_forward;
                if self.data.stands(id, until) {
                    match self.data.get(id).and_then(|f| self.requester(id, f)) {
                        Some(Requester::Passive(key)) => self.passive_ready(key, id, address),
                        Some(Requester::Active(key)) => self.active_ready(key, address),
                        None => self.close_forward(id),
                    }
                }
            }
        }
    }

    /// Handles a forward that is gone, with its data connection if it had one.
    pub(super) fn gone(&mut self, now: Duration, id: ForwardId) {
        let forward = self.data.remove(id);
        self.data.forget(id);
        match forward.and_then(|forward| self.requester(id, &forward)) {
            Some(Requester::Passive(key)) => self.passive_failed(key, "the data port was lost"),
            Some(Requester::Active(key)) => {
                self.release(id);
                self.active_gone(now, key);
            }
            None => self.release(id),
        }
    }

    /// The request that asked for this forward, if it still waits for it.
    fn requester(&self, id: ForwardId, forward: &Forward) -> Option<Requester> {
        let key = forward.asked_by();
        let exchange = self.queue.get(key)?;
        match exchange.request() {
            Request::Passive(passive) if exchange.is_held() && passive.forward() == Some(id) => {
                Some(Requester::Passive(key))
            }
            Request::Active(active) if active.forward() == Some(id) => Some(Requester::Active(key)),
            _ => None,
        }
    }

    /// Binds the next transfers to `id`, the forward of the request with this send order. Closes the one
    /// before, if no transfer uses it (Q55, Q85).
    pub(super) fn use_forward(&mut self, id: ForwardId, order: u64) {
        match self.data.current() {
            // A later request has overtaken it.
            Some(_) if self.data.since() > order => self.close_unused(id),
            before => {
                let replaced = before.filter(|before| *before != id);
                // In the kept modes its client may still be reading, and no EOF shows when it has all.
                let stream = self.data.is_stream();
                let idle = replaced.filter(|before| !self.is_taken(*before, order) && stream);
                self.data.use_next(id, order);
                if let Some(before) = idle {
                    self.close_forward(before);
                } else if let Some(before) = replaced {
                    self.close_unused(before);
                }
                self.close_forsaken();
            }
        }
    }

    /// Whether a transfer that was sent before the request at this place uses this forward, the current one.
    /// Binds that transfer to it.
    fn is_taken(&mut self, id: ForwardId, order: u64) -> bool {
        let between = self.data.since()..order;
        let mut taken = false;
        for (place, transfer) in self.queue.transfers_mut() {
            if place.is_held() || place.awaits_reply() {
                if between.contains(&place.sent_seq()) {
                    transfer.bind_if_unbound(id);
                }
                taken |= transfer.forward() == Some(id);
            }
        }
        taken
    }

    /// Tells the driver that the transfer over a joined forward has begun.
    pub(super) fn join(&mut self, id: ForwardId) {
        if let Some(forward) = self.data.get_mut(id)
            && forward.transfer_begins()
        {
            self.outputs.push(Output::Join(id));
        }
    }

    fn connected(&mut self, id: ForwardId, target: usize) {
        if let Some(forward) = self.data.get_mut(id)
            && forward.connected(target)
        {
            self.learn(|knowledge| knowledge.reply_address_works = true);
        }
    }

    fn drained(&mut self, id: ForwardId) {
        if self.data.is_stream()
            && let Some(forward) = self.data.get_mut(id)
        {
            forward.drained();
        }
        // No server acting in good faith ends its direction for a command that it has not been sent. (It may
        // have refused a request for another data connection, and have run a transfer behind that over this.)
        if self.data.is_stream()
            && self.data.is_current(id)
            && !self.queue.has_transfer_behind(self.data.since())
            && self.transfer_over(id).is_none()
            && !self.may_be_unknowns(id)
        {
            self.data.mark_dead(ENDED);
        }
        // An upload is over only when its own direction has ended too.
        let download = |t: &mut Transfer| t.may_be_download();
        if self.transfer_over(id).is_none_or(download) || !self.data.is_stream() {
            self.release(id);
        }
    }

    /// Closes a forward in any state.
    pub(super) fn close_forward(&mut self, id: ForwardId) {
        if self.data.remove(id).is_some() {
            self.outputs.push(Output::Close(id));
        }
        self.data.forget(id);
    }

    /// Closes a forward, unless its data connection stands or is being made.
    pub(super) fn close_unused(&mut self, id: ForwardId) {
        if self.data.get(id).is_some_and(|f| !f.is_connected()) {
            self.close_forward(id);
        }
    }

    /// Closes the forward that the next transfer would have used.
    pub(super) fn close_current(&mut self) {
        if let Some(id) = self.data.current() {
            self.data.forget(id);
            self.close_unused(id);
        }
    }

    /// Closes the forwards that no data connection uses and none will: those of requests that failed.
    pub(super) fn close_forgotten(&mut self) {
        let forgotten: Vec<ForwardId> = self
            .data
            .iter()
            .filter(|(id, forward)| {
                !forward.is_connected() && !self.data.is_current(*id) && !self.queue.needs(*id)
            })
            .map(|(id, _)| id)
            .collect();
        for id in forgotten {
            self.close_forward(id);
        }
    }

    pub(super) fn forward_deadline(&self) -> Option<Duration> {
        let unused = self.data.iter().filter_map(|(_, f)| f.unused_until());
        let spoken = [
            self.gate_deadline(),
            cut_deadline(&self.queue),
            unreached_deadline(&self.queue),
        ];
        unused.chain(spoken.into_iter().flatten()).min()
    }

    pub(super) fn expire_forwards(&mut self, now: Duration) {
        let unused: Vec<ForwardId> = self
            .data
            .iter()
            .filter(|(_, f)| f.unused_until().is_some_and(|until| until <= now))
            .map(|(id, _)| id)
            .collect();
        for id in unused {
            if self.keeps_for_longer(now, id) {
                continue;
            }
            self.close_forward(id);
            self.outputs.notice(Notice::UnusedForward(id));
        }
        self.expire_gates(now);
        self.expire_cuts(now);
        self.expire_unreached(now);
    }
}

/// The request that waits for a forward to stand.
enum Requester {
    /// A passive request, or an active one that is carried as passive.
    Passive(Key),
    /// A PORT or EPRT.
    Active(Key),
}
