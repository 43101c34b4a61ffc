//! Records a session while it happens.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use ferryline_grammar::{Frame, Line, masked, masked_reply};

use super::{
    escape,
    event::{Event, Header},
    render::render,
    scribe::{Scribe, Transcript},
};
use crate::control::{Ending, ForwardEvent, ForwardId, Output};

/// Input of the state machine, in the form in which the recorder gets it.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// From the client.
    Client(&'a Frame),
    /// The client's side ended.
    ClientEnded(Ending),
    /// The client has ended its side, although some of what it sent has not been read yet.
    ClientLeft,
    /// Ferryline was told to stop at once.
    Cut,
    /// What became of a forward.
    Forward(ForwardId, &'a ForwardEvent),
    /// From the server.
    Server(&'a Frame),
    /// The server's side ended.
    ServerEnded(Ending),
    /// Ferryline was asked to stop.
    Stop,
    /// A deadline had passed.
    Timeout,
}

/// One session's transcript, written by a [`Scribe`]. Events are queued, and written in their order in whole
/// lines, so that after a crash only the last line can be torn. The argument of a password command is never
/// written. Dropping the recorder ends the transcript.
pub struct Recorder {
    scribe: Scribe,
    transcript: Arc<Transcript>,
}

impl Recorder {
    /// Begins the transcript of a session, in a file that only its owner can read. There must be no file of
    /// that name.
    pub fn begin(scribe: &Scribe, session: u64, path: PathBuf, header: &Header) -> Self {
        Self {
            scribe: scribe.clone(),
            transcript: scribe.begin(session, path, &heading(header)),
        }
    }

    /// Records an input of the state machine at `now`, before the machine gets it.
    pub fn input(&self, now: Duration, input: &Input<'_>) {
        self.event(Some(now), &recorded_input(input));
    }

    /// Records an output of the state machine.
    pub fn output(&self, output: &Output) {
        self.event(None, &recorded_output(output));
    }

    /// Records an event, at this time if it is an input. No password may be in it: [`recorded_input`] and
    /// [`recorded_output`] mask them.
    pub fn event(&self, at: Option<Duration>, event: &Event) {
        if let Some(mut line) = render(at, event) {
            line.push('\n');
            self.scribe.write(&self.transcript, &line);
        }
    }
}

/// The event that stands for an input of the state machine, passwords masked.
pub fn recorded_input(input: &Input<'_>) -> Event {
    match input {
        Input::Client(frame) => Event::Client(masked_frame(frame, masked_line)),
        Input::ClientEnded(ending) => Event::ClientEnded(*ending),
        Input::ClientLeft => Event::ClientLeft,
        Input::Forward(id, event) => Event::Forward(*id, (*event).clone()),
        Input::Server(frame) => Event::Server(masked_frame(frame, masked_reply_line)),
        Input::ServerEnded(ending) => Event::ServerEnded(*ending),
        Input::Cut => Event::Cut,
        Input::Stop => Event::Stop,
        Input::Timeout => Event::Timeout,
    }
}

/// The event that stands for an output of the state machine, passwords masked.
pub fn recorded_output(output: &Output) -> Event {
    Event::Output(match output {
        Output::ToServer(bytes) => {
            Output::ToServer(masked_line(&escape::split(bytes)).into_bytes())
        }
        Output::ToClient(bytes) => {
            Output::ToClient(masked_reply_line(&escape::split(bytes)).into_bytes())
        }
        other => other.clone(),
    })
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.scribe.leave(&self.transcript);
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}

/// First lines of a transcript.
pub(super) fn heading(header: &Header) -> String {
    let facts = render(None, &Event::Header(header.clone())).unwrap_or_default();
    format!(
        "# ferryline session 1\n# recorded by ferryline {}\n{facts}\n",
        env!("CARGO_PKG_VERSION")
    )
}

fn masked_frame(frame: &Frame, mask: impl Fn(&Line) -> Line) -> Frame {
    match frame {
        Frame::Line(line) => Frame::Line(mask(line)),
        Frame::Negotiation(asked) => Frame::Negotiation(*asked),
    }
}

fn masked_line(line: &Line) -> Line {
    Line::with_end(masked(line.text()).into_owned(), line.end())
}

fn masked_reply_line(line: &Line) -> Line {
    Line::with_end(masked_reply(line.text()).into_owned(), line.end())
}
