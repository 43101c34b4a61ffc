//! The scripted FTP client: raw bytes out, exact lines in.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::{PATIENCE, Transcript, data};

/// A control connection. If something else comes than expected, the test fails with the conversation so far.
pub struct ScriptedClient {
    control: BufReader<TcpStream>,
    transcript: Transcript,
}

impl ScriptedClient {
    /// Connects; reads nothing yet.
    pub async fn connect(address: SocketAddr) -> Self {
        let control = timeout(PATIENCE, TcpStream::connect(address)).await;
        let control = control
            .unwrap_or_else(|_| panic!("{address} did not answer"))
            .unwrap_or_else(|error| panic!("{address}: {error}"));
        control.set_nodelay(true).unwrap();
        Self {
            control: BufReader::new(control),
            transcript: Transcript::default(),
        }
    }

    /// Connects and logs in: 220, USER, 331, PASS, 230.
    pub async fn logged_in(address: SocketAddr) -> Self {
        let mut client = Self::connect(address).await;
        client.expect("220 ").await;
        client.ask("USER demo", "331 ").await;
        client.ask("PASS demo", "230 ").await;
        client
    }

    /// Sends a command, with CRLF after it.
    pub async fn send(&mut self, command: &str) {
        self.send_raw(format!("{command}\r\n")).await;
    }

    /// Sends bytes exactly as they are, in one write.
    pub async fn send_raw(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        self.transcript.sent(bytes);
        let written = timeout(PATIENCE, self.control.get_mut().write_all(bytes)).await;
        match written {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.fail(&format!("could not send: {error}")),
            Err(_) => self.fail("nobody takes what is sent"),
        }
    }

    /// Sends bytes of which the last one is TCP urgent data, as clients do that abort a transfer.
    pub fn send_urgent(&self, bytes: &[u8]) {
        self.transcript.sent(bytes);
        let socket = socket2::SockRef::from(self.control.get_ref());
        let sent = socket.send_out_of_band(bytes).unwrap();
        assert_eq!(sent, bytes.len());
    }

    /// Reads the next line, exactly as it came, its end included.
    pub async fn raw_line(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        let read = timeout(PATIENCE, self.control.read_until(b'\n', &mut line)).await;
        if !line.is_empty() {
            self.transcript.received(&line);
        }
        match read {
            Ok(Ok(_)) if line.ends_with(b"\n") => line,
            Ok(Ok(_)) => self.fail("a line was expected, the connection was closed"),
            Ok(Err(error)) => self.fail(&format!("a line was expected: {error}")),
            Err(_) => self.fail("a line was expected, nothing came"),
        }
    }

    /// Reads the next line as text without its CRLF, which must be there.
    pub async fn line(&mut self) -> String {
        let line = self.raw_line().await;
        match line.strip_suffix(b"\r\n") {
            Some(text) => String::from_utf8_lossy(text).into_owned(),
            None => self.fail("a line ends with LF alone"),
        }
    }

    /// Reads the next line; it must begin like this.
    pub async fn expect(&mut self, start: &str) -> String {
        let line = self.line().await;
        if !line.starts_with(start) {
            self.fail(&format!("expected {start:?}, came {line:?}"));
        }
        line
    }

    /// Reads the next line; it must be exactly this, with CRLF after it.
    pub async fn expect_exactly(&mut self, wanted: &str) {
        let line = self.line().await;
        if line != wanted {
            self.fail(&format!("expected {wanted:?}, came {line:?}"));
        }
    }

    /// Sends a command and reads the line that answers it; it must begin like this.
    pub async fn ask(&mut self, command: &str, start: &str) -> String {
        self.send(command).await;
        self.expect(start).await
    }

    /// Waits until the server side ends the control connection (FIN). Nothing else may come before.
    pub async fn expect_end(&mut self) {
        let mut rest = Vec::new();
        match timeout(PATIENCE, self.control.read_to_end(&mut rest)).await {
            Ok(Ok(0)) => {}
            Ok(Ok(_)) => self.fail(&format!("more came: {}", rest.escape_ascii())),
            Ok(Err(error)) => self.fail(&format!("expected the end, came {error}")),
            Err(_) => self.fail("the connection was not closed"),
        }
    }

    /// Waits until the server side resets the control connection (RST). What comes before is not looked at.
    pub async fn expect_reset(&mut self) {
        let mut rest = Vec::new();
        match timeout(PATIENCE, self.control.read_to_end(&mut rest)).await {
            Ok(Err(error)) if error.kind() == ErrorKind::ConnectionReset => {}
            Ok(other) => self.fail(&format!("expected a reset, came {other:?}")),
            Err(_) => self.fail("the connection was not reset"),
        }
    }

    /// Reads everything up to the end of the control connection; a reset is an error.
    pub async fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        match timeout(PATIENCE, self.control.read_to_end(&mut rest)).await {
            Ok(read) => read.map(|_| rest),
            Err(_) => self.fail("the connection was not closed"),
        }
    }

    /// Fails if a line has come that was not yet read. It looks at what is here now and does not wait: make
    /// sure of the order by an event first, such as an answer on the same connection.
    pub fn nothing_came(&self) {
        let buffered = self.control.buffer().to_vec();
        let mut more = [0; 256];
        let read = self.control.get_ref().try_read(&mut more).unwrap_or(0);
        if read > 0 || !buffered.is_empty() {
            let came = [buffered.as_slice(), &more[..read]].concat();
            self.fail(&format!("came too early: {}", came.escape_ascii()));
        }
    }

    /// Ends this side of the control connection; replies can still be read.
    pub async fn finish(&mut self) {
        self.control.get_mut().shutdown().await.unwrap();
    }

    /// Sends PASV and connects to the address of the reply.
    pub async fn passive(&mut self) -> TcpStream {
        let line = self.ask("PASV", "227 ").await;
        match data::host_port(&line) {
            Some(address) => self.connect_data(address).await,
            None => self.fail(&format!("no address in {line:?}")),
        }
    }

    /// Sends EPSV and connects to the port of the reply, at the address of the control connection.
    pub async fn extended_passive(&mut self) -> TcpStream {
        let line = self.ask("EPSV", "229 ").await;
        let ip = self.control.get_ref().peer_addr().unwrap().ip();
        match data::extended_port(&line) {
            Some(port) => self.connect_data(SocketAddr::new(ip, port)).await,
            None => self.fail(&format!("no port in {line:?}")),
        }
    }

    /// Listens, sends PORT and takes the 200; the listener is for the data connection.
    pub async fn active(&mut self) -> TcpListener {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        self.ask(&format!("PORT {}", data::six_numbers(address)), "200 ")
            .await;
        listener
    }

    /// Listens, sends EPRT and takes the 200; the listener is for the data connection.
    pub async fn extended_active(&mut self) -> TcpListener {
        let ip = self.control.get_ref().local_addr().unwrap().ip();
        let listener = TcpListener::bind((ip, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let family = if ip.is_ipv4() { 1 } else { 2 };
        self.ask(&format!("EPRT |{family}|{ip}|{port}|"), "200 ")
            .await;
        listener
    }

    /// Accepts the connection that comes to a data listener.
    pub async fn accept(&self, listener: TcpListener) -> TcpStream {
        match timeout(PATIENCE, listener.accept()).await {
            Ok(accepted) => accepted.unwrap().0,
            Err(_) => self.fail("no data connection came"),
        }
    }

    /// Connects a data connection.
    pub async fn connect_data(&self, address: SocketAddr) -> TcpStream {
        match timeout(PATIENCE, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => self.fail(&format!("data connection to {address}: {error}")),
            Err(_) => self.fail(&format!("data connection to {address}: no answer")),
        }
    }

    /// Returns the bare socket; what was read ahead is lost.
    pub fn into_socket(self) -> TcpStream {
        self.control.into_inner()
    }

    fn fail(&self, what: &str) -> ! {
        panic!("scripted client: {what}\n{}", self.transcript)
    }
}
