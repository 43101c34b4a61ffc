//! Asking the monitor of another process.

use std::{fmt, io, net::SocketAddr, path::PathBuf, str::FromStr, time::Duration};

use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Method, Request, StatusCode, body::Bytes, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};

use crate::monitor::Now;

/// Where a monitor listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A port.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// Why nothing can be shown.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nothing listens there.
    #[error(
        "nothing answers at {place}: {error}. Start 'ferryline forward --metrics {place}', or name with --socket \
         where it shows what runs"
    )]
    Unreachable {
        /// What was asked.
        place: Place,
        /// What the operating system said.
        error: io::Error,
    },
    /// It did not answer as ferryline's monitor does.
    #[error("{place} does not answer as ferryline does: {reason}")]
    Strange {
        /// What was asked.
        place: Place,
        /// What is wrong.
        reason: String,
    },
    /// It refused.
    #[error("{0}")]
    Refused(String),
    /// The output cannot be written to.
    #[error("cannot show it: {0}")]
    Output(io::Error),
}

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Greatest size of an answer, in bytes.
const GREATEST: usize = 16 << 20;

impl Place {
    /// What there is at the moment.
    pub(super) async fn read(&self) -> Result<Now, AskError> {
        let (status, body) = self.ask(Method::GET, "/sessions").await?;
        if status != StatusCode::OK {
            return Err(self.strange(format!("it says {status}")));
        }
        serde_json::from_slice(&body).map_err(|error| self.strange(error.to_string()))
    }

    /// Ends a session. Returns what the monitor has said.
    pub(super) async fn end(&self, number: u64) -> Result<String, AskError> {
        let path = format!("/sessions/{number}/end");
        let (status, body) = self.ask(Method::POST, &path).await?;
        let said = crate::printable::printable(body.trim_ascii());
        match status {
            StatusCode::OK => Ok(said),
            _ => Err(AskError::Refused(said)),
        }
    }

    async fn ask(&self, method: Method, path: &str) -> Result<(StatusCode, Bytes), AskError> {
        let asked = async {
            match self {
                Self::Tcp(address) => {
                    let stream = TcpStream::connect(address).await;
                    let stream = stream.map_err(|error| self.unreachable(error))?;
                    self.over(stream, method, path).await
                }
                #[cfg(unix)]
                Self::Unix(socket) => {
                    let stream = tokio::net::UnixStream::connect(socket).await;
                    let stream = stream.map_err(|error| self.unreachable(error))?;
                    self.over(stream, method, path).await
                }
                #[cfg(not(unix))]
                Self::Unix(_) => Err(self.unreachable(io::ErrorKind::Unsupported.into())),
            }
        };
        timeout(PATIENCE, asked)
            .await
            .unwrap_or_else(|_| Err(self.unreachable(io::ErrorKind::TimedOut.into())))
    }

    async fn over(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        method: Method,
        path: &str,
    ) -> Result<(StatusCode, Bytes), AskError> {
        let strange = |error: hyper::Error| self.strange(error.to_string());
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "localhost")
            .body(Empty::<Bytes>::new())
            .map_err(|error| self.strange(error.to_string()))?;
        let handshake = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(strange)?;
        let answered = async {
            let answer = sender.send_request(request).await.map_err(strange)?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), GREATEST).collect().await;
            let body = body.map_err(|error| self.strange(error.to_string()))?;
            Ok((status, body.to_bytes()))
        };
        let carrying = async {
            // How it ends, the answer tells.
            let _ = connection.await;
            std::future::pending().await
        };
        tokio::select! {
            answered = answered => answered,
            never = carrying => never,
        }
    }

    fn unreachable(&self, error: io::Error) -> AskError {
        AskError::Unreachable {
            place: self.clone(),
            error,
        }
    }

    fn strange(&self, reason: String) -> AskError {
        AskError::Strange {
            place: self.clone(),
            reason,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Self::Unix(path.into()));
        }
        if text.contains('/') && !text.contains("://") {
            return Ok(Self::Unix(text.into()));
        }
        let address = text.strip_prefix("http://").unwrap_or(text);
        address
            .trim_end_matches('/')
            .parse()
            .map(Self::Tcp)
            .map_err(|_| {
                "expected /PATH, unix:/PATH or ADDRESS:PORT, such as 127.0.0.1:9121".to_owned()
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_path_or_an_address() {
        for text in ["/run/f.sock", "unix:/run/f.sock"] {
            assert_eq!(text.parse(), Ok(Place::Unix("/run/f.sock".into())));
        }
        let address = Place::Tcp("127.0.0.1:9121".parse().unwrap());
        for text in ["127.0.0.1:9121", "http://127.0.0.1:9121/"] {
            assert_eq!(text.parse(), Ok(address.clone()));
        }
        for text in ["", "socket", "9121", "https://127.0.0.1:9121/", "host:9121"] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }
}
