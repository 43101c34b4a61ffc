//! One client of a scripted server: its control connection and its data connection.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

use super::answer::Step;
use super::script::{Rule, begins, find, text};
use super::{Answer, PATIENCE, Transcript, data};

/// The files received on data connections, each with how it ended.
pub(super) type Uploads = Arc<Mutex<VecDeque<io::Result<Vec<u8>>>>>;

/// What a session waits for.
pub(super) enum Event {
    End,
    Line(Vec<u8>),
    Unasked(Vec<u8>),
}

/// Begins to serve a client; returns a sender for events of the test's own.
pub(super) fn start(
    sessions: &mut JoinSet<()>,
    control: TcpStream,
    (transcript, uploads): (Transcript, Uploads),
    greeting: &Answer,
    rules: &Arc<Mutex<Vec<Rule>>>,
) -> mpsc::UnboundedSender<Event> {
    control.set_nodelay(true).unwrap();
    let local = control.local_addr().unwrap();
    let (events, incoming) = mpsc::unbounded_channel();
    let (reader, control) = control.into_split();
    let reader = sessions.spawn(read_lines(reader, events.clone(), transcript.clone()));
    let session = Session {
        control: Some(control),
        reader,
        local,
        data: Data::None,
        transcript,
        uploads,
    };
    sessions.spawn(session.run(greeting.clone(), rules.clone(), incoming));
    events
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
    uploads: Uploads,
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
            let name = match &step {
                Step::SendData(bytes) => format!("sending {} B of data", bytes.len()),
                other => format!("{other:.40?}"),
            };
            // An open gate is up to the test, and data may wait for it, too.
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
            Step::HalfFinishData => self.data().await?.shutdown().await?,
            Step::Listen => {
                self.data = Data::Listening(TcpListener::bind((self.local.ip(), 0)).await?);
            }
            Step::ReceiveData => {
                self.data().await?;
                if let Data::Open(stream) = std::mem::replace(&mut self.data, Data::None) {
                    let received = data::read_to_end(stream).await;
                    self.uploads.lock().unwrap().push_back(received);
                    self.transcript.event("an upload has ended");
                }
            }
            Step::ReceivePart(len) => {
                self.data().await?.read_exact(&mut vec![0; len]).await?;
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

    /// The data connection, which is made now if there is none yet.
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

    /// Replaces `{hostport}`, `{twoports}` and `{port}` by the listener's address.
    fn filled_in(&self, bytes: Vec<u8>) -> Vec<u8> {
        let Data::Listening(listener) = &self.data else {
            return bytes;
        };
        let address = listener.local_addr().unwrap();
        let [high, low] = address.port().to_be_bytes();
        let bytes = replace(bytes, b"{port}", &address.port().to_string());
        let bytes = replace(bytes, b"{twoports}", &format!("{high},{low}"));
        if address.is_ipv6() {
            return bytes;
        }
        replace(bytes, b"{hostport}", &data::six_numbers(address))
    }
}

/// Reads lines as they come, up to LF, and records them exactly.
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

fn replace(bytes: Vec<u8>, mark: &[u8], with: &str) -> Vec<u8> {
    let Some(at) = bytes.windows(mark.len()).position(|w| w == mark) else {
        return bytes;
    };
    [&bytes[..at], with.as_bytes(), &bytes[at + mark.len()..]].concat()
}

/// The event that is noted when a control connection has ended.
pub(super) const CONTROL_ENDED: &str = "the control connection ended";
