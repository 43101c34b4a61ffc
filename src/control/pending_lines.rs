//! Lines that wait for their turn to go to the client, and their cost.

use std::collections::VecDeque;

use bytes::Bytes;

/// Cost of a line besides its bytes: its place in the list, and what the allocator and a shared buffer add. A
/// reply of empty lines has no other cost (Q129).
pub(super) const LINE_COST: usize = 128;

/// One line for the client, with its author.
#[derive(Debug)]
pub(super) enum ClientLine {
    /// Ferryline.
    Own(Bytes),
    /// The FTP server.
    Relayed(Bytes),
}

impl ClientLine {
    fn bytes(&self) -> &Bytes {
        let (Self::Own(bytes) | Self::Relayed(bytes)) = self;
        bytes
    }
}

/// Lines in their order, with a running total of their cost.
#[derive(Debug, Default)]
pub(super) struct PendingLines {
    lines: VecDeque<ClientLine>,
    cost: usize,
}

impl PendingLines {
    /// Adds a line of ferryline's own.
    pub(super) fn say(&mut self, line: Bytes) {
        self.push(ClientLine::Own(line));
    }

    /// Adds a line of the server.
    pub(super) fn relay(&mut self, line: Bytes) {
        self.push(ClientLine::Relayed(line));
    }

    /// Adds lines of the server.
    pub(super) fn relay_all(&mut self, lines: impl IntoIterator<Item = Bytes>) {
        for line in lines {
            self.relay(line);
        }
    }

    fn push(&mut self, line: ClientLine) {
        self.cost += cost(line.bytes());
        self.lines.push_back(line);
    }

    /// Drops all lines but the first `count`.
    pub(super) fn truncate(&mut self, count: usize) {
        while self.lines.len() > count
            && let Some(line) = self.lines.pop_back()
        {
            self.cost -= cost(line.bytes());
        }
    }

    /// Takes all lines, which wait no longer.
    pub(super) fn take(&mut self) -> VecDeque<ClientLine> {
        self.cost = 0;
        std::mem::take(&mut self.lines)
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// Cost of all lines: their bytes, and [`LINE_COST`] for each. A running total.
    pub(super) fn cost(&self) -> usize {
        self.cost
    }
}

/// Lines of a reply that are buffered until it is complete.
#[derive(Debug, Default)]
pub(super) struct BufferedReply {
    lines: Vec<Bytes>,
    /// Cost of the lines, also of those that were too many to keep.
    cost: usize,
}

impl BufferedReply {
    /// A reply that costs more is not kept (Q12, Q37).
    const LIMIT: usize = 128 * 1024;

    pub(super) fn push(&mut self, line: Bytes) {
        self.cost = self.cost.saturating_add(cost(&line));
        if self.cost <= Self::LIMIT {
            self.lines.push(line);
        }
    }

    /// Takes all lines; none where they were too many.
    pub(super) fn take(&mut self) -> Vec<Bytes> {
        let kept = std::mem::take(self);
        if kept.cost <= Self::LIMIT {
            kept.lines
        } else {
            Vec::new()
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.cost == 0
    }
}

#[cfg(test)]
impl PendingLines {
    /// Cost, added up anew.
    pub(super) fn recount(&self) -> usize {
        let costs = self.lines.iter().map(|line| line.bytes().len() + LINE_COST);
        costs.sum()
    }
}

/// Cost of one line.
pub(super) fn cost(line: &Bytes) -> usize {
    looked_at();
    line.len() + LINE_COST
}

/// Counts the lines that the bookkeeping looks at. Does nothing outside this crate's tests.
#[cfg(not(test))]
#[inline(always)]
fn looked_at() {}

#[cfg(test)]
thread_local! {
    static LOOKED_AT: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

#[cfg(test)]
fn looked_at() {
    LOOKED_AT.set(LOOKED_AT.get() + 1);
}

/// Number of lines that the bookkeeping looks at while this runs.
#[cfg(test)]
pub(super) fn lines_looked_at(run: impl FnOnce()) -> usize {
    let before = LOOKED_AT.get();
    run();
    LOOKED_AT.get() - before
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cost_follows_the_lines() {
        let mut pending = PendingLines::default();
        pending.relay_all(["220-a\r\n", "\n", "220 b\r\n"].map(Bytes::from));
        assert_eq!(pending.cost(), 15 + 3 * LINE_COST);
        pending.truncate(1);
        assert_eq!((pending.len(), pending.cost()), (1, 7 + LINE_COST));
        pending.truncate(5);
        pending.say(Bytes::from("x"));
        assert_eq!(pending.cost(), 8 + 2 * LINE_COST);
        assert_eq!(pending.take().len(), 2);
        assert_eq!((pending.len(), pending.cost()), (0, 0));
    }

    #[test]
    fn a_reply_of_empty_lines_is_bounded_too() {
        let mut kept = BufferedReply::default();
        for _ in 0..1_000_000 {
            kept.push(Bytes::new());
        }
        assert!(kept.lines.len() <= BufferedReply::LIMIT / LINE_COST);
        assert!(!kept.is_empty());
        assert!(kept.take().is_empty());
    }
}
