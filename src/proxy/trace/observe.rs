//! Watching control connections.

use ferryline_grammar::{masked, masked_reply};

/// An observer that is shown every line of every control connection as it passes, passwords masked.
pub trait Observer: Send + Sync {
    /// Takes one line without its end, on session `session` (numbered from 1).
    fn line(&self, session: u64, direction: Direction, line: &[u8]);
}

/// Where on its way a line is seen. A line that is not rewritten is seen twice.
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

/// Shows a line to the log and to the observer. `bytes` may include the line's end.
pub(crate) fn show(
    observer: Option<&dyn Observer>,
    session: u64,
    direction: Direction,
    bytes: &[u8],
) {
    if observer.is_none() && !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    let (arrow, is_command) = match direction {
        Direction::FromClient => ("C>", true),
        Direction::FromServer => ("S<", false),
        Direction::ToClient => ("C<", false),
        Direction::ToServer => ("S>", true),
    };
    let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let shown = if is_command {
        masked(line)
    } else {
        masked_reply(line)
    };
    tracing::debug!("#{session} {arrow} {}", shown.escape_ascii());
    if let Some(observer) = observer {
        observer.line(session, direction, &shown);
    }
}
