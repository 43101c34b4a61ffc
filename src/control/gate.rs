//! What a held final reply waits for, besides the end of its data connection.

use std::time::Duration;

/// Deadlines of one held reply.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gate {
    /// The reply waits until this time at most.
    until: Option<Duration>,
    asking: Asking,
}

/// Whether the SSH connection that carries the data has been asked for a keepalive reply.
#[derive(Clone, Copy, Debug)]
enum Asking {
    Never,
    At(Duration),
    /// It has been asked. At `note_at` the log says that there was no answer.
    Asked {
        note_at: Option<Duration>,
    },
}

/// What is due at a gate.
pub(super) enum Due {
    /// Ask the SSH connection for a keepalive reply.
    Ask,
    /// Say in the log that there was no answer.
    Note,
    /// Pass the reply on: it has waited long enough.
    Open,
}

impl Gate {
    /// A gate that opens at this time at the latest, and asks nothing.
    pub(super) fn until(until: Duration) -> Self {
        Self {
            until: Some(until),
            asking: Asking::Never,
        }
    }

    /// A gate that asks the SSH connection for a keepalive reply at `ask_at`.
    pub(super) fn asking(until: Option<Duration>, ask_at: Duration) -> Self {
        Self {
            until,
            asking: Asking::At(ask_at),
        }
    }

    /// Takes over what the reply waits for from now on. The keepalive reply is asked for once only.
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

    /// Takes what is due now. `note_at`: when the log says that a question asked now has had no answer.
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
