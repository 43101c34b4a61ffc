//! A session's transcript, where one was asked for.

use std::{
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::Context;
use crate::{
    control::Output,
    transcript::{Header, Input, Recorder},
};

/// Writes the session down, or does nothing. A transcript that cannot be written any more ends; the
/// session goes on.
pub(super) struct Record {
    session: u64,
    recorder: Option<Recorder>,
}

impl Record {
    pub(super) fn begin(context: &Context, session: u64, header: &Header) -> Self {
        let mut record = Self {
            session,
            recorder: None,
        };
        if let Some(folder) = &context.options.record {
            let path = path(folder, session);
            match Recorder::create(&path, header) {
                Ok(recorder) => {
                    tracing::info!("#{session} is recorded in {}", path.display());
                    record.recorder = Some(recorder);
                }
                Err(error) => {
                    tracing::warn!("#{session} is not recorded: {}: {error}", path.display())
                }
            }
        }
        record
    }

    pub(super) fn input(&mut self, now: Duration, input: &Input<'_>) {
        self.write(|recorder| recorder.input(now, input));
    }

    pub(super) fn output(&mut self, output: &Output) {
        self.write(|recorder| recorder.output(output));
    }

    fn write(&mut self, write: impl FnOnce(&mut Recorder) -> std::io::Result<()>) {
        if let Some(recorder) = &mut self.recorder
            && let Err(error) = write(recorder)
        {
            tracing::warn!("#{} is recorded no further: {error}", self.session);
            self.recorder = None;
        }
    }
}

/// `TIME-PROCESS-SESSION.session`: in order of time, and never the name of another.
fn path(folder: &Path, session: u64) -> std::path::PathBuf {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    folder.join(format!(
        "{}-{}-{session:06}.session",
        now.as_millis(),
        std::process::id()
    ))
}
