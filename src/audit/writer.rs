//! The thread that writes, and the queue in front of it. Sessions put lines into the queue and never wait: not for a
//! disk that is full, and not for one that stands still.
//!
//! [`QueuedWriter`](crate::queued_writer) is not used, although it has such a queue. It is given texts that are ready,
//! and says in words what was lost. Here a line gets its number and the hash of the line before it only when that one
//! is known to be in the file, what was lost is a line of the chain, and a line that a full disk did not take is kept
//! and tried again.

use std::{
    collections::VecDeque,
    io,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant, SystemTime},
};

use tokio::sync::oneshot;

use super::{
    chain::Chain,
    file::{Disk, Lines, OpenError},
    record::{Begin, LostLines, Record},
    stamp,
};
use crate::{lock::lock, log_limit::LogLimit};

/// What bounds a writer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Number of bytes that may wait to be written.
    pub(super) waiting: usize,
    /// How long a line that the disk did not take waits until it is tried again.
    pub(super) pause: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            waiting: 4 << 20,
            pause: Duration::from_secs(1),
        }
    }
}

/// Opens the file again; `None`: it is the file that is open.
pub(super) type Open<D> =
    Box<dyn FnMut() -> Result<Option<(Lines<D>, Option<Chain>)>, OpenError> + Send>;

/// A record that is written.
pub(super) struct Book<D> {
    lines: Lines<D>,
    chain: Chain,
    open: Open<D>,
    /// Why the next line is a `begin`.
    begins: Option<&'static str>,
}

impl<D: Disk> Book<D> {
    /// A record that begins, or goes on, in a file that has just been opened.
    pub(super) fn new(lines: Lines<D>, chain: Option<Chain>, open: Open<D>) -> Self {
        Self {
            lines,
            chain: chain.unwrap_or_default(),
            open,
            begins: Some("start"),
        }
    }

    /// Writes what has to stand before the next line, and that line.
    fn write(&mut self, item: Option<&Item>) -> io::Result<()> {
        if let Some(why) = self.begins {
            let begin = Begin::new(why, self.lines.unfinished());
            self.put(SystemTime::now(), &Record::Begin(begin).said())?;
            self.begins = None;
        } else if let Some(unfinished) = self.lines.unfinished() {
            let lost = LostLines {
                lines: 0,
                since: None,
                unfinished: Some(unfinished),
            };
            self.put(SystemTime::now(), &Record::LostLines(lost).said())?;
        }
        match item {
            Some(item) => self.put(item.at, &item.said),
            None => Ok(()),
        }
    }

    fn put(&mut self, at: SystemTime, said: &str) -> io::Result<()> {
        let line = self.chain.next(at, said);
        self.lines.append(line.as_bytes())?;
        self.chain.add(line.as_bytes());
        Ok(())
    }

    /// Goes on in the file that has the path now.
    fn reopen(&mut self) -> Result<(), OpenError> {
        let Some((lines, chain)) = (self.open)()? else {
            return Ok(());
        };
        // What the old file would need to be whole. If it does not take that, it will not take it later.
        let _ = self.write(None);
        let _ = self.lines.settle();
        self.lines = lines;
        if let Some(chain) = chain {
            self.chain = chain;
        }
        self.begins = Some("reopened");
        Ok(())
    }
}

/// Takes lines and writes them on a thread of its own.
#[derive(Debug)]
pub(super) struct Writer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    limits: Limits,
    state: Mutex<State>,
    /// There is something to do.
    filled: Condvar,
    not_written: LogLimit,
    lost: LogLimit,
    not_opened: LogLimit,
}

#[derive(Debug)]
struct Item {
    at: SystemTime,
    said: String,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Item>,
    /// Of those that wait.
    bytes: usize,
    lost: Lost,
    /// The number of all lines that were ever lost.
    ever_lost: u64,
    reopen: bool,
    /// The last line, which is written behind all others.
    end: Option<Item>,
    /// Gets the number of lines that were not written. Where it was set there is no further line.
    closing: Option<oneshot::Sender<u64>>,
    closed: bool,
    /// The thread waits for something to do.
    idle: bool,
}

/// The lines that were lost behind those that wait.
#[derive(Clone, Copy, Debug, Default)]
struct Lost {
    lines: u64,
    since: Option<SystemTime>,
}

enum Job {
    Line(Item),
    Lost(Lost),
    Reopen,
    Close(oneshot::Sender<u64>),
}

impl Writer {
    /// Starts the thread. It writes the first line, a `begin`, at once.
    ///
    /// # Errors
    ///
    /// The operating system has no thread for it.
    pub(super) fn start<D: Disk + Send + 'static>(
        path: PathBuf,
        book: Book<D>,
        limits: Limits,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            path,
            limits,
            state: Mutex::default(),
            filled: Condvar::new(),
            not_written: LogLimit::new(),
            lost: LogLimit::new(),
            not_opened: LogLimit::new(),
        });
        let thread = Arc::clone(&shared);
        thread::Builder::new()
            .name("ferryline-audit".into())
            .spawn(move || thread.run(book))?;
        Ok(Self(shared))
    }

    /// Number of lines that were lost so far.
    pub(super) fn lost(&self) -> u64 {
        lock(&self.0.state).ever_lost
    }

    /// Queues a line, or counts it as lost.
    pub(super) fn push(&self, at: SystemTime, said: String) {
        let mut state = lock(&self.0.state);
        if state.closed {
            return;
        }
        // Once a line was lost, all are lost up to the line that says so: the order is kept.
        let full = state.bytes.saturating_add(said.len()) > self.0.limits.waiting;
        if full || state.lost.lines > 0 {
            state.lost.lines = state.lost.lines.saturating_add(1);
            state.ever_lost = state.ever_lost.saturating_add(1);
            state.lost.since = state.lost.since.or(Some(at));
            drop(state);
            self.0.lost.warn(format_args!(
                "the audit record {} loses lines: the disk takes none, and {} bytes wait already",
                self.0.path.display(),
                self.0.limits.waiting
            ));
            return;
        }
        state.bytes += said.len();
        state.waiting.push_back(Item { at, said });
        if state.idle {
            self.0.filled.notify_one();
        }
    }

    /// Has the file opened anew, because it was moved away. Returns at once.
    pub(super) fn reopen(&self) {
        lock(&self.0.state).reopen = true;
        self.0.filled.notify_one();
    }

    /// Has all that waits written, and `end` behind it, for `patience` at most. Takes no line any more.
    pub(super) async fn close(&self, patience: Duration, end: String) {
        let (done, closed) = oneshot::channel();
        {
            let mut state = lock(&self.0.state);
            if std::mem::replace(&mut state.closed, true) {
                return;
            }
            state.end = Some(Item {
                at: SystemTime::now(),
                said: end,
            });
            state.closing = Some(done);
        }
        self.0.filled.notify_one();
        let path = self.0.path.display();
        match tokio::time::timeout(patience, closed).await {
            Ok(Ok(0) | Err(_)) => {}
            Ok(Ok(lines)) => tracing::warn!(
                "the audit record {path} is not complete: {lines} line{} could not be written",
                if lines == 1 { "" } else { "s" }
            ),
            Err(_) => tracing::warn!(
                "the audit record {path} is not complete: the disk has not taken its last lines within {} s",
                patience.as_secs()
            ),
        }
    }
}

impl Shared {
    /// The thread.
    fn run<D: Disk>(&self, mut book: Book<D>) {
        let mut unwritten = 0;
        self.write(&mut book, None);
        loop {
            match self.next() {
                Job::Line(item) => unwritten += u64::from(!self.write(&mut book, Some(&item))),
                Job::Lost(lost) => {
                    let said = Record::LostLines(LostLines {
                        lines: lost.lines,
                        since: lost.since.map(stamp::utc),
                        unfinished: None,
                    });
                    let item = Item {
                        at: SystemTime::now(),
                        said: said.said(),
                    };
                    match self.write(&mut book, Some(&item)) {
                        true => tracing::warn!(
                            "the audit record {} is written again; lines that were lost: {}",
                            self.path.display(),
                            lost.lines
                        ),
                        false => unwritten += lost.lines,
                    }
                }
                Job::Reopen => {
                    self.reopen(&mut book);
                    self.write(&mut book, None);
                }
                Job::Close(done) => {
                    let _ = book.lines.settle();
                    // Who asked may have lost patience.
                    let _ = done.send(unwritten);
                    return;
                }
            }
        }
    }

    /// Writes a line, as often as it takes. Returns whether it is written.
    fn write<D: Disk>(&self, book: &mut Book<D>, item: Option<&Item>) -> bool {
        loop {
            let is_last = lock(&self.state).closed;
            let Err(error) = book.write(item) else {
                return true;
            };
            self.not_written.warn(format_args!(
                "cannot write the audit record {}: {error}; sessions go on, and the lines wait as long as there is \
                 room for them",
                self.path.display()
            ));
            // While the record is closed there is no time to wait.
            if is_last {
                return false;
            }
            if self.pause_or_reopen() {
                self.reopen(book);
            }
        }
    }

    fn reopen<D: Disk>(&self, book: &mut Book<D>) {
        if let Err(error) = book.reopen() {
            self.not_opened.warn(format_args!(
                "not opened anew, the audit record goes on where it was: {error}"
            ));
        }
    }

    /// Waits for the next thing to do.
    fn next(&self) -> Job {
        let mut state = lock(&self.state);
        loop {
            if std::mem::take(&mut state.reopen) {
                return Job::Reopen;
            }
            if let Some(item) = state.waiting.pop_front() {
                state.bytes = state.bytes.saturating_sub(item.said.len());
                return Job::Line(item);
            }
            if state.lost.lines > 0 {
                return Job::Lost(std::mem::take(&mut state.lost));
            }
            if let Some(end) = state.end.take() {
                return Job::Line(end);
            }
            if let Some(done) = state.closing.take() {
                return Job::Close(done);
            }
            state.idle = true;
            state = self.wait(state, None);
            state.idle = false;
        }
    }

    /// Waits until a line should be tried again. Returns whether the file should be opened anew before.
    fn pause_or_reopen(&self) -> bool {
        let until = Instant::now() + self.limits.pause;
        let mut state = lock(&self.state);
        loop {
            if std::mem::take(&mut state.reopen) {
                return true;
            }
            let left = until.saturating_duration_since(Instant::now());
            if state.closed || left.is_zero() {
                return false;
            }
            state = self.wait(state, Some(left));
        }
    }

    fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        time: Option<Duration>,
    ) -> MutexGuard<'a, State> {
        match time {
            None => self
                .filled
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner),
            Some(time) => {
                let waited = self.filled.wait_timeout(state, time);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{file::tests::Memory, verify::Verifier};
    use super::*;

    const LIMITS: Limits = Limits {
        waiting: 200,
        pause: Duration::from_millis(1),
    };

    fn started(disk: &Memory) -> Writer {
        let book = Book::new(disk.lines(), None, Box::new(|| Ok(None)));
        Writer::start("audit.jsonl".into(), book, LIMITS).unwrap()
    }

    fn said(number: usize) -> String {
        format!("{{\"event\":\"transfer\",\"number\":\"{number:050}\"}}")
    }

    /// Closes it, and returns what the record says of itself.
    async fn closed(writer: &Writer, disk: &Memory) -> super::super::Summary {
        let end = "{\"event\":\"end\"}".to_owned();
        writer.close(Duration::from_secs(60), end).await;
        let mut verifier = Verifier::default();
        let content = disk.content();
        let checked = verifier.file("audit.jsonl", content.as_slice()).unwrap();
        checked.unwrap_or_else(|broken| panic!("{broken}\n{}", String::from_utf8_lossy(&content)));
        verifier.finish()
    }

    #[tokio::test]
    async fn a_disk_that_stands_still_holds_nobody_up_and_what_was_lost_is_said() {
        let disk = Memory::default();
        let stood = disk.stand();
        let writer = started(&disk);
        // The first line, which is no session's, is being written from here on.
        disk.asked();
        for number in 0..100 {
            writer.push(SystemTime::now(), said(number));
        }
        assert_eq!(disk.content(), b"");
        drop(stood);
        let summary = closed(&writer, &disk).await;
        assert_eq!((summary.transfers, summary.lost), (2, 98));
        assert_eq!(writer.lost(), 98);
        assert!(summary.closed);
        let text = String::from_utf8(disk.content()).unwrap();
        let order: Vec<_> = text
            .lines()
            .map(|line| {
                line.split("\"event\":\"")
                    .nth(1)
                    .unwrap()
                    .split('"')
                    .next()
                    .unwrap()
            })
            .collect();
        assert_eq!(
            order,
            ["begin", "transfer", "transfer", "lost-lines", "end"]
        );
    }

    #[tokio::test]
    async fn a_line_that_a_full_disk_did_not_take_is_tried_again() {
        let disk = Memory::default();
        let writer = started(&disk);
        disk.written(1);
        disk.takes(&[10, 0, 0, 30]);
        for number in 0..3 {
            writer.push(SystemTime::now(), said(number));
            disk.written(2 + number);
        }
        let summary = closed(&writer, &disk).await;
        assert_eq!((summary.transfers, summary.lost), (3, 0));
        assert_eq!(summary.unfinished, 0);
    }

    #[tokio::test]
    async fn a_file_that_only_grows_is_whole_all_the_same() {
        let disk = Memory::default();
        disk.only_appends();
        disk.takes(&[40, 1, 20]);
        let writer = started(&disk);
        // Two newlines that close parts off, and that of the first line.
        disk.written(3);
        writer.push(SystemTime::now(), said(1));
        let summary = closed(&writer, &disk).await;
        assert_eq!((summary.transfers, summary.unfinished), (1, 1));
    }

    /// Nothing is tried without end.
    #[tokio::test]
    async fn a_record_on_a_full_disk_is_closed_all_the_same() {
        let disk = Memory::default();
        disk.fill();
        let writer = started(&disk);
        writer.push(SystemTime::now(), said(1));
        writer
            .close(Duration::from_secs(60), "{\"event\":\"end\"}".to_owned())
            .await;
        assert_eq!(disk.content(), b"");
        // A second time, and a line too late, do nothing.
        writer.push(SystemTime::now(), said(2));
        writer.close(Duration::from_secs(60), String::new()).await;
    }
}
