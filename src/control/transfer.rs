//! A transfer on its way: which replies have come, and how it ends.

use std::time::Duration;

use bytes::Bytes;
use ferryline_grammar::TransferDirection;

use super::{
    data::{Forward, ForwardState},
    event::{ForwardId, RunningTransfer, TransferReport},
    gate::Gate,
    parameters::FileParameters,
    wait::Wait,
};

/// A command that moves data, from the moment it is asked for.
#[derive(Debug)]
pub(super) struct Transfer {
    direction: Direction,
    start: Start,
    /// The forward it uses, once that is known.
    forward: Option<ForwardId>,
    fate: Fate,
    final_reply: FinalReply,
    /// Its client may have been refused, and has until this time to connect again.
    doubted: Option<Duration>,
    /// Its data connection has ended in order.
    data_ended: bool,
    /// The step for which something has already waited as long as it may.
    waited: Option<Wait>,
    /// The client's command and when it was sent, until its report is given out.
    unreported: Option<(Bytes, Duration)>,
    /// What its file depends on, from the server's first reply to it.
    parameters: Option<FileParameters>,
    /// The server has answered a later request before it. If the server also begins the next transfer, it
    /// sends no final reply for this one.
    overtaken: bool,
}

/// Direction of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// To the client.
    Download,
    /// To the FTP server.
    Upload,
    /// The verb is unknown to ferryline. It is taken for an upload, unless the server ends its own direction
    /// first (Q105).
    Unknown,
}

impl From<TransferDirection> for Direction {
    fn from(direction: TransferDirection) -> Self {
        match direction {
            TransferDirection::Download => Self::Download,
            TransferDirection::Upload => Self::Upload,
        }
    }
}

/// The reply by which the FTP server has begun the transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// None yet.
    Awaited,
    /// By a 200 where a 150 belongs (Q42).
    Success200,
    /// By a 1xx.
    Preliminary,
}

/// How the transfer ended, where the FTP server may not know it.
#[derive(Debug)]
enum Fate {
    /// Nothing: the server's final reply counts.
    Open,
    /// The data was cut: no success passes. The server's own final reply is awaited until `answer_by`, if
    /// that is bounded.
    Cut {
        reason: &'static str,
        answer_by: Option<Duration>,
    },
    /// The data connection could not be made, and the server's reply to that is awaited.
    Unreached(Unreached),
    /// Ferryline has told the client how it ended; the server's replies are dropped.
    AnsweredByFerryline,
}

/// A data connection that could not be made, because the server's port was not reached.
#[derive(Debug)]
pub(super) struct Unreached {
    /// What ferryline tells the client where the server does not.
    pub(super) reason: String,
    /// Time until which the server's own reply is awaited.
    pub(super) until: Duration,
}

/// The server's final reply, where it has to wait for the data.
#[derive(Debug)]
enum FinalReply {
    /// It has not come, or has not had to wait.
    Free,
    /// It waits. A success begins at this index of the lines that are to go out.
    Held {
        gate: Gate,
        success_at: Option<usize>,
    },
    /// It has waited.
    Released { success: bool },
}

/// What becomes of the server's final reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FinalReplyFate {
    /// It passes.
    Passes,
    /// It passes when the data over this forward has moved.
    Waits(ForwardId),
    /// It is withheld: the client is told that the data was cut, for this reason.
    Cut(&'static str),
}

impl Transfer {
    pub(super) fn new(direction: impl Into<Direction>) -> Self {
        Self {
            direction: direction.into(),
            start: Start::Awaited,
            forward: None,
            fate: Fate::Open,
            final_reply: FinalReply::Free,
            doubted: None,
            data_ended: false,
            waited: None,
            unreported: None,
            parameters: None,
            overtaken: false,
        }
    }

    /// Notes that this command of the client's is sent.
    pub(super) fn sent(&mut self, now: Duration, command: Bytes) {
        self.unreported = Some((command, now));
    }

    /// The report of the transfer, which is over; `None` where it has been given out. `answer`: the last line
    /// of its final reply.
    pub(super) fn report(&mut self, answer: Option<Bytes>) -> Option<TransferReport> {
        let (command, sent_at) = self.unreported.take()?;
        Some(TransferReport {
            command,
            forward: self.forward,
            asked_by: None,
            begun: self.has_begun(),
            parameters: self.parameters.take(),
            sent_at,
            answer,
        })
    }

    /// What it is while it runs; `None` before it is sent, and from its report on.
    pub(super) fn running(&self) -> Option<RunningTransfer<'_>> {
        let (command, sent_at) = self.unreported.as_ref()?;
        Some(RunningTransfer {
            command,
            forward: self.forward,
            asked_by: None,
            sent_at: *sent_at,
        })
    }

    /// Notes what its file depends on, when the server begins to answer it.
    pub(super) fn note_parameters(&mut self, parameters: impl FnOnce() -> FileParameters) {
        self.parameters.get_or_insert_with(parameters);
    }

    /// A command of no known verb that turns out to be a transfer. Its data connection may have failed
    /// already.
    pub(super) fn guessed(now: Duration, unreached: Option<Unreached>) -> Self {
        Self {
            unreported: Some((Bytes::new(), now)),
            fate: unreached.map_or(Fate::Open, Fate::Unreached),
            ..Self::new(Direction::Unknown)
        }
    }

    /// Whether the data may go to the server.
    pub(super) fn may_be_upload(&self) -> bool {
        self.direction != Direction::Download
    }

    /// Whether the data may go to the client.
    pub(super) fn may_be_download(&self) -> bool {
        self.direction != Direction::Upload
    }

    pub(super) fn is_guessed(&self) -> bool {
        self.direction == Direction::Unknown
    }

    pub(super) fn forward(&self) -> Option<ForwardId> {
        self.forward
    }

    /// Binds the transfer to this forward, unless it is known to use another.
    pub(super) fn bind_if_unbound(&mut self, id: ForwardId) {
        self.forward.get_or_insert(id);
    }

    /// Binds the transfer to this forward, whatever was assumed before.
    pub(super) fn bind_to(&mut self, id: ForwardId) {
        self.forward = Some(id);
    }

    /// Notes a 1xx. Returns whether it is the first.
    pub(super) fn begins(&mut self) -> bool {
        std::mem::replace(&mut self.start, Start::Preliminary) != Start::Preliminary
    }

    /// Notes a 200. Returns whether it stands for the 1xx.
    pub(super) fn begins_by_200(&mut self) -> bool {
        let first = self.start == Start::Awaited;
        if first {
            self.start = Start::Success200;
        }
        first
    }

    /// Whether a 1xx has come.
    pub(super) fn has_preliminary(&self) -> bool {
        self.start == Start::Preliminary
    }

    /// Whether a 1xx has come, or a 200 in its place.
    pub(super) fn has_begun(&self) -> bool {
        self.start != Start::Awaited
    }

    /// Whether a 200 has come, and no 1xx.
    pub(super) fn has_only_200(&self) -> bool {
        self.start == Start::Success200
    }

    /// Whether a success would only say that there was nothing to fetch: the server has not begun to send.
    /// Some servers answer so for an empty list, and do not look at the data connection (Q101).
    pub(super) fn moved_nothing(&self) -> bool {
        !self.may_be_upload() && !self.has_begun()
    }

    /// Notes that the data was cut, for this reason. The server's final reply is awaited until `answer_by`.
    pub(super) fn cut(&mut self, reason: &'static str, answer_by: Option<Duration>) {
        if matches!(self.fate, Fate::Open | Fate::Cut { .. }) {
            self.fate = Fate::Cut { reason, answer_by };
        }
    }

    /// Notes that the data was cut, if that was not known before.
    pub(super) fn cut_unless_known(&mut self, reason: &'static str) {
        if matches!(self.fate, Fate::Open) {
            self.cut(reason, None);
        }
    }

    /// Why no success may pass.
    pub(super) fn cut_reason(&self) -> Option<&'static str> {
        match self.fate {
            Fate::Cut { reason, .. } => Some(reason),
            _ => None,
        }
    }

    /// Time until which the server's final reply to a cut transfer is awaited.
    pub(super) fn answer_by(&self) -> Option<Duration> {
        match self.fate {
            Fate::Cut { answer_by, .. } => answer_by,
            _ => None,
        }
    }

    /// Notes that the server's final reply to the cut transfer is awaited no longer, or has come.
    pub(super) fn stop_awaiting_answer(&mut self) {
        if let Fate::Cut { answer_by, .. } = &mut self.fate {
            *answer_by = None;
        }
    }

    /// Notes that the data connection could not be made.
    pub(super) fn not_reached(&mut self, unreached: Unreached) {
        if !self.is_answered_by_ferryline() {
            self.fate = Fate::Unreached(unreached);
        }
    }

    pub(super) fn unreached(&self) -> Option<&Unreached> {
        match &self.fate {
            Fate::Unreached(unreached) => Some(unreached),
            _ => None,
        }
    }

    /// Ends the wait after a failed connection: the server has sent its reply, or ferryline answers now.
    pub(super) fn take_unreached(&mut self) -> Option<Unreached> {
        match std::mem::replace(&mut self.fate, Fate::Open) {
            Fate::Unreached(unreached) => Some(unreached),
            other => {
                self.fate = other;
                None
            }
        }
    }

    /// Notes that ferryline tells the client how it ended.
    pub(super) fn answered_by_ferryline(&mut self) {
        self.fate = Fate::AnsweredByFerryline;
    }

    /// Whether ferryline has told the client how it ended.
    pub(super) fn is_answered_by_ferryline(&self) -> bool {
        matches!(self.fate, Fate::AnsweredByFerryline)
    }

    /// Whether no success of it may reach the client.
    pub(super) fn bars_success(&self) -> bool {
        self.is_answered_by_ferryline() || self.cut_reason().is_some()
    }

    /// Decides on the server's final reply. `aborted`: the server has been sent an ABOR behind the transfer.
    /// `forward`: that of its data connection, if it is still there. `stream`: an EOF ends the file.
    pub(super) fn decide_final_reply(
        &mut self,
        code: u16,
        aborted: bool,
        forward: Option<(ForwardId, &Forward)>,
        stream: bool,
    ) -> FinalReplyFate {
        self.stop_awaiting_answer();
        let success = code < 300;
        // A client that has aborted a download expects no more of it than it has.
        if let Some(reason) = self.cut_reason()
            && success
            && (self.may_be_upload() || !aborted)
        {
            return FinalReplyFate::Cut(reason);
        }
        // Without a data connection there is nothing to wait for.
        let Some((id, forward)) = forward else {
            return FinalReplyFate::Passes;
        };
        // The end of the upload has not been seen, and the client waits for the server's final reply before
        // it ends its side (Q110).
        if aborted && self.may_be_upload() && forward.is_connected() && success && stream {
            self.cut(ABORTED, None);
            return FinalReplyFate::Cut(ABORTED);
        }
        let waits = match forward.state() {
            // The client does not want it any more.
            _ if aborted => false,
            // The end of the data connection shows that the SSH server has handed on all of it: where the way
            // was cut, the FTP server has taken that for the end of the file.
            ForwardState::Claimed | ForwardState::Connected { .. } if self.may_be_upload() => {
                let sent_all = self.is_guessed() && forward.is_drained();
                success && stream && !sent_all
            }
            ForwardState::Claimed | ForwardState::Connected { .. } => {
                (self.has_begun() || success) && !forward.is_drained()
            }
            // The server's connection may still be on its way to us.
            ForwardState::Ready { .. } => !forward.is_passive() && success,
            ForwardState::Opening => false,
        };
        match waits {
            true => FinalReplyFate::Waits(id),
            false => FinalReplyFate::Passes,
        }
    }

    /// Holds the final reply, which waits for the data. A success begins at `success_at` of the lines that
    /// are to go out.
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

    /// Withdraws the held success. Returns where it begins in the lines that are to go out.
    pub(super) fn withdraw_success(&mut self) -> Option<usize> {
        match &mut self.final_reply {
            FinalReply::Held { success_at, .. } => success_at.take(),
            _ => None,
        }
    }

    /// Ends the wait of the final reply. Returns whether it waited.
    pub(super) fn release(&mut self) -> bool {
        let FinalReply::Held { success_at, .. } = self.final_reply else {
            return false;
        };
        let success = success_at.is_some();
        self.final_reply = FinalReply::Released { success };
        true
    }

    /// Whether the server knows of the transfer: the client's data may go to it (Q118).
    pub(super) fn takes_data(&self) -> bool {
        let success = match self.final_reply {
            FinalReply::Free => false,
            FinalReply::Held { success_at, .. } => success_at.is_some(),
            FinalReply::Released { success } => success,
        };
        self.has_begun() || success || self.is_answered_by_ferryline()
    }

    /// Notes that its client may have been refused, and has until this time to connect (again).
    pub(super) fn doubt(&mut self, until: Duration) {
        self.doubted.get_or_insert(until);
    }

    pub(super) fn doubted_until(&self) -> Option<Duration> {
        self.doubted
    }

    /// Notes that its data connection has ended in order.
    pub(super) fn note_data_ended(&mut self) {
        self.data_ended = true;
    }

    /// Whether its data connection has ended in order.
    pub(super) fn data_ended(&self) -> bool {
        self.data_ended
    }

    /// Notes that something has waited for this as long as it may.
    pub(super) fn waited_for(&mut self, wait: Wait) {
        self.waited = Some(wait);
    }

    /// Whether something may still wait for this.
    pub(super) fn may_be_waited_for(&self, wait: Wait) -> bool {
        self.waited < Some(wait)
    }

    /// Notes that the server has answered a later request before it.
    pub(super) fn mark_overtaken(&mut self) {
        self.overtaken = true;
    }

    pub(super) fn is_overtaken(&self) -> bool {
        self.overtaken
    }
}

/// Why an upload that its client aborts counts as cut.
pub(super) const ABORTED: &str = "aborted, before it was seen that all of the data had arrived";
