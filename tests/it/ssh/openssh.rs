//! Tests against OpenSSH's sshd, for errors that two russh ends might agree on. They run where there is an
//! `/usr/sbin/sshd` and an `ssh-keygen`, or where `FERRYLINE_TEST_SSHD` names the server. Otherwise they say
//! so and pass.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use ferryline::ssh::{
    Error, ForwardError, Identity, LostReason, OpenError, Received, Session, Settings,
    StrictHostKeyChecking,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::common::{noise, skipped};
use crate::ssh::support::{
    Script, echo_server, endless, on_a_lane, originator, ping, read_to_eof, source, stalled, until,
    within,
};

const MIB: usize = 1024 * 1024;

/// An sshd of our own, with the caller as its user.
struct Sshd {
    _process: Process,
    dir: tempfile::TempDir,
    settings: Settings,
}

impl Sshd {
    /// `None` where there is no sshd.
    async fn start(more: &str) -> Option<Self> {
        let named = std::env::var_os("FERRYLINE_TEST_SSHD").map(PathBuf::from);
        let program = named.unwrap_or_else(|| "/usr/sbin/sshd".into());
        if !program.exists() {
            skipped(&format!("no {}", program.display()));
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        keygen(&at("host_ed25519"), "ed25519", "");
        keygen(&at("host_rsa"), "rsa", "");
        keygen(&at("id_rsa"), "rsa", "");
        keygen(&at("id_locked"), "ed25519", "open sesame");
        let read = |name: &str| std::fs::read_to_string(at(name)).unwrap();
        std::fs::write(at("keys"), read("id_rsa.pub") + &read("id_locked.pub")).unwrap();
        let user = Command::new("id").arg("-un").output().unwrap().stdout;
        let user = String::from_utf8(user).unwrap();
        let mut settings = Settings::new("127.0.0.1", 0, user.trim());
        settings.lane_patience = Duration::from_secs(20);
        settings.strict_host_key_checking = StrictHostKeyChecking::AcceptNew;
        settings.known_hosts = vec![at("known_hosts")];
        settings.identities = vec![Identity {
            path: at("id_rsa"),
            explicit: true,
        }];
        let process = loop {
            if let Some((process, port)) = Process::start(&program, dir.path(), more).await {
                settings.port = port;
                break process;
            }
        };
        Some(Self {
            _process: process,
            dir,
            settings,
        })
    }

    async fn connect(&self) -> Session {
        let connected = Session::connect(self.settings.clone(), Script::new([])).await;
        connected.unwrap_or_else(|e| panic!("{e}\n{}", self.log()))
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

/// A process that ends when this is dropped.
struct Process(Child);

impl Process {
    /// Starts sshd on a port that was free a moment ago, and waits until it listens there; `None` where another program
    /// was given the port before.
    async fn start(program: &Path, dir: &Path, more: &str) -> Option<(Self, u16)> {
        let port = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().port()
        };
        let config = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {0}/host_ed25519\nHostKey {0}/host_rsa\n\
             AuthorizedKeysFile {0}/keys\nStrictModes no\nUsePAM no\nPidFile {0}/pid\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\n{more}\n",
            dir.display()
        );
        std::fs::write(dir.join("config"), config).unwrap();
        let log = dir.join("log");
        let child = Command::new(program)
            .args(["-D", "-e", "-f"])
            .arg(dir.join("config"))
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn();
        let mut this = Self(child.unwrap());
        let listens = format!("Server listening on 127.0.0.1 port {port}.");
        let mut gone = false;
        until("sshd listens", || {
            gone = this.0.try_wait().unwrap().is_some();
            let said = std::fs::read_to_string(&log).unwrap();
            assert!(
                !gone || said.contains("Address already in use"),
                "sshd: {said}"
            );
            gone || said.contains(&listens)
        })
        .await;
        (!gone).then_some((this, port))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn keygen(path: &Path, kind: &str, passphrase: &str) {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", kind, "-N", passphrase, "-f"])
        .arg(path)
        .status();
    assert!(made.unwrap().success());
}

async fn quiet(session: &Session) {
    until("all quiet", || {
        let stats = session.stats();
        (
            stats.lanes_busy,
            stats.control_channels,
            stats.remote_forwards,
        ) == (0, 0, 0)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bulk_both_ways_and_half_closes() {
    let Some(sshd) = Sshd::start("RekeyLimit 10M").await else {
        return;
    };
    let session = sshd.connect().await;
    let lane = session.lane().await.unwrap();
    assert!(!lane.is_shared_control());
    let echo = echo_server().await;
    let mut channel = lane
        .open("127.0.0.1", echo.port(), originator())
        .await
        .unwrap();
    let sent = Bytes::from(noise(40 * MIB));
    let mut writer = channel.writer;
    let to_send = sent.clone();
    let sending = tokio::spawn(async move {
        for start in (0..to_send.len()).step_by(MIB) {
            writer
                .write(to_send.slice(start..start + MIB))
                .await
                .unwrap();
        }
        writer.finish().await.unwrap();
        writer
    });
    let got = read_to_eof(&mut channel.reader).await;
    assert!(got == sent);
    assert_eq!(
        within("the close", channel.reader.read()).await,
        Received::Closed
    );
    drop((channel.reader, sending.await.unwrap(), lane));
    quiet(&session).await;
}

#[tokio::test]
async fn many_short_transfers_are_all_whole() {
    let Some(sshd) = Sshd::start("").await else {
        return;
    };
    let session = sshd.connect().await;
    let file = source(5000).await;
    let lane = session.lane().await.unwrap();
    for _ in 0..300 {
        let mut channel = lane
            .open("127.0.0.1", file.port(), originator())
            .await
            .unwrap();
        assert_eq!(read_to_eof(&mut channel.reader).await.len(), 5000);
        channel.writer.finish().await.unwrap();
    }
    drop(lane);
    quiet(&session).await;
}

#[tokio::test]
async fn remote_forwards_on_both_loopbacks() {
    let Some(sshd) = Sshd::start("").await else {
        return;
    };
    let session = sshd.connect().await;
    let lane = session.lane().await.unwrap();
    for bind in ["127.0.0.1", "::1"] {
        if std::net::TcpListener::bind((bind, 0)).is_err() {
            continue;
        }
        let mut forward = lane.remote_forward(bind.parse().unwrap()).await.unwrap();
        let address = forward.address();
        let mut tcp = TcpStream::connect(address).await.unwrap();
        let incoming = within("the connection", forward.next()).await.unwrap();
        assert_eq!(incoming.originator(), tcp.local_addr().unwrap());
        let mut channel = incoming.accept();
        until("cancelled", || session.stats().remote_forwards == 0).await;
        assert!(TcpStream::connect(address).await.is_err());
        channel.writer.write(Bytes::from(noise(MIB))).await.unwrap();
        channel.writer.finish().await.unwrap();
        let mut got = Vec::new();
        tcp.read_to_end(&mut got).await.unwrap();
        assert!(got == noise(MIB));
        tcp.write_all(b"back").await.unwrap();
        drop(tcp);
        assert_eq!(read_to_eof(&mut channel.reader).await, b"back");
    }
    drop(lane);
    quiet(&session).await;
}

#[tokio::test]
async fn a_dropped_forward_is_cancelled() {
    let Some(sshd) = Sshd::start("").await else {
        return;
    };
    let session = sshd.connect().await;
    let lane = session.lane().await.unwrap();
    let forward = lane
        .remote_forward("127.0.0.1".parse().unwrap())
        .await
        .unwrap();
    let address = forward.address();
    drop(forward);
    until("cancelled", || session.stats().remote_forwards == 0).await;
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn refusals_in_sshds_own_words() {
    let Some(sshd) = Sshd::start("PermitOpen 127.0.0.1:1\nPermitListen 127.0.0.1:2").await else {
        return;
    };
    let session = sshd.connect().await;
    let lane = session.lane().await.unwrap();
    let failed = lane.open("127.0.0.1", 1, originator()).await.unwrap_err();
    assert_eq!(
        failed,
        OpenError::ConnectFailed("Connection refused".into())
    );
    let forbidden = lane.open("127.0.0.1", 3, originator()).await.unwrap_err();
    assert!(
        matches!(forbidden, OpenError::Prohibited(_)),
        "{forbidden:?}"
    );
    let forward = lane.remote_forward("127.0.0.1".parse().unwrap()).await;
    assert_eq!(forward.unwrap_err(), ForwardError::Refused);
}

#[tokio::test]
async fn a_stalled_download_leaves_the_rest_alone_and_can_be_dropped() {
    let Some(sshd) = Sshd::start("").await else {
        return;
    };
    let session = sshd.connect().await;
    let echo = echo_server().await;
    let endless = endless().await;
    let mut control = session
        .open_control("127.0.0.1", echo.port(), originator())
        .await
        .unwrap();
    let (lane, stalled) = stalled(&session, endless).await;
    for _ in 0..20 {
        ping(&mut control).await;
    }
    drop((stalled, lane, control));
    quiet(&session).await;
}

#[tokio::test]
async fn bursts_of_log_ins_within_max_startups() {
    let Some(mut sshd) = Sshd::start("MaxStartups 1:50:3").await else {
        return;
    };
    sshd.settings.lanes = 8;
    // The first connection is not tried again by itself, and sshd may drop it.
    let session = loop {
        match Session::connect(sshd.settings.clone(), Script::new([])).await {
            Ok(session) => break session,
            Err(error) => assert!(matches!(error, Error::Handshake { .. }), "{error}"),
        }
    };
    let mut lanes = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let session = session.clone();
        lanes.spawn(async move { session.lane().await.unwrap() });
    }
    let lanes = within("all lanes", lanes.join_all()).await;
    assert_eq!(lanes.len(), 8);
    assert!(lanes.iter().all(|lane| !lane.is_shared_control()));
}

#[tokio::test]
async fn the_locked_key_and_the_wrong_one() {
    let Some(mut sshd) = Sshd::start("").await else {
        return;
    };
    sshd.settings.identities[0].path = sshd.dir.path().join("id_locked");
    let script = Script::new(["open sesame"]);
    let session = Session::connect(sshd.settings.clone(), script.clone())
        .await
        .unwrap();
    assert!(!session.lane().await.unwrap().is_shared_control());
    assert_eq!(script.asked().len(), 1);
    sshd.settings.identities[0].path = sshd.dir.path().join("host_ed25519");
    let error = Session::connect(sshd.settings.clone(), Script::new([]))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::LoginRefused { .. }), "{error}");
}

#[tokio::test]
async fn keys_of_an_agent() {
    let Some(mut sshd) = Sshd::start("").await else {
        return;
    };
    let socket = sshd.dir.path().join("agent");
    let mut agent = Command::new("ssh-agent")
        .args(["-D", "-a"])
        .arg(&socket)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until("the agent listens", || socket.exists()).await;
    let add = |name: &str| {
        let added = Command::new("ssh-add")
            .arg("-q")
            .arg(sshd.dir.path().join(name))
            .env("SSH_AUTH_SOCK", &socket)
            .status();
        assert!(added.unwrap().success());
    };
    add("host_ed25519");
    add("id_rsa");
    let identities = std::mem::take(&mut sshd.settings.identities);
    sshd.settings.agent = Some(socket.clone());
    let session = sshd.connect().await;
    assert!(!session.lane().await.unwrap().is_shared_control());
    // Only named keys may be used: at first none is named, then the right one by its public half alone.
    sshd.settings.identities_only = true;
    let refused = Session::connect(sshd.settings.clone(), Script::new([])).await;
    assert!(refused.is_err());
    let public_only = sshd.dir.path().join("elsewhere");
    std::fs::copy(
        identities[0].path.with_extension("pub"),
        public_only.with_extension("pub"),
    )
    .unwrap();
    sshd.settings.identities = vec![Identity {
        path: public_only,
        explicit: true,
    }];
    drop(sshd.connect().await);
    agent.kill().unwrap();
    agent.wait().unwrap();
}

#[tokio::test]
async fn a_killed_sshd_is_a_lost_connection() {
    let Some(sshd) = Sshd::start("").await else {
        return;
    };
    let session = sshd.connect().await;
    let echo = echo_server().await;
    let (_lane, mut channel) = on_a_lane(&session, echo).await;
    ping(&mut channel).await;
    // The session's own processes survive their parent, so they are found by the parent's number.
    let parent = std::fs::read_to_string(sshd.dir.path().join("pid")).unwrap();
    let children = format!("/proc/{0}/task/{0}/children", parent.trim());
    let Ok(children) = std::fs::read_to_string(children) else {
        return;
    };
    for child in children.split_whitespace() {
        Command::new("kill").args(["-9", child]).status().unwrap();
    }
    let end = within("the end", channel.reader.read()).await;
    assert!(
        matches!(end, Received::Lost(LostReason::Connection(_))),
        "{end:?}"
    );
    let mut again = within(
        "again",
        session.open_control("127.0.0.1", echo.port(), originator()),
    )
    .await
    .unwrap();
    ping(&mut again).await;
    tokio::time::timeout(Duration::from_secs(5), session.close())
        .await
        .unwrap();
}
