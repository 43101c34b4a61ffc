//! Watching control connections.

use std::collections::VecDeque;

use ferryline_grammar::{masked, masked_reply};

use crate::printable::printable;

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

/// Number of lines of each peer that are remembered until they are passed on.
const MOST_REMEMBERED: usize = 64;

/// Number of bytes of a line that is remembered. A longer one is logged again when it is passed on.
const LONGEST_REMEMBERED: usize = 1024;

/// The lines of one session, for the log and for an observer. The log has a line that passes unchanged once.
#[derive(Default)]
pub(crate) struct Lines {
    from_client: VecDeque<Vec<u8>>,
    from_server: VecDeque<Vec<u8>>,
}

impl Lines {
    /// Shows a line. `bytes` may include the line's end.
    pub(crate) fn show(
        &mut self,
        observer: Option<&dyn Observer>,
        session: u64,
        direction: Direction,
        bytes: &[u8],
    ) {
        let logged = tracing::enabled!(tracing::Level::DEBUG);
        if observer.is_none() && !logged {
            return;
        }
        let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let shown = match direction {
            Direction::FromClient | Direction::ToServer => masked(line),
            Direction::FromServer | Direction::ToClient => masked_reply(line),
        };
        if logged {
            self.log(session, direction, &shown);
        }
        if let Some(observer) = observer {
            observer.line(session, direction, &shown);
        }
    }

    fn log(&mut self, session: u64, direction: Direction, line: &[u8]) {
        let (arrow, waiting, passes_on) = match direction {
            Direction::FromClient => ("C>", &mut self.from_client, false),
            Direction::FromServer => ("S<", &mut self.from_server, false),
            Direction::ToClient => ("C<", &mut self.from_server, true),
            Direction::ToServer => ("S>", &mut self.from_client, true),
        };
        let text = printable(line);
        if !passes_on {
            if line.len() <= LONGEST_REMEMBERED {
                waiting.push_back(line.to_vec());
            }
            if waiting.len() > MOST_REMEMBERED {
                waiting.pop_front();
            }
            tracing::debug!("#{session} {arrow} {text}");
        } else if let Some(found) = waiting.iter().position(|waiting| waiting == line) {
            waiting.remove(found);
        } else {
            tracing::debug!("#{session} {arrow} {text}  (ferryline's)");
        }
    }
}
