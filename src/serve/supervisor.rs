//! What is served, and how one configuration takes the place of another.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use super::{
    configuration::TunnelSettings,
    loops::Loops,
    prepare::{Prepared, Sockets},
    shown,
};
use crate::{
    monitor::TunnelState,
    proxy::{Books, ForwardSpec, Listener, LiveSessions, Proxy, Tunnel, Tunnels},
    ssh::{Findings, Session, Settings, Watcher},
};

/// What is served.
pub(super) struct Supervisor {
    tunnels: Tunnels,
    passed: Vec<Listener>,
    watched: Watched,
    ssh: BTreeMap<String, Connection>,
    served: BTreeMap<String, Served>,
}

/// Who looks at the sessions of all tunnels.
pub(super) struct Watched {
    pub(super) books: Vec<Arc<dyn Books>>,
    pub(super) live: LiveSessions,
    pub(super) watchers: Vec<Arc<dyn Watcher>>,
}

/// An SSH connection. Sessions of an earlier one of the same name have a handle of their own.
struct Connection {
    settings: Settings,
    session: Session,
}

/// A tunnel that is served.
struct Served {
    settings: TunnelSettings,
    sockets: Proxy,
    tunnel: Arc<Tunnel>,
}

/// What a reload has changed, by the names of the tunnels.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    pub(super) added: Vec<String>,
    pub(super) changed: Vec<String>,
    pub(super) removed: Vec<String>,
    /// SSH connections that are made with other settings from here on.
    pub(super) reconnected: Vec<String>,
}

/// The state of an SSH connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SshState {
    pub(super) name: String,
    pub(super) destination: String,
    pub(super) is_up: bool,
    /// Why the last attempt has failed.
    pub(super) failure: Option<String>,
}

impl Supervisor {
    /// Serves nothing yet.
    pub(super) fn new(
        passed: Vec<Listener>,
        watched: Watched,
        max_sessions: usize,
        refusals: usize,
    ) -> Self {
        Self {
            tunnels: Tunnels::new(max_sessions, refusals),
            passed,
            watched,
            ssh: BTreeMap::new(),
            served: BTreeMap::new(),
        }
    }

    /// The sockets that there are.
    pub(super) fn sockets(&self) -> Sockets {
        let of_tunnels = self
            .served
            .iter()
            .map(|(name, served)| (name.clone(), served.sockets.clone()));
        Sockets {
            passed: self.passed.clone(),
            of_tunnels: of_tunnels.collect(),
        }
    }

    /// Puts a configuration in force. Nothing of this can fail. No session is cut: each goes on with the
    /// settings, and over the SSH connection, with which it began. When this returns, what was removed listens no
    /// more, and the next client gets the new settings.
    pub(super) async fn put(&mut self, prepared: Prepared) -> Changes {
        let Prepared {
            configuration,
            mut sockets,
            ..
        } = prepared;
        let mut changes = Changes::default();
        let mut closed = Vec::new();
        self.tunnels.resize(configuration.max_sessions);
        let mut before = std::mem::take(&mut self.ssh);
        for (name, settings) in configuration.ssh {
            let kept = before.remove(&name);
            if let Some(kept) = kept.filter(|kept| kept.settings == settings) {
                kept.session.forget_log_in();
                self.ssh.insert(name, kept);
                continue;
            }
            let session = Session::start(settings.clone(), Findings::default());
            for watcher in &self.watched.watchers {
                session.watch_by(Arc::clone(watcher));
            }
            changes.reconnected.push(name.clone());
            self.ssh.insert(name, Connection { settings, session });
        }
        let mut before = std::mem::take(&mut self.served);
        for (name, mut settings) in configuration.tunnels {
            settings.options.books.clone_from(&self.watched.books);
            settings.options.live = self.watched.live.clone();
            let (Some(ssh), Some(sockets)) = (self.ssh.get(&settings.ssh), sockets.remove(&name))
            else {
                // A valid configuration has both.
                continue;
            };
            let kept = before.remove(&name);
            let is_same = |kept: &Served| {
                kept.settings.said == settings.said
                    && kept.settings.ssh == settings.ssh
                    && !changes.reconnected.contains(&settings.ssh)
                    && kept.sockets.is_same(&sockets)
            };
            if let Some(kept) = kept.as_ref().filter(|kept| is_same(kept)) {
                let kept = Served {
                    settings,
                    sockets,
                    tunnel: Arc::clone(&kept.tunnel),
                };
                self.served.insert(name, kept);
                continue;
            }
            let earlier = kept.as_ref().map(|kept| &*kept.tunnel);
            let tunnel = self
                .tunnels
                .open(&sockets, &ssh.session, &settings.options, earlier);
            // The new loops accept already: no client waits in vain.
            match earlier {
                Some(earlier) => {
                    earlier.close();
                    closed.extend(kept.as_ref().map(|kept| Arc::clone(&kept.tunnel)));
                    changes.changed.push(name.clone());
                }
                None => changes.added.push(name.clone()),
            }
            let tunnel = Arc::new(tunnel);
            let served = Served {
                settings,
                sockets,
                tunnel,
            };
            self.served.insert(name, served);
        }
        for (name, removed) in before {
            removed.tunnel.close();
            closed.push(removed.tunnel);
            changes.removed.push(name);
        }
        for tunnel in closed {
            tunnel.closed().await;
        }
        changes
    }

    /// The loops that have to run.
    pub(super) fn loops(&self) -> Loops {
        let sessions = self.ssh.values().map(|ssh| ssh.session.clone());
        let tunnels = self
            .served
            .values()
            .map(|served| Arc::clone(&served.tunnel));
        Loops::new(sessions.collect(), tunnels.collect())
    }

    /// What is served, for the monitor.
    pub(super) fn shown(&self) -> shown::Served {
        let tunnels = self.served.iter().map(|(name, served)| {
            let servers = served.settings.forwards.iter();
            let servers: Vec<String> = servers.map(ForwardSpec::destination).collect();
            TunnelState {
                name: name.as_str().into(),
                listens: served.sockets.addresses().concat(),
                server: servers.join(", "),
                ssh: served.settings.ssh.clone(),
            }
        });
        let ways = self.ssh.iter().map(|(name, ssh)| shown::Way {
            name: name.clone(),
            destination: ssh.settings.destination(),
            session: ssh.session.clone(),
        });
        shown::Served {
            loops: self.loops(),
            tunnels: tunnels.collect(),
            ssh: ways.collect(),
        }
    }

    /// Number of tunnels.
    pub(super) fn tunnels(&self) -> usize {
        self.served.len()
    }

    /// Number of clients that are served.
    pub(super) fn clients(&self) -> usize {
        self.tunnels.clients()
    }

    /// The state of each SSH connection.
    pub(super) fn ssh_states(&self) -> Vec<SshState> {
        let states = self.ssh.iter().map(|(name, ssh)| SshState {
            name: name.clone(),
            destination: ssh.settings.in_words(),
            is_up: ssh.session.stats().control_is_up,
            failure: ssh.session.failure(),
        });
        states.collect()
    }

    /// A line for each forward of a tunnel: where clients reach it, and where it leads.
    pub(super) fn lines(&self, name: &str) -> Vec<String> {
        let Some(served) = self.served.get(name) else {
            return Vec::new();
        };
        let way = self.ssh.get(&served.settings.ssh);
        let way = way.map_or_else(String::new, |ssh| ssh.settings.in_words());
        let forwards = served.settings.forwards.iter();
        let lines = forwards
            .zip(served.sockets.addresses())
            .filter_map(|(spec, bound)| {
                let address = bound.first()?;
                Some(format!(
                    "{name} {}://{address} → {way} → {}",
                    spec.kind,
                    spec.destination()
                ))
            });
        lines.collect()
    }

    /// Ends everything: running transfers get `grace`.
    pub(super) async fn finish(self, grace: Duration) {
        // The sockets: no client is accepted any more.
        drop((self.passed, self.served));
        self.tunnels.finish(grace).await;
        for ssh in self.ssh.into_values() {
            ssh.session.close().await;
        }
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("added", &self.added),
            ("changed", &self.changed),
            ("removed", &self.removed),
            ("connected anew", &self.reconnected),
        ];
        let mut told = parts
            .iter()
            .filter(|(_, names)| !names.is_empty())
            .peekable();
        if told.peek().is_none() {
            return f.write_str("nothing has changed");
        }
        while let Some((what, names)) = told.next() {
            write!(f, "{} {what}", names.join(", "))?;
            if told.peek().is_some() {
                f.write_str("; ")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_by_name() {
        let mut changes = Changes::default();
        assert_eq!(changes.to_string(), "nothing has changed");
        changes.added = vec!["a".into(), "b".into()];
        changes.removed = vec!["c".into()];
        assert_eq!(changes.to_string(), "a, b added; c removed");
    }
}
