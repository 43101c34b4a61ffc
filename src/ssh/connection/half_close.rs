//! How far a channel has come to its end. Each direction is tracked by itself (RFC 4254 section 5.3), as in
//! OpenSSH's `nchan.c`: events change the state, and the state says what is to be sent.

use std::sync::Mutex;

use crate::lock::lock;

/// The state of both directions.
#[derive(Debug, Default)]
pub(super) struct HalfClose(Mutex<Directions>);

#[derive(Debug, Default)]
struct Directions {
    input: Input,
    output: Output,
}

/// The direction from the far side.
#[derive(Clone, Copy, Debug, Default)]
enum Input {
    #[default]
    Empty,
    Data,
    Eof {
        after_data: bool,
    },
}

/// The direction to the far side.
#[derive(Clone, Copy, Debug, Default)]
enum Output {
    #[default]
    Empty,
    Data,
    Eof {
        after_data: bool,
        /// What the far side still sends is dropped. This side waits until the far side closes the channel.
        leaving: bool,
    },
    Close {
        after_data: bool,
    },
}

/// What is left to do for a channel that has no holder any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Parting {
    /// The far side closes it by itself.
    Await,
    /// The far side closes it once it is sent an end of file.
    SendEof,
    /// This side has to close it.
    Close,
}

impl HalfClose {
    /// Notes that bytes came.
    pub(super) fn received_data(&self) {
        let mut now = lock(&self.0);
        now.input = match now.input {
            Input::Empty => Input::Data,
            other => other,
        };
    }

    /// Notes an end of file that came. Returns whether it ends a download: bytes came, and none were sent.
    pub(super) fn received_eof(&self) -> bool {
        let mut now = lock(&self.0);
        let after_data = now.input.has_had_data();
        now.input = Input::Eof { after_data };
        after_data && !now.output.has_had_data()
    }

    /// Notes that bytes are about to be sent.
    pub(super) fn sends_data(&self) {
        let mut now = lock(&self.0);
        now.output = match now.output {
            Output::Empty => Output::Data,
            other => other,
        };
    }

    /// Notes an end of file that is about to be sent. `false`: one was sent before, or the channel was closed.
    pub(super) fn sends_eof(&self) -> bool {
        let mut now = lock(&self.0);
        let after_data = now.output.has_had_data();
        match now.output {
            Output::Empty | Output::Data => {
                now.output = Output::Eof {
                    after_data,
                    leaving: false,
                };
                true
            }
            Output::Eof { .. } | Output::Close { .. } => false,
        }
    }

    /// Notes that the end of file has been sent, and that what the far side still sends is not wanted.
    pub(super) fn leaves(&self) {
        if let Output::Eof { leaving, .. } = &mut lock(&self.0).output {
            *leaving = true;
        }
    }

    /// Notes that the channel is about to be closed. `false`: it was closed before.
    pub(super) fn sends_close(&self) -> bool {
        let mut now = lock(&self.0);
        let after_data = now.output.has_had_data();
        match now.output {
            Output::Close { .. } => false,
            Output::Empty | Output::Data | Output::Eof { .. } => {
                now.output = Output::Close { after_data };
                true
            }
        }
    }

    pub(super) fn has_received_eof(&self) -> bool {
        matches!(lock(&self.0).input, Input::Eof { .. })
    }

    /// Whether the far side was sent an end of file, or a close.
    pub(super) fn has_sent_eof(&self) -> bool {
        matches!(
            lock(&self.0).output,
            Output::Eof { .. } | Output::Close { .. }
        )
    }

    pub(super) fn has_sent_close(&self) -> bool {
        matches!(lock(&self.0).output, Output::Close { .. })
    }

    /// Whether both directions have ended by themselves, so that the far side is about to close the channel.
    pub(super) fn is_orderly(&self) -> bool {
        let now = lock(&self.0);
        matches!(
            (now.input, now.output),
            (Input::Eof { .. }, Output::Eof { .. })
        )
    }

    /// What is left to do when the channel has no holder any more.
    pub(super) fn parting(&self) -> Parting {
        let now = lock(&self.0);
        match (now.input, now.output) {
            (_, Output::Eof { leaving: true, .. }) | (Input::Eof { .. }, Output::Eof { .. }) => {
                Parting::Await
            }
            (Input::Eof { .. }, Output::Empty | Output::Data) => Parting::SendEof,
            (Input::Empty | Input::Data, _) | (Input::Eof { .. }, Output::Close { .. }) => {
                Parting::Close
            }
        }
    }
}

impl Input {
    fn has_had_data(self) -> bool {
        match self {
            Self::Empty => false,
            Self::Data => true,
            Self::Eof { after_data } => after_data,
        }
    }
}

impl Output {
    fn has_had_data(self) -> bool {
        match self {
            Self::Empty => false,
            Self::Data => true,
            Self::Eof { after_data, .. } | Self::Close { after_data } => after_data,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_is_one_that_nothing_was_sent_for() {
        let [download, upload, both, neither] = [(); 4].map(|()| HalfClose::default());
        download.received_data();
        assert!(download.received_eof());
        upload.sends_data();
        assert!(!upload.received_eof());
        both.received_data();
        both.sends_data();
        assert!(both.sends_eof());
        assert!(!both.received_eof(), "what was sent before its end counts");
        assert!(!neither.received_eof());
    }

    #[test]
    fn each_end_is_sent_once_and_no_end_of_file_behind_a_close() {
        let ends = HalfClose::default();
        assert!(ends.sends_eof() && !ends.sends_eof());
        assert!(ends.sends_close() && !ends.sends_close());
        assert!(!ends.sends_eof());
        let closed = HalfClose::default();
        assert!(closed.sends_close() && !closed.sends_eof());
        assert!(closed.has_sent_close() && !closed.is_orderly());
    }

    #[test]
    fn how_a_channel_that_nobody_holds_comes_to_its_end() {
        let parting = |steps: &[fn(&HalfClose)]| {
            let ends = HalfClose::default();
            for step in steps {
                step(&ends);
            }
            ends.parting()
        };
        let sent: fn(&HalfClose) = |ends| assert!(ends.sends_eof());
        let received: fn(&HalfClose) = |ends| _ = ends.received_eof();
        let leaves: fn(&HalfClose) = HalfClose::leaves;
        assert_eq!(parting(&[]), Parting::Close);
        assert_eq!(parting(&[sent]), Parting::Close);
        assert_eq!(parting(&[sent, leaves]), Parting::Await);
        assert_eq!(parting(&[received]), Parting::SendEof);
        assert_eq!(parting(&[received, sent]), Parting::Await);
        // A channel that is left has been sent an end of file.
        assert_eq!(parting(&[leaves]), Parting::Close);
    }
}
