//! A ferry with the relay between it and its SSH server. It serves one case after another.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ferryline::demo::ssh_server::{self, KeyPair, SshServer};
use ferryline::proxy::{ForwardKind, ForwardSpec, Options, Proxy};
use ferryline::ssh::{Identity, Session, Settings, Stats, StrictHostKeyChecking, TerminalPrompt};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::common::{PATIENCE, write_private};
use crate::ftp_server::FtpServer;
use crate::relay::Relay;

/// It has at most one lane, so that after each case there are two SSH connections again, and it is known
/// which is which.
pub struct World {
    pub proxy: std::net::SocketAddr,
    pub ftp_server: FtpServer,
    pub relay: Relay,
    pub session: Session,
    ssh_server: SshServer,
    lanes: usize,
    control: u64,
    lane: u64,
    stop: CancellationToken,
    running: JoinHandle<()>,
    _folder: TempDir,
}

impl World {
    /// A world with this number of lanes: one, or none, where the control connection is both. With signs of
    /// life asked for in this interval, if any.
    pub async fn with_lanes(lanes: usize, alive_interval: Option<Duration>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate(None).unwrap();
        let ssh_server = SshServer::start(ssh_server::Options {
            user: "tester".to_owned(),
            authorized_keys: vec![key.public.clone()],
            ..ssh_server::Options::default()
        })
        .await
        .unwrap();
        let relay = Relay::start(ssh_server.address()).await;
        let at = relay.address();
        let identity = folder.path().join("key");
        write_private(&identity, &key.private);
        let known_hosts: PathBuf = folder.path().join("known_hosts");
        let known = format!(
            "[{}]:{} {}\n",
            at.ip(),
            at.port(),
            ssh_server.host_public_key()
        );
        std::fs::write(&known_hosts, known).unwrap();
        let mut settings = Settings::new(at.ip().to_string(), at.port(), "tester");
        settings.lane_patience = Duration::from_secs(20);
        settings.identities = vec![Identity {
            path: identity,
            explicit: true,
        }];
        settings.known_hosts = vec![known_hosts];
        settings.strict_host_key_checking = StrictHostKeyChecking::Yes;
        settings.batch_mode = true;
        settings.lanes = lanes;
        settings.alive_interval = alive_interval;
        settings.alive_count_max = 2;
        let session = Session::connect(settings, Arc::new(TerminalPrompt)).await;
        let session = session.unwrap();
        let ftp_server = FtpServer::start().await;
        let target = ftp_server.address();
        let spec = ForwardSpec {
            kind: ForwardKind::Ftp,
            bind: Some("127.0.0.1".into()),
            port: 0,
            host: target.ip().to_string(),
            host_port: target.port(),
        };
        let proxy = Proxy::bind(&[spec]).await.unwrap();
        let address = proxy.addresses()[0][0];
        let stop = CancellationToken::new();
        let mut options = Options::default();
        options.limits.missing_reply = MISSING_REPLY;
        options.limits.quiet_data = QUIET_DATA;
        if let Some(interval) = alive_interval {
            // No final reply may pass while the path of its data is silent and not lost yet.
            options.limits.stalled_data = interval / 2;
        }
        let running = tokio::spawn(proxy.run(session.clone(), options, stop.clone()));
        let mut this = Self {
            proxy: address,
            ftp_server,
            relay,
            session,
            ssh_server,
            lanes,
            control: 0,
            lane: u64::MAX,
            stop,
            running,
            _folder: folder,
        };
        this.at_rest().await.unwrap();
        this
    }

    /// The SSH connection of the control connections, by the relay's number.
    pub fn control(&self) -> u64 {
        self.control
    }

    /// The SSH connection that is the lane, by the relay's number.
    pub fn lane(&self) -> u64 {
        self.lane
    }

    /// Waits until nothing is left of any client, and the control connection and its lane are open.
    ///
    /// # Errors
    ///
    /// What is left.
    pub async fn at_rest(&mut self) -> Result<(), String> {
        let rest = async {
            loop {
                if self.is_quiet() {
                    if self.session.stats().lanes_open < self.lanes {
                        // A request makes the session open one.
                        let _ = self.session.lane().await;
                    } else if self.find_links() {
                        return;
                    }
                }
                // Counters send no event when they change.
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(PATIENCE, rest).await.map_err(|_| {
            format!(
                "something is left, or does not come back: {:?}; SSH server: {} channels, \
                 {} remote forwards; FTP server: {} sessions; relay: {:?}",
                self.session.stats(),
                self.ssh_server.channels(),
                self.ssh_server.remote_forwards(),
                self.ftp_server.sessions(),
                self.relay.live(),
            )
        })
    }

    fn is_quiet(&self) -> bool {
        let Stats {
            control_is_up,
            lanes_busy,
            control_channels,
            remote_forwards,
            ..
        } = self.session.stats();
        control_is_up
            && (lanes_busy, control_channels, remote_forwards) == (0, 0, 0)
            && (
                self.ssh_server.channels(),
                self.ssh_server.remote_forwards(),
            ) == (0, 0)
            && self.ftp_server.sessions() == 0
    }

    /// Finds out which connection is which: a case costs at most one of them.
    fn find_links(&mut self) -> bool {
        if self.lanes == 0 {
            let links = self.relay.live();
            self.control = links.first().copied().unwrap_or_default();
            self.lane = self.control;
            return links.len() == 1;
        }
        let [first, second] = self.relay.live()[..] else {
            return false;
        };
        (self.control, self.lane) = match (self.control, self.lane) {
            (control, _) if control == first => (first, second),
            (control, _) if control == second => (second, first),
            (_, lane) if lane == first => (second, first),
            // A lane is opened only after the control connection.
            _ => (first, second),
        };
        true
    }

    /// Stops everything in order, and waits until all tasks but the caller's are gone.
    ///
    /// # Errors
    ///
    /// How many tasks are left.
    pub async fn stop(self) -> Result<(), String> {
        let Self {
            ftp_server,
            relay,
            session,
            ssh_server,
            stop,
            running,
            ..
        } = self;
        stop.cancel();
        // Far sooner than ferryline would cut what does not end.
        timeout(PATIENCE / 4, running)
            .await
            .map_err(|_| "the proxy's tasks do not end")?
            .map_err(|error| error.to_string())?;
        session.close().await;
        drop(session);
        ssh_server.shutdown().await;
        relay.stop().await;
        ftp_server.stop().await;
        let tasks = || {
            tokio::runtime::Handle::current()
                .metrics()
                .num_alive_tasks()
        };
        let gone = async {
            while tasks() > 0 {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let limit = timeout(PATIENCE, gone).await;
        limit.map_err(|_| format!("{} tasks are left", tasks()))
    }
}

/// How long ferryline waits for the FTP server's reply about a transfer that was cut.
const MISSING_REPLY: Duration = Duration::from_millis(50);
/// How long after a final reply the SSH server is asked whether it has all of the data.
const QUIET_DATA: Duration = Duration::from_millis(10);
