//! A session's transcript, where one was asked for.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::warnings::Warnings;
use crate::{
    control::Output,
    transcript::{Fate, Header, Input, Recorder, Scribe},
};

/// The folder that gets a transcript of every session, and their writer.
#[derive(Clone)]
pub(crate) struct Recording {
    folder: PathBuf,
    scribe: Scribe,
}

impl Recording {
    /// Starts transcripts of `limit` bytes at most; `None` where they cannot be written, which is logged.
    pub(crate) fn start(folder: &Path, limit: u64, warnings: &Arc<Warnings>) -> Option<Self> {
        let warnings = Arc::clone(warnings);
        let told = move |session, path: &Path, fate| tell(&warnings, session, path, fate);
        match Scribe::start(limit, told) {
            Ok(scribe) => Some(Self {
                folder: folder.to_owned(),
                scribe,
            }),
            Err(error) => {
                tracing::warn!("no session is recorded: no thread for it: {error}");
                None
            }
        }
    }

    /// Has what is left written, but does not wait for a file system that does not respond.
    pub(crate) async fn finish(&self) {
        if !self.scribe.finish(LAST_LINES).await {
            tracing::warn!(
                "transcripts are not complete: the file system has not taken them within {} s",
                LAST_LINES.as_secs()
            );
        }
    }
}

/// How long the end of the program waits for transcripts.
const LAST_LINES: Duration = Duration::from_secs(1);

fn tell(warnings: &Warnings, session: u64, path: &Path, fate: Fate) {
    let path = path.display();
    match fate {
        Fate::Begun => tracing::info!("#{session} is recorded in {path}"),
        Fate::NotMade(error) => warnings.not_recorded.warn(format_args!(
            "#{session} is not recorded, the session goes on: {path}: {error}"
        )),
        Fate::Failed(error) => warnings.recorded_no_further.warn(format_args!(
            "#{session} is recorded no further, the session goes on: {path}: {error}"
        )),
        Fate::Full(limit) => warnings.recorded_no_further.warn(format_args!(
            "#{session} is recorded no further, the session goes on: {path} has the {limit} bytes that a \
             transcript may have (--record-limit)"
        )),
        Fate::TooSlow => warnings.recorded_no_further.warn(format_args!(
            "#{session} is recorded no further, the session goes on: {path}: the file system does not keep up"
        )),
    }
}

/// A session's transcript, or nothing. It waits for no file system: a transcript that cannot be written any
/// more ends, and the session goes on.
pub(crate) struct Record(Option<Recorder>);

impl Record {
    pub(crate) fn begin(recording: Option<&Recording>, session: u64, header: &Header) -> Self {
        Self(recording.map(|Recording { folder, scribe }| {
            Recorder::begin(scribe, session, path(folder, session), header)
        }))
    }

    pub(crate) fn input(&self, now: Duration, input: &Input<'_>) {
        if let Some(recorder) = &self.0 {
            recorder.input(now, input);
        }
    }

    pub(crate) fn output(&self, output: &Output) {
        if let Some(recorder) = &self.0 {
            recorder.output(output);
        }
    }
}

/// The path `TIME-PROCESS-SESSION.session`: in order of time, and never the name of another.
fn path(folder: &Path, session: u64) -> PathBuf {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    folder.join(format!(
        "{}-{}-{session:06}.session",
        now.as_millis(),
        std::process::id()
    ))
}
