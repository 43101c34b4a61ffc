//! Writing a session down while it happens.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
    time::Duration,
};

use ferryline_grammar::{Frame, Line, masked};

use super::{
    escape,
    event::{Event, Header},
    render::render,
};
use crate::control::{Ending, ForwardEvent, ForwardId, Output};

/// What the state machine is told, as the recorder is shown it.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// From the client.
    Client(&'a Frame),
    /// The client's side ended.
    ClientEnded(Ending),
    /// The client has ended its side, although not all that it said before has been read.
    ClientLeft,
    /// Ferryline was told to wait no longer.
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

/// One session's file. Each event is written at once and in one piece, so that after a crash only
/// the last line can be torn. What a PASS, ACCT or ADAT carries is never written.
#[derive(Debug)]
pub struct Recorder {
    file: File,
}

impl Recorder {
    /// Makes the file, for its owner only; there must be none of that name.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn create(path: &Path, header: &Header) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut recorder = Self {
            file: options.open(path)?,
        };
        let title = format!(
            "# ferryline session 1\n# recorded by ferryline {}\n",
            env!("CARGO_PKG_VERSION")
        );
        recorder.file.write_all(title.as_bytes())?;
        recorder.event(None, &Event::Header(header.clone()))?;
        Ok(recorder)
    }

    /// What the state machine is told at `now`, before it is told.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn input(&mut self, now: Duration, input: &Input<'_>) -> io::Result<()> {
        let event = match input {
            Input::Client(frame) => Event::Client(masked_frame(frame)),
            Input::ClientEnded(ending) => Event::ClientEnded(*ending),
            Input::ClientLeft => Event::ClientLeft,
            Input::Forward(id, event) => Event::Forward(*id, (*event).clone()),
            Input::Server(frame) => Event::Server((*frame).clone()),
            Input::ServerEnded(ending) => Event::ServerEnded(*ending),
            Input::Cut => Event::Cut,
            Input::Stop => Event::Stop,
            Input::Timeout => Event::Timeout,
        };
        self.event(Some(now), &event)
    }

    /// What the state machine asked for.
    ///
    /// # Errors
    ///
    /// What the file system says.
    pub fn output(&mut self, output: &Output) -> io::Result<()> {
        let output = match output {
            Output::ToServer(bytes) => {
                let line = masked_line(&escape::split(bytes));
                Output::ToServer(line.into_bytes())
            }
            other => other.clone(),
        };
        self.event(None, &Event::Output(output))
    }

    fn event(&mut self, at: Option<Duration>, event: &Event) -> io::Result<()> {
        match render(at, event) {
            Some(mut line) => {
                line.push('\n');
                self.file.write_all(line.as_bytes())
            }
            None => Ok(()),
        }
    }
}

fn masked_frame(frame: &Frame) -> Frame {
    match frame {
        Frame::Line(line) => Frame::Line(masked_line(line)),
        Frame::Negotiation(asked) => Frame::Negotiation(*asked),
    }
}

fn masked_line(line: &Line) -> Line {
    Line::with_end(masked(line.text()).into_owned(), line.end())
}
