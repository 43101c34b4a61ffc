//! What a final reply that is held waits for, besides the end of its data connection.

use std::time::Duration;

/// The times of one held reply.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gate {
    /// The reply waits no longer than until then.
    until: Option<Duration>,
    asking: Asking,
}

/// Whether the SSH connection that carries the data has been asked for a sign of life.
#[derive(Clone, Copy, Debug)]
enum Asking {
    Never,
    At(Duration),
    /// It has been asked. The log says at `note_at` that there was no answer.
    Asked {
        note_at: Option<Duration>,
    },
}

/// What is due of a gate.
pub(super) enum Due {
    /// Ask the SSH connection for a sign of life.
    Ask,
    /// Say that there was no answer.
    Note,
    /// The reply has waited long enough.
    Open,
}

impl Gate {
    /// The reply waits until then at most; nothing is asked.
    pub(super) fn until(until: Duration) -> Self {
        Self {
            until: Some(until),
            asking: Asking::Never,
        }
    }

    /// The SSH connection is asked for a sign of life at `ask_at`.
    pub(super) fn asking(until: Option<Duration>, ask_at: Duration) -> Self {
        Self {
            until,
            asking: Asking::At(ask_at),
        }
    }

    /// What the reply waits for has become another thing. It is asked for a sign of life once.
    pub(super) fn renew(&mut self, renewed: Self, note_at: Duration) {
        self.until = renewed.until;
        self.asking = match self.asking {
            Asking::Never => renewed.asking,
            Asking::At(at) => Asking::At(at),
            Asking::Asked { note_at: before } => Asking::Asked {
                note_at: before.and(Some(note_at)),
            },
        };
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        let asking = match self.asking {
            Asking::Never => None,
            Asking::At(at) => Some(at),
            Asking::Asked { note_at } => note_at,
        };
        [self.until, asking].into_iter().flatten().min()
    }

    /// What is due now, and is not any more after this. `note_at`: when the log says that a question asked
    /// now has had no answer.
    pub(super) fn expire(&mut self, now: Duration, note_at: Duration) -> Option<Due> {
        let due = |time: &mut Option<Duration>| time.take_if(|time| *time <= now).is_some();
        if due(&mut self.until) {
            return Some(Due::Open);
        }
        match &mut self.asking {
            Asking::At(at) if *at <= now => {
                self.asking = Asking::Asked {
                    note_at: Some(note_at),
                };
                Some(Due::Ask)
            }
            Asking::Asked { note_at } => {
                let noted = due(note_at) && self.until.is_none();
                noted.then_some(Due::Note)
            }
            _ => None,
        }
    }
}
