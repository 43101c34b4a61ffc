//! SSH servers that are not there, do not answer, or cannot be used.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::common::nobody;
use crate::program::{Shore, run};
use crate::{Row, row};

pub(super) fn rows() -> Vec<Row> {
    let party = "SSH server";
    let wrong_port = "wrong port?";
    vec![
        row(
            "name unknown",
            party,
            "check the name",
            &["no-such-host.invalid"],
            async { connecting("no-such-host.invalid", 22).await },
        ),
        row(
            "port closed",
            party,
            "check host, port (-p)",
            &["127.0.0.1", "refused"],
            async {
                let (_nobody, address) = nobody();
                connecting("127.0.0.1", address.port()).await
            },
        ),
        row(
            "host unreachable",
            party,
            "check host, port (-p)",
            &["255.255.255.255"],
            async { connecting("255.255.255.255", 22).await },
        ),
        row(
            "host that does not answer",
            party,
            "ConnectTimeout",
            &["did not answer within 3 s"],
            async {
                // Its queue is full, so the system answers no more.
                let socket =
                    socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)
                        .unwrap();
                socket
                    .bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into())
                    .unwrap();
                socket.listen(0).unwrap();
                let address = socket.local_addr().unwrap().as_socket().unwrap();
                let mut waiting = Vec::new();
                while let Ok(Ok(queued)) =
                    timeout(Duration::from_millis(300), TcpStream::connect(address)).await
                {
                    waiting.push(queued);
                }
                connecting("127.0.0.1", address.port()).await
            },
        ),
        row(
            "an HTTP server",
            party,
            wrong_port,
            &["'HTTP/1.1 400 Bad Request'"],
            async { greeting(b"HTTP/1.1 400 Bad Request\r\n\r\n").await },
        ),
        row(
            "an FTP server",
            party,
            wrong_port,
            &["'220 FTP ready'", "-p is the SSH server's"],
            async { greeting(b"220 FTP ready\r\n").await },
        ),
        row(
            "an SMTP server",
            party,
            wrong_port,
            &["'220 mail ESMTP'"],
            async { greeting(b"220 mail ESMTP\r\n").await },
        ),
        row("a TLS server", party, wrong_port, &["\\x15\\x03"], async {
            greeting(b"\x15\x03\x01\x00\x02\x02\x46").await
        }),
        row(
            "a server that says nothing",
            party,
            "ConnectTimeout",
            &["within 3 s"],
            async { greeting(b"").await },
        ),
        row(
            "a server that hangs up at once",
            party,
            "its log says why",
            &["hung up"],
            async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let port = listener.local_addr().unwrap().port();
                let _serving = aborted(tokio::spawn(async move {
                    while let Ok((stream, _)) = listener.accept().await {
                        drop(stream);
                    }
                }));
                connecting("127.0.0.1", port).await
            },
        ),
        row(
            "an SSH server of protocol 1",
            party,
            wrong_port,
            &["does not answer like an SSH server"],
            async { greeting(b"SSH-1.5-old\r\n").await },
        ),
        row(
            "no algorithm in common",
            party,
            "127.0.0.1 port",
            &["rot13@example.org"],
            async { greeting(&no_common_algorithm()).await },
        ),
        row(
            "port to listen on taken",
            "ferryline",
            "choose another port",
            &["in use"],
            async {
                let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let port = taken.local_addr().unwrap().port();
                let shore = Shore::new().await;
                let forward = format!("{port}:localhost:21");
                let said = shore.run(&["-L", &forward]).await;
                assert!(said.starts_with("ferryline: "), "{said}");
                said
            },
        ),
    ]
}

/// The program's output about a server that sends this greeting and then stays silent.
async fn greeting(said: &[u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let said = said.to_vec();
    let _serving = aborted(tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(&said).await;
            kept.push(stream);
        }
    }));
    connecting("127.0.0.1", port).await
}

/// Ends the task at the end of the row.
fn aborted(task: tokio::task::JoinHandle<()>) -> impl Drop {
    struct Aborts(tokio::task::JoinHandle<()>);
    impl Drop for Aborts {
        fn drop(&mut self) {
            self.0.abort();
        }
    }
    Aborts(task)
}

/// The program's output when it is to log in there.
async fn connecting(host: &str, port: u16) -> String {
    let home = tempfile::tempdir().unwrap();
    let port = port.to_string();
    run(home.path(), &["-L", "0:localhost:21", "-p", &port, host]).await
}

/// A version, and an `SSH_MSG_KEXINIT` (RFC 4253 sections 4.2, 6 and 7.1) with a made-up algorithm.
fn no_common_algorithm() -> Vec<u8> {
    let mut payload = vec![20];
    payload.extend([7; 16]);
    for _ in 0..8 {
        let name = b"rot13@example.org";
        payload.extend(u32::try_from(name.len()).unwrap().to_be_bytes());
        payload.extend(name);
    }
    payload.extend([0; 2 * 4 + 1 + 4]);
    let padding = 16 - (payload.len() + 5) % 8;
    let mut packet = b"SSH-2.0-scripted\r\n".to_vec();
    let length = u32::try_from(1 + payload.len() + padding).unwrap();
    packet.extend(length.to_be_bytes());
    packet.push(u8::try_from(padding).unwrap());
    packet.extend(payload);
    packet.resize(packet.len() + padding, 0);
    packet
}
