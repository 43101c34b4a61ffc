//! The sessions that there are at the moment, for those who look at them from outside.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use super::session_facts::SessionFacts;
use crate::{
    control::DataCommands,
    lock::lock,
    proxy::moved::{Moved, Tally},
    ssh::ServerFacts,
};

/// The sessions that there are at the moment. Copies show the same ones.
#[derive(Clone, Default)]
pub struct LiveSessions(Arc<Mutex<BTreeMap<u64, Arc<Live>>>>);

/// A session, as it is at the moment.
#[derive(Clone, Debug)]
pub struct SessionView {
    /// Who takes part in it.
    pub facts: Arc<SessionFacts>,
    /// How long ago it began.
    pub age: Duration,
    /// The FTP user, as it may be shown; `None` before the first USER.
    pub user: Option<String>,
    /// The number of transfers that are over.
    pub transfers: u64,
    /// The transfer that runs.
    pub transfer: Option<TransferView>,
}

/// A transfer, as it is at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferView {
    /// The client's command, as it may be shown.
    pub command: String,
    /// How its data connection was asked for, as far as it is known.
    pub asked_by: Option<DataCommands>,
    /// How long ago the FTP server was sent the command.
    pub age: Duration,
    /// The size of its file in bytes, where the FTP server or the client has told.
    pub size: Option<u64>,
    /// Bytes over its data connection so far.
    pub moved: Moved,
}

struct Live {
    number: u64,
    began: Instant,
    end: CancellationToken,
    state: Mutex<LiveState>,
}

/// What changes in a session.
pub(crate) struct LiveState {
    facts: Arc<SessionFacts>,
    pub(crate) user: Option<String>,
    pub(crate) transfers: u64,
    pub(crate) running: Option<Running>,
}

/// The transfer that runs.
pub(crate) struct Running {
    pub(crate) command: String,
    pub(crate) asked_by: Option<DataCommands>,
    pub(crate) since: Instant,
    pub(crate) size: Option<u64>,
    /// Where the bytes of its data connection are counted, and how many of them are earlier transfers'.
    pub(crate) data: Option<(Arc<Tally>, Moved)>,
}

impl LiveSessions {
    /// The sessions, in the order in which they began.
    pub fn list(&self) -> Vec<SessionView> {
        let sessions: Vec<_> = lock(&self.0).values().cloned().collect();
        sessions.iter().map(|live| live.view()).collect()
    }

    /// The number of sessions.
    pub fn count(&self) -> usize {
        lock(&self.0).len()
    }

    /// Asks the session with this number to end at once, with a 421. Returns whether there is one.
    pub fn end(&self, number: u64) -> bool {
        let sessions = lock(&self.0);
        let live = sessions.get(&number);
        if let Some(live) = live {
            live.end.cancel();
        }
        live.is_some()
    }

    /// Shows this session for as long as the result lives.
    pub(crate) fn show(&self, facts: Arc<SessionFacts>) -> Shown {
        let number = facts.number;
        let live = Arc::new(Live {
            number,
            began: Instant::now(),
            end: CancellationToken::new(),
            state: Mutex::new(LiveState {
                facts,
                user: None,
                transfers: 0,
                running: None,
            }),
        });
        lock(&self.0).insert(number, Arc::clone(&live));
        Shown {
            sessions: self.clone(),
            live,
        }
    }
}

impl fmt::Debug for LiveSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LiveSessions({})", self.count())
    }
}

impl Live {
    fn view(&self) -> SessionView {
        let state = lock(&self.state);
        let transfer = state.running.as_ref().map(|running| TransferView {
            command: running.command.clone(),
            asked_by: running.asked_by,
            age: running.since.elapsed(),
            size: running.size,
            moved: running
                .data
                .as_ref()
                .map(|(tally, before)| tally.moved().since(*before))
                .unwrap_or_default(),
        });
        SessionView {
            facts: Arc::clone(&state.facts),
            age: self.began.elapsed(),
            user: state.user.clone(),
            transfers: state.transfers,
            transfer,
        }
    }
}

/// A session that is shown, until this is dropped.
pub(crate) struct Shown {
    sessions: LiveSessions,
    live: Arc<Live>,
}

impl Shown {
    pub(crate) fn facts(&self) -> Arc<SessionFacts> {
        Arc::clone(&lock(&self.live.state).facts)
    }

    /// Notes the FTP server that the client has named.
    pub(crate) fn set_server(&self, server: &str) {
        self.change_facts(|facts| server.clone_into(&mut facts.server));
    }

    /// Notes the SSH connection over which the FTP server was reached.
    pub(crate) fn set_ssh_server(&self, server: Option<Arc<ServerFacts>>) {
        self.change_facts(|facts| facts.ssh_server = server);
    }

    fn change_facts(&self, change: impl FnOnce(&mut SessionFacts)) {
        let mut state = lock(&self.live.state);
        let mut facts = SessionFacts::clone(&state.facts);
        change(&mut facts);
        state.facts = Arc::new(facts);
    }

    /// Is cancelled when the session is asked to end.
    pub(crate) fn end_token(&self) -> &CancellationToken {
        &self.live.end
    }

    /// Changes what is shown.
    pub(crate) fn change(&self, change: impl FnOnce(&mut LiveState)) {
        change(&mut lock(&self.live.state));
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        lock(&self.sessions.0).remove(&self.live.number);
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    fn facts(number: u64) -> Arc<SessionFacts> {
        Arc::new(SessionFacts {
            number,
            tunnel: "erp".into(),
            peer: "127.0.0.1:4000".parse().unwrap(),
            local_user: None,
            server: "ftp.internal:21".into(),
            ssh: "me@ssh.example".into(),
            ssh_server: None,
            began: SystemTime::UNIX_EPOCH,
        })
    }

    #[test]
    fn a_session_is_shown_until_it_is_over() {
        let sessions = LiveSessions::default();
        let (first, second) = (sessions.show(facts(1)), sessions.show(facts(2)));
        second.change(|state| state.user = Some("me".into()));
        let shown: Vec<_> = sessions
            .list()
            .into_iter()
            .map(|view| (view.facts.number, view.user))
            .collect();
        assert_eq!(shown, [(1, None), (2, Some("me".into()))]);
        drop(first);
        assert_eq!(sessions.count(), 1);
        assert!(!sessions.end(1));
        assert!(!second.end_token().is_cancelled());
        assert!(sessions.end(2) && second.end_token().is_cancelled());
    }

    #[test]
    fn a_transfer_is_shown_with_its_own_bytes() {
        let sessions = LiveSessions::default();
        let shown = sessions.show(facts(1));
        let tally = Arc::new(Tally::default());
        tally.to_client(b"earlier");
        let before = tally.moved();
        shown.change(|state| {
            state.running = Some(Running {
                command: "RETR a".into(),
                asked_by: None,
                since: Instant::now(),
                size: Some(10),
                data: Some((Arc::clone(&tally), before)),
            });
        });
        tally.to_client(b"now");
        let transfer = sessions.list().remove(0).transfer.unwrap();
        assert_eq!((transfer.moved.to_client, transfer.size), (3, Some(10)));
    }
}
