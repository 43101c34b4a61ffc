//! The thread that writes transcripts: a file system that is blocked holds up only this thread.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use tokio::sync::oneshot;

use super::{
    event::{Event, Incomplete},
    name::process_of,
    render::render,
};
use crate::lock::lock;

/// Number of bytes of one transcript that may wait to be written: a reply line of 64 KiB stands in it twice,
/// with up to four bytes for one.
const WAITING: usize = 2 << 20;

/// The same, for all transcripts together.
const ALL_WAITING: usize = 16 << 20;

/// Room that is kept in a transcript's size for the line that says that it has ended.
const LAST_LINE: u64 = 64;

/// What is kept of the transcripts in a folder. The oldest are removed, but none that is still being written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// Most files; `None`: all.
    pub files: Option<usize>,
    /// Most bytes of all files together; `None`: all.
    pub bytes: Option<u64>,
}

/// Fate of a transcript.
#[derive(Debug)]
pub enum Fate {
    /// Its file was made.
    Begun,
    /// Its file could not be made.
    NotMade(io::Error),
    /// No more could be written; what is in the file is whole lines.
    Failed(io::Error),
    /// It reached its size limit, in bytes.
    Full(u64),
    /// The file system does not keep up.
    TooSlow,
}

/// Callback that gets the fate of each transcript, with its session and its file. Called from the thread that
/// writes and from those that record.
pub type Told = dyn Fn(u64, &Path, Fate) + Send + Sync;

/// Writes the transcripts of all sessions on a thread of its own. A task that records never waits for it.
#[derive(Clone)]
pub struct Scribe {
    work: mpsc::Sender<Work>,
    shared: Arc<Shared>,
}

struct Shared {
    /// Most bytes of a transcript.
    limit: u64,
    told: Box<Told>,
    /// Bytes of all transcripts that wait to be written.
    waiting: AtomicUsize,
}

enum Work {
    /// There is something to write.
    Write(Arc<Transcript>),
    /// All that came before is written.
    Finish(oneshot::Sender<()>),
}

/// One session's transcript, between the session and the thread.
pub(super) struct Transcript {
    session: u64,
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: String,
    /// The thread has been told of it and has not come to it yet.
    announced: bool,
    /// Number of bytes accepted so far.
    taken: u64,
    /// Nothing more is accepted.
    over: bool,
    /// Its session is over.
    left: bool,
    /// Its file accepts no more, or could not be made.
    failed: bool,
}

/// How a file is made; the tests' own files block, or are full.
pub(super) type Make = dyn Fn(&Path) -> io::Result<Box<dyn Paper>> + Send;

/// File that a transcript is written to.
pub(super) trait Paper: Send {
    fn write(&mut self, text: &[u8]) -> io::Result<usize>;
    /// Cuts it down to this many bytes.
    fn shorten(&mut self, length: u64) -> io::Result<()>;
}

impl Paper for File {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        Write::write(self, text)
    }

    fn shorten(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}

impl Scribe {
    /// Starts the thread. A transcript has `limit` bytes at most, and a folder holds what `keep` says.
    ///
    /// # Errors
    ///
    /// If the operating system has no thread for it.
    pub fn start(
        limit: u64,
        keep: Keep,
        told: impl Fn(u64, &Path, Fate) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        Self::start_with(limit, keep, told, Box::new(make))
    }

    pub(super) fn start_with(
        limit: u64,
        keep: Keep,
        told: impl Fn(u64, &Path, Fate) + Send + Sync + 'static,
        make: Box<Make>,
    ) -> io::Result<Self> {
        let (work, to_do) = mpsc::channel();
        let shared = Arc::new(Shared {
            limit,
            told: Box::new(told),
            waiting: AtomicUsize::new(0),
        });
        let writer = Writer {
            shared: Arc::clone(&shared),
            make,
            keep,
            files: HashMap::new(),
        };
        thread::Builder::new()
            .name("ferryline-record".into())
            .spawn(move || writer.run(&to_do))?;
        Ok(Self { work, shared })
    }

    /// Begins the transcript of a session with these lines.
    pub(super) fn begin(&self, session: u64, path: PathBuf, heading: &str) -> Arc<Transcript> {
        let transcript = Arc::new(Transcript {
            session,
            path,
            state: Mutex::default(),
        });
        self.write(&transcript, heading);
        transcript
    }

    /// Waits until all is written, for `patience` at most. Returns whether all is written.
    pub async fn finish(&self, patience: Duration) -> bool {
        let (done, all_done) = oneshot::channel();
        let asked = self.work.send(Work::Finish(done)).is_ok();
        asked && matches!(tokio::time::timeout(patience, all_done).await, Ok(Ok(())))
    }

    /// Queues whole lines, or ends the transcript.
    pub(super) fn write(&self, transcript: &Arc<Transcript>, lines: &str) {
        let mut state = transcript.state();
        if state.over {
            return;
        }
        let size = state.taken.saturating_add(to_u64(lines.len()));
        let waiting = state.waiting.len().saturating_add(lines.len());
        let all_waiting = self.shared.waiting.load(Ordering::Relaxed);
        let end = if size.saturating_add(LAST_LINE) > self.shared.limit {
            Some((Incomplete::SizeLimit, Fate::Full(self.shared.limit)))
        } else if waiting > WAITING || all_waiting.saturating_add(lines.len()) > ALL_WAITING {
            Some((Incomplete::TooSlow, Fate::TooSlow))
        } else {
            None
        };
        let fate = match end {
            Some((why, fate)) => {
                state.over = true;
                self.push(&mut state, &last_line(why));
                Some(fate)
            }
            None => {
                self.push(&mut state, lines);
                None
            }
        };
        let announced = std::mem::replace(&mut state.announced, true);
        drop(state);
        if !announced {
            // The thread ends only after the last sender.
            let _ = self.work.send(Work::Write(Arc::clone(transcript)));
        }
        if let Some(fate) = fate {
            (self.shared.told)(transcript.session, &transcript.path, fate);
        }
    }

    /// Ends the transcript with its session: its file is closed when all is written.
    pub(super) fn leave(&self, transcript: &Arc<Transcript>) {
        transcript.state().left = true;
        let _ = self.work.send(Work::Write(Arc::clone(transcript)));
    }

    fn push(&self, state: &mut State, lines: &str) {
        self.shared
            .waiting
            .fetch_add(lines.len(), Ordering::Relaxed);
        state.taken = state.taken.saturating_add(to_u64(lines.len()));
        state.waiting.push_str(lines);
    }
}

impl Transcript {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// State of the thread.
struct Writer {
    shared: Arc<Shared>,
    make: Box<Make>,
    keep: Keep,
    /// Open files, by session.
    files: HashMap<u64, Open>,
}

struct Open {
    paper: Box<dyn Paper>,
    path: PathBuf,
    /// Number of bytes of whole lines in it.
    length: u64,
    /// Number of those that are the heading's. A file without more is of no use.
    heading: u64,
}

impl Writer {
    fn run(mut self, to_do: &mpsc::Receiver<Work>) {
        while let Ok(work) = to_do.recv() {
            match work {
                Work::Write(transcript) => self.write(&transcript),
                Work::Finish(done) => {
                    let _ = done.send(());
                }
            }
        }
    }

    fn write(&mut self, transcript: &Transcript) {
        let (lines, left, failed) = {
            let mut state = transcript.state();
            state.announced = false;
            let lines = std::mem::take(&mut state.waiting);
            (lines, state.left, state.failed)
        };
        if !lines.is_empty()
            && !failed
            && let Err(fate) = self.write_lines(transcript, &lines)
        {
            let mut state = transcript.state();
            state.over = true;
            state.failed = true;
            drop(state);
            self.files.remove(&transcript.session);
            (self.shared.told)(transcript.session, &transcript.path, fate);
        }
        self.shared
            .waiting
            .fetch_sub(lines.len(), Ordering::Relaxed);
        if left {
            self.files.remove(&transcript.session);
        }
    }

    fn write_lines(&mut self, transcript: &Transcript, lines: &str) -> Result<(), Fate> {
        let Some(open) = self.files.get_mut(&transcript.session) else {
            return self.begin(transcript, lines);
        };
        write(open, lines).map_err(|error| give_up(open, error, &transcript.path))
    }

    /// Makes the file; the lines begin with the heading.
    fn begin(&mut self, transcript: &Transcript, lines: &str) -> Result<(), Fate> {
        let paper = (self.make)(&transcript.path).map_err(Fate::NotMade)?;
        let header_end = lines.find("\n!").and_then(|start| {
            let rest = lines.get(start + 1..)?;
            Some(start + 2 + rest.find('\n')?)
        });
        let mut open = Open {
            paper,
            path: transcript.path.clone(),
            length: 0,
            heading: to_u64(header_end.unwrap_or(lines.len())),
        };
        write(&mut open, lines).map_err(|error| give_up(&mut open, error, &transcript.path))?;
        (self.shared.told)(transcript.session, &transcript.path, Fate::Begun);
        self.files.insert(transcript.session, open);
        if let Some(folder) = transcript.path.parent()
            && self.keep != Keep::default()
        {
            self.remove_oldest(folder);
        }
        Ok(())
    }

    /// Removes the oldest transcripts of the folder, until it holds no more than is to be kept. Other files are
    /// left alone, and so is what another process may be writing still. What cannot be looked at or removed stays:
    /// the next transcript is another occasion.
    fn remove_oldest(&self, folder: &Path) {
        let Ok(entries) = fs::read_dir(folder) else {
            return;
        };
        let mut found: Vec<(PathBuf, u64, bool)> = entries
            .filter_map(Result::ok)
            .filter_map(|entry| {
                let process = process_of(entry.file_name().to_str()?)?;
                // Not that of what a symbolic link leads to.
                let facts = entry.metadata().ok().filter(fs::Metadata::is_file)?;
                let path = entry.path();
                let open = match process == std::process::id() {
                    true => self.files.values().any(|open| open.path == path),
                    false => may_run(process),
                };
                Some((path, facts.len(), open))
            })
            .collect();
        // The names begin with the time.
        found.sort_unstable();
        let mut files = found.len();
        let mut bytes: u64 = found.iter().map(|(_, length, _)| length).sum();
        for (path, length, open) in found {
            let too_many = self.keep.files.is_some_and(|most| files > most);
            let too_much = self.keep.bytes.is_some_and(|most| bytes > most);
            if !too_many && !too_much {
                return;
            }
            if open {
                continue;
            }
            // One that cannot be removed must not cost those behind it their place.
            let _ = fs::remove_file(&path);
            files -= 1;
            bytes -= length;
        }
    }
}

/// Whether a process with this number may be there.
fn may_run(process: u32) -> bool {
    let processes = Path::new("/proc");
    // Where the system has no such table, it may.
    !processes.join("self").exists() || processes.join(process.to_string()).exists()
}

/// Writes all of it. If the write fails half-way, the whole lines are counted.
fn write(open: &mut Open, lines: &str) -> io::Result<()> {
    let mut rest = lines.as_bytes();
    let result = loop {
        if rest.is_empty() {
            break Ok(());
        }
        match open.paper.write(rest) {
            Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => break Err(error),
        }
    };
    let written = lines.as_bytes().get(..lines.len() - rest.len());
    let written = written.unwrap_or_default();
    let whole = written.iter().rposition(|byte| *byte == b'\n');
    open.length += to_u64(whole.map_or(0, |end| end + 1));
    result
}

/// Removes a torn line, and the whole file where no event is in it.
fn give_up(open: &mut Open, error: io::Error, path: &Path) -> Fate {
    let length = open.length;
    if length <= open.heading {
        return match fs::remove_file(path) {
            Ok(()) => Fate::NotMade(error),
            Err(_) => Fate::Failed(error),
        };
    }
    if open.paper.shorten(length).is_ok() {
        // A full disk may have room for it, now that the torn line is removed.
        let last = last_line(Incomplete::NotWritten);
        let torn = !matches!(open.paper.write(last.as_bytes()), Ok(all) if all == last.len());
        if torn {
            let _ = open.paper.shorten(length);
        }
    }
    Fate::Failed(error)
}

fn last_line(why: Incomplete) -> String {
    let line = render(None, &Event::RecordingEnded(why));
    format!("{}\n", line.unwrap_or_default())
}

fn make(path: &Path) -> io::Result<Box<dyn Paper>> {
    let mut options = OpenOptions::new();
    // At the end, wherever that is: a torn line may have been removed.
    options.append(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    Ok(Box::new(options.open(path)?))
}

fn to_u64(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
