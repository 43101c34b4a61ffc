//! Standard output, standard error and the file of the log. A program that runs for long never waits for their
//! readers.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io::{self, Write},
    panic,
    path::Path,
    sync::OnceLock,
    time::Duration,
};

use tracing::Level;

use super::{log_file::LogFile, log_form};
use crate::{paint::for_locale, queued_writer::QueuedWriter};

/// How long the end of the program may wait for the reader of its output.
#[derive(Clone, Copy, Debug)]
pub(super) enum Patience {
    /// A service that was asked to stop ends.
    Short,
    /// A command that is called for its output waits as long as it takes; signals end it.
    Endless,
}

/// The destination of the log and of the program's last message.
struct Stderr {
    writer: QueuedWriter,
    patience: Patience,
}

static STDERR: OnceLock<Stderr> = OnceLock::new();
static STDOUT: OnceLock<QueuedWriter> = OnceLock::new();
/// The file of `-E`, where the log goes in place of standard error.
static LOG_FILE: OnceLock<QueuedWriter> = OnceLock::new();

const SHORT: Duration = Duration::from_secs(1);

/// Sends the log to this file. Called before `start`. The error says what is wrong.
pub(super) fn log_to(path: &Path) -> Result<(), String> {
    let file = LogFile::open(path)
        .and_then(QueuedWriter::start)
        .map_err(|error| format!("cannot log to {}: {error}", path.display()))?;
    let _ = LOG_FILE.set(file);
    Ok(())
}

/// Whether the log goes to a file.
pub(super) fn is_log_in_file() -> bool {
    LOG_FILE.get().is_some()
}

/// Starts a thread that writes standard error; it reports panics, too. Returns where the log goes.
pub(super) fn start(patience: Patience) -> io::Result<QueuedWriter> {
    if let Some(started) = STDERR.get() {
        return Ok(log(started));
    }
    let writer = QueuedWriter::start(io::stderr())?;
    let told = writer.clone();
    panic::set_hook(Box::new(move |panic| {
        let mut text = format!("ferryline: a fault of its own: {panic}\n");
        let trace = Backtrace::capture();
        if trace.status() == BacktraceStatus::Captured {
            text.push_str(&format!("{trace}\n"));
        }
        told.push(text.as_bytes());
        to_log_file(&text);
    }));
    let started = STDERR.get_or_init(|| Stderr { writer, patience });
    Ok(log(started))
}

fn log(stderr: &Stderr) -> QueuedWriter {
    LOG_FILE.get().unwrap_or(&stderr.writer).clone()
}

fn to_log_file(text: &str) {
    if let Some(file) = LOG_FILE.get() {
        file.push(text.as_bytes());
    }
}

/// Standard output, for a program that must not wait for its reader.
pub(super) fn stdout() -> io::Result<QueuedWriter> {
    if let Some(started) = STDOUT.get() {
        return Ok(started.clone());
    }
    let writer = QueuedWriter::start(io::stdout())?;
    Ok(STDOUT.get_or_init(|| writer).clone())
}

/// Writes the error that ends the program to standard error, and to the file of the log.
pub(super) fn tell_last(text: &str) {
    to_log_file(&for_locale(&log_form::line(Level::ERROR, text)));
    tell_as(Level::ERROR, text);
}

/// Writes a line to standard error. The program goes on if standard error is no longer read.
pub(super) fn tell(text: &str) {
    tell_as(Level::INFO, text);
}

fn tell_as(level: Level, text: &str) {
    let line = log_form::line(level, text);
    let line = for_locale(&line);
    match STDERR.get() {
        Some(stderr) => stderr.writer.push(line.as_bytes()),
        None => {
            let _ = io::stderr().write_all(line.as_bytes());
        }
    }
}

/// Waits until all output is written, as long as `Patience` allows.
pub(super) fn finish() {
    let patience = match STDERR.get().map(|stderr| stderr.patience) {
        Some(Patience::Short) => Some(SHORT),
        Some(Patience::Endless) | None => None,
    };
    if let Some(stdout) = STDOUT.get() {
        stdout.finish(patience);
    }
    if let Some(file) = LOG_FILE.get() {
        file.finish(patience);
    }
    if let Some(stderr) = STDERR.get() {
        stderr.writer.finish(patience);
    }
}
