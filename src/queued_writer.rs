//! Writes to a pipe, a terminal or a file that may block, without waiting for it.
//!
//! `tracing_appender::non_blocking` is not used, for three reasons. It bounds lines where bytes are to be
//! bounded (one line can have 256 KiB). It does not say in the log that lines were lost. Where its queue is
//! full at the end of the program it prints to standard output, which may block as well.

use std::{
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// Number of bytes that may wait to be written. As many again may be under way.
const WAITING: usize = 1 << 20;

/// How long a writer waits that is set not to block and accepts nothing (a non-blocking pipe of a parent
/// process).
const TAKES_NOTHING: Duration = Duration::from_millis(20);

/// Takes whole lines and writes them on a thread of its own. Lines that do not fit into its queue are lost; a
/// line in their place gives their number, once the reader reads on.
#[derive(Clone, Debug)]
pub(crate) struct QueuedWriter(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit: usize,
    state: Mutex<State>,
    filled: Condvar,
    written: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    /// Number of lines that were lost behind those that wait.
    lost: u64,
    /// The thread waits for something to write.
    idle: bool,
    /// What is written will never be read.
    closed: bool,
}

impl QueuedWriter {
    /// Starts the thread that writes to `out`.
    ///
    /// # Errors
    ///
    /// If the operating system has no thread for it.
    pub(crate) fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        Self::with_limit(out, WAITING)
    }

    fn with_limit(out: impl Write + Send + 'static, limit: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            limit,
            state: Mutex::default(),
            filled: Condvar::new(),
            written: Condvar::new(),
        });
        let writer = Arc::clone(&shared);
        thread::Builder::new()
            .name("ferryline-log".into())
            .spawn(move || writer.write_all(out))?;
        Ok(Self(shared))
    }

    /// Queues whole lines, or counts them as lost.
    pub(crate) fn push(&self, lines: &[u8]) {
        let mut state = self.0.state();
        // Once a line was lost, all are lost up to the line that says so: the order is kept.
        if state.lost > 0 || state.waiting.len().saturating_add(lines.len()) > self.0.limit {
            state.lost = state.lost.saturating_add(count(lines));
            return;
        }
        state.waiting.extend_from_slice(lines);
        if state.idle {
            self.0.filled.notify_one();
        }
    }

    /// Waits until all is written, for `patience` at most (`None`: without limit). Returns whether all is
    /// written.
    pub(crate) fn finish(&self, patience: Option<Duration>) -> bool {
        let deadline = patience.map(|patience| Instant::now() + patience);
        let mut state = self.0.state();
        while !(state.idle && state.waiting.is_empty() && state.lost == 0) {
            state = match deadline {
                None => self
                    .0
                    .written
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return false;
                    }
                    let waited = self.0.written.wait_timeout(state, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        true
    }
}

impl Write for QueuedWriter {
    /// Accepts all of it.
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        if self.0.state().closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.push(lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread: writes what comes, without end.
    fn write_all(&self, mut out: impl Write) {
        let mut unsaid = 0;
        loop {
            let (lines, lost) = self.next();
            let unwritten = self.write(&mut out, &lines);
            unsaid += count(unwritten) + lost;
            if unsaid > 0 && unwritten.is_empty() {
                let notice = notice(unsaid);
                if self.write(&mut out, notice.as_bytes()).is_empty() {
                    unsaid = 0;
                }
            }
        }
    }

    /// Takes what waits, with the number of lines that were lost behind it.
    fn next(&self) -> (Vec<u8>, u64) {
        let mut state = self.state();
        while state.waiting.is_empty() && state.lost == 0 {
            state.idle = true;
            self.written.notify_all();
            state = self
                .filled
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.idle = false;
        (
            std::mem::take(&mut state.waiting),
            std::mem::take(&mut state.lost),
        )
    }

    /// Writes the text. Returns the rest that could not be written.
    fn write<'a>(&self, out: &mut impl Write, mut text: &'a [u8]) -> &'a [u8] {
        while !text.is_empty() {
            match out.write(text) {
                Ok(written) if written > 0 => text = text.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    thread::sleep(TAKES_NOTHING);
                }
                Ok(_) => return text,
                Err(error) => {
                    self.state().closed |= error.kind() == io::ErrorKind::BrokenPipe;
                    return text;
                }
            }
        }
        // Standard output keeps a line that has not ended.
        let _ = out.flush();
        text
    }
}

fn notice(lost: u64) -> String {
    format!(
        "ferryline: {lost} line{} lost here: what reads ferryline's output did not keep up\n",
        if lost == 1 { "" } else { "s" }
    )
}

/// Number of lines; one that has not ended counts.
fn count(lines: &[u8]) -> u64 {
    let ends = lines.iter().filter(|byte| **byte == b'\n').count();
    let rest = lines.last().is_some_and(|byte| *byte != b'\n');
    u64::try_from(ends + usize::from(rest)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Each write waits for its permission, and is then shown.
    struct Gated {
        permitted: mpsc::Receiver<io::Result<()>>,
        shown: mpsc::Sender<String>,
        asked: mpsc::Sender<()>,
    }

    impl Write for Gated {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            let _ = self.asked.send(());
            self.permitted.recv().unwrap_or(Ok(()))?;
            let _ = self.shown.send(String::from_utf8_lossy(text).into_owned());
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Reader {
        permit: mpsc::Sender<io::Result<()>>,
        shown: mpsc::Receiver<String>,
        asked: mpsc::Receiver<()>,
    }

    fn gated(limit: usize) -> (QueuedWriter, Reader) {
        let ((permit, permitted), (show, shown), (ask, asked)) =
            (mpsc::channel(), mpsc::channel(), mpsc::channel());
        let out = Gated {
            permitted,
            shown: show,
            asked: ask,
        };
        let reader = Reader {
            permit,
            shown,
            asked,
        };
        (QueuedWriter::with_limit(out, limit).unwrap(), reader)
    }

    #[test]
    fn a_reader_that_stands_still_holds_nothing_up_and_is_told_what_it_missed() {
        let (writer, reader) = gated(10);
        writer.push(b"first\n");
        // It is being written from here on.
        reader.asked.recv().unwrap();
        writer.push(b"second\n");
        writer.push(b"third\n");
        // It would fit, but must not stand before what was lost.
        writer.push(b"4\n");
        assert!(!writer.finish(Some(Duration::ZERO)));
        for _ in 0..3 {
            reader.permit.send(Ok(())).unwrap();
        }
        assert!(writer.finish(None));
        writer.push(b"next\n");
        reader.permit.send(Ok(())).unwrap();
        assert!(writer.finish(None));
        let shown: String = reader.shown.try_iter().collect();
        assert_eq!(
            shown,
            "first\nsecond\nferryline: 2 lines lost here: what reads ferryline's output did not keep up\nnext\n"
        );
    }

    #[test]
    fn what_a_full_disk_did_not_take_is_counted_and_told_later() {
        let (writer, reader) = gated(100);
        let full = || Err(io::ErrorKind::StorageFull.into());
        reader.permit.send(full()).unwrap();
        writer.push(b"first\nsecond\n");
        assert!(writer.finish(None));
        for _ in 0..2 {
            reader.permit.send(Ok(())).unwrap();
        }
        writer.push(b"third\n");
        assert!(writer.finish(None));
        let shown: String = reader.shown.try_iter().collect();
        assert_eq!(
            shown,
            "third\nferryline: 2 lines lost here: what reads ferryline's output did not keep up\n"
        );
    }

    #[test]
    fn a_pipe_that_does_not_block_is_tried_again() {
        let (writer, reader) = gated(100);
        let full = || Err(io::ErrorKind::WouldBlock.into());
        for permit in [full(), full(), Ok(())] {
            reader.permit.send(permit).unwrap();
        }
        writer.push(b"line\n");
        assert!(writer.finish(None));
        assert_eq!(reader.shown.try_iter().collect::<String>(), "line\n");
    }

    #[test]
    fn a_closed_pipe_is_told_to_who_asks() {
        let (mut writer, reader) = gated(100);
        let closed = Err(io::ErrorKind::BrokenPipe.into());
        reader.permit.send(closed).unwrap();
        writer.write_all(b"line\n").unwrap();
        assert!(writer.finish(None));
        let error = writer.write_all(b"line\n").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
