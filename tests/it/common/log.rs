//! What ferryline tells its operator.

use std::io::{self, Write};
use std::sync::{Arc, OnceLock};

use tracing::Dispatch;
use tracing::subscriber::{DefaultGuard, NoSubscriber};

use super::record::Record;

/// Catches the log of this thread, as long as it lives. That is everything that a test on a runtime of one
/// thread starts, and nothing of the tests beside it.
pub struct Log {
    lines: Arc<Record<String>>,
    _guard: DefaultGuard,
}

/// Subscribers that want nothing, for as long as the process lives. Where there is at most one subscriber,
/// `tracing` asks only the first thread that reaches a line whether it is wanted. If that is the thread of
/// another test, which has no subscriber, it switches the line off for all threads.
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

    /// Waits for a line that contains this text.
    pub async fn says(&self, part: &str) -> String {
        self.lines.wait(part, |line| line.contains(part)).await
    }

    /// The lines so far that contain this text.
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
