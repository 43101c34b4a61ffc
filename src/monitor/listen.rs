//! The address of the listener, and its socket.

use std::{
    fmt, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
};

#[cfg(unix)]
use self::unix::Socket;
use tokio::net::TcpListener;

/// Where the monitor listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// A port of a loopback address.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// Why the monitor does not listen there.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The text is no address.
    #[error("'{0}' is no address to listen on: expected 127.0.0.1:PORT, [::1]:PORT or unix:/PATH")]
    Unknown(String),
    /// Other hosts can reach the address.
    #[error(
        "metrics are not shown at {0}: what it shows names users and files, and asks for no log-in. Give a loopback \
         address or unix:/PATH, and let a web server with log-in and TLS pass other hosts' requests on"
    )]
    Open(SocketAddr),
    /// The path of a socket that is not absolute.
    #[error("unix:{0} is no absolute path: expected unix:/PATH")]
    Relative(String),
    /// The operating system refuses it.
    #[error("cannot listen on {listen} for metrics: {error}")]
    Refused {
        /// What was to be bound.
        listen: Listen,
        /// What the operating system said.
        error: io::Error,
    },
    /// Another program answers at the socket.
    #[error(
        "cannot listen on {0} for metrics: another program listens there; stop it, or give another path"
    )]
    Taken(Listen),
    /// Something else has the path of the socket.
    #[error(
        "cannot listen on {0} for metrics: the file there is no socket; remove it, or give another path"
    )]
    NoSocket(Listen),
}

impl FromStr for Listen {
    type Err = ListenError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match cfg!(unix) && Path::new(path).is_absolute() {
                true => Ok(Self::Unix(path.into())),
                false => Err(ListenError::Relative(path.to_owned())),
            };
        }
        let address: SocketAddr = text
            .parse()
            .map_err(|_| ListenError::Unknown(text.to_owned()))?;
        match address.ip().is_loopback() {
            true => Ok(Self::Tcp(address)),
            false => Err(ListenError::Open(address)),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}/"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A socket that listens. A Unix socket's file is removed when this is dropped.
#[derive(Debug)]
pub struct Bound(Kind);

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(Socket),
}

/// What a client's connection is.
pub(super) enum Accepted {
    Tcp(tokio::net::TcpStream),
    #[cfg(unix)]
    Unix(tokio::net::UnixStream),
}

impl Bound {
    /// Binds it. It must be called in a tokio runtime.
    ///
    /// # Errors
    ///
    /// Another program listens there, or the operating system refuses it.
    pub fn bind(listen: &Listen) -> Result<Self, ListenError> {
        match listen {
            Listen::Tcp(address) => {
                let refused = |error| ListenError::Refused {
                    listen: listen.clone(),
                    error,
                };
                let listener = std::net::TcpListener::bind(address).map_err(refused)?;
                listener.set_nonblocking(true).map_err(refused)?;
                let listener = TcpListener::from_std(listener).map_err(refused)?;
                Ok(Self(Kind::Tcp(listener)))
            }
            #[cfg(unix)]
            Listen::Unix(path) => Ok(Self(Kind::Unix(Socket::bind(path, listen)?))),
            #[cfg(not(unix))]
            Listen::Unix(path) => Err(ListenError::Relative(path.display().to_string())),
        }
    }

    /// Where it listens; a port that was 0 is the one that it got.
    pub fn address(&self) -> Listen {
        match &self.0 {
            Kind::Tcp(listener) => Listen::Tcp(
                listener
                    .local_addr()
                    .unwrap_or_else(|_| SocketAddr::from(([127, 0, 0, 1], 0))),
            ),
            #[cfg(unix)]
            Kind::Unix(socket) => Listen::Unix(socket.path().to_owned()),
        }
    }

    pub(super) fn is_unix(&self) -> bool {
        !matches!(self.0, Kind::Tcp(_))
    }

    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        match &self.0 {
            Kind::Tcp(listener) => Ok(Accepted::Tcp(listener.accept().await?.0)),
            #[cfg(unix)]
            Kind::Unix(socket) => Ok(Accepted::Unix(socket.accept().await?)),
        }
    }
}

#[cfg(unix)]
mod unix {
    use std::{
        fs, io,
        os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
        path::{Path, PathBuf},
    };

    use socket2::{Domain, SockAddr, Type};
    use tokio::net::{UnixListener, UnixStream};

    use super::{Listen, ListenError};

    /// Its owner and its group may connect.
    const MODE: u32 = 0o660;

    /// Number of connections that may wait to be accepted.
    const BACKLOG: i32 = 64;

    /// A Unix socket that listens, and its file.
    #[derive(Debug)]
    pub(super) struct Socket {
        listener: UnixListener,
        path: PathBuf,
        /// Device and inode.
        file: (u64, u64),
    }

    impl Socket {
        pub(super) fn bind(path: &Path, listen: &Listen) -> Result<Self, ListenError> {
            let refused = |error| ListenError::Refused {
                listen: listen.clone(),
                error,
            };
            match fs::symlink_metadata(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(refused(error)),
                Ok(there) if !there.file_type().is_socket() => {
                    return Err(ListenError::NoSocket(listen.clone()));
                }
                Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
                    return Err(ListenError::Taken(listen.clone()));
                }
                // A process that was killed has left it.
                Ok(_) => fs::remove_file(path).map_err(refused)?,
            }
            let bound = || {
                let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
                socket.bind(&SockAddr::unix(path)?)?;
                // Before it listens: until then, no program can connect.
                fs::set_permissions(path, fs::Permissions::from_mode(MODE))?;
                socket.listen(BACKLOG)?;
                socket.set_nonblocking(true)?;
                Ok(Self {
                    listener: UnixListener::from_std(socket.into())?,
                    path: path.to_owned(),
                    file: identity(path)?,
                })
            };
            bound().map_err(refused)
        }

        pub(super) fn path(&self) -> &Path {
            &self.path
        }

        pub(super) async fn accept(&self) -> io::Result<UnixStream> {
            Ok(self.listener.accept().await?.0)
        }
    }

    impl Drop for Socket {
        fn drop(&mut self) {
            // Unless it is another program's by now.
            if identity(&self.path).is_ok_and(|file| file == self.file) {
                let _ = fs::remove_file(&self.path);
            }
        }
    }

    fn identity(path: &Path) -> io::Result<(u64, u64)> {
        let file = fs::symlink_metadata(path)?;
        Ok((file.dev(), file.ino()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_this_host_are_taken() {
        for text in [
            "127.0.0.1:9121",
            "127.0.0.1:0",
            "[::1]:9121",
            "unix:/run/f.sock",
        ] {
            assert!(text.parse::<Listen>().is_ok(), "{text}");
        }
        for text in [
            "0.0.0.0:9121",
            "192.0.2.1:9121",
            "[::]:9121",
            "[2001:db8::1]:80",
        ] {
            let error = text.parse::<Listen>().unwrap_err().to_string();
            assert!(error.contains("names users and files"), "{error}");
        }
        for text in [
            "9121",
            ":9121",
            "localhost:9121",
            "127.0.0.1",
            "",
            "unix:",
            "unix:a/b",
        ] {
            assert!(text.parse::<Listen>().is_err(), "{text}");
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn the_socket_is_its_owners_and_groups_and_gone_in_the_end() {
        use std::{fs, os::unix::fs::PermissionsExt};

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listen = Listen::Unix(path.clone());
        // A stale one is replaced.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let bound = Bound::bind(&listen).unwrap();
        let mode = fs::symlink_metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        // One that answers is not.
        let again = Bound::bind(&listen);
        assert!(matches!(again, Err(ListenError::Taken(_))), "{again:?}");
        drop(bound);
        assert!(!path.exists());
        fs::write(&path, "precious").unwrap();
        let file = Bound::bind(&listen);
        assert!(matches!(file, Err(ListenError::NoSocket(_))), "{file:?}");
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn the_socket_of_another_program_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let bound = Bound::bind(&Listen::Unix(path.clone())).unwrap();
        std::fs::remove_file(&path).unwrap();
        let other = std::os::unix::net::UnixListener::bind(&path).unwrap();
        drop(bound);
        assert!(path.exists());
        drop(other);
    }
}
