//! A transfer on its way: what has been heard of it, and how it goes on.

use std::time::Duration;

use super::{event::ForwardId, gate::Gate, wait::Wait};

/// A command that moves data, from the moment it is asked for.
#[derive(Debug)]
pub(super) struct Transfer {
    direction: Direction,
    start: Start,
    /// The data connection it uses, known with its first reply.
    forward: Option<ForwardId>,
    fate: Fate,
    final_reply: FinalReply,
    /// Its client may have been refused, and has until then to connect again.
    doubted: Option<Duration>,
    /// Its data connection has ended in order.
    data_ended: bool,
    /// What was waited for on its account as long as anything waits.
    waited: Option<Wait>,
    /// The server has answered a later request before it. If the server begins the next transfer, too, it
    /// sends no final reply for this one.
    overtaken: bool,
}

/// Which way the data goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// To the client.
    Download,
    /// To the FTP server: STOR, STOU, APPE.
    Upload,
    /// The verb is none that ferryline knows. It is taken for an upload, unless the server ends its own
    /// direction first (Q105).
    Unknown,
}

/// How the FTP server has said that it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// It has not.
    Awaited,
    /// By a 200 where a 150 belongs (Q42).
    Success200,
    /// By a 1xx.
    Preliminary,
}

/// What ferryline knows of its end that the FTP server may not.
#[derive(Debug)]
enum Fate {
    /// Nothing: the server's word counts.
    Open,
    /// The data was cut: no success is told. The server's own word is awaited until `answer_by`, if that is
    /// bounded.
    Cut {
        reason: &'static str,
        answer_by: Option<Duration>,
    },
    /// The data connection could not be made, and the server's word on that is awaited.
    Unreached(Unreached),
    /// Ferryline has told the client how it ended; what the server says is dropped.
    AnsweredByFerryline,
}

/// A data connection that could not be made, because the server's port was not reached.
#[derive(Debug)]
pub(super) struct Unreached {
    /// What the client is told where the server does not say it.
    pub(super) reason: String,
    /// How long the server's own word is awaited.
    pub(super) until: Duration,
}

/// The server's final reply, where it has to wait for the data.
#[derive(Debug)]
enum FinalReply {
    /// It has not come, or has not had to wait.
    Free,
    /// It waits. A success begins at this place of what is to go out.
    Held {
        gate: Gate,
        success_at: Option<usize>,
    },
    /// It has waited.
    Released { success: bool },
}

impl Transfer {
    pub(super) fn new(direction: Direction) -> Self {
        Self {
            direction,
            start: Start::Awaited,
            forward: None,
            fate: Fate::Open,
            final_reply: FinalReply::Free,
            doubted: None,
            data_ended: false,
            waited: None,
            overtaken: false,
        }
    }

    /// A command of no known verb that turns out to be a transfer. Its data connection may have come to
    /// nothing already.
    pub(super) fn guessed(unreached: Option<Unreached>) -> Self {
        Self {
            fate: unreached.map_or(Fate::Open, Fate::Unreached),
            ..Self::new(Direction::Unknown)
        }
    }

    /// The data may go to the server.
    pub(super) fn may_be_upload(&self) -> bool {
        self.direction != Direction::Download
    }

    /// The data may go to the client.
    pub(super) fn may_be_download(&self) -> bool {
        self.direction != Direction::Upload
    }

    pub(super) fn is_guessed(&self) -> bool {
        self.direction == Direction::Unknown
    }

    pub(super) fn forward(&self) -> Option<ForwardId> {
        self.forward
    }

    /// The transfer uses this forward, unless it is known to use another.
    pub(super) fn use_forward(&mut self, id: ForwardId) {
        self.forward.get_or_insert(id);
    }

    /// The transfer uses this forward, whatever was thought before.
    pub(super) fn has_used(&mut self, id: ForwardId) {
        self.forward = Some(id);
    }

    /// A 1xx has come. Returns whether it is the first.
    pub(super) fn begins(&mut self) -> bool {
        std::mem::replace(&mut self.start, Start::Preliminary) != Start::Preliminary
    }

    /// A 200 has come. Returns whether it stands for the 1xx.
    pub(super) fn begins_by_200(&mut self) -> bool {
        let first = self.start == Start::Awaited;
        if first {
            self.start = Start::Success200;
        }
        first
    }

    /// A 1xx has come.
    pub(super) fn has_preliminary(&self) -> bool {
        self.start == Start::Preliminary
    }

    /// A 1xx has come, or a 200 in its place.
    pub(super) fn has_begun(&self) -> bool {
        self.start != Start::Awaited
    }

    /// A 200 has come, and no 1xx.
    pub(super) fn has_only_200(&self) -> bool {
        self.start == Start::Success200
    }

    /// A success would say that there was nothing to fetch: the server has not begun to send. Some answer
    /// so for an empty list, and never look at the data connection (Q101).
    pub(super) fn moved_nothing(&self) -> bool {
        !self.may_be_upload() && !self.has_begun()
    }

    /// The data was cut, for this reason. The server's word on it is awaited until `answer_by`.
    pub(super) fn cut(&mut self, reason: &'static str, answer_by: Option<Duration>) {
        if matches!(self.fate, Fate::Open | Fate::Cut { .. }) {
            self.fate = Fate::Cut { reason, answer_by };
        }
    }

    /// The data was cut, if it was not known to be before.
    pub(super) fn cut_unless_known(&mut self, reason: &'static str) {
        if matches!(self.fate, Fate::Open) {
            self.cut(reason, None);
        }
    }

    /// Why no success is to be told.
    pub(super) fn cut_reason(&self) -> Option<&'static str> {
        match self.fate {
            Fate::Cut { reason, .. } => Some(reason),
            _ => None,
        }
    }

    /// Until when the server's word on the cut is awaited.
    pub(super) fn answer_by(&self) -> Option<Duration> {
        match self.fate {
            Fate::Cut { answer_by, .. } => answer_by,
            _ => None,
        }
    }

    /// The server's word on the cut is not awaited any longer, or has come.
    pub(super) fn stop_awaiting_answer(&mut self) {
        if let Fate::Cut { answer_by, .. } = &mut self.fate {
            *answer_by = None;
        }
    }

    /// The data connection could not be made.
    pub(super) fn not_reached(&mut self, unreached: Unreached) {
        if !self.is_answered() {
            self.fate = Fate::Unreached(unreached);
        }
    }

    pub(super) fn unreached(&self) -> Option<&Unreached> {
        match &self.fate {
            Fate::Unreached(unreached) => Some(unreached),
            _ => None,
        }
    }

    /// The server has said itself how it ended, or ferryline says it now.
    pub(super) fn take_unreached(&mut self) -> Option<Unreached> {
        match std::mem::replace(&mut self.fate, Fate::Open) {
            Fate::Unreached(unreached) => Some(unreached),
            other => {
                self.fate = other;
                None
            }
        }
    }

    /// Ferryline tells the client how it ended.
    pub(super) fn answered_by_ferryline(&mut self) {
        self.fate = Fate::AnsweredByFerryline;
    }

    /// Ferryline has told the client how it ended.
    pub(super) fn is_answered(&self) -> bool {
        matches!(self.fate, Fate::AnsweredByFerryline)
    }

    /// No success of it is to reach the client.
    pub(super) fn is_lost(&self) -> bool {
        self.is_answered() || self.cut_reason().is_some()
    }

    /// The final reply comes in, and waits for the data. A success begins at `success_at` of what is to go out.
    pub(super) fn hold(&mut self, gate: Gate, success_at: Option<usize>) {
        self.final_reply = FinalReply::Held { gate, success_at };
    }

    /// What the final reply waits for.
    pub(super) fn gate(&self) -> Option<&Gate> {
        match &self.final_reply {
            FinalReply::Held { gate, .. } => Some(gate),
            _ => None,
        }
    }

    pub(super) fn gate_mut(&mut self) -> Option<&mut Gate> {
        match &mut self.final_reply {
            FinalReply::Held { gate, .. } => Some(gate),
            _ => None,
        }
    }

    /// The success that waits is none: where it begins in what is to go out.
    pub(super) fn withdraw_success(&mut self) -> Option<usize> {
        match &mut self.final_reply {
            FinalReply::Held { success_at, .. } => success_at.take(),
            _ => None,
        }
    }

    /// The final reply waits no longer. Returns whether it did.
    pub(super) fn release(&mut self) -> bool {
        let FinalReply::Held { success_at, .. } = self.final_reply else {
            return false;
        };
        let success = success_at.is_some();
        self.final_reply = FinalReply::Released { success };
        true
    }

    /// Whether the server knows of the transfer: what the client sends may go to it (Q118).
    pub(super) fn takes_data(&self) -> bool {
        let success = match self.final_reply {
            FinalReply::Free => false,
            FinalReply::Held { success_at, .. } => success_at.is_some(),
            FinalReply::Released { success } => success,
        };
        self.has_begun() || success || self.is_answered()
    }

    /// Its client may have been refused: it has until then to connect (again).
    pub(super) fn doubt(&mut self, until: Duration) {
        self.doubted.get_or_insert(until);
    }

    pub(super) fn doubted_until(&self) -> Option<Duration> {
        self.doubted
    }

    pub(super) fn data_has_ended(&mut self) {
        self.data_ended = true;
    }

    pub(super) fn has_data_ended(&self) -> bool {
        self.data_ended
    }

    /// Something has waited for this as long as it may.
    pub(super) fn waited_for(&mut self, wait: Wait) {
        self.waited = Some(wait);
    }

    /// Whether something may still wait for this.
    pub(super) fn may_be_waited_for(&self, wait: Wait) -> bool {
        self.waited < Some(wait)
    }

    pub(super) fn overtake(&mut self) {
        self.overtaken = true;
    }

    pub(super) fn is_overtaken(&self) -> bool {
        self.overtaken
    }
}
