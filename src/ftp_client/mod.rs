//! A small FTP client, for `ferryline check`, the demo and the tests: binary transfers in the four modes, and
//! access to the bare control connection for lines that no well-behaved client would send.
//!
//! It is strict where a transfer could be lost without an error: a data connection that is reset is an error
//! and never the end of a file, and a transfer counts only with its final 2xx reply. It connects to the
//! address in a 227, as simple clients do, so that an address that was not rewritten shows.

mod outcome;

use std::{io, net::SocketAddr, time::Duration};

use bytes::BytesMut;
use ferryline_grammar::{
    ExtendedAddress, Frame, HostPort, LineCodec, Place, ReplyFraming, masked, parse_passive_reply,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::codec::Decoder;
use zeroize::Zeroizing;

pub use outcome::{ClientError, DataPort, Mode, Problem, Reply};

use outcome::fail;

/// A control connection to an FTP server.
#[derive(Debug)]
pub struct FtpClient {
    control: TcpStream,
    server: SocketAddr,
    /// Longest time in which nothing may move.
    patience: Duration,
    incoming: BytesMut,
    codec: LineCodec,
    framing: ReplyFraming,
    /// Lines of a reply whose last line has not come yet.
    open_reply: Vec<Vec<u8>>,
    /// Final reply of a transfer that came before its data connection.
    early_reply: Option<Reply>,
}

impl FtpClient {
    /// Connects and reads the greeting.
    ///
    /// # Errors
    ///
    /// If the server does not answer, or the greeting is not a 220.
    pub async fn connect(server: SocketAddr) -> Result<Self, ClientError> {
        let (client, greeting) = Self::greeted(server, PATIENCE).await?;
        greeting.wanted(GREETING, 2)?;
        Ok(client)
    }

    /// Connects and reads any greeting. From now on no reply may take longer than `patience`, and no data
    /// connection may stand still for longer.
    ///
    /// # Errors
    ///
    /// If the server does not answer, or no greeting comes.
    pub async fn greeted(
        server: SocketAddr,
        patience: Duration,
    ) -> Result<(Self, Reply), ClientError> {
        let step = format!("connecting to {server}");
        let control = in_time(patience, &step, TcpStream::connect(server))
            .await?
            .and_then(|control| control.set_nodelay(true).map(|()| control))
            .map_err(|error| fail(&step, Problem::Control(error.into())))?;
        let mut client = Self {
            control,
            server,
            patience,
            incoming: BytesMut::new(),
            codec: LineCodec::replies(),
            framing: ReplyFraming::default(),
            open_reply: Vec::new(),
            early_reply: None,
        };
        let mut greeting = client.reply_to(GREETING).await?;
        // 120 announces that the 220 will be late (RFC 959 §5.4).
        if greeting.code.class() == 1 {
            greeting = client.reply_to(GREETING).await?;
        }
        Ok((client, greeting))
    }

    /// Logs in, and asks for binary transfers (TYPE I).
    ///
    /// # Errors
    ///
    /// If the server refuses; see [`ClientError`].
    pub async fn login(&mut self, user: &str, password: &str) -> Result<(), ClientError> {
        let command = format!("USER {user}");
        let reply = self.command(&command).await?;
        if reply.code.class() == 3 {
            let pass = Zeroizing::new(format!("PASS {password}"));
            let reply = self.command(&pass).await?;
            reply.wanted("PASS ****", 2)?;
        } else {
            reply.wanted(&command, 2)?;
        }
        self.command("TYPE I").await?.wanted("TYPE I", 2)?;
        Ok(())
    }

    /// Sends a command, given without its line end, and returns the next reply, with any code.
    ///
    /// # Errors
    ///
    /// If the control connection fails or no reply comes.
    pub async fn command(&mut self, command: &str) -> Result<Reply, ClientError> {
        let step = shown(command);
        self.send(&step, command).await?;
        self.reply_to(&step).await
    }

    /// Returns the next reply, to a command that was sent before or to none.
    ///
    /// # Errors
    ///
    /// If the control connection fails or no reply comes.
    pub async fn reply(&mut self) -> Result<Reply, ClientError> {
        self.reply_to("a further reply").await
    }

    /// Returns the long listing of the current folder (LIST).
    ///
    /// # Errors
    ///
    /// If any step fails; see [`ClientError`].
    pub async fn list(&mut self, mode: Mode) -> Result<Vec<u8>, ClientError> {
        self.download(mode, "LIST").await
    }

    /// Returns the content of a file (RETR).
    ///
    /// # Errors
    ///
    /// If any step fails; see [`ClientError`]. Where the data connection failed, the reply to RETR is still
    /// to be read ([`FtpClient::reply`]).
    pub async fn retrieve(&mut self, mode: Mode, path: &str) -> Result<Vec<u8>, ClientError> {
        self.download(mode, &format!("RETR {path}")).await
    }

    /// Stores a file (STOR).
    ///
    /// # Errors
    ///
    /// If any step fails; see [`ClientError`]. Where the data connection failed, the reply to STOR is still
    /// to be read ([`FtpClient::reply`]).
    pub async fn store(
        &mut self,
        mode: Mode,
        path: &str,
        content: &[u8],
    ) -> Result<(), ClientError> {
        let command = format!("STOR {path}");
        let mut data = self.begin(mode, &command).await?;
        let mut bytes = 0;
        let mut sent: io::Result<()> = Ok(());
        for chunk in content.chunks(CHUNK) {
            sent = in_time(self.patience, &command, data.write_all(chunk)).await?;
            if sent.is_err() {
                break;
            }
            bytes += chunk.len();
        }
        if sent.is_ok() {
            sent = in_time(self.patience, &command, data.shutdown()).await?;
        }
        sent.map_err(|source| fail(&command, Problem::Data { bytes, source }))?;
        self.finish(&command).await
    }

    /// Begins a transfer: makes the data connection, sends the command, reads its 1xx reply. The transfer
    /// ends with [`FtpClient::finish`].
    ///
    /// # Errors
    ///
    /// If any step fails; see [`ClientError`].
    pub async fn begin(&mut self, mode: Mode, command: &str) -> Result<TcpStream, ClientError> {
        let port = self.open_data(mode).await?;
        self.command(command).await?.wanted(command, 1)?;
        let listener = match port {
            DataPort::Connected(data) => return Ok(data),
            DataPort::Listening(listener) => listener,
            DataPort::Reset(source) => {
                return Err(fail(command, Problem::Data { bytes: 0, source }));
            }
        };
        let step = format!("the data connection for {command}");
        let accepted = loop {
            tokio::select! {
                biased;
                accepted = in_time(self.patience, &step, listener.accept()) => break accepted?,
                reply = self.reply_to(command), if self.early_reply.is_none() => {
                    // All of a small transfer may be over before its connection is accepted here.
                    let reply = reply?;
                    reply.wanted(command, 2)?;
                    self.early_reply = Some(reply);
                }
            }
        };
        match accepted {
            Ok((data, from)) if from.ip() == self.server.ip() => Ok(data),
            Ok((_, from)) => Err(fail(&step, Problem::Stranger(from))),
            Err(source) => Err(fail(&step, Problem::Data { bytes: 0, source })),
        }
    }

    /// Reads the final reply of a transfer.
    ///
    /// # Errors
    ///
    /// If it is not a 2xx.
    pub async fn finish(&mut self, command: &str) -> Result<(), ClientError> {
        self.reply_to(command).await?.wanted(command, 2)?;
        Ok(())
    }

    /// Agrees with the server on the data connection of the next transfer (PASV, EPSV, PORT or EPRT).
    ///
    /// # Errors
    ///
    /// If the server refuses the mode, its reply names no address, or the connect there fails.
    pub async fn open_data(&mut self, mode: Mode) -> Result<DataPort, ClientError> {
        match mode {
            Mode::Passive | Mode::ExtendedPassive => self.connect_data(mode).await,
            Mode::Active | Mode::ExtendedActive => self.listen_for_data(mode).await,
        }
    }

    /// Sends QUIT and waits until the server has closed the connection.
    ///
    /// # Errors
    ///
    /// If the server does not answer or does not close.
    pub async fn quit(mut self) -> Result<(), ClientError> {
        self.command("QUIT").await?.wanted("QUIT", 2)?;
        match self.reply_to("QUIT").await {
            Ok(more) => Err(fail("QUIT", Problem::Answer(more))),
            Err(error) if matches!(error.problem, Problem::Closed) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Returns the bare control connection, to write what is no command: several at once, urgent data, half a
    /// line. Replies are read with [`FtpClient::reply`], which does not see what is read here.
    pub fn control(&mut self) -> &mut TcpStream {
        &mut self.control
    }

    async fn download(&mut self, mode: Mode, command: &str) -> Result<Vec<u8>, ClientError> {
        let mut data = self.begin(mode, command).await?;
        let mut content = Vec::new();
        loop {
            match in_time(self.patience, command, data.read_buf(&mut content)).await? {
                Ok(0) => break,
                Ok(_) => {}
                Err(source) => {
                    let bytes = content.len();
                    return Err(fail(command, Problem::Data { bytes, source }));
                }
            }
        }
        // ProFTPD waits for this EOF before its 226.
        drop(data);
        self.finish(command).await?;
        Ok(content)
    }

    async fn connect_data(&mut self, mode: Mode) -> Result<DataPort, ClientError> {
        let command = mode.verb();
        let reply = self.command(command).await?;
        reply.wanted(command, 2)?;
        let lines = reply.lines.iter().map(Vec::as_slice);
        let endpoint = parse_passive_reply(reply.code, lines)
            .map_err(|error| fail(command, Problem::NoAddress(error, reply.clone())))?;
        let ip = endpoint.address.unwrap_or_else(|| self.server.ip());
        let address = SocketAddr::new(ip, endpoint.port);
        let step = format!("{command}: the data connection to {address}");
        match in_time(self.patience, &step, TcpStream::connect(address)).await? {
            Ok(data) => Ok(DataPort::Connected(data)),
            // It stood, and was reset before this was told so. The reply to the command says why.
            Err(source) if source.kind() == io::ErrorKind::ConnectionReset => {
                Ok(DataPort::Reset(source))
            }
            Err(source) => Err(fail(&step, Problem::Data { bytes: 0, source })),
        }
    }

    async fn listen_for_data(&mut self, mode: Mode) -> Result<DataPort, ClientError> {
        let step = format!("{}: listening for the data connection", mode.verb());
        let listening = async {
            let listener = TcpListener::bind((self.control.local_addr()?.ip(), 0)).await?;
            Ok((listener.local_addr()?, listener))
        };
        let (address, listener) = listening
            .await
            .map_err(|source: io::Error| fail(&step, Problem::Data { bytes: 0, source }))?;
        let command = match (mode, address) {
            (Mode::Active, SocketAddr::V4(address)) => format!("PORT {}", HostPort::from(address)),
            (Mode::Active, SocketAddr::V6(_)) => return Err(fail(&step, Problem::Family)),
            _ => format!("EPRT {}", ExtendedAddress::from(address)),
        };
        self.command(&command).await?.wanted(&command, 2)?;
        Ok(DataPort::Listening(listener))
    }

    async fn send(&mut self, step: &str, command: &str) -> Result<(), ClientError> {
        self.framing.command_sent();
        // The command may hold a password.
        let line = Zeroizing::new(format!("{command}\r\n"));
        in_time(self.patience, step, self.control.write_all(line.as_bytes()))
            .await?
            .map_err(|error| fail(step, Problem::Control(error.into())))
    }

    /// Reads the next reply within the time for the whole of it: lines without end are no reply either.
    /// Nothing is lost where this future is dropped before it ends.
    async fn reply_to(&mut self, step: &str) -> Result<Reply, ClientError> {
        in_time(self.patience, step, self.next_reply(step)).await?
    }

    async fn next_reply(&mut self, step: &str) -> Result<Reply, ClientError> {
        if let Some(reply) = self.early_reply.take() {
            return Ok(reply);
        }
        loop {
            let line = match self.codec.decode(&mut self.incoming) {
                Ok(Some(Frame::Line(line))) => line,
                Ok(Some(Frame::Negotiation(_))) => continue,
                Ok(None) => match self.control.read_buf(&mut self.incoming).await {
                    Ok(0) => return Err(fail(step, Problem::Closed)),
                    Ok(_) => continue,
                    Err(error) => return Err(fail(step, Problem::Control(error.into()))),
                },
                Err(error) => return Err(fail(step, Problem::Control(error))),
            };
            self.open_reply.push(line.text().to_vec());
            match self.framing.place(line.text()) {
                Place::First(_) | Place::Middle(_) => {}
                Place::Last(code) | Place::Only(code) => {
                    let lines = std::mem::take(&mut self.open_reply);
                    return Ok(Reply { code, lines });
                }
                Place::Stray => {
                    self.open_reply.clear();
                    let line = line.text().escape_ascii().to_string();
                    return Err(fail(step, Problem::NoReply(line)));
                }
            }
        }
    }
}

/// Bounds one step in time.
async fn in_time<T>(
    patience: Duration,
    step: &str,
    work: impl Future<Output = T>,
) -> Result<T, ClientError> {
    timeout(patience, work)
        .await
        .map_err(|_| fail(step, Problem::Stalled(patience)))
}

/// A command in the form in which it may be shown.
fn shown(command: &str) -> String {
    String::from_utf8_lossy(&masked(command.as_bytes())).into_owned()
}

const GREETING: &str = "the greeting";
/// Longest time in which nothing may move, by default.
const PATIENCE: Duration = Duration::from_secs(30);
/// Number of bytes that are written at a time.
const CHUNK: usize = 64 * 1024;
