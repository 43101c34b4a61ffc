//! A web client of the tests' own: it writes a request as it is given, and takes the answer apart.

use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::common::PATIENCE;

/// Where a program can be asked.
#[derive(Clone, Debug)]
pub enum Door {
    Tcp(SocketAddr),
    #[cfg_attr(not(unix), expect(dead_code))]
    Unix(PathBuf),
}

impl Door {
    /// As the program names it.
    pub fn named(text: &str) -> Self {
        match text.strip_prefix("unix:") {
            Some(path) => Self::Unix(path.into()),
            None => {
                let address = text.strip_prefix("http://").unwrap().trim_end_matches('/');
                Self::Tcp(address.parse().unwrap())
            }
        }
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1);
        lines.find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// Asks for a path as an ordinary client does.
pub async fn get(door: &Door, path: &str) -> Answer {
    ask(door, "GET", path, "localhost").await
}

pub async fn ask(door: &Door, method: &str, path: &str, host: &str) -> Answer {
    raw(
        door,
        &format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    )
    .await
}

/// Sends these bytes, and reads to the end.
pub async fn raw(door: &Door, request: &str) -> Answer {
    let answered = async {
        match door {
            Door::Tcp(address) => over(TcpStream::connect(address).await.unwrap(), request).await,
            #[cfg(unix)]
            Door::Unix(path) => {
                let stream = tokio::net::UnixStream::connect(path).await.unwrap();
                over(stream, request).await
            }
            #[cfg(not(unix))]
            Door::Unix(_) => panic!("no Unix sockets here"),
        }
    };
    let answer = timeout(PATIENCE, answered).await.expect("no answer");
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("no head: {answer}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer {
        status,
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

async fn over(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> String {
    // What is too long is refused before it is read.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}
