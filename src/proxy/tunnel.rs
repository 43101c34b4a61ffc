//! Tunnels: forwards that are served with one set of options, and what all tunnels of a process share.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, atomic::AtomicU64},
    time::Duration,
};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Proxy,
    context::Context,
    listen::{self, Acceptor},
    options::Options,
    policy::{
        admission::{Admission, AllSeats},
        gateway,
    },
    servers::{home::Homes, known::Servers},
    trace::{record::Recording, warnings::Warnings},
};
use crate::{lock::lock, ssh, transcript::Keep};

/// What all tunnels of a process share: the numbers of the sessions, the seats, and the end.
pub struct Tunnels {
    tasks: TaskTracker,
    stop: CancellationToken,
    abort: CancellationToken,
    sessions: Arc<AtomicU64>,
    seats: Arc<AllSeats>,
    /// The writers of transcripts. Tunnels with the same settings share one, and it stays to the end: a session
    /// may outlive its tunnel.
    recordings: Mutex<Vec<(RecordSettings, Option<Recording>)>>,
}

type RecordSettings = (PathBuf, u64, Keep);

/// Forwards that are served with one set of options, over one SSH connection.
pub struct Tunnel {
    /// Ends the loops that accept clients. Sessions go on.
    end: CancellationToken,
    acceptors: Vec<Acceptor>,
    admission: Arc<Admission>,
    warnings: Arc<Warnings>,
}

impl Tunnels {
    /// `max_sessions`: the greatest number of clients over all tunnels (of connections of `tcp/` forwards there
    /// may be as many). `refusals`: see [`Options::refusals`].
    pub fn new(max_sessions: usize, refusals: usize) -> Self {
        Self {
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            abort: CancellationToken::new(),
            sessions: Arc::default(),
            seats: AllSeats::new(max_sessions, refusals),
            recordings: Mutex::default(),
        }
    }

    /// Changes the greatest number of clients. Those that are there stay.
    pub fn resize(&self, max_sessions: usize) {
        self.seats.resize(max_sessions);
    }

    /// Number of clients that are served.
    pub fn clients(&self) -> usize {
        self.seats.taken()
    }

    /// Serves the clients of these listeners. `before`: the tunnel in whose place this one comes; its clients
    /// count among those of this one.
    pub fn open(
        &self,
        bound: &Proxy,
        ssh: &ssh::Session,
        options: &Options,
        before: Option<&Tunnel>,
    ) -> Tunnel {
        let admission = match before {
            Some(before) => before.admission.renewed(options.seats()),
            None => Admission::new(options.seats(), &self.seats),
        };
        let warnings = before.map_or_else(Arc::default, |before| Arc::clone(&before.warnings));
        let span = match options.tunnel.as_deref() {
            Some(name) => tracing::error_span!("tunnel", %name),
            None => tracing::Span::none(),
        };
        let in_log = span.clone();
        let _in_log = in_log.enter();
        let recording = self.recording(options, &warnings);
        let end = CancellationToken::new();
        let mut acceptors = Vec::new();
        for bound in &bound.forwards {
            let context = Arc::new(Context {
                ssh: ssh.clone(),
                tunnel: options
                    .tunnel
                    .clone()
                    .unwrap_or_else(|| bound.spec.to_string().into()),
                spec: bound.spec.clone(),
                options: options.clone(),
                stop: self.stop.clone(),
                abort: self.abort.clone(),
                tasks: self.tasks.clone(),
                sessions: Arc::clone(&self.sessions),
                servers: Servers::default(),
                homes: Homes::default(),
                admission: Arc::clone(&admission),
                warnings: Arc::clone(&warnings),
                span: span.clone(),
                recording: recording.clone(),
            });
            options.gateway.warn(&bound.spec, &bound.addresses());
            if let Some(bind) = options.remote_bind {
                gateway::warn_remote_bind(&bound.spec, bind);
            }
            acceptors.extend(listen::accept(bound, &context, &end));
        }
        Tunnel {
            end,
            acceptors,
            admission,
            warnings,
        }
    }

    fn recording(&self, options: &Options, warnings: &Arc<Warnings>) -> Option<Recording> {
        let folder = options.record.as_deref()?;
        let wanted = (folder.to_owned(), options.record_limit, options.record_keep);
        let mut recordings = lock(&self.recordings);
        if let Some((_, recording)) = recordings.iter().find(|(known, _)| *known == wanted) {
            return recording.clone();
        }
        let recording = Recording::start(folder, wanted.1, wanted.2, warnings);
        recordings.push((wanted, recording.clone()));
        recording
    }

    /// Ends all tunnels: running transfers get `grace`, and every client its 421.
    pub async fn finish(self, grace: Duration) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(grace, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                "transfers still running after {} s are cut",
                grace.as_secs()
            );
            self.abort.cancel();
            // What is left is bounded by the time that a last reply to a client may take.
            if tokio::time::timeout(Duration::from_secs(8), self.tasks.wait())
                .await
                .is_err()
            {
                tracing::warn!("{} tasks did not end in time", self.tasks.len());
            }
        }
        let recordings = std::mem::take(&mut *lock(&self.recordings));
        for (_, recording) in recordings {
            if let Some(recording) = recording {
                recording.finish().await;
            }
        }
    }
}

impl Tunnel {
    /// Accepts no further client. Sessions live to their end. The sockets listen on as long as there is another
    /// holder of them.
    pub fn close(&self) {
        self.end.cancel();
    }

    /// Returns when it accepts no further client, and holds no socket any more. [`close`](Self::close) it first.
    pub async fn closed(&self) {
        for acceptor in &self.acceptors {
            acceptor.ended().await;
        }
    }

    /// Number of clients that it serves.
    pub fn clients(&self) -> usize {
        self.admission.clients()
    }

    /// Returns when each loop that accepts clients has shown that it runs, or has ended.
    pub async fn answers(&self) {
        for acceptor in &self.acceptors {
            acceptor.answers().await;
        }
    }
}
