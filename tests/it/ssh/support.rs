//! An SSH server, a client of it, and a few TCP servers to forward to.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use ferryline::demo::ssh_server::{KeyPair, Options, SshServer};
use ferryline::ssh::{
    Channel, ChannelReader, Error, Identity, LaneGuard, Prompt, Received, Secret, Session,
    Settings, Stats, StrictHostKeyChecking,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::common::noise;

/// A server, and settings that let its only user log in by a key.
pub struct World {
    pub server: SshServer,
    pub settings: Settings,
    pub dir: tempfile::TempDir,
}

impl World {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// A world with changes to the server's options.
    pub async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let key = KeyPair::generate(None).unwrap();
        let mut options = Options {
            user: "anna".into(),
            authorized_keys: vec![key.public.clone()],
            ..Options::default()
        };
        change(&mut options);
        let server = SshServer::start(options).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let address = server.address();
        let mut settings = Settings::new(address.ip().to_string(), address.port(), "anna");
        settings.strict_host_key_checking = StrictHostKeyChecking::Yes;
        settings.connect_timeout = Duration::from_secs(20);
        // On a busy machine a log-in may take longer than a second, and that is not tested here.
        settings.lane_patience = Duration::from_secs(20);
        let mut world = Self {
            server,
            settings,
            dir,
        };
        let hosts = world.write("known_hosts", &world.server.known_hosts());
        world.settings.known_hosts = vec![hosts];
        let identity = world.write("id_ed25519", &key.private);
        world.settings.identities = vec![Identity {
            path: identity,
            explicit: true,
        }];
        world
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        }
        path
    }

    pub async fn connect(&self) -> Session {
        self.try_connect(Script::new([])).await.unwrap()
    }

    pub async fn try_connect(&self, prompt: Arc<Script>) -> Result<Session, Error> {
        Session::connect(self.settings.clone(), prompt).await
    }
}

/// Answers prompts from a list and remembers what was asked.
#[derive(Default)]
pub struct Script {
    answers: Mutex<Vec<String>>,
    pub asked: Mutex<Vec<String>>,
}

impl Script {
    pub fn new<const N: usize>(answers: [&str; N]) -> Arc<Self> {
        let answers = answers.iter().rev().map(|a| (*a).to_owned()).collect();
        Arc::new(Self {
            answers: Mutex::new(answers),
            asked: Mutex::default(),
        })
    }

    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Prompt for Script {
    fn secret(&self, text: &str) -> Option<Secret> {
        self.asked.lock().unwrap().push(text.to_owned());
        self.answers.lock().unwrap().pop().map(Secret::new)
    }
}

/// The originator of data connections, as the SSH server is told (RFC 4254 section 7.2).
pub fn originator() -> SocketAddr {
    "127.0.0.1:9".parse().unwrap()
}

/// Waits until something has become true; every wait of these tests is bounded here.
pub async fn until(what: &str, mut is: impl FnMut() -> bool) {
    within(what, async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Bounds a wait, only to keep a broken test from hanging. Nothing is measured by it.
pub async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(60), work).await {
        Ok(done) => done,
        Err(_) => panic!("{what}: not within a minute"),
    }
}

/// Waits until nothing is in use any more, on either side.
pub async fn all_quiet(session: &Session, server: &SshServer) {
    until("all quiet", || {
        let Stats {
            lanes_busy,
            control_channels,
            remote_forwards,
            ..
        } = session.stats();
        (lanes_busy, control_channels, remote_forwards) == (0, 0, 0)
            && (server.channels(), server.remote_forwards()) == (0, 0)
    })
    .await;
}

/// A server that sends back what it gets, and then its end of file.
pub async fn echo_server() -> SocketAddr {
    serve(|mut tcp| async move {
        let (mut from, mut to) = tcp.split();
        let _ = tokio::io::copy(&mut from, &mut to).await;
        let _ = to.shutdown().await;
    })
    .await
}

/// A server that sends this much, then its end of file; then it reads up to the other one.
pub async fn source(length: usize) -> SocketAddr {
    serve(move |mut tcp| async move {
        let (mut from, mut to) = tcp.split();
        let _ = to.write_all(&noise(length)).await;
        let _ = to.shutdown().await;
        let _ = from.read_to_end(&mut Vec::new()).await;
    })
    .await
}

pub async fn serve<F>(each: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(each(tcp));
        }
    });
    address
}

/// Reads all that comes up to the end of file; panics at any other end.
pub async fn read_to_eof(reader: &mut ChannelReader) -> Vec<u8> {
    let mut all = Vec::new();
    within("read to the end of file", async {
        loop {
            match reader.read().await {
                Received::Data(data) => all.extend_from_slice(&data),
                Received::Eof => return,
                other => panic!("{other:?} after {} bytes", all.len()),
            }
        }
    })
    .await;
    all
}

/// A server that sends as long as its client reads.
pub async fn endless() -> SocketAddr {
    serve(|mut tcp| async move { while tcp.write_all(&[7; 65_536]).await.is_ok() {} }).await
}

/// A download whose client reads a little and then nothing more.
pub async fn stalled(session: &Session, from: SocketAddr) -> (LaneGuard, Channel) {
    let (lane, mut channel) = on_a_lane(session, from).await;
    assert!(matches!(channel.reader.read().await, Received::Data(_)));
    (lane, channel)
}

/// A data connection to `server`, on a lane of its own.
pub async fn on_a_lane(session: &Session, server: SocketAddr) -> (LaneGuard, Channel) {
    let lane = within("a lane", session.lane()).await.unwrap();
    let opening = lane.open("127.0.0.1", server.port(), originator());
    let channel = within("a data connection", opening).await.unwrap();
    (lane, channel)
}

/// Sends one line there and back.
pub async fn ping(channel: &mut Channel) {
    within("an echo", async {
        channel
            .writer
            .write(Bytes::from_static(b"ping"))
            .await
            .unwrap();
        let mut got = Vec::new();
        while got.len() < 4 {
            match channel.reader.read().await {
                Received::Data(data) => got.extend_from_slice(&data),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(got, b"ping");
    })
    .await;
}
