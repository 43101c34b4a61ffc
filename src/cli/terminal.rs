//! Standard output and standard error. A program that runs for long never waits for their readers.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io::{self, Write},
    panic,
    sync::OnceLock,
    time::Duration,
};

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

const SHORT: Duration = Duration::from_secs(1);

/// Starts a thread that writes standard error; it reports panics, too.
pub(super) fn start(patience: Patience) -> io::Result<QueuedWriter> {
    if let Some(started) = STDERR.get() {
        return Ok(started.writer.clone());
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
    }));
    let started = STDERR.get_or_init(|| Stderr { writer, patience });
    Ok(started.writer.clone())
}

/// Standard output, for a program that must not wait for its reader.
pub(super) fn stdout() -> io::Result<QueuedWriter> {
    if let Some(started) = STDOUT.get() {
        return Ok(started.clone());
    }
    let writer = QueuedWriter::start(io::stdout())?;
    Ok(STDOUT.get_or_init(|| writer).clone())
}

/// Writes a line to standard error. The program goes on if standard error is no longer read.
pub(super) fn tell(text: &str) {
    let line = format!("ferryline: {text}\n");
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
    if let Some(stderr) = STDERR.get() {
        stderr.writer.finish(patience);
    }
}
