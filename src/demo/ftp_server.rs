//! An FTP server inside this process, on loopback, over a folder: libunftp with its file system back end.
//!
//! It knows PASV, EPSV and PORT, and not EPRT (it answers 500), so it can show that an EPRT client is served
//! all the same. It accepts any user name and password: it is for demonstrations and tests, on loopback only.
//! It connects at the PORT command, before it answers 200; a peer that registers a forward only after the 200
//! would deadlock with it.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener as StdTcpListener},
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

use async_trait::async_trait;
use libunftp::{
    ServerBuilder,
    options::{ActivePassiveMode, Binder},
};
use thiserror::Error;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    runtime::{Builder, Runtime},
};
use tracing::{debug, warn};
use unftp_sbe_fs::Filesystem;

/// A running FTP server. Dropping it stops it without waiting; [`FtpServer::shutdown`] waits.
#[derive(Debug)]
pub struct FtpServer {
    address: SocketAddr,
    /// The server's own runtime; empty after the shutdown. libunftp spawns tasks without a handle (a passive
    /// listener waits 15 s, an idle data connection 5 min), and only the end of their runtime ends them all.
    runtime: Option<Runtime>,
}

impl FtpServer {
    /// Serves the folder `root` on a free port of 127.0.0.1. When this returns, the port is known and
    /// connections are accepted.
    ///
    /// # Errors
    ///
    /// If the folder cannot be opened, no port can be bound or no thread can be started.
    pub fn start(root: &Path) -> Result<Self, FtpServerError> {
        Self::start_at(root, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }

    /// Serves like [`FtpServer::start`], on an address of the caller's choice. On an IPv6 address PASV and
    /// PORT do not work (they cannot name one), EPSV does.
    ///
    /// # Errors
    ///
    /// As [`FtpServer::start`].
    pub fn start_at(root: &Path, address: SocketAddr) -> Result<Self, FtpServerError> {
        let root = root.to_owned();
        if let Err(source) = Filesystem::new(&root) {
            return Err(FtpServerError::Folder { root, source });
        }
        let bound = StdTcpListener::bind(address)
            .and_then(|listener| {
                listener.set_nonblocking(true)?;
                Ok((listener.local_addr()?, listener))
            })
            .map_err(|source| FtpServerError::Bind { address, source });
        let (address, listener) = bound?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("demo-ftp-server")
            .enable_all()
            .build()
            .map_err(FtpServerError::Runtime)?;
        let listener = {
            let _inside = runtime.enter();
            TcpListener::from_std(listener).map_err(FtpServerError::Runtime)?
        };
        runtime.spawn(accept_forever(listener, root));
        Ok(Self {
            address,
            runtime: Some(runtime),
        })
    }

    /// Stops the server and waits until all of its tasks have ended (five seconds at most, in case that a
    /// disk does not answer). Its connections are closed in any state.
    pub async fn shutdown(mut self) {
        if let Some(runtime) = self.runtime.take() {
            let stopped =
                tokio::task::spawn_blocking(|| runtime.shutdown_timeout(SHUTDOWN_PATIENCE)).await;
            if let Err(error) = stopped {
                warn!(%error, "the demo's FTP server did not stop cleanly");
            }
        }
    }

    /// Address on which its control connections are accepted.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for FtpServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Why the demo's FTP server did not start.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FtpServerError {
    /// The address could not be listened on.
    #[error("the demo's FTP server cannot listen on {address}: {source}")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// Error of the system.
        source: io::Error,
    },
    /// The folder could not be opened.
    #[error("the demo's FTP server cannot open the folder {}: {source}", root.display())]
    Folder {
        /// The folder asked for.
        root: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
    /// The system has no thread or no timer for it.
    #[error("the demo's FTP server cannot start: {0}")]
    Runtime(io::Error),
}

/// Accepts control connections as long as the runtime lives.
async fn accept_forever(listener: TcpListener, root: PathBuf) {
    loop {
        match listener.accept().await {
            Ok((control, client)) => {
                debug!(%client, "the demo's FTP server has a client");
                tokio::spawn(serve(control, root.clone()));
            }
            Err(error) => {
                warn!(%error, "the demo's FTP server cannot accept a connection");
                // No event tells when file descriptors are free again.
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves one control connection to its end, with a libunftp server of its own: that type serves one accepted
/// connection, and hands its binder to the first only.
async fn serve(control: TcpStream, root: PathBuf) {
    let files = match Filesystem::new(&root) {
        Ok(files) => Mutex::new(Some(files)),
        Err(error) => {
            warn!(%error, root = %root.display(), "the demo's FTP server lost its folder");
            return;
        }
    };
    #[allow(
        clippy::expect_used,
        reason = "called once for each connection served, and this server serves one"
    )]
    let generator = move || {
        let mut slot = files.lock().expect("no holder of this lock can panic");
        slot.take().expect("the storage is asked for once")
    };
    let server = ServerBuilder::new(Box::new(generator))
        .greeting(GREETING)
        .active_passive_mode(ActivePassiveMode::ActiveAndPassive)
        .idle_session_timeout(IDLE_SECONDS)
        .binder(AnyPort)
        .build();
    let outcome = match server {
        Ok(server) => server.service(control).await.map_err(|e| e.to_string()),
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = outcome {
        warn!(%error, "the demo's FTP server could not serve a client");
    }
}

/// Gives out passive ports as the system does, where libunftp would try nine at random.
#[derive(Debug)]
struct AnyPort;

#[async_trait]
impl Binder for AnyPort {
    async fn bind(&mut self, local: IpAddr, _ports: RangeInclusive<u16>) -> io::Result<TcpSocket> {
        let socket = match local {
            IpAddr::V4(_) => TcpSocket::new_v4()?,
            IpAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.bind(SocketAddr::new(local, 0))?;
        Ok(socket)
    }
}

/// Text of its 220 reply.
const GREETING: &str = "ferryline demo FTP server: any user, any password";
/// Seconds without a command after which it ends a session.
const IDLE_SECONDS: u64 = 3600;
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

    use super::*;

    async fn ask(control: &mut BufReader<TcpStream>, command: &str) -> String {
        control
            .get_mut()
            .write_all(format!("{command}\r\n").as_bytes())
            .await
            .unwrap();
        let mut line = String::new();
        control.read_line(&mut line).await.unwrap();
        line
    }

    async fn logged_in(server: &FtpServer) -> BufReader<TcpStream> {
        let mut control = BufReader::new(TcpStream::connect(server.address()).await.unwrap());
        let mut greeting = String::new();
        control.read_line(&mut greeting).await.unwrap();
        assert_eq!(greeting, format!("220 {GREETING}\r\n"));
        assert!(ask(&mut control, "USER demo").await.starts_with("331 "));
        assert!(ask(&mut control, "PASS demo").await.starts_with("230 "));
        control
    }

    #[tokio::test]
    async fn it_serves_several_clients_and_has_no_eprt() {
        let folder = tempfile::tempdir().unwrap();
        let server = FtpServer::start(folder.path()).unwrap();
        for _ in 0..3 {
            let mut control = logged_in(&server).await;
            assert!(
                ask(&mut control, "PASV")
                    .await
                    .starts_with("227 Entering Passive Mode (127,0,0,1,")
            );
            assert!(ask(&mut control, "EPSV").await.starts_with("229 "));
            assert!(
                ask(&mut control, "EPRT |1|127.0.0.1|2000|")
                    .await
                    .starts_with("500 ")
            );
        }
        server.shutdown().await;
    }

    #[tokio::test]
    async fn shutdown_leaves_no_listener_and_no_connection() {
        let folder = tempfile::tempdir().unwrap();
        let server = FtpServer::start(folder.path()).unwrap();
        let address = server.address();
        let mut control = logged_in(&server).await;
        // A passive listener that waits, and a data connection that never gets a command.
        let reply = ask(&mut control, "EPSV").await;
        let port: u16 = reply.split('|').nth(3).unwrap().parse().unwrap();
        let mut data = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .await
            .unwrap();
        let reply = ask(&mut control, "EPSV").await;
        let waiting: u16 = reply.split('|').nth(3).unwrap().parse().unwrap();

        server.shutdown().await;

        assert!(TcpStream::connect(address).await.is_err());
        assert!(
            TcpStream::connect((Ipv4Addr::LOCALHOST, waiting))
                .await
                .is_err()
        );
        let mut rest = Vec::new();
        assert_eq!(data.read_to_end(&mut rest).await.unwrap_or(0), 0);
        assert_eq!(control.read_to_end(&mut rest).await.unwrap_or(0), 0);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = FtpServer::start(Path::new("/nonexistent/folder")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/folder"), "{error}");
    }
}
