//! What is counted. The counters are kept by tunnel; [`exposition`](super::exposition) writes them.
//!
//! The bytes of a transfer count while it runs: [`LiveSessions`] has those of the transfers that run, and the books
//! those of the transfers that are over. A session stops showing a transfer before it enters it into the books, so a
//! look between the two sees too little, never too much; what was shown once is not taken back.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
};

use super::{
    direction::Direction,
    exposition::{Counts, Flow, Reading},
};
use crate::{
    lock::lock,
    proxy::{Books, Entry, LiveSessions, Moved, SessionView},
};

/// The counters.
pub(super) struct Metrics {
    live: LiveSessions,
    state: Mutex<State>,
    /// What other parts count.
    readings: Mutex<Vec<Arc<Reading>>>,
}

#[derive(Default)]
struct State {
    tunnels: BTreeMap<Arc<str>, Counts>,
    /// Of each session that has had a transfer: the bytes of all that are over, and the direction of the last.
    sessions: BTreeMap<u64, (Moved, Direction)>,
}

impl State {
    fn tunnel(&mut self, name: &Arc<str>) -> &mut Counts {
        self.tunnels.entry(Arc::clone(name)).or_default()
    }

    fn flow(&mut self, tunnel: &Arc<str>, direction: Direction) -> &mut Flow {
        self.tunnel(tunnel).flows.entry(direction).or_default()
    }
}

impl Metrics {
    pub(super) fn new(live: LiveSessions) -> Self {
        super::process::began();
        Self {
            live,
            state: Mutex::default(),
            readings: Mutex::default(),
        }
    }

    /// Shows the counters of this tunnel, all zero until something happens.
    pub(super) fn know(&self, tunnel: &Arc<str>) {
        lock(&self.state).tunnel(tunnel);
    }

    /// Adds what another part counts.
    pub(super) fn add(&self, reading: Reading) {
        lock(&self.readings).push(Arc::new(reading));
    }

    pub(super) fn readings(&self) -> Vec<Arc<Reading>> {
        lock(&self.readings).clone()
    }

    /// The sessions that there are at the moment.
    pub(super) fn live(&self) -> &LiveSessions {
        &self.live
    }

    /// The counters, with the sessions and transfers that there are at the moment.
    pub(super) fn look(&self) -> BTreeMap<Arc<str>, Counts> {
        // First what is over, then what runs: see the module.
        let over = lock(&self.state).tunnels.clone();
        let views = self.live.list();
        let mut state = lock(&self.state);
        for view in &views {
            state.tunnel(&view.facts.tunnel);
        }
        for (name, counts) in &mut state.tunnels {
            let of_tunnel = || views.iter().filter(|view| view.facts.tunnel == *name);
            counts.live = of_tunnel().count();
            for (direction, flow) in &mut counts.flows {
                let before = over
                    .get(name)
                    .and_then(|counts| counts.flows.get(direction));
                let before = before.map_or(0, |flow| flow.over);
                let running = of_tunnel()
                    .filter_map(running)
                    .filter(|(running, _)| running == direction)
                    .map(|(_, moved)| moved.bytes());
                flow.shown = flow.shown.max(before.saturating_add(running.sum()));
            }
        }
        state.tunnels.clone()
    }

    /// The bytes over all data connections, to the clients and from them.
    pub(super) fn moved(&self) -> Moved {
        let mut moved = Moved::default();
        for counts in self.look().values() {
            for (direction, flow) in &counts.flows {
                match direction {
                    Direction::Download | Direction::Listing => moved.to_client += flow.shown,
                    Direction::Upload => moved.to_server += flow.shown,
                }
            }
        }
        moved
    }
}

/// The transfer that runs in this session, and its bytes.
fn running(view: &SessionView) -> Option<(Direction, Moved)> {
    let transfer = view.transfer.as_ref()?;
    let direction = Direction::of(transfer.command.as_bytes(), transfer.moved);
    Some((direction, transfer.moved))
}

impl Books for Metrics {
    fn enter(&self, entry: &Entry<'_>) {
        let mut state = lock(&self.state);
        match entry {
            Entry::SessionBegan(session) => state.tunnel(&session.tunnel).sessions += 1,
            Entry::LoggedIn { session, .. } => state.tunnel(&session.tunnel).accepted += 1,
            Entry::LogInRefused { session, .. } => state.tunnel(&session.tunnel).refused += 1,
            Entry::Transferred { session, transfer } => {
                let direction = Direction::of(&transfer.report.command, transfer.moved);
                let known = state.sessions.entry(session.number);
                let known = known.or_insert_with(|| (Moved::default(), direction));
                known.0.to_client += transfer.moved.to_client;
                known.0.to_server += transfer.moved.to_server;
                known.1 = direction;
                let flow = state.flow(&session.tunnel, direction);
                flow.add(transfer);
            }
            Entry::SessionEnded { session, end } => {
                *state
                    .tunnel(&session.tunnel)
                    .ends
                    .entry(end.by)
                    .or_default() += 1;
                // What came over a data connection behind the final reply of its transfer.
                let (known, direction) = state
                    .sessions
                    .remove(&session.number)
                    .unwrap_or_else(|| (Moved::default(), Direction::Download));
                let rest = end.moved.bytes().saturating_sub(known.bytes());
                state.flow(&session.tunnel, direction).over += rest;
            }
            Entry::ClientRefused { tunnel, .. } => state.tunnel(tunnel).clients_refused += 1,
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
