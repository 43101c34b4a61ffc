//! The last reply to a client, sent so that the client gets to read it.

use std::{io, net::Shutdown, time::Duration};

use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

/// Sends the last reply to a client that is not served.
pub(crate) async fn say_last(read: &mut OwnedReadHalf, write: &mut OwnedWriteHalf, word: &[u8]) {
    let said = async {
        write.write_all(word).await?;
        write.shutdown().await
    };
    if let Ok(Ok(())) = tokio::time::timeout(FAREWELL, said).await {
        linger(read).await;
    }
}

/// Sends the last reply to a client that is not waited for. The reply and the end of file fit into an empty
/// socket. What the client has sent by now is read, so that closing does not reset what it has still to read.
/// (It does where the client sends more before it has read.)
pub(crate) fn say_and_go(stream: &TcpStream, word: &[u8]) {
    let mut sink = [0; 1024];
    let said = stream.try_write(word).and_then(|_| {
        SockRef::from(stream).shutdown(Shutdown::Write)?;
        // One read only: a client must not be able to keep this up.
        stream.try_read(&mut sink)
    });
    if let Err(error) = said
        && error.kind() != io::ErrorKind::WouldBlock
    {
        tracing::debug!("a client that is refused was gone at once: {error}");
    }
}

/// Reads what a client still sends, for a while. Closing a socket with unread data resets it, and the client
/// might never see its last reply.
pub(crate) async fn linger(read: &mut OwnedReadHalf) {
    let mut sink = [0; 1024];
    let rest = async {
        for _ in 0..MOST_READS {
            if let Ok(0) | Err(_) = read.read(&mut sink).await {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(FAREWELL, rest).await;
}

/// More reads than any client needs for what it has sent by the time that it reads its last reply.
const MOST_READS: usize = 1024;

/// How long the last reply to a client may take.
pub(crate) const FAREWELL: Duration = Duration::from_secs(3);
