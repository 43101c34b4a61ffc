//! The scripted FTP server.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio::time::timeout;

use super::answer::Step;
use super::{Answer, PATIENCE, Transcript, answer, data};

/// An FTP server on loopback that does what its script says. It answers the commands of an ordinary
/// log-in by itself (USER, PASS, TYPE, PWD, NOOP, QUIT …) and everything that the script leaves out
/// with 500. Lines are taken in and recorded at once, also while an answer waits; they are answered
/// in order. Several clients may come; they share the script's position and the record.
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
    uploads: Arc<Mutex<Vec<io::Result<Vec<u8>>>>>,
    /// To the session that came last: bytes to send without being asked.
    unasked: Arc<Mutex<Option<mpsc::UnboundedSender<Event>>>>,
    task: JoinHandle<()>,
}

/// The script of a [`ScriptedServer`], before it starts.
#[derive(Clone)]
pub struct Script {
    greeting: Answer,
    rules: Vec<Rule>,
    address: SocketAddr,
}

#[derive(Clone)]
struct Rule {
    /// A line is meant that begins so, in upper or lower case.
    start: String,
    /// The first is for the first such line; the last one stays.
    answers: VecDeque<Answer>,
}

enum Event {
    End,
    Line(Vec<u8>),
    Unasked(Vec<u8>),
}

impl ScriptedServer {
    /// A script with nothing special in it, on 127.0.0.1.
    #[expect(clippy::new_ret_no_self, reason = "it reads best in the tests")]
    pub fn new() -> Script {
        Script {
            greeting: answer().send("220 scripted server\r\n"),
            rules: Vec::new(),
            address: (Ipv4Addr::LOCALHOST, 0).into(),
        }
    }

    /// Where it listens.
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

    /// The first line received that begins like this, as text without its end; waits for it.
    pub async fn received(&self, start: &str) -> String {
        self.transcript
            .wait_lines(start, |lines| {
                lines.iter().find(|l| begins(l, start)).map(|l| text(l))
            })
            .await
    }

    /// Waits until the control connection of a client has ended, in whatever way.
    pub async fn control_ended(&self) {
        self.transcript.wait_event(CONTROL_ENDED).await;
    }

    /// The files received on data connections, in order, each with how it ended.
    pub fn uploads(&self) -> Vec<io::Result<Vec<u8>>> {
        std::mem::take(&mut self.uploads.lock().unwrap())
    }

    /// Sends bytes to the client that came last, asked for by nobody; after what is being sent.
    pub fn say(&self, bytes: impl AsRef<[u8]>) {
        let session = self.unasked.lock().unwrap();
        let session = session.as_ref().expect("no client has come yet");
        let _ = session.send(Event::Unasked(bytes.as_ref().to_vec()));
    }

    /// What was said, for a message.
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
    /// What comes first of all, in place of a plain 220.
    pub fn greeting(mut self, greeting: impl Into<Answer>) -> Self {
        self.greeting = greeting.into();
        self
    }

    /// What to do at a line that begins with `start`. Said again for the same start, it is for the
    /// next such line; the last one stays in force.
    pub fn on(mut self, start: &str, answer: impl Into<Answer>) -> Self {
        let answer = answer.into();
        match self.rules.iter_mut().find(|rule| rule.start == start) {
            Some(rule) => rule.answers.push_back(answer),
            None => self.rules.push(Rule {
                start: start.to_owned(),
                answers: [answer].into(),
            }),
        }
        self
    }

    /// Where to listen, if not on a free port of 127.0.0.1.
    pub fn at(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Listens.
    pub async fn start(self) -> ScriptedServer {
        let listener = TcpListener::bind(self.address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let transcript = Transcript::default();
        let uploads = Arc::new(Mutex::new(Vec::new()));
        let unasked = Arc::new(Mutex::new(None));
        let rules = Arc::new(Mutex::new(self.rules));
        let shared = (transcript.clone(), uploads.clone(), unasked.clone());
        let greeting = self.greeting;
        let task = tokio::spawn(async move {
            let (transcript, uploads, unasked) = shared;
            // Dropped with this task: no session outlives the server.
            let mut sessions = JoinSet::new();
            while let Ok((control, _)) = listener.accept().await {
                control.set_nodelay(true).unwrap();
                transcript.event("a client came");
                let (events, incoming) = mpsc::unbounded_channel();
                *unasked.lock().unwrap() = Some(events.clone());
                let local = control.local_addr().unwrap();
                let (reader, control) = control.into_split();
                let reader = sessions.spawn(read_lines(reader, events, transcript.clone()));
                let session = Session {
                    control: Some(control),
                    reader,
                    local,
                    data: Data::None,
                    transcript: transcript.clone(),
                    uploads: uploads.clone(),
                };
                sessions.spawn(session.run(greeting.clone(), rules.clone(), incoming));
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

/// One client's control connection, and its data connection.
struct Session {
    /// Empty once the script has closed it.
    control: Option<OwnedWriteHalf>,
    /// Holds the other half of the control connection.
    reader: AbortHandle,
    local: SocketAddr,
    data: Data,
    transcript: Transcript,
    uploads: Arc<Mutex<Vec<io::Result<Vec<u8>>>>>,
}

enum Data {
    None,
    Listening(TcpListener),
    Client(SocketAddr),
    Open(TcpStream),
}

impl Session {
    async fn run(
        mut self,
        greeting: Answer,
        rules: Arc<Mutex<Vec<Rule>>>,
        mut incoming: mpsc::UnboundedReceiver<Event>,
    ) {
        self.perform(greeting).await;
        while let Some(event) = incoming.recv().await {
            match event {
                Event::End => break,
                Event::Unasked(bytes) => self.send(&bytes).await,
                Event::Line(line) => {
                    let line = text(&line);
                    if begins(line.as_bytes(), "PORT ") {
                        self.data = data::host_port(&line).map_or(Data::None, Data::Client);
                    } else if begins(line.as_bytes(), "EPRT ") {
                        self.data = data::extended_address(&line).map_or(Data::None, Data::Client);
                    }
                    let answer = find(&rules, &line);
                    self.perform(answer).await;
                }
            }
        }
    }

    async fn perform(&mut self, answer: Answer) {
        for step in answer.0 {
            let name = format!("{step:.40?}");
            // An open gate is the test's business, and data may wait for it too.
            let failed = match timeout(PATIENCE, self.step(step)).await {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => error.to_string(),
                Err(_) => "it took too long".to_owned(),
            };
            self.transcript.event(&format!("{name} failed: {failed}"));
        }
    }

    async fn step(&mut self, step: Step) -> io::Result<()> {
        match step {
            Step::Close => {
                self.transcript.event("the script closes the connection");
                if let Some(mut control) = self.control.take() {
                    control.shutdown().await?;
                }
            }
            Step::Connect | Step::OpenData => {
                self.data().await?;
            }
            Step::FinishData => {
                self.data().await?.shutdown().await?;
                self.data = Data::None;
            }
            Step::Listen => {
                self.data = Data::Listening(TcpListener::bind((self.local.ip(), 0)).await?);
            }
            Step::ReceiveData => {
                self.data().await?;
                if let Data::Open(stream) = std::mem::replace(&mut self.data, Data::None) {
                    let received = data::read_to_end(stream).await;
                    self.uploads.lock().unwrap().push(received);
                    self.transcript.event("an upload has ended");
                }
            }
            Step::ResetControl => {
                if let Some(control) = self.control.take() {
                    socket2::SockRef::from(control.as_ref()).set_linger(Some(Duration::ZERO))?;
                    // Without this the half would send a FIN of its own before the reset.
                    control.forget();
                }
                self.reader.abort();
                self.transcript.event(CONTROL_ENDED);
            }
            Step::ResetData => {
                self.data().await?.set_zero_linger()?;
                self.data = Data::None;
            }
            Step::Send(bytes) => {
                let bytes = self.filled_in(bytes);
                self.send(&bytes).await;
            }
            Step::SendBytewise(bytes) => {
                for byte in self.filled_in(bytes) {
                    self.send(&[byte]).await;
                    tokio::task::yield_now().await;
                }
            }
            Step::SendData(bytes) => self.data().await?.write_all(&bytes).await?,
            Step::Wait(gate) => gate.passed().await,
        }
        Ok(())
    }

    /// The data connection; made now if need be.
    async fn data(&mut self) -> io::Result<&mut TcpStream> {
        let made = match &self.data {
            Data::None => return Err(io::Error::other("no PORT came and no listener is open")),
            Data::Open(_) => None,
            Data::Listening(listener) => Some(listener.accept().await?.0),
            Data::Client(address) => Some(TcpStream::connect(address).await?),
        };
        if let Some(stream) = made {
            self.data = Data::Open(stream);
        }
        match &mut self.data {
            Data::Open(stream) => Ok(stream),
            _ => Err(io::Error::other("the data connection is gone")),
        }
    }

    async fn send(&mut self, bytes: &[u8]) {
        let Some(control) = &mut self.control else {
            return;
        };
        self.transcript.sent(bytes);
        if let Err(error) = control.write_all(bytes).await {
            self.transcript.event(&format!("not sent: {error}"));
        }
    }

    /// Puts the listener's address in the place of `{hostport}` and `{port}`.
    fn filled_in(&self, bytes: Vec<u8>) -> Vec<u8> {
        let Data::Listening(listener) = &self.data else {
            return bytes;
        };
        let address = listener.local_addr().unwrap();
        let bytes = replace(bytes, b"{port}", &address.port().to_string());
        if address.is_ipv6() {
            return bytes;
        }
        replace(bytes, b"{hostport}", &data::six_numbers(address))
    }
}

/// Takes lines in as they come, up to LF, and records them exactly.
async fn read_lines(
    reader: OwnedReadHalf,
    events: mpsc::UnboundedSender<Event>,
    transcript: Transcript,
) {
    let mut reader = BufReader::new(reader);
    loop {
        let mut line = Vec::new();
        let ended = reader.read_until(b'\n', &mut line).await;
        if !line.is_empty() {
            transcript.received(&line);
        }
        if let Err(error) = &ended {
            transcript.event(&format!("control connection: {error}"));
        }
        if ended.is_err() || !line.ends_with(b"\n") {
            transcript.event(CONTROL_ENDED);
            let _ = events.send(Event::End);
            return;
        }
        let _ = events.send(Event::Line(line));
    }
}

/// The script's answer to a line, or that of an ordinary server.
fn find(rules: &Mutex<Vec<Rule>>, line: &str) -> Answer {
    let mut rules = rules.lock().unwrap();
    let rule = rules
        .iter_mut()
        .find(|rule| begins(line.as_bytes(), &rule.start));
    if let Some(rule) = rule {
        if rule.answers.len() > 1 {
            return rule.answers.pop_front().unwrap();
        }
        return rule.answers[0].clone();
    }
    let verb = line.split(' ').next().unwrap_or_default();
    match verb.to_ascii_uppercase().as_str() {
        "USER" => "331 password, please\r\n".into(),
        "PASS" => "230 logged in\r\n".into(),
        "TYPE" | "MODE" | "STRU" | "NOOP" | "PORT" | "EPRT" => "200 as you wish\r\n".into(),
        "SYST" => "215 UNIX Type: L8\r\n".into(),
        "PWD" => "257 \"/\"\r\n".into(),
        "PASV" => answer()
            .listen()
            .send("227 Entering Passive Mode ({hostport}).\r\n"),
        "EPSV" => answer()
            .listen()
            .send("229 Entering Extended Passive Mode (|||{port}|)\r\n"),
        "QUIT" => answer().send("221 bye\r\n").close(),
        _ => "500 not in the script\r\n".into(),
    }
}

fn begins(line: &[u8], start: &str) -> bool {
    line.len() >= start.len() && line[..start.len()].eq_ignore_ascii_case(start.as_bytes())
}

/// A line as text, without its end.
fn text(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    String::from_utf8_lossy(line).into_owned()
}

fn replace(bytes: Vec<u8>, mark: &[u8], with: &str) -> Vec<u8> {
    let Some(at) = bytes.windows(mark.len()).position(|w| w == mark) else {
        return bytes;
    };
    [&bytes[..at], with.as_bytes(), &bytes[at + mark.len()..]].concat()
}

const CONTROL_ENDED: &str = "the control connection ended";
