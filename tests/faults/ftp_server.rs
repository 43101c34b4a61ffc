//! A plain FTP server that notes how each upload ended. It tells a complete file from an incomplete one as
//! well as an FTP server can: by the end of its data connection, and by whether its control connection was
//! still open then.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::common::{extended_address, host_port, noise, six_numbers};

/// An upload as the server received it.
#[derive(Clone, Debug)]
pub struct Stored {
    pub content: Vec<u8>,
    pub end: StoredEnd,
}

/// How an upload ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredEnd {
    /// The data connection broke.
    Broken,
    /// The control connection ended first.
    ControlLost,
    /// An end of file came: the server takes the file for complete, and sends 226.
    Eof,
}

/// Sends `noise(N)` for `RETR N`. Stores for `STOR NAME`. For `APPE NAME` it stores after it has ended its
/// own direction of the data connection.
pub struct FtpServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    stored: Mutex<HashMap<String, Stored>>,
    files: Mutex<HashMap<usize, Arc<Vec<u8>>>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl FtpServer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            stored: Mutex::default(),
            files: Mutex::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        let serving = Arc::clone(&shared);
        shared.tasks.spawn(async move {
            loop {
                let control = tokio::select! {
                    accepted = listener.accept() => accepted.unwrap().0,
                    () = serving.stop.cancelled() => return,
                };
                let shared = Arc::clone(&serving);
                serving.tasks.spawn(async move {
                    let stop = shared.stop.clone();
                    tokio::select! {
                        _ = serve(control, &shared) => {}
                        () = stop.cancelled() => {}
                    }
                });
            }
        });
        Self { address, shared }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns what was stored under this name, once the server has finished with it.
    pub fn take_stored(&self, name: &str) -> Option<Stored> {
        self.shared.stored.lock().unwrap().remove(name)
    }

    /// Number of open sessions.
    pub fn sessions(&self) -> usize {
        // Without the task that accepts them.
        self.shared.tasks.len() - 1
    }

    /// Ends all sessions, and waits until they have.
    pub async fn stop(self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

/// Where the next data connection is.
enum Data {
    None,
    Listening(TcpListener),
    At(SocketAddr),
}

async fn serve(control: TcpStream, shared: &Shared) -> io::Result<()> {
    control.set_nodelay(true)?;
    let local = control.local_addr()?;
    let (read, mut write) = control.into_split();
    let mut lines = BufReader::new(read).lines();
    let mut data = Data::None;
    say(&mut write, "220 ready").await?;
    while let Some(line) = lines.next_line().await? {
        let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
        match verb {
            "USER" => say(&mut write, "331 password?").await?,
            "PASS" => say(&mut write, "230 in").await?,
            "TYPE" | "NOOP" => say(&mut write, "200 yes").await?,
            "PASV" | "EPSV" => {
                let listener = TcpListener::bind((local.ip(), 0)).await?;
                let at = listener.local_addr()?;
                data = Data::Listening(listener);
                let reply = match verb {
                    "PASV" => format!("227 Entering Passive Mode ({}).", six_numbers(at)),
                    _ => format!("229 Entering Extended Passive Mode (|||{}|)", at.port()),
                };
                say(&mut write, &reply).await?;
            }
            "PORT" | "EPRT" => {
                let at = match verb {
                    "PORT" => host_port(&line),
                    _ => extended_address(&line),
                };
                data = at.map_or(Data::None, Data::At);
                say(&mut write, "200 there").await?;
            }
            "RETR" | "STOR" | "APPE" => {
                say(&mut write, "150 now").await?;
                let connection = open(std::mem::replace(&mut data, Data::None), &mut lines).await?;
                let reply = match connection {
                    None => "425 no data connection",
                    Some(stream) if verb == "RETR" => {
                        let file = shared.file(rest.parse().unwrap());
                        send(stream, &file, &mut lines).await?
                    }
                    Some(mut stream) => {
                        if verb == "APPE" {
                            stream.shutdown().await?;
                        }
                        let stored = receive(stream, &mut lines).await;
                        let end = stored.end;
                        shared
                            .stored
                            .lock()
                            .unwrap()
                            .insert(rest.to_owned(), stored);
                        match end {
                            StoredEnd::Broken => "426 it broke",
                            StoredEnd::ControlLost => return Ok(()),
                            StoredEnd::Eof => "226 stored",
                        }
                    }
                };
                say(&mut write, reply).await?;
            }
            "QUIT" => {
                say(&mut write, "221 bye").await?;
                return Ok(());
            }
            _ => say(&mut write, "500 what?").await?,
        }
    }
    Ok(())
}

impl Shared {
    fn file(&self, size: usize) -> Arc<Vec<u8>> {
        let mut files = self.files.lock().unwrap();
        Arc::clone(files.entry(size).or_insert_with(|| Arc::new(noise(size))))
    }
}

type Lines = tokio::io::Lines<BufReader<OwnedReadHalf>>;

/// The data connection; `None` where no connection comes. A control connection that ends meanwhile is an
/// error.
async fn open(data: Data, lines: &mut Lines) -> io::Result<Option<TcpStream>> {
    let opening = async {
        match data {
            Data::None => None,
            Data::Listening(listener) => Some(listener.accept().await.ok()?.0),
            Data::At(address) => TcpStream::connect(address).await.ok(),
        }
    };
    tokio::select! {
        opened = timeout(DATA_PATIENCE, opening) => Ok(opened.ok().flatten()),
        () = control_lost(lines) => Err(io::ErrorKind::BrokenPipe.into()),
    }
}

/// Sends a file. The data connection ends in order even where the control connection has ended before, as it
/// does when the process of a session exits.
async fn send(mut stream: TcpStream, file: &[u8], lines: &mut Lines) -> io::Result<&'static str> {
    let sending = async {
        stream.write_all(file).await?;
        stream.shutdown().await
    };
    tokio::select! {
        biased;
        () = control_lost(lines) => Err(io::ErrorKind::BrokenPipe.into()),
        sent = sending => Ok(match sent {
            Ok(_) => "226 sent",
            Err(_) => "426 it broke",
        }),
    }
}

async fn receive(mut stream: TcpStream, lines: &mut Lines) -> Stored {
    let mut content = Vec::new();
    let read = {
        let reading = async {
            let mut buffer = vec![0; 64 * 1024];
            loop {
                match stream.read(&mut buffer).await {
                    Ok(0) => return StoredEnd::Eof,
                    Ok(count) => content.extend_from_slice(&buffer[..count]),
                    Err(_) => return StoredEnd::Broken,
                }
            }
        };
        tokio::select! {
            biased;
            () = control_lost(lines) => StoredEnd::ControlLost,
            end = reading => end,
        }
    };
    Stored { content, end: read }
}

/// Returns when the control connection has ended. No command comes in mid-transfer here.
async fn control_lost(lines: &mut Lines) {
    while let Ok(Some(_)) = lines.next_line().await {}
}

async fn say(write: &mut OwnedWriteHalf, line: &str) -> io::Result<()> {
    write.write_all(format!("{line}\r\n").as_bytes()).await
}

/// Longer than all that ferryline itself waits for.
const DATA_PATIENCE: Duration = Duration::from_secs(15);
