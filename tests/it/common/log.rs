//! What ferryline tells its operator.

use std::io::{self, Write};
use std::sync::{Arc, OnceLock};

use tracing::Dispatch;
use tracing::subscriber::{DefaultGuard, NoSubscriber};

use super::record::Record;

/// Catches the log of this thread, as long as it lives: everything that a test on a runtime of one
/// thread starts, and nothing of the tests beside it.
pub struct Log {
    lines: Arc<Record<String>>,
    _guard: DefaultGuard,
}

/// Subscribers that want nothing, as long as the process lives. Where there is one subscriber or none, `tracing` asks
/// only the thread that comes to a line first whether it is wanted, and switches the line off for all threads where
/// that one, a test beside, has no subscriber.
static BESIDE: OnceLock<[Dispatch; 2]> = OnceLock::new();

impl Log {
    /// Warnings and errors, as `ferryline` shows them by default.
    pub fn warnings() -> Self {
        BESIDE.get_or_init(|| [(); 2].map(|()| Dispatch::new(NoSubscriber::default())));
        let lines = Arc::new(Record::default());
        let writer = Writer(Arc::clone(&lines));
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::WARN)
            .with_ansi(false)
            .with_target(false)
            .without_time()
            .with_writer(move || writer.clone())
            .finish();
        Self {
            lines,
            _guard: tracing::subscriber::set_default(subscriber),
        }
    }

    /// Waits for a line in which this stands.
    pub async fn says(&self, part: &str) -> String {
        self.lines.wait(part, |line| line.contains(part)).await
    }

    /// The lines so far in which this stands.
    pub fn all(&self, part: &str) -> Vec<String> {
        let mut lines = self.lines.all();
        lines.retain(|line| line.contains(part));
        lines
    }
}

/// The formatter hands over a line in one piece.
#[derive(Clone)]
struct Writer(Arc<Record<String>>);

impl Write for Writer {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(String::from_utf8_lossy(line).trim().to_owned());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
