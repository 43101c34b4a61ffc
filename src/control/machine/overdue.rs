//! What the log is told while a client waits: the operator of a job that hangs finds the reason there.
//!
//! Nothing else happens. A server may take long over a command, and a transfer may stand still: that is for the
//! client and the FTP server to decide.

use std::time::Duration;

use ferryline_grammar::Verb;

use crate::control::{
    data::{Forward, ForwardState},
    event::{ForwardId, Notice, Stalled},
    exchange::Exchange,
    key::Key,
    machine::Control,
    request::Request,
    transfer::Transfer,
};

/// What a client waits for.
struct Overdue {
    key: Key,
    since: Duration,
    what: What,
}

enum What {
    Greeting,
    Reply(Verb),
    Data(Verb, ForwardId, Stalled),
}

impl Control {
    /// Time at which the log is told what the client waits for.
    pub(super) fn overdue_deadline(&self) -> Option<Duration> {
        self.overdue()
            .map(|overdue| overdue.since + self.settings.limits.overdue)
    }

    /// Tells the log, once for each wait.
    pub(super) fn tell_overdue(&mut self, now: Duration) {
        let limit = self.settings.limits.overdue;
        let overdue = self.overdue();
        let Some(overdue) = overdue.filter(|overdue| overdue.since + limit <= now) else {
            return;
        };
        let time = now.saturating_sub(overdue.since);
        let notice = match overdue.what {
            What::Greeting => Notice::NoGreeting(time),
            What::Reply(verb) => Notice::Unanswered(verb, time),
            What::Data(verb, id, stalled) => Notice::StalledData {
                id,
                verb,
                time,
                stalled,
            },
        };
        self.outputs
            .notice_wait((overdue.key, overdue.since), notice);
    }

    /// What the client waits for, unless the log has been told.
    fn overdue(&self) -> Option<Overdue> {
        self.first_awaited()
            .filter(|overdue| !self.outputs.has_noted_wait((overdue.key, overdue.since)))
    }

    /// What the client waits for. `None`: for nothing, or for what ferryline itself bounds.
    fn first_awaited(&self) -> Option<Overdue> {
        if self.peers.server_has_ended() || self.peers.client_has_left() {
            return None;
        }
        let first = self.queue.iter().find(|exchange| {
            let answered = exchange
                .transfer()
                .is_some_and(Transfer::is_answered_by_ferryline);
            (exchange.awaits_reply() || exchange.is_held()) && !answered
        })?;
        let key = first.key();
        if first.is_held() {
            // Of a final reply that waits for its data the log is told otherwise.
            let joined = first.passive().filter(|passive| passive.is_joined())?;
            let asked = first.asked()?;
            let what = What::Data(asked.verb(), joined.forward()?, Stalled::WayToServer);
            let since = asked.at().max(self.peers.last_activity());
            return Some(Overdue { key, since, what });
        }
        if matches!(first.request(), Request::Greeting { .. }) {
            let since = self.peers.last_activity();
            let what = What::Greeting;
            return Some(Overdue { key, since, what });
        }
        let asked = first.asked()?;
        let (what, since) = match self.stalled_data(first) {
            Some((id, stalled, last_event)) => (What::Data(asked.verb(), id, stalled), last_event),
            None => (What::Reply(asked.verb()), self.peers.last_activity()),
        };
        let since = since.max(asked.at());
        Some(Overdue { key, since, what })
    }

    /// The forward of the data connection that this transfer waits for, what that waits for, and the time of its
    /// last event.
    fn stalled_data(&self, exchange: &Exchange) -> Option<(ForwardId, Stalled, Duration)> {
        let transfer = exchange.transfer()?;
        let id = self.forward_of(exchange, transfer, &self.marks())?;
        let forward = self.data.get(id)?;
        let stalled = stalled(transfer, forward)?;
        Some((id, stalled, forward.last_event()))
    }
}

/// What the data connection waits for. `None`: for nothing; the FTP server is to answer.
fn stalled(transfer: &Transfer, forward: &Forward) -> Option<Stalled> {
    match (forward.state(), forward.is_passive()) {
        (ForwardState::Opening, _) => None,
        (ForwardState::Ready { .. }, true) => Some(Stalled::ClientConnection),
        (ForwardState::Ready { .. }, false) if !transfer.has_begun() => None,
        (ForwardState::Ready { .. }, false) => Some(Stalled::ServerConnection),
        (ForwardState::Claimed, true) => Some(Stalled::WayToServer),
        (ForwardState::Claimed, false) => Some(Stalled::WayToClient),
        (ForwardState::Connected { drained: true }, _) => None,
        _ if forward.is_blocked() => Some(Stalled::ClientTakesNothing),
        _ if !transfer.has_begun() => None,
        _ if transfer.may_be_upload() => Some(Stalled::Upload),
        _ => Some(Stalled::ServerSendsNothing),
    }
}
