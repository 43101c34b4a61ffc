//! A whole ferry inside the test: the embedded SSH server, a session with it, and the proxy.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ferryline::demo::ssh_server::{self, KeyPair, SshServer};
use ferryline::proxy::{Direction, ForwardKind, ForwardSpec, Observer, Options, Proxy};
use ferryline::ssh::{Identity, Session, Settings, StrictHostKeyChecking, TerminalPrompt};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::record::Record;
use super::{PATIENCE, ScriptedClient, ScriptedServer};

/// A ferry that is not started yet.
pub struct Plan {
    kind: ForwardKind,
    bind: Option<String>,
    host: String,
    port: u16,
    options: Options,
    lanes: usize,
    any_target: bool,
    openssh: bool,
    also: Option<SocketAddr>,
}

/// A running ferry. Dropping it ends it without waiting; [`Ferry::stop`] waits.
pub struct Ferry {
    /// The address on 127.0.0.1 to which clients connect.
    pub v4: SocketAddr,
    /// The address on ::1 to which clients connect.
    pub v6: SocketAddr,
    /// The address on 127.0.0.1 to which clients of the second forward connect ([`Plan::also`]).
    #[allow(dead_code, reason = "for tests/hostile")]
    pub also: Option<SocketAddr>,
    /// The session with the SSH server.
    pub session: Session,
    /// The SSH server.
    pub ssh_server: SshServer,
    /// Every line of every control connection.
    pub lines: Arc<Lines>,
    stop: CancellationToken,
    running: JoinHandle<()>,
    _folder: TempDir,
}

impl Ferry {
    /// A ferry to the FTP server at this address, with default settings.
    pub async fn to(target: SocketAddr) -> Self {
        Self::plan(target).start().await
    }

    /// A ferry to this FTP server, with default settings, and a client that has logged in to it.
    pub async fn with_client(server: &ScriptedServer) -> (Self, ScriptedClient) {
        let ferry = Self::to(server.address()).await;
        let client = ScriptedClient::logged_in(ferry.v4).await;
        (ferry, client)
    }

    /// A plan for a ferry to the FTP server at this address, to be changed before it starts.
    pub fn plan(target: SocketAddr) -> Plan {
        Plan {
            kind: ForwardKind::Ftp,
            bind: None,
            host: target.ip().to_string(),
            port: target.port(),
            options: Options::default(),
            lanes: 4,
            any_target: false,
            openssh: false,
            also: None,
        }
    }

    /// Asks the proxy to stop.
    pub fn begin_stop(&self) {
        self.stop.cancel();
    }

    /// Returns when the proxy, after it was asked to stop, has stopped.
    pub async fn stopped(&mut self) {
        timeout(PATIENCE, &mut self.running)
            .await
            .expect("the proxy did not stop")
            .expect("the proxy panicked");
    }

    /// Stops the ferry in order and waits until all is gone.
    pub async fn stop(mut self) {
        self.begin_stop();
        self.stopped().await;
        self.session.close().await;
        self.ssh_server.shutdown().await;
    }

    /// Waits until nothing is left of any client: no channel, no busy lane, no remote forward. Both ferryline
    /// and the SSH server count them.
    pub async fn at_rest(&self) {
        self.at_rest_but_for_control(0).await;
    }

    /// As [`Ferry::at_rest`], with `control` control connections still open.
    pub async fn at_rest_but_for_control(&self, control: usize) {
        self.at_rest_but_for(control, 0).await;
    }

    /// As [`Ferry::at_rest`], with one control connection and one remote forward still open.
    pub async fn at_rest_but_one_forward(&self) {
        self.at_rest_but_for(1, 1).await;
    }

    /// As [`Ferry::at_rest`], with these numbers of control connections and remote forwards still open.
    pub async fn at_rest_but_for(&self, control: usize, forwards: usize) {
        self.at_rest_within(PATIENCE, control, forwards).await;
    }

    /// As [`Ferry::at_rest_but_for`], where time limits of ferryline's own have to run out first.
    pub async fn at_rest_within(&self, limit: Duration, control: usize, forwards: usize) {
        let look = || {
            let (here, there) = (self.session.stats(), &self.ssh_server);
            (here.remote_forwards, here.control_channels) == (forwards, control)
                && (forwards > 0 || here.lanes_busy == 0)
                && (there.channels(), there.remote_forwards()) == (control, forwards)
        };
        // Counters send no event when they change.
        let rest = timeout(limit, async {
            while !look() {
                sleep(Duration::from_millis(5)).await;
            }
        });
        if rest.await.is_err() {
            panic!(
                "something is left: {:?}; SSH server: {} channels, {} remote forwards",
                self.session.stats(),
                self.ssh_server.channels(),
                self.ssh_server.remote_forwards()
            );
        }
    }
}

impl Plan {
    /// Carries a plain forward rather than FTP.
    pub fn plain(mut self) -> Self {
        self.kind = ForwardKind::Tcp;
        self
    }

    /// Sets the FTP server's host, as the SSH server is asked for it.
    pub fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    /// Sets where to listen, if not on loopback.
    pub fn bind(mut self, bind: &str) -> Self {
        self.bind = Some(bind.to_owned());
        self
    }

    /// Changes the proxy's options.
    pub fn options(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(&mut self.options);
        self
    }

    /// Sets the greatest number of SSH connections for data.
    pub fn lanes(mut self, lanes: usize) -> Self {
        self.lanes = lanes;
        self
    }

    /// Makes the SSH server forward to any address, not only to loopback.
    pub fn any_target(mut self) -> Self {
        self.any_target = true;
        self
    }

    /// Makes the SSH server say that it is OpenSSH.
    pub fn openssh(mut self) -> Self {
        self.openssh = true;
        self
    }

    /// Adds a second forward, to the FTP server at this address, by the same proxy.
    #[allow(dead_code, reason = "for tests/hostile")]
    pub fn also(mut self, target: SocketAddr) -> Self {
        self.also = Some(target);
        self
    }

    /// Starts the ferry.
    pub async fn start(self) -> Ferry {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate(None).unwrap();
        let ssh_server = SshServer::start(ssh_server::Options {
            user: "tester".to_owned(),
            authorized_keys: vec![key.public.clone()],
            any_target: self.any_target,
            openssh: self.openssh,
            ..ssh_server::Options::default()
        })
        .await
        .unwrap();
        let identity = folder.path().join("key");
        let known_hosts = folder.path().join("known_hosts");
        write_private(&identity, &key.private);
        std::fs::write(&known_hosts, ssh_server.known_hosts()).unwrap();
        let address = ssh_server.address();
        let mut settings = Settings::new(address.ip().to_string(), address.port(), "tester");
        settings.identities = vec![Identity {
            path: identity,
            explicit: true,
        }];
        settings.known_hosts = vec![known_hosts];
        settings.strict_host_key_checking = StrictHostKeyChecking::Yes;
        settings.batch_mode = true;
        settings.lanes = self.lanes;
        // On a busy machine a log-in may take longer than a second, and that is not tested here.
        settings.lane_patience = PATIENCE;
        let session = Session::connect(settings, Arc::new(TerminalPrompt))
            .await
            .unwrap();

        let spec = ForwardSpec {
            kind: self.kind,
            bind: self.bind.clone(),
            port: 0,
            host: self.host.clone(),
            host_port: self.port,
        };
        let mut specs = vec![spec];
        specs.extend(self.also.map(|target| ForwardSpec {
            host: target.ip().to_string(),
            host_port: target.port(),
            ..specs[0].clone()
        }));
        let proxy = Proxy::bind(&specs).await.unwrap();
        let also = proxy.addresses().get(1).map(|bound| bound[0]);
        let addresses: Vec<SocketAddr> = proxy.addresses()[0].clone();
        let at = |v4: bool| addresses.iter().find(|a| a.is_ipv4() == v4).copied();
        let (v4, v6) = (at(true).unwrap(), at(false));
        let lines = Arc::new(Lines::default());
        let mut options = self.options.clone();
        options.observer = Some(lines.clone());
        let stop = CancellationToken::new();
        let running = tokio::spawn(proxy.run(session.clone(), options, stop.clone()));
        Ferry {
            v4,
            // On a host without IPv6, a test that needs it fails to connect.
            v6: v6.unwrap_or_else(|| SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, v4.port()))),
            also,
            session,
            ssh_server,
            lines,
            stop,
            running,
            _folder: folder,
        }
    }
}

/// What passed on the control connections, in order.
#[derive(Default)]
pub struct Lines(Record<(Direction, String)>, Mutex<Vec<Act>>);

/// An act to be done when a line of this direction passes that begins with this text.
type Act = (Direction, &'static str, Box<dyn FnOnce() + Send>);

impl Observer for Lines {
    fn line(&self, _session: u64, direction: Direction, line: &[u8]) {
        let line = String::from_utf8_lossy(line).into_owned();
        let due = {
            let mut acts = self.1.lock().unwrap();
            let due = acts
                .iter()
                .position(|(way, start, _)| *way == direction && line.starts_with(start));
            due.map(|at| acts.remove(at))
        };
        if let Some((_, _, act)) = due {
            act();
        }
        self.0.push((direction, line));
    }
}

impl Lines {
    /// Has this done once, at the moment when ferryline passes a line that begins with this text. If the
    /// test's runtime has one thread, nothing else of ferryline runs meanwhile.
    pub fn at(
        &self,
        direction: Direction,
        start: &'static str,
        act: impl FnOnce() + Send + 'static,
    ) {
        let mut acts = self.1.lock().unwrap();
        acts.push((direction, start, Box::new(act)));
    }

    /// Waits until ferryline has seen a line that begins like this.
    pub async fn seen(&self, direction: Direction, start: &str) -> String {
        let what = format!("{direction:?} {start}");
        let wanted =
            |(way, line): &(Direction, String)| *way == direction && line.starts_with(start);
        self.0.wait(&what, wanted).await.1
    }

    /// The lines so far that begin like this.
    pub fn all(&self, direction: Direction, start: &str) -> Vec<String> {
        let lines = self.0.all().into_iter();
        let wanted = lines.filter(|(way, line)| *way == direction && line.starts_with(start));
        wanted.map(|(_, line)| line).collect()
    }
}

/// Writes a file that only its owner may read, as private keys must be.
pub fn write_private(path: &std::path::Path, content: &str) {
    use std::io::Write;

    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).unwrap();
    file.write_all(content.as_bytes()).unwrap();
}
