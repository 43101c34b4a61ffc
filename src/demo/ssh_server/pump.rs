//! Moving bytes: between a client's socket and its session, and between a channel and its target.

use std::time::Duration;

use bytes::BytesMut;
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, server::Msg};
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream, copy_buf, split},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};
use tokio_util::sync::CancellationToken;

/// Moves bytes between the client's socket and the session. Between them is a spool that holds a channel's
/// whole window, because russh reads nothing while it writes: two such sessions that both have much to send
/// would wait for each other without end.
pub(super) async fn pump_socket(
    mut tcp: TcpStream,
    session: DuplexStream,
    kill: CancellationToken,
) {
    let _ = tcp.set_nodelay(true);
    let (from_session, mut to_session) = split(session);
    let (from_client, mut to_client) = tcp.split();
    let up = async {
        let mut from_client = BufReader::with_capacity(COPY_BUFFER, from_client);
        let _ = copy_buf(&mut from_client, &mut to_session).await;
        let _ = to_session.shutdown().await;
        // The session ends by itself then, and the other direction with it.
        std::future::pending::<()>().await;
    };
    let down = async {
        let mut from_session = BufReader::with_capacity(COPY_BUFFER, from_session);
        let _ = copy_buf(&mut from_session, &mut to_client).await;
        let _ = to_client.shutdown().await;
    };
    let killed = tokio::select! {
        () = up => false,
        () = down => false,
        () = kill.cancelled() => true,
    };
    if killed {
        let _ = SockRef::from(&tcp).set_linger(Some(Duration::ZERO));
    }
}

/// Moves bytes both ways until both directions have ended, each with its own EOF, or until `time_out`.
pub(super) async fn pump_channel(
    channel: Channel<Msg>,
    tcp: TcpStream,
    time_out: CancellationToken,
) {
    let _ = tcp.set_nodelay(true);
    let (from_tcp, to_tcp) = tcp.into_split();
    let (from_client, to_client) = channel.split();
    let closed = CancellationToken::new();
    // Two tasks: if one wrote and read, a full window would keep its own end from being read.
    let mut up = tokio::spawn(channel_to_tcp(from_client, to_tcp, closed.clone()));
    let down = async {
        tokio::select! {
            () = tcp_to_channel(from_tcp, &to_client) => (&mut up).await.unwrap_or(false),
            () = closed.cancelled() => true,
        }
    };
    tokio::select! {
        close = down => if close {
            let _ = to_client.close().await;
        },
        () = time_out.cancelled() => {
            up.abort();
            let _ = to_client.eof().await;
            let _ = to_client.close().await;
        }
    }
}

/// Returns whether this direction ended in a way that leaves it to this side to close the channel.
async fn channel_to_tcp(
    mut from: ChannelReadHalf,
    mut to: OwnedWriteHalf,
    closed: CancellationToken,
) -> bool {
    loop {
        match from.wait().await {
            Some(ChannelMsg::Data { data }) => {
                if to.write_all(&data).await.is_err() {
                    closed.cancel();
                    return true;
                }
            }
            Some(ChannelMsg::Eof) => {
                let _ = to.shutdown().await;
                // From here on only a close matters; the rest is read and dropped.
                tokio::spawn(async move {
                    while let Some(message) = from.wait().await {
                        if matches!(message, ChannelMsg::Close) {
                            break;
                        }
                    }
                    closed.cancel();
                });
                return true;
            }
            Some(ChannelMsg::Close) | None => {
                closed.cancel();
                return false;
            }
            Some(_) => {}
        }
    }
}

async fn tcp_to_channel(mut from: OwnedReadHalf, to: &ChannelWriteHalf<Msg>) {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(COPY_BUFFER);
        match from.read_buf(&mut buffer).await {
            Ok(0) => {
                let _ = to.eof().await;
                return;
            }
            Ok(_) => {
                if to.data_bytes(buffer.split().freeze()).await.is_err() {
                    return;
                }
            }
            Err(_) => {
                // sshd, too, has no way to pass a reset on; it ends the direction.
                let _ = to.eof().await;
                return;
            }
        }
    }
}

const COPY_BUFFER: usize = 64 * 1024;
