//! The data connections of a session: its forwards, and the one that the next transfer will use.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use super::{
    event::{DataCommands, ForwardId},
    key::Key,
};

/// MODE of RFC 959 §3.4: whether the end of file ends the data connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TransferMode {
    /// Block or compressed: the data connection stays for the next transfer (Q73).
    Kept,
    /// Stream: the end of the data connection is the end of the file.
    Stream,
}

/// The forwards that are not known to be gone, the transfer parameters (RFC 959 §5.3.1), and what the next
/// transfer will use.
#[derive(Debug)]
pub(super) struct Data {
    forwards: BTreeMap<ForwardId, Forward>,
    next_id: ForwardId,
    /// How the last forwards were asked for; of a small file, the forward may be gone before its reply comes.
    asked: VecDeque<(ForwardId, DataCommands)>,
    next: NextData,
    /// Send order of the request that set `next`. What was sent before it uses another data connection.
    since: u64,
    mode: TransferMode,
    only_epsv: bool,
}

/// What the next transfer will use.
#[derive(Debug)]
enum NextData {
    /// No data connection, as far as ferryline knows.
    None,
    /// This forward.
    Forward(ForwardId),
    /// A data connection that the client opened and that failed. Its forward may still stand.
    Dead {
        reason: String,
        forward: Option<ForwardId>,
    },
}

impl Data {
    pub(super) fn new() -> Self {
        Self {
            forwards: BTreeMap::new(),
            next_id: ForwardId::first(),
            asked: VecDeque::new(),
            next: NextData::None,
            since: 0,
            mode: TransferMode::Stream,
            only_epsv: false,
        }
    }

    /// Adds a forward, which the caller asks for on behalf of the request `asked_by`.
    pub(super) fn add(&mut self, way: Way, asked_by: Key, commands: DataCommands) -> ForwardId {
        let id = self.next_id;
        self.next_id = id.next();
        self.forwards.insert(id, Forward::new(way, asked_by));
        self.asked.push_back((id, commands));
        if self.asked.len() > MOST_ASKED {
            self.asked.pop_front();
        }
        id
    }

    /// How this forward was asked for, if it is one of the last.
    pub(super) fn asked_by(&self, id: ForwardId) -> Option<DataCommands> {
        let asked = self.asked.iter().find(|(asked, _)| *asked == id);
        asked.map(|(_, commands)| *commands)
    }

    /// Notes that this forward is named to the server by another command.
    pub(super) fn asked_again(&mut self, id: ForwardId, commands: DataCommands) {
        if let Some((_, asked)) = self.asked.iter_mut().find(|(asked, _)| *asked == id) {
            *asked = commands;
        }
    }

    pub(super) fn get(&self, id: ForwardId) -> Option<&Forward> {
        self.forwards.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: ForwardId) -> Option<&mut Forward> {
        self.forwards.get_mut(&id)
    }

    pub(super) fn contains(&self, id: ForwardId) -> bool {
        self.forwards.contains_key(&id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (ForwardId, &Forward)> {
        self.forwards.iter().map(|(id, forward)| (*id, forward))
    }

    /// Removes a forward that is gone. The next transfer may still be bound to it: see
    /// [`forget`](Self::forget).
    pub(super) fn remove(&mut self, id: ForwardId) -> Option<Forward> {
        self.forwards.remove(&id)
    }

    /// Takes all forwards, at the end of the session.
    pub(super) fn take_all(&mut self) -> BTreeMap<ForwardId, Forward> {
        std::mem::take(&mut self.forwards)
    }

    /// Notes that this forward stands; a local one until `until` at most. Returns whether that is news.
    pub(super) fn stands(&mut self, id: ForwardId, until: Duration) -> bool {
        self.get_mut(id)
            .is_some_and(|forward| forward.stands(until))
    }

    pub(super) fn is_connected(&self, id: ForwardId) -> bool {
        self.get(id).is_some_and(Forward::is_connected)
    }

    /// Forward that the next transfer will use.
    pub(super) fn current(&self) -> Option<ForwardId> {
        match self.next {
            NextData::None => None,
            NextData::Forward(id) => Some(id),
            NextData::Dead { forward, .. } => forward,
        }
    }

    pub(super) fn is_current(&self, id: ForwardId) -> bool {
        self.current() == Some(id)
    }

    /// Send order of the request that set the data connection of the next transfer.
    pub(super) fn since(&self) -> u64 {
        self.since
    }

    /// Why the data connection of the next transfer failed.
    pub(super) fn dead(&self) -> Option<&str> {
        match &self.next {
            NextData::Dead { reason, .. } => Some(reason),
            _ => None,
        }
    }

    /// Binds the next transfers to this forward, if it still stands. `order`: send order of its request. (The
    /// forward may have ended already: a small file can be faster than a reply.)
    pub(super) fn use_next(&mut self, id: ForwardId, order: u64) {
        self.next = match self.contains(id) {
            true => NextData::Forward(id),
            false => NextData::None,
        };
        self.since = order;
    }

    /// Notes that the data connection of the next transfer failed.
    pub(super) fn mark_dead(&mut self, reason: &str) {
        self.next = NextData::Dead {
            reason: reason.to_owned(),
            forward: self.current(),
        };
    }

    /// Unbinds the next transfer from this forward.
    pub(super) fn forget(&mut self, id: ForwardId) {
        match &mut self.next {
            NextData::Forward(current) if *current == id => self.next = NextData::None,
            NextData::Dead { forward, .. } => {
                forward.take_if(|current| *current == id);
            }
            _ => {}
        }
    }

    /// Whether an end of file ends the data connection.
    pub(super) fn is_stream(&self) -> bool {
        self.mode == TransferMode::Stream
    }

    /// Notes that the server accepted MODE with this argument. MODE Z ends a file as stream mode does.
    pub(super) fn mode_accepted(&mut self, mode: u8) {
        self.mode = match mode {
            b'B' | b'C' => TransferMode::Kept,
            _ => TransferMode::Stream,
        };
    }

    /// Whether EPSV ALL is in force (RFC 2428 §4): neither side may name a data connection in another way.
    pub(super) fn only_epsv(&self) -> bool {
        self.only_epsv
    }

    /// Notes that the server accepted EPSV ALL.
    pub(super) fn epsv_all_accepted(&mut self) {
        self.only_epsv = true;
    }

    /// Resets all parameters after REIN (RFC 959 §4.1.1).
    pub(super) fn reset_parameters(&mut self) {
        self.only_epsv = false;
        self.mode = TransferMode::Stream;
    }
}

/// Number of forwards of which it is remembered how they were asked for.
const MOST_ASKED: usize = 32;

/// One forward.
#[derive(Debug)]
pub(super) struct Forward {
    way: Way,
    asked_by: Key,
    state: ForwardState,
    /// A connection to it was refused that may have been the client's.
    doubtful: bool,
    /// It is a joined forward, and the driver waits for [`Output::Join`](super::Output::Join).
    awaits_join: bool,
    /// The server refused a transfer that would have used it, and may have closed its port.
    refused: bool,
    /// Number of times it was kept for longer, because a command that may use it was unanswered.
    renewed: u8,
    /// Its client takes none of the data that waits for it.
    blocked: bool,
    /// The final reply of its download has passed, although its client had not taken all.
    outlives: bool,
    /// Time of its last event: it was made, or data moved.
    last_event: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// A local forward. `targets`: the number of its targets.
    Passive { targets: usize },
    /// A remote forward, or a joined one: the server's side comes first.
    Active,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ForwardState {
    /// Asked for.
    Opening,
    /// It stands; a local one until this time at most.
    Ready { until: Option<Duration> },
    /// One side has connected, and the other half of the way is being made.
    Claimed,
    /// The data connection stands, end to end. `drained`: nothing is left to hand over.
    Connected { drained: bool },
}

impl Forward {
    fn new(way: Way, asked_by: Key) -> Self {
        Self {
            way,
            asked_by,
            state: ForwardState::Opening,
            doubtful: false,
            awaits_join: false,
            refused: false,
            renewed: 0,
            blocked: false,
            outlives: false,
            last_event: Duration::ZERO,
        }
    }

    pub(super) fn is_passive(&self) -> bool {
        matches!(self.way, Way::Passive { .. })
    }

    pub(super) fn asked_by(&self) -> Key {
        self.asked_by
    }

    pub(super) fn state(&self) -> ForwardState {
        self.state
    }

    /// Whether its data connection stands, or is being made.
    pub(super) fn is_connected(&self) -> bool {
        matches!(
            self.state,
            ForwardState::Claimed | ForwardState::Connected { .. }
        )
    }

    pub(super) fn is_ready(&self) -> bool {
        matches!(self.state, ForwardState::Ready { .. })
    }

    /// Whether nothing is left to hand over: the client has all that the server sent, or the SSH server has all
    /// of an upload.
    pub(super) fn is_drained(&self) -> bool {
        self.state == ForwardState::Connected { drained: true }
    }

    /// Time at which a local forward without a connection is closed.
    pub(super) fn unused_until(&self) -> Option<Duration> {
        match self.state {
            ForwardState::Ready { until } => until,
            _ => None,
        }
    }

    /// Notes that it stands; a local one until `until` at most. Returns whether that is news.
    fn stands(&mut self, until: Duration) -> bool {
        let news = self.state == ForwardState::Opening;
        if news {
            let until = self.is_passive().then_some(until);
            self.state = ForwardState::Ready { until };
        }
        news
    }

    pub(super) fn claimed(&mut self) {
        self.state = ForwardState::Claimed;
    }

    /// Notes that the data connection stands. Returns whether a target other than the first was reached.
    pub(super) fn connected(&mut self, target: usize) -> bool {
        self.state = ForwardState::Connected { drained: false };
        target > 0 && matches!(self.way, Way::Passive { targets } if target < targets)
    }

    /// Notes that nothing is left to hand over.
    pub(super) fn drained(&mut self) {
        self.state = ForwardState::Connected { drained: true };
    }

    /// Keeps it for longer, unless that has been done `most` times.
    pub(super) fn renew(&mut self, until: Duration, most: u8) -> bool {
        let renews = self.renewed < most;
        if renews {
            self.renewed += 1;
            self.state = ForwardState::Ready { until: Some(until) };
        }
        renews
    }

    pub(super) fn mark_doubtful(&mut self) {
        self.doubtful = true;
    }

    pub(super) fn is_doubtful(&self) -> bool {
        self.doubtful
    }

    /// Notes that the driver waits for the beginning of its transfer.
    pub(super) fn await_transfer(&mut self) {
        self.awaits_join = true;
    }

    /// Notes that its transfer has begun. Returns whether the driver waits for that.
    pub(super) fn transfer_begins(&mut self) -> bool {
        std::mem::take(&mut self.awaits_join)
    }

    pub(super) fn mark_refused(&mut self) {
        self.refused = true;
    }

    pub(super) fn is_refused(&self) -> bool {
        self.refused
    }

    pub(super) fn set_blocked(&mut self, blocked: bool) {
        self.blocked = blocked;
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Notes an event: it was made, or data moved.
    pub(super) fn note_event(&mut self, now: Duration) {
        self.last_event = now;
    }

    pub(super) fn last_event(&self) -> Duration {
        self.last_event
    }

    pub(super) fn mark_outliving(&mut self) {
        self.outlives = true;
    }

    pub(super) fn outlives(&self) -> bool {
        self.outlives
    }
}
