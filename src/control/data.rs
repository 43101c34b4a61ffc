//! The data connections of a session: its forwards, and the one that the next transfer will use.

use std::{collections::BTreeMap, time::Duration};

use super::{event::ForwardId, key::Key};

/// MODE of RFC 959 §3.4: whether the end of file ends the data connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TransferMode {
    /// Block or compressed: the data connection stays for the next transfer (Q73).
    Kept,
    /// Stream: the end of the data connection is the end of the file.
    Stream,
}

/// Forwards that are not known to be gone, the transfer parameters (RFC 959 §5.3.1), and what the next
/// transfer will use.
#[derive(Debug)]
pub(super) struct Data {
    forwards: BTreeMap<ForwardId, Forward>,
    next_id: ForwardId,
    next: NextData,
    /// Send order of the request that made `next` what it is. What was sent before it uses something else.
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
    /// A data connection that the client has opened, and that came to nothing. Its forward may still stand.
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
            next: NextData::None,
            since: 0,
            mode: TransferMode::Stream,
            only_epsv: false,
        }
    }

    /// Adds a forward, which the caller asks for on behalf of the request `asked_by`.
    pub(super) fn add(&mut self, way: Way, asked_by: Key) -> ForwardId {
        let id = self.next_id;
        self.next_id = id.next();
        self.forwards.insert(id, Forward::new(way, asked_by));
        id
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

    /// The forward is gone. It may still be the one that the next transfer was to use:
    /// [`forget`](Self::forget).
    pub(super) fn remove(&mut self, id: ForwardId) -> Option<Forward> {
        self.forwards.remove(&id)
    }

    /// All forwards: the session ends.
    pub(super) fn take_all(&mut self) -> BTreeMap<ForwardId, Forward> {
        std::mem::take(&mut self.forwards)
    }

    pub(super) fn is_connected(&self, id: ForwardId) -> bool {
        self.get(id).is_some_and(Forward::is_connected)
    }

    /// The forward that the next transfer will use.
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

    /// Send order of the request that the next transfer's data connection comes from.
    pub(super) fn since(&self) -> u64 {
        self.since
    }

    /// Why the next transfer's data connection came to nothing.
    pub(super) fn dead(&self) -> Option<&str> {
        match &self.next {
            NextData::Dead { reason, .. } => Some(reason),
            _ => None,
        }
    }

    /// From now on transfers use this forward, if it still stands, of the request with this send order. (It
    /// may have come and gone already: a small file is faster than a reply.)
    pub(super) fn use_next(&mut self, id: ForwardId, order: u64) {
        self.next = match self.contains(id) {
            true => NextData::Forward(id),
            false => NextData::None,
        };
        self.since = order;
    }

    /// The next transfer's data connection came to nothing.
    pub(super) fn mark_dead(&mut self, reason: &str) {
        self.next = NextData::Dead {
            reason: reason.to_owned(),
            forward: self.current(),
        };
    }

    /// The next transfer does not use this forward any more.
    pub(super) fn forget(&mut self, id: ForwardId) {
        match &mut self.next {
            NextData::Forward(current) if *current == id => self.next = NextData::None,
            NextData::Dead { forward, .. } => {
                forward.take_if(|current| *current == id);
            }
            _ => {}
        }
    }

    /// Whether the end of file ends a data connection.
    pub(super) fn is_stream(&self) -> bool {
        self.mode == TransferMode::Stream
    }

    /// The server has accepted MODE with this argument. MODE Z ends a file as stream mode does.
    pub(super) fn mode_accepted(&mut self, mode: u8) {
        self.mode = match mode {
            b'B' | b'C' => TransferMode::Kept,
            _ => TransferMode::Stream,
        };
    }

    /// EPSV ALL is in force (RFC 2428 §4): neither side may name a data connection in another way.
    pub(super) fn only_epsv(&self) -> bool {
        self.only_epsv
    }

    /// The server has accepted EPSV ALL.
    pub(super) fn epsv_all_accepted(&mut self) {
        self.only_epsv = true;
    }

    /// REIN resets all parameters (RFC 959 §4.1.1).
    pub(super) fn reset_parameters(&mut self) {
        self.only_epsv = false;
        self.mode = TransferMode::Stream;
    }
}

/// One forward.
#[derive(Debug)]
pub(super) struct Forward {
    way: Way,
    asked_by: Key,
    state: ForwardState,
    /// A connection to it was refused that may have been the client's.
    doubtful: bool,
    /// The driver waits to be told that the transfer of this joined forward has begun.
    joined: bool,
    /// The server has refused a transfer that would have used it, and may have closed its port.
    refused: bool,
    /// How many times it was kept for longer, for a command that waits for its answer.
    renewed: u8,
    /// Its client takes nothing of what waits for it.
    blocked: bool,
    /// The final reply of its download has passed, although its client had not taken all.
    outlives: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// A local forward; with the number of its targets.
    Passive { targets: usize },
    /// A remote forward, or a joined one: the server's side comes first.
    Active,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ForwardState {
    /// Asked for.
    Opening,
    /// It stands; a local one for no longer than until then.
    Ready { until: Option<Duration> },
    /// One side has connected, the other half of the way is being made.
    Claimed,
    /// The data connection stands, end to end. `drained`: the client has all that the server sent.
    Connected { drained: bool },
}

impl Forward {
    fn new(way: Way, asked_by: Key) -> Self {
        Self {
            way,
            asked_by,
            state: ForwardState::Opening,
            doubtful: false,
            joined: false,
            refused: false,
            renewed: 0,
            blocked: false,
            outlives: false,
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

    /// Its data connection stands, or is being made.
    pub(super) fn is_connected(&self) -> bool {
        matches!(
            self.state,
            ForwardState::Claimed | ForwardState::Connected { .. }
        )
    }

    pub(super) fn is_ready(&self) -> bool {
        matches!(self.state, ForwardState::Ready { .. })
    }

    /// The client has all that the server sent.
    pub(super) fn is_drained(&self) -> bool {
        self.state == ForwardState::Connected { drained: true }
    }

    /// When a local forward that nobody has come to is closed.
    pub(super) fn unused_until(&self) -> Option<Duration> {
        match self.state {
            ForwardState::Ready { until } => until,
            _ => None,
        }
    }

    /// It stands; a local one for no longer than `until`. Returns whether that is news.
    pub(super) fn stands(&mut self, until: Duration) -> bool {
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

    /// The data connection stands. Returns whether it is another than the first target that was reached.
    pub(super) fn connected(&mut self, target: usize) -> bool {
        self.state = ForwardState::Connected { drained: false };
        target > 0 && matches!(self.way, Way::Passive { targets } if target < targets)
    }

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

    /// The driver is to be told when its transfer begins.
    pub(super) fn await_transfer(&mut self) {
        self.joined = true;
    }

    /// Its transfer has begun. Returns whether the driver waits to be told.
    pub(super) fn transfer_begins(&mut self) -> bool {
        std::mem::take(&mut self.joined)
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

    pub(super) fn mark_outliving(&mut self) {
        self.outlives = true;
    }

    pub(super) fn outlives(&self) -> bool {
        self.outlives
    }
}
