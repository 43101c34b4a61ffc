//! The scripted FTP server.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use super::Transcript;
use super::script::{Script, begins, text};
use super::session::{self, CONTROL_ENDED, Event, Uploads};

/// An FTP server on loopback that follows its script. It answers the commands of an ordinary log-in by itself
/// (USER, PASS, TYPE, PWD, NOOP, QUIT …) and everything else that is not in the script with 500. It reads and
/// records lines at once, also while an answer waits, and answers them in order. Several clients may come;
/// they share the script's position and the record.
///
/// ```ignore
/// let server = ScriptedServer::new()
///     .on("PASV", answer().listen().send("227 ={hostport}\n"))
///     .on("RETR", answer().send("150 now\r\n").data(b"hello").send("226 done\r\n"))
///     .start()
///     .await;
/// ```
pub struct ScriptedServer {
    address: SocketAddr,
    transcript: Transcript,
    uploads: Uploads,
    /// Bytes for the session that came last, to be sent without a command.
    unasked: Arc<Mutex<Option<mpsc::UnboundedSender<Event>>>>,
    task: JoinHandle<()>,
}

impl ScriptedServer {
    /// An empty script, on 127.0.0.1.
    #[expect(clippy::new_ret_no_self, reason = "it reads best in the tests")]
    pub fn new() -> Script {
        Script::default()
    }

    /// The address at which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The lines received so far, each exactly as it came, its end included.
    pub fn lines(&self) -> Vec<Vec<u8>> {
        self.transcript.lines()
    }

    /// The lines received so far that begin like this, as text without their ends.
    pub fn commands(&self, start: &str) -> Vec<String> {
        let lines = self.lines();
        let wanted = lines.iter().filter(|line| begins(line, start));
        wanted.map(|line| text(line)).collect()
    }

    /// Waits for the first line received that begins like this; returns it as text without its end.
    pub async fn received(&self, start: &str) -> String {
        self.transcript
            .wait_lines(start, |lines| {
                lines.iter().find(|l| begins(l, start)).map(|l| text(l))
            })
            .await
    }

    /// Waits until a client has come.
    pub async fn client_came(&self) {
        self.transcript.wait_event(CLIENT_CAME).await;
    }

    /// Waits until the control connection of a client has ended, in whatever way.
    pub async fn control_ended(&self) {
        self.transcript.wait_event(CONTROL_ENDED).await;
    }

    /// Waits for the next file received on a data connection; returns it, or how it broke.
    pub async fn upload(&self) -> io::Result<Vec<u8>> {
        let next = || self.uploads.lock().unwrap().pop_front();
        self.transcript.wait("the end of an upload", next).await
    }

    /// Sends bytes to the client that came last, without a command, after what is being sent. Waits for the
    /// first client.
    pub async fn say(&self, bytes: impl AsRef<[u8]>) {
        let session = || self.unasked.lock().unwrap().clone();
        let session = self.transcript.wait("a client", session).await;
        let _ = session.send(Event::Unasked(bytes.as_ref().to_vec()));
    }

    /// The conversation, for a message.
    pub fn transcript(&self) -> &Transcript {
        &self.transcript
    }
}

impl Drop for ScriptedServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Script {
    /// Listens.
    pub async fn start(self) -> ScriptedServer {
        let listener = TcpListener::bind(self.address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let transcript = Transcript::default();
        let uploads = Uploads::default();
        let unasked = Arc::new(Mutex::new(None));
        let rules = Arc::new(Mutex::new(self.rules));
        let shared = (transcript.clone(), uploads.clone(), unasked.clone());
        let greeting = self.greeting;
        let task = tokio::spawn(async move {
            let (transcript, uploads, unasked) = shared;
            // Dropped with this task, so that no session outlives the server.
            let mut sessions = JoinSet::new();
            while let Ok((control, _)) = listener.accept().await {
                let record = (transcript.clone(), uploads.clone());
                let events = session::start(&mut sessions, control, record, &greeting, &rules);
                *unasked.lock().unwrap() = Some(events);
                transcript.event(CLIENT_CAME);
            }
        });
        ScriptedServer {
            address,
            transcript,
            uploads,
            unasked,
            task,
        }
    }
}

/// The event that is noted when a client has connected.
const CLIENT_CAME: &str = "a client came";
