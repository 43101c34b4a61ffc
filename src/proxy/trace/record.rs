//! A session's transcript, where one was asked for.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ferryline_grammar::Frame;
use time::OffsetDateTime;

use super::{
    journal::{CARRIED, user_in},
    warnings::Warnings,
};
use crate::{
    control::Output,
    transcript::{
        Event, Fate, Header, Input, Keep, Recorder, Scribe, file_name, recorded_input,
        recorded_output,
    },
};

/// The folder that gets a transcript of every session, and their writer.
#[derive(Clone)]
pub(crate) struct Recording {
    folder: PathBuf,
    scribe: Scribe,
}

impl Recording {
    /// Starts transcripts of `limit` bytes at most; `None` where they cannot be written, which is logged.
    pub(crate) fn start(
        folder: &Path,
        limit: u64,
        keep: Keep,
        warnings: &Arc<Warnings>,
    ) -> Option<Self> {
        let warnings = Arc::clone(warnings);
        let told = move |session, path: &Path, fate| tell(&warnings, session, path, fate);
        match Scribe::start(limit, keep, told) {
            Ok(scribe) => {
                let place = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
                tracing::info!(target: CARRIED, "sessions are recorded in {}", place.display());
                Some(Self {
                    folder: folder.to_owned(),
                    scribe,
                })
            }
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
pub(crate) struct Record(Option<Stage>);

/// How far a transcript is.
enum Stage {
    /// The client has not said yet who its user is, whose name the file gets. Until then little happens, which
    /// waits here.
    Nameless(Box<Nameless>),
    Named(Recorder),
}

/// What the file will begin with.
struct Nameless {
    recording: Recording,
    session: u64,
    server: String,
    header: Header,
    since: OffsetDateTime,
    waiting: Vec<(Option<Duration>, Event)>,
    /// Bytes of the lines among them.
    bytes: usize,
}

/// Stands for the user in the name of a file whose session named none.
const NO_USER: &str = "no_user";

/// Number of events, and of bytes of lines, that wait for a user's name.
const MOST_WAITING: usize = 32;
const MOST_BYTES: usize = 16 * 1024;

impl Record {
    /// `server`: the FTP server, as its name is to stand in that of the file.
    pub(crate) fn begin(
        recording: Option<&Recording>,
        session: u64,
        server: &str,
        header: Header,
    ) -> Self {
        Self(recording.map(|recording| {
            Stage::Nameless(Box::new(Nameless {
                recording: recording.clone(),
                session,
                server: server.to_owned(),
                header,
                since: OffsetDateTime::now_utc(),
                waiting: Vec::new(),
                bytes: 0,
            }))
        }))
    }

    pub(crate) fn input(&mut self, now: Duration, input: &Input<'_>) {
        let user = match input {
            Input::Client(Frame::Line(line)) => user_in(line.text(), false),
            _ => None,
        };
        self.event(Some(now), recorded_input(input), user);
    }

    pub(crate) fn output(&mut self, output: &Output) {
        self.event(None, recorded_output(output), None);
    }

    fn event(&mut self, at: Option<Duration>, event: Event, user: Option<String>) {
        match &mut self.0 {
            Some(Stage::Named(recorder)) => recorder.event(at, &event),
            Some(Stage::Nameless(begun)) => {
                begun.bytes += bytes_of(&event);
                begun.waiting.push((at, event));
                let much = begun.bytes >= MOST_BYTES || begun.waiting.len() >= MOST_WAITING;
                if user.is_some() || much {
                    self.name(user.as_deref().unwrap_or(NO_USER));
                }
            }
            None => {}
        }
    }

    /// Begins the file, whose name has this user's.
    fn name(&mut self, user: &str) {
        match self.0.take() {
            Some(Stage::Nameless(begun)) => {
                let Recording { folder, scribe } = &begun.recording;
                let name = file_name(begun.since, user, &begun.server, begun.session);
                let path = folder.join(name);
                let recorder = Recorder::begin(scribe, begun.session, path, &begun.header);
                for (at, event) in &begun.waiting {
                    recorder.event(*at, event);
                }
                self.0 = Some(Stage::Named(recorder));
            }
            other => self.0 = other,
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.name(NO_USER);
    }
}

fn bytes_of(event: &Event) -> usize {
    match event {
        Event::Client(Frame::Line(line)) | Event::Server(Frame::Line(line)) => line.text().len(),
        Event::Output(Output::ToClient(bytes) | Output::ToServer(bytes)) => bytes.len(),
        _ => 0,
    }
}
