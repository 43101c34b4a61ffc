//! What has been: the last failures, and the throughput of the last hour.

use std::{collections::VecDeque, sync::Mutex, time::Duration};

use serde::{Deserialize, Serialize};

use super::process;
use crate::{
    lock::lock,
    printable::printable,
    proxy::{Books, Entry, Moved, Outcome, Transferred},
};

/// The time between two looks at the bytes.
pub(super) const STEP: Duration = Duration::from_secs(10);

/// Number of steps that are kept: an hour.
const STEPS: usize = 360;

/// Number of failures that are kept.
const FAILURES: usize = 50;

/// What has been.
#[derive(Default)]
pub(super) struct History {
    failures: Mutex<VecDeque<Failure>>,
    throughput: Mutex<Throughput>,
}

/// The bytes of each step, the oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Throughput {
    /// All bytes up to the last step; `None` before the first look.
    last: Option<Moved>,
    to_client: VecDeque<u64>,
    to_server: VecDeque<u64>,
}

/// What has failed.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Failure {
    /// When, in seconds since 1970.
    pub at: f64,
    /// The tunnel.
    pub tunnel: String,
    /// The session, where there was one.
    pub session: Option<u64>,
    /// The FTP user, where the client had named it.
    pub user: Option<String>,
    /// What was asked for.
    pub command: String,
    /// The answer.
    pub reply: String,
}

/// What has been.
#[derive(Debug, Serialize)]
struct Past {
    failures: Vec<Failure>,
    /// The number of seconds of each step.
    step: u64,
    /// The bytes of each step, the oldest first.
    to_client: Vec<u64>,
    to_server: Vec<u64>,
}

impl Throughput {
    fn note(&mut self, moved: Moved) {
        if let Some(last) = self.last.replace(moved) {
            let steps = [
                (&mut self.to_client, moved.to_client, last.to_client),
                (&mut self.to_server, moved.to_server, last.to_server),
            ];
            for (steps, now, before) in steps {
                if steps.len() == STEPS {
                    steps.pop_front();
                }
                steps.push_back(now.saturating_sub(before));
            }
        }
    }
}

impl History {
    /// Notes all bytes so far. It is called once in each [`STEP`].
    pub(super) fn note(&self, moved: Moved) {
        lock(&self.throughput).note(moved);
    }

    fn throughput(&self) -> Throughput {
        lock(&self.throughput).clone()
    }

    /// The last failures, the newest first.
    fn failures(&self) -> Vec<Failure> {
        lock(&self.failures).iter().rev().cloned().collect()
    }

    /// All of it, as JSON.
    pub(super) fn json(&self) -> serde_json::Result<Vec<u8>> {
        let throughput = self.throughput();
        serde_json::to_vec(&Past {
            failures: self.failures(),
            step: STEP.as_secs(),
            to_client: throughput.to_client.into(),
            to_server: throughput.to_server.into(),
        })
    }

    fn fail(&self, failure: Failure) {
        let mut failures = lock(&self.failures);
        if failures.len() == FAILURES {
            failures.pop_front();
        }
        failures.push_back(failure);
    }
}

impl Books for History {
    fn enter(&self, entry: &Entry<'_>) {
        let at = process::now();
        match entry {
            Entry::LogInRefused {
                session,
                user,
                reply,
            } => self.fail(Failure {
                at,
                tunnel: session.tunnel.to_string(),
                session: Some(session.number),
                user: Some((*user).to_owned()),
                command: "log-in".to_owned(),
                reply: (*reply).to_owned(),
            }),
            Entry::Transferred { session, transfer } if transfer.outcome != Outcome::Complete => {
                self.fail(Failure {
                    at,
                    tunnel: session.tunnel.to_string(),
                    session: Some(session.number),
                    user: transfer.user.map(str::to_owned),
                    command: command(transfer),
                    reply: reply(transfer),
                });
            }
            Entry::ClientRefused {
                tunnel,
                peer,
                reason,
            } => self.fail(Failure {
                at,
                tunnel: tunnel.to_string(),
                session: None,
                user: None,
                command: format!("connection from {}", peer.ip()),
                reply: (*reason).to_owned(),
            }),
            Entry::SessionBegan(_)
            | Entry::LoggedIn { .. }
            | Entry::Transferred { .. }
            | Entry::SessionEnded { .. } => {}
        }
    }
}

/// Number of bytes that are kept of a command, and of a reply.
const SHOWN: usize = 200;

fn command(transfer: &Transferred<'_>) -> String {
    match transfer.report.command.as_ref() {
        [] => "a command that ferryline does not know".to_owned(),
        command => shown(&ferryline_grammar::masked(command)),
    }
}

fn reply(transfer: &Transferred<'_>) -> String {
    let Some(reply) = &transfer.report.answer else {
        return "no final reply".to_owned();
    };
    shown(&ferryline_grammar::masked_reply(reply.trim_ascii()))
}

/// Bytes of a peer, as they may be shown.
fn shown(text: &[u8]) -> String {
    printable(text.get(..SHOWN).unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_throughput_is_that_of_the_last_hour() {
        let mut throughput = Throughput::default();
        let mut moved = Moved::default();
        throughput.note(moved);
        for step in 1..=400_u64 {
            moved.to_client += step;
            throughput.note(moved);
        }
        assert_eq!(throughput.to_client.len(), STEPS);
        assert_eq!(throughput.to_client.front(), Some(&41));
        assert_eq!(throughput.to_client.back(), Some(&400));
        assert_eq!(throughput.to_server.iter().sum::<u64>(), 0);
    }

    #[test]
    fn the_last_failures_are_kept() {
        let history = History::default();
        for number in 0..60 {
            history.fail(Failure {
                at: 0.0,
                tunnel: "erp".into(),
                session: Some(number),
                user: None,
                command: "RETR a".into(),
                reply: "550 no".into(),
            });
        }
        let failures = history.failures();
        assert_eq!(failures.len(), FAILURES);
        assert_eq!(failures.first().and_then(|last| last.session), Some(59));
    }
}
