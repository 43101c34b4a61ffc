//! What the tasks of one forward share.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    options::Options,
    policy::{admission::Admission, spec::ForwardSpec},
    servers::{home::Homes, known::Servers},
    trace::{
        books::{Entry, tell},
        observe::Observer,
        record::Recording,
        warnings::Warnings,
    },
};
use crate::ssh;

/// What the tasks of one forward share.
pub(super) struct Context {
    pub(super) ssh: ssh::Session,
    pub(super) spec: ForwardSpec,
    /// The name of the tunnel.
    pub(super) tunnel: Arc<str>,
    pub(super) options: Options,
    /// No new clients; running transfers may end.
    pub(super) stop: CancellationToken,
    /// Everything ends now.
    pub(super) abort: CancellationToken,
    pub(super) tasks: TaskTracker,
    pub(super) sessions: Arc<AtomicU64>,
    /// What is known of the FTP servers.
    pub(super) servers: Servers,
    /// The address of each FTP server that is called by a loopback name.
    pub(super) homes: Homes,
    pub(super) admission: Arc<Admission>,
    pub(super) warnings: Arc<Warnings>,
    /// What names the tunnel in the log; none where there is only one.
    pub(super) span: tracing::Span,
    /// Where sessions are recorded.
    pub(super) recording: Option<Recording>,
}

impl Context {
    /// The number of the next client, for the log.
    pub(super) fn next_session(&self) -> u64 {
        self.sessions.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Tells those who keep books.
    pub(super) fn book(&self, entry: &Entry<'_>) {
        tell(&self.options.books, entry);
    }

    /// The observer of the control connections, if there is one.
    pub(super) fn observer(&self) -> Option<&dyn Observer> {
        self.options.observer.as_deref()
    }
}
