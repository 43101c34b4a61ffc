//! The forwards of a session, the transfer that uses each, and the time at which its final reply may pass.
//!
//! Control and data take different ways through the tunnel, so a 226 often overtakes the data that it
//! reports, and some clients drop what has not come by then (Q43). So a download's final reply is held until
//! the data connection's EOF has been handed to the client. An upload's is held until its data connection has
//! ended on the server's side too, because the server also says 226 where the data was cut on the way
//! (`cuts`).

use std::time::Duration;

use crate::control::{
    data::{Forward, ForwardState},
    event::{ForwardEvent, ForwardId, Notice, Output},
    exchange::{Exchange, Stage},
    incoming::ReplyHandling,
    key::Key,
    machine::Control,
    machine::cuts::{ENDED, cut_deadline, cut_short},
    machine::unreached::unreached_deadline,
    request::Request,
    transfer::{FinalReplyFate, Transfer},
};

impl Control {
    /// Closes a forward in any state.
    pub(super) fn close_forward(&mut self, id: ForwardId) {
        if self.data.remove(id).is_some() {
            self.outputs.push(Output::Close(id));
        }
        self.data.forget(id);
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

    fn gone(&mut self, now: Duration, id: ForwardId) {
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

    /// Handles a client's side of a data connection that broke. An upload must not be taken for complete: the
    /// server's control connection is closed before the way of the data, so that the server knows.
    fn broken(&mut self, now: Duration, id: ForwardId) {
        let upload = self
            .transfer_over(id)
            .is_some_and(|transfer| transfer.may_be_upload());
        if upload {
            self.end_with(
                421,
                "the data connection of an upload broke; the session ends, so that the FTP server \
                 does not take what it has for the whole file",
            );
        } else if self.data.contains(id) {
            self.client_side_broke(id);
            self.close_forward(id);
            self.gone(now, id);
        }
    }

    /// The transfer that runs over this forward, or will run over it.
    pub(super) fn transfer_over(&mut self, id: ForwardId) -> Option<&mut Transfer> {
        let next = self.data.is_current(id);
        // The server may begin before ferryline has read its acceptance of the line that names the forward.
        let named =
            self.queue
                .iter()
                .find_map(|exchange| match (exchange.request(), exchange.stage()) {
                    (Request::Active(active), Stage::Sent) if active.forward() == Some(id) => {
                        Some(exchange.sent_seq())
                    }
                    _ => None,
                });
        let renewed = self.queue.renewed_behind(self.data.since());
        let uses = |order| next && order < renewed || named.is_some_and(|named| named < order);
        let sent = self
            .queue
            .transfers_mut()
            .filter(|(place, _)| !place.unsent);
        let mut transfers = sent.filter(|(place, transfer)| match transfer.forward() {
            Some(used) => used == id,
            None => uses(place.sent_seq),
        });
        transfers.next().map(|(_, transfer)| transfer)
    }

    /// Decides what is done with a reply with this code, which begins to answer a transfer.
    pub(super) fn transfer_reply(&mut self, now: Duration, key: Key, code: u16) -> ReplyHandling {
        if code < 300 {
            self.activity.logged_in();
        }
        let last = ReplyHandling::Pass { last: true };
        let preliminary = ReplyHandling::Pass { last: false };
        let forward = match (self.queue.forward_before(key), self.data.current()) {
            (Some((order, id)), Some(_)) if order > self.data.since() => Some(id),
            (Some((_, id)), None) => Some(id),
            (_, current) => current,
        };
        let aborted = self.queue.is_aborted(key);
        // Its reply is coming in, so it is still there.
        let Some(transfer) = self.queue.transfer(key) else {
            return last;
        };
        if let Some(id) = forward {
            transfer.bind_if_unbound(id);
        }
        if transfer.unreached().is_some() {
            return self.unreached_reply(key, code);
        }
        if transfer.is_answered_by_ferryline() {
            // The server works on it all the same, and may answer other commands meanwhile.
            if code < 200 {
                transfer.begins();
                return ReplyHandling::Dropped;
            }
            return ReplyHandling::Withheld;
        }
        if code < 200 {
            let begun = transfer.begins();
            // It was sent behind a request for another data connection, which the server has passed over.
            if begun && transfer.forward().is_none() && self.data.dead().is_some() {
                transfer.cut_unless_known(ENDED);
            }
            if let Some(id) = transfer.forward().filter(|_| begun) {
                self.join(id);
            }
            return preliminary;
        }
        // Some servers send 200 first, then 150, then 226 (Q42).
        if matches!(code, 200 | 202) && transfer.begins_by_200() {
            return preliminary;
        }
        let forward = transfer
            .forward()
            .and_then(|id| Some((id, self.data.get(id)?)));
        match transfer.decide_final_reply(code, aborted, forward, self.data.is_stream()) {
            FinalReplyFate::Passes => last,
            FinalReplyFate::Cut(reason) => {
                self.queue.say(key, cut_short(reason));
                ReplyHandling::Withheld
            }
            FinalReplyFate::Waits(id) => {
                self.hold_reply(now, key, id, code);
                if !self.data.is_stream() {
                    self.outputs.push(Output::Drain(id));
                }
                last
            }
        }
    }

    /// Handles a transfer whose final reply is complete.
    pub(super) fn transfer_done(&mut self, key: Key, code: u16) {
        self.queue.answered(key);
        let gated = self.queue.get(key).is_some_and(Exchange::is_held);
        let transfer = self.queue.get(key).and_then(Exchange::transfer);
        let begun = code < 300 || transfer.is_some_and(Transfer::has_begun);
        let used = transfer.and_then(Transfer::forward);
        let stream = self.data.is_stream();
        // Without a data connection there is nothing to tidy up.
        let Some((id, forward)) = used.and_then(|id| Some((id, self.data.get_mut(id)?))) else {
            return;
        };
        if code >= 400 && !begun {
            forward.mark_refused();
        }
        if stream && !gated {
            if forward.state() == ForwardState::Opening {
                // Its passive reply is still to be handed to the client.
            } else if forward.is_connected() {
                // It ends by itself, with its data. After a refusal (no such file, file busy) no data has
                // flowed, and the next transfer may use it.
                if begun {
                    self.data.forget(id);
                }
            } else if (200..500).contains(&code) {
                // The transfer is over, and no connection will come any more (Q45, Q57). After a 5xx the
                // server still listens, and so does ferryline.
                self.active_unreached(id, code);
                self.close_forward(id);
            }
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

    /// Whether a transfer that was sent before the request at this place uses this forward, the current one.
    /// Binds that transfer to it.
    fn is_taken(&mut self, id: ForwardId, order: u64) -> bool {
        let between = self.data.since()..order;
        let mut taken = false;
        for (place, transfer) in self.queue.transfers_mut() {
            if place.held || place.awaits_reply {
                if between.contains(&place.sent_seq) {
                    transfer.bind_if_unbound(id);
                }
                taken |= transfer.forward() == Some(id);
            }
        }
        taken
    }

    /// Tells the driver that the transfer over a joined forward has begun.
    fn join(&mut self, id: ForwardId) {
        if let Some(forward) = self.data.get_mut(id)
            && forward.transfer_begins()
        {
            self.outputs.push(Output::Join(id));
        }
    }

    pub(super) fn close_unused(&mut self, id: ForwardId) {
        if self.data.get(id).is_some_and(|f| !f.is_connected()) {
            self.close_forward(id);
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
}

/// The request that waits for a forward to stand.
enum Requester {
    /// A passive request, or an active one that is carried as passive.
    Passive(Key),
    /// A PORT or EPRT.
    Active(Key),
}
