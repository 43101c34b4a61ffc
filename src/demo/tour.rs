//! `ferryline demo`: files carried through the proxy in all four modes. It shows what the proxy changes on
//! the way as it happens, and then leaves everything running to be tried with any FTP client.

use std::{
    error::Error,
    fmt, fs,
    io::{self, Write},
    net::SocketAddr,
    path::PathBuf,
    pin::{Pin, pin},
    sync::Arc,
};

use thiserror::Error;

use super::{
    changes::Observer,
    ftp_client::{ClientError, FtpClient, Mode},
    ftp_server::{FtpServer, FtpServerError},
    screen::Screen,
    site::{CARGO_FILE, GREETING_FILE, Site},
    ssh_server::{KeyPair, Options, SshServer},
};
use crate::{paint::Paint, proxy::Books};

/// What the proxy is to connect. The tour hands this to the function that starts the proxy.
pub struct Shore {
    /// Address of the FTP server, as the SSH server is to reach it.
    pub ftp_server: SocketAddr,
    /// Address of the SSH server.
    pub ssh_server: SocketAddr,
    /// The one user that the SSH server lets in.
    pub user: String,
    /// The file of the user's private key, made for this tour, without a passphrase.
    pub identity: PathBuf,
    /// A known_hosts file with the SSH server's host key.
    pub known_hosts: PathBuf,
    /// Observer that is to see every line of the control connections.
    pub observer: Arc<dyn Observer>,
    /// Books that are to tell how each session ended.
    pub books: Arc<dyn Books>,
}

/// A running proxy.
pub struct Ferry {
    /// Address to which FTP clients are to connect.
    pub address: SocketAddr,
    /// The way it takes, for people: `127.0.0.1:2121 → demo@127.0.0.1:2222 → localhost:21`.
    pub route: String,
    /// Commands by which the visitor uses ferryline with the SSH server of the tour, as a shell reads them.
    pub commands: Vec<String>,
    /// Stops the proxy, and completes when it has stopped.
    pub stop: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// Why the tour could not be made, or was not finished.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TourError {
    /// The proxy did not start.
    #[error("the demo's ferry did not start: {0}")]
    Ferry(#[source] Box<dyn Error + Send + Sync>),
    /// The demo's files could not be made.
    #[error("the demo cannot write its temporary files: {0}")]
    Files(#[source] io::Error),
    /// The FTP server did not start.
    #[error(transparent)]
    FtpServer(#[from] FtpServerError),
    /// The tour was stopped before all was tried.
    #[error("the demo was stopped before it was through")]
    Interrupted,
    /// The output could not be written.
    #[error("the demo cannot print: {0}")]
    Output(#[source] io::Error),
    /// The SSH server did not start.
    #[error("the demo's SSH server cannot start: {0}")]
    SshServer(#[source] io::Error),
}

/// Makes the tour, and then, unless `once`, leaves everything running until `stop`. Returns whether every
/// byte of every mode arrived. `is_terminal`: the output may move while it waits.
///
/// # Errors
///
/// If the demo itself could not be set up. What fails on the way through the proxy is printed, and the result
/// is false.
pub async fn run<F>(
    once: bool,
    paint: Paint,
    is_terminal: bool,
    out: &mut (dyn Write + Send),
    start_ferry: F,
    stop: impl Future<Output = ()>,
) -> Result<bool, TourError>
where
    F: AsyncFnOnce(Shore) -> Result<Ferry, Box<dyn Error + Send + Sync>>,
{
    let mut stop = pin!(stop);
    let site = Site::new().map_err(TourError::Files)?;
    let ftp_server = FtpServer::start(&site.files)?;
    let key = KeyPair::generate(None).map_err(TourError::SshServer)?;
    let ssh_server = SshServer::start(Options {
        user: SSH_USER.to_owned(),
        authorized_keys: vec![key.public.clone()],
        ..Options::default()
    });
    let ssh_server = ssh_server.await.map_err(TourError::SshServer)?;
    let (listener, mut screen) = Screen::new(out, paint, is_terminal);
    let listener = Arc::new(listener);
    let credentials = site.write_credentials(&key.private, &ssh_server.known_hosts());
    let (identity, known_hosts) = credentials.map_err(TourError::Files)?;
    let key_file = identity.clone();
    let shore = Shore {
        ftp_server: ftp_server.address(),
        ssh_server: ssh_server.address(),
        user: SSH_USER.to_owned(),
        identity,
        known_hosts,
        observer: listener.clone(),
        books: listener,
    };
    let started = tokio::select! {
        started = screen.wait_for("logging in to the demo's SSH server", start_ferry(shore)) => started,
        () = &mut stop => return Err(TourError::Interrupted),
    };
    let started = started.map_err(TourError::Output)?;
    let ferry = started.map_err(TourError::Ferry)?;
    screen.welcome(&ferry.route).map_err(TourError::Output)?;

    let all_well = tokio::select! {
        all_well = try_all_modes(ferry.address, &site, &mut screen) => all_well,
        () = &mut stop => return Err(TourError::Interrupted),
    };
    let all_well = all_well.map_err(TourError::Output)?;
    screen.verdict(all_well).map_err(TourError::Output)?;
    if !once {
        screen
            .what_to_try(
                ferry.address,
                GREETING_FILE,
                &site.files,
                (&key_file, &ferry.commands),
            )
            .map_err(TourError::Output)?;
        tokio::select! {
            failed = screen.follow(ferry.address) => failed.map_err(TourError::Output)?,
            () = &mut stop => {}
        }
        screen.finish().map_err(TourError::Output)?;
    }
    ferry.stop.await;
    ssh_server.shutdown().await;
    ftp_server.shutdown().await;
    Ok(all_well)
}

/// Tries each mode and prints the result. Returns whether all went well.
async fn try_all_modes(
    ferry: SocketAddr,
    site: &Site,
    screen: &mut Screen<'_>,
) -> io::Result<bool> {
    let mut all_well = true;
    for mode in Mode::ALL {
        screen.heading(mode)?;
        let outcome = try_mode(ferry, mode, site, screen).await;
        screen.changes("")?;
        match outcome {
            Ok(done) => screen.success(mode, &done.to_string())?,
            Err(Trouble::Output(error)) => return Err(error),
            Err(trouble) => {
                all_well = false;
                screen.failure(mode, &trouble.to_string())?;
            }
        }
    }
    Ok(all_well)
}

/// Lists, fetches and stores through the proxy in one mode, and compares every byte.
async fn try_mode(
    ferry: SocketAddr,
    mode: Mode,
    site: &Site,
    screen: &mut Screen<'_>,
) -> Result<Done, Trouble> {
    let mut client = FtpClient::connect(ferry).await?;
    client.login("demo", "demo").await?;
    screen.changes("login")?;

    let listing = client.list(mode).await?;
    screen.changes("list")?;
    for name in [GREETING_FILE, CARGO_FILE] {
        if !contains(&listing, name.as_bytes()) {
            return Err(Trouble::NotListed(name));
        }
    }

    let fetched = client.retrieve(mode, CARGO_FILE).await?;
    screen.changes("fetch")?;
    compare("the fetched file", &site.cargo, &fetched)?;

    let name = format!("stored-by-{}.bin", mode.verb().to_ascii_lowercase());
    let freight: Vec<u8> = site.cargo.iter().rev().copied().collect();
    client.store(mode, &name, &freight).await?;
    screen.changes("store")?;
    let arrived =
        fs::read(site.files.join(&name)).map_err(|error| Trouble::NotStored(error.kind()))?;
    compare("the stored file", &freight, &arrived)?;

    client.quit().await?;
    Ok(Done {
        listed: listing.len(),
        fetched: fetched.len(),
        stored: arrived.len(),
    })
}

/// Number of bytes that a mode carried, all of them right.
struct Done {
    listed: usize,
    fetched: usize,
    stored: usize,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "listed {} B, fetched {} B, stored {} B, all of them right",
            self.listed, self.fetched, self.stored
        )
    }
}

/// What went wrong in a mode.
#[derive(Debug, Error)]
enum Trouble {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(
        "{what} differs: {expected} B were sent, {came} B came, the first difference is at byte {at}"
    )]
    Differs {
        what: &'static str,
        expected: usize,
        came: usize,
        at: usize,
    },
    #[error("{0} is missing from the listing")]
    NotListed(&'static str),
    #[error("the stored file is not on the FTP server: {0}")]
    NotStored(io::ErrorKind),
    #[error(transparent)]
    Output(#[from] io::Error),
}

fn compare(what: &'static str, sent: &[u8], came: &[u8]) -> Result<(), Trouble> {
    if sent == came {
        return Ok(());
    }
    let same = sent.iter().zip(came).take_while(|(a, b)| a == b);
    Err(Trouble::Differs {
        what,
        expected: sent.len(),
        came: came.len(),
        at: same.count(),
    })
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

const SSH_USER: &str = "demo";

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;
    use crate::{
        demo::changes::Direction,
        ssh::{Identity, Session, Settings, StrictHostKeyChecking, TerminalPrompt},
    };

    /// No proxy at all: clients connect to the FTP server itself, which has no EPRT.
    async fn no_ferry(shore: Shore) -> Result<Ferry, Box<dyn Error + Send + Sync>> {
        log_in(&shore).await?;
        let observer = &shore.observer;
        observer.line(7, Direction::FromServer, b"227 (127,0,0,1,1,2)\r\n");
        observer.line(7, Direction::ToClient, b"227 (127,0,0,1,3,4)\r\n");
        Ok(Ferry {
            address: shore.ftp_server,
            route: "nowhere".to_owned(),
            commands: vec!["ferryline check to nowhere".to_owned()],
            stop: Box::pin(ready(())),
        })
    }

    /// The tour's settings are enough to log in.
    async fn log_in(shore: &Shore) -> Result<(), crate::ssh::Error> {
        let host = shore.ssh_server.ip().to_string();
        let mut settings = Settings::new(host, shore.ssh_server.port(), &shore.user);
        settings.known_hosts = vec![shore.known_hosts.clone()];
        settings.strict_host_key_checking = StrictHostKeyChecking::Yes;
        settings.batch_mode = true;
        settings.identities = vec![Identity {
            path: shore.identity.clone(),
            explicit: true,
        }];
        let session = Session::connect(settings, Arc::new(TerminalPrompt)).await?;
        session.close().await;
        Ok(())
    }

    #[tokio::test]
    async fn it_shows_what_works_what_changed_and_what_does_not_work() {
        let mut out = Vec::new();
        let paint = Paint::new(false);
        let all_well = run(true, paint, false, &mut out, no_ferry, pending()).await;
        let out = String::from_utf8(out).unwrap();
        assert!(!all_well.unwrap(), "{out}");
        for mode in ["PASV", "EPSV", "PORT"] {
            assert!(out.contains(&format!("✓ {mode}: ")), "{out}");
        }
        assert!(out.contains("✗ EPRT: EPRT |1|127.0.0.1|"), "{out}");
        assert!(
            out.contains(
                "    login  server → 227 (127,0,0,1,1,2)\n           client ← 227 (127,0,0,1,3,4)\n"
            ),
            "{out}"
        );
        assert!(!out.contains("Ctrl-C"), "{out}");
    }

    #[tokio::test]
    async fn without_once_it_stays_until_it_is_stopped() {
        let mut out = Vec::new();
        let (tell, told) = tokio::sync::oneshot::channel::<()>();
        let mut tell = Some(tell);
        // Stops when the hint has been printed, and not before.
        let mut watch = Watch {
            out: &mut out,
            on: b"Ctrl-C",
            then: Box::new(move || drop(tell.take())),
        };
        let stop = async {
            let _ = told.await;
        };
        let all_well = run(false, Paint::new(false), false, &mut watch, no_ferry, stop).await;
        assert!(!all_well.unwrap());
    }

    struct Watch<'a> {
        out: &'a mut Vec<u8>,
        on: &'static [u8],
        then: Box<dyn FnMut() + Send>,
    }

    impl Write for Watch<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.out.extend_from_slice(bytes);
            if contains(self.out, self.on) {
                (self.then)();
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_stop_on_the_way_and_a_ferry_that_does_not_start_are_errors() {
        let paint = Paint::new(false);
        let mut out = Vec::new();
        let stuck = async |_: Shore| pending().await;
        let error = run(true, paint, false, &mut out, stuck, ready(())).await;
        assert!(matches!(error, Err(TourError::Interrupted)));

        let refused = async |_: Shore| Err("no key".into());
        let error = run(true, paint, false, &mut out, refused, pending()).await;
        let error = error.unwrap_err().to_string();
        assert_eq!(error, "the demo's ferry did not start: no key");
    }

    #[test]
    fn a_difference_is_told_with_its_place() {
        assert!(compare("x", b"abc", b"abc").is_ok());
        let told = compare("the file", b"abc", b"abd!")
            .unwrap_err()
            .to_string();
        assert_eq!(
            told,
            "the file differs: 3 B were sent, 4 B came, the first difference is at byte 2"
        );
        assert!(compare("x", b"abc", b"ab").is_err());
    }
}
