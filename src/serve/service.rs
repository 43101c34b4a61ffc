//! The loop of the service: reloads, the state that is told, and the end.

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{
    configuration::{Configuration, Reopen},
    loops::Loops,
    notify::{self, Message},
    prepare::{Prepared, prepare},
    shown::{Reloads, Served, Shown},
    supervisor::{Changes, SshState, Supervisor, Watched},
    watchdog,
};
use crate::{
    lock::lock,
    monitor::{self, Bound, Hosts, Monitor},
    proxy::{Books, Listener, LiveSessions, Options},
    ssh::Watcher,
};

/// What the service needs from its surroundings.
pub struct Service {
    /// Reads the configuration anew, and validates it. An error has a line for each mistake. It may block.
    pub read: Arc<dyn Fn() -> Result<Configuration, Vec<String>> + Send + Sync>,
    /// Prints a line for each forward that is there from now on.
    pub announce: Box<dyn Fn(&str) + Send + Sync>,
    /// Those who keep books of what the sessions of all tunnels do. They are the same over all reloads.
    pub books: Vec<Arc<dyn Books>>,
    /// Where the sessions of all tunnels are shown while they last.
    pub live: LiveSessions,
    /// Those who are told of each SSH connection, over all reloads.
    pub watchers: Vec<Arc<dyn Watcher>>,
    /// Where it is shown what runs.
    pub monitor: Option<Door>,
    /// The parts that open their files anew at each reload.
    pub reopened: Vec<Arc<dyn Reopen>>,
    /// The sockets that the service manager has passed.
    pub passed: Vec<Listener>,
    /// Asks for a reload.
    pub reloads: mpsc::Receiver<()>,
    /// Asks for the end.
    pub stop: CancellationToken,
}

/// A socket for those who ask what runs, and the monitor whose books are among [`Service::books`].
pub struct Door {
    /// The socket.
    pub bound: Bound,
    /// What has counted so far.
    pub monitor: Monitor,
    /// The names that requests may have.
    pub hosts: Hosts,
}

/// Why the service does not start. Each has a line for each reason.
#[derive(Debug)]
pub enum StartError {
    /// A folder or a socket could not be had.
    Refused(Vec<String>),
    /// The service manager passed sockets that no tunnel of the configuration listens at.
    Unused(Vec<String>),
}

/// Serves the configuration until it is asked to stop.
///
/// # Errors
///
/// What could not be bound at the start, and passed sockets that no tunnel listens at.
pub async fn run(service: Service, configuration: Configuration) -> Result<(), StartError> {
    let Service {
        read,
        announce,
        books,
        live,
        watchers,
        monitor,
        reopened,
        passed,
        mut reloads,
        stop,
    } = service;
    let mut supervisor = Supervisor::new(
        passed,
        Watched {
            books,
            live,
            watchers,
        },
        configuration.max_sessions,
        configuration.refusals,
    );
    let prepared = prepare(configuration, supervisor.sockets()).await;
    let prepared = prepared.map_err(StartError::Refused)?;
    if !prepared.unused.is_empty() {
        let unused = prepared.unused.iter().map(|address| {
            format!(
                "the service manager passed a socket that listens on {address}, and no tunnel listens there: name it \
                 in a local-forward, or take ListenStream={address} out of the socket unit"
            )
        });
        return Err(StartError::Unused(unused.collect()));
    }
    let changes = supervisor.put(prepared).await;
    tell_lines(&supervisor, &changes, &*announce);
    let reloaded = Arc::new(Reloads::default());
    reloaded.succeeded();
    let shown = Arc::new(Shown::new(supervisor.shown(), stop.clone()));
    let monitor = monitor.map(|door| {
        reloaded.show(&door.monitor);
        monitor::start(door.bound, &door.monitor, shown.clone(), door.hosts)
    });
    notify::tell(Message::Ready);
    let loops = Arc::new(Mutex::new(supervisor.loops()));
    let mut state = State::default();
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reload: Option<JoinHandle<Result<Prepared, Vec<String>>>> = None;
    let mut feeding = pin!(feed(Arc::clone(&loops)));
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = &mut feeding => {}
            _ = ticks.tick() => state.tell(&supervisor),
            // One at a time: another one that is asked for meanwhile comes after it.
            Some(()) = reloads.recv(), if reload.is_none() => {
                notify::tell(Message::Reloading);
                reopen(&reopened);
                let (read, sockets) = (Arc::clone(&read), supervisor.sockets());
                reload = Some(tokio::spawn(async move {
                    let configuration = tokio::task::spawn_blocking(move || read()).await;
                    let configuration =
                        configuration.map_err(|error| vec![format!("the reload has failed: {error}")])??;
                    prepare(configuration, sockets).await
                }));
            }
            done = finished(&mut reload) => {
                reload = None;
                match done {
                    Ok(prepared) => {
                        for address in &prepared.unused {
                            tracing::warn!(
                                "the service manager passed a socket that listens on {address}, and no tunnel listens \
                                 there any more: clients that connect to it wait in vain"
                            );
                        }
                        let changes = supervisor.put(prepared).await;
                        *lock(&loops) = supervisor.loops();
                        shown.put(supervisor.shown());
                        reloaded.succeeded();
                        tell_lines(&supervisor, &changes, &*announce);
                        tracing::info!("reloaded: {changes}");
                        state.failed_reload = None;
                    }
                    Err(problems) => {
                        for problem in &problems {
                            tracing::error!("not reloaded, what was there stays: {problem}");
                        }
                        reloaded.failed();
                        state.failed_reload = problems.into_iter().next();
                    }
                }
                state.tell(&supervisor);
                notify::tell(Message::Ready);
            }
        }
    }
    notify::tell(Message::Stopping);
    if let Some(reload) = reload {
        reload.abort();
    }
    // They hold the SSH connections.
    *lock(&loops) = Loops::default();
    shown.put(Served::default());
    supervisor.finish(Options::default().grace).await;
    if let Some(monitor) = monitor {
        monitor.stop().await;
    }
    Ok(())
}

/// Waits for the end of a reload that is under way.
async fn finished(
    reload: &mut Option<JoinHandle<Result<Prepared, Vec<String>>>>,
) -> Result<Prepared, Vec<String>> {
    match reload {
        Some(reload) => match reload.await {
            Ok(done) => done,
            Err(error) => Err(vec![format!("the reload has failed: {error}")]),
        },
        None => std::future::pending().await,
    }
}

fn reopen(reopened: &[Arc<dyn Reopen>]) {
    for part in reopened {
        if let Err(error) = part.reopen() {
            tracing::error!("{error}");
        }
    }
}

/// Feeds the watchdog, if there is one. It is a part of the loop of the service: while that stands still, so does
/// this.
async fn feed(loops: Arc<Mutex<Loops>>) {
    let Some(time) = notify::watchdog().filter(|time| !time.is_zero()) else {
        return std::future::pending().await;
    };
    let answer = || {
        let loops = lock(&loops).clone();
        async move { loops.answer().await }
    };
    watchdog::feed(time, answer, || notify::tell(Message::Watchdog)).await;
}

fn tell_lines(supervisor: &Supervisor, changes: &Changes, announce: &dyn Fn(&str)) {
    for name in changes.added.iter().chain(&changes.changed) {
        for line in supervisor.lines(name) {
            announce(&line);
        }
    }
}

/// What was told of the state.
#[derive(Default)]
struct State {
    status: String,
    failed_reload: Option<String>,
    /// The SSH connections that were up.
    up: BTreeMap<String, bool>,
}

impl State {
    /// Tells what has changed.
    fn tell(&mut self, supervisor: &Supervisor) {
        let states = supervisor.ssh_states();
        for state in &states {
            let was_up = self.up.insert(state.name.clone(), state.is_up);
            // The end of a connection is logged where it is found out.
            if state.is_up && was_up != Some(true) {
                tracing::info!("[ssh.{}] connected to {}", state.name, state.destination);
            }
        }
        self.up
            .retain(|name, _| states.iter().any(|state| state.name == *name));
        let (tunnels, clients) = (supervisor.tunnels(), supervisor.clients());
        let status = status(tunnels, clients, &states, self.failed_reload.as_deref());
        if status != self.status {
            notify::tell(Message::Status(&status));
            self.status = status;
        }
    }
}

/// The line that `systemctl status` shows.
fn status(tunnels: usize, clients: usize, ssh: &[SshState], failed: Option<&str>) -> String {
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    let mut text = format!(
        "{tunnels} tunnel{}, {clients} session{}",
        plural(tunnels),
        plural(clients)
    );
    for state in ssh {
        let up = if state.is_up { "up" } else { "not connected" };
        text.push_str(&format!("; ssh {} {up}", state.name));
        if let Some(failure) = state.failure.as_ref().filter(|_| !state.is_up) {
            text.push_str(&format!(" ({failure})"));
        }
    }
    if let Some(failed) = failed {
        text.push_str(&format!("; the last reload failed: {failed}"));
    }
    text
}

/// How often the state is looked at.
const TICK: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_one_line() {
        let ssh = |name: &str, is_up, failure: Option<&str>| SshState {
            name: name.into(),
            destination: "me@host".into(),
            is_up,
            failure: failure.map(str::to_owned),
        };
        assert_eq!(
            status(1, 1, &[ssh("dc", true, Some("old"))], None),
            "1 tunnel, 1 session; ssh dc up"
        );
        let two = [
            ssh("a", false, None),
            ssh("b", false, Some("cannot connect")),
        ];
        assert_eq!(
            status(2, 0, &two, Some("f:1: x")),
            "2 tunnels, 0 sessions; ssh a not connected; ssh b not connected (cannot connect); \
             the last reload failed: f:1: x"
        );
    }
}
