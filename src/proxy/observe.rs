//! Watching control connections.

/// Is shown every line of every control connection as it passes, passwords masked.
pub trait Observer: Send + Sync {
    /// One line without its end, on session `session` (numbered from 1).
    fn line(&self, session: u64, direction: Direction, line: &[u8]);
}

/// Where a line is on its way. A line that is not rewritten is seen twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// As the client sent it.
    FromClient,
    /// As the server sent it.
    FromServer,
    /// As the client gets it.
    ToClient,
    /// As the server gets it.
    ToServer,
}
