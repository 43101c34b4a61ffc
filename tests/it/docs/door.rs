//! The embedded FTP server lets anybody in. This stands before it and refuses every password but one, so that a client
//! that sends none, or never asks for it, fails as it would elsewhere.

use std::net::SocketAddr;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// The only password that opens the door.
pub(super) const PASSWORD: &str = "secret";

/// Opens a door on loopback before the server at this address; returns the door's address.
pub(super) async fn open(server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            // A client that breaks off is no fault of the test.
            tokio::spawn(keep(client, server));
        }
    });
    address
}

async fn keep(mut client: TcpStream, server: SocketAddr) -> std::io::Result<()> {
    let mut server = TcpStream::connect(server).await?;
    let (commands, mut to_client) = client.split();
    let (mut replies, mut to_server) = server.split();
    let mut commands = BufReader::new(commands).lines();
    let mut part = [0; 4096];
    loop {
        tokio::select! {
            command = commands.next_line() => {
                let Some(command) = command? else {
                    return Ok(());
                };
                if is_wrong(&command) {
                    to_client.write_all(b"530 Login incorrect.\r\n").await?;
                } else {
                    to_server.write_all(format!("{command}\r\n").as_bytes()).await?;
                }
            }
            read = replies.read(&mut part) => match read? {
                0 => return Ok(()),
                read => to_client.write_all(&part[..read]).await?,
            },
        }
    }
}

fn is_wrong(command: &str) -> bool {
    let (verb, password) = command.split_once(' ').unwrap_or((command, ""));
    verb.eq_ignore_ascii_case("PASS") && password != PASSWORD
}
