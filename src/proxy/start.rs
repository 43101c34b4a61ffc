//! From a client's connection to a control connection with its FTP server; or to a word why not.

use std::{
    io,
    net::{IpAddr, Shutdown, SocketAddr},
    time::Duration,
};

use ferryline_grammar::LineCodec;
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::Instant,
};

use super::{Context, io::line_reader::Lines, route, servers::home::Reached};
use crate::{
    control::Target,
    ssh::{Channel, OpenError},
};

/// How long the last words to a client may take.
pub(super) const FAREWELL: Duration = Duration::from_secs(3);

/// Both control connections stand.
pub(super) struct Start {
    pub(super) client: Lines<OwnedReadHalf>,
    pub(super) to_client: OwnedWriteHalf,
    pub(super) channel: Channel,
    /// The FTP server, as the SSH server was asked for it.
    pub(super) server: Target,
    /// What the server's name stands for, where that is several addresses.
    pub(super) server_addresses: Vec<IpAddr>,
    /// Since when the client has been spoken to: its time for logging in runs.
    pub(super) began: Instant,
    /// What the client named the server by, where it did.
    pub(super) routed: Option<String>,
}

/// Connects the client with the forward's FTP server, or with the one that it asks for. `None`: it has
/// been turned away, or has gone.
pub(super) async fn start(
    stream: TcpStream,
    peer: SocketAddr,
    number: u64,
    context: &Context,
) -> Option<Start> {
    if context.spec.is_user_routed() {
        return route::start(stream, peer, number, context).await;
    }
    let named = Target {
        host: context.spec.host.clone(),
        port: context.spec.host_port,
    };
    let opened = tokio::select! {
        opened = context.homes.open(&context.ssh, &named, peer) => {
            opened.map_err(|error| match error {
                // The FTP server has no part in it.
                OpenError::Away(why) => why,
                error => format!("FTP server {}:{}: {error}", named.host, named.port),
            })
        }
        () = gone(&stream) => {
            tracing::info!("#{number} the client left before the SSH server answered");
            return None;
        }
        () = context.stop.cancelled() => Err(SHUTTING_DOWN.into()),
    };
    match opened {
        Ok(Reached {
            channel,
            server,
            addresses,
        }) => {
            let (read, to_client) = stream.into_split();
            Some(Start {
                client: Lines::new(
                    read,
                    LineCodec::commands_up_to(context.options.command_limit),
                ),
                to_client,
                channel,
                server,
                server_addresses: addresses,
                began: Instant::now(),
                routed: None,
            })
        }
        Err(reason) => {
            context.warnings.no_control.warn(format_args!(
                "#{number} no control connection to the FTP server: {reason}"
            ));
            let (mut read, mut write) = stream.into_split();
            say_last(&mut read, &mut write, &crate::control::refusal(&reason)).await;
            None
        }
    }
}

/// Comes back when a client that has waited for a while is seen to have left.
async fn gone(stream: &TcpStream) {
    tokio::time::sleep(UNHURRIED).await;
    if matches!(stream.peek(&mut [0]).await, Ok(1..)) {
        std::future::pending::<()>().await;
    }
}

/// The last word to a client that is not served.
pub(super) async fn say_last(read: &mut OwnedReadHalf, write: &mut OwnedWriteHalf, word: &[u8]) {
    let said = async {
        write.write_all(word).await?;
        write.shutdown().await
    };
    if let Ok(Ok(())) = tokio::time::timeout(FAREWELL, said).await {
        linger(read).await;
    }
}

/// The last word to a client that is not waited for. The word and the end of file fit into an empty socket;
/// what the client has sent by now is read, so that closing does not reset what it has still to read. (It
/// does where the client sends more before it has read.)
pub(super) fn say_and_go(stream: &TcpStream, word: &[u8]) {
    let mut sink = [0; 1024];
    let said = stream.try_write(word).and_then(|_| {
        SockRef::from(stream).shutdown(Shutdown::Write)?;
        // One read: a client must not be able to keep this up.
        stream.try_read(&mut sink)
    });
    if let Err(error) = said
        && error.kind() != io::ErrorKind::WouldBlock
    {
        tracing::debug!("a client that is refused was gone at once: {error}");
    }
}

/// Reads what a client still sends, for a while: closing a socket with unread data resets it, and
/// the client might never see our last words.
pub(super) async fn linger(read: &mut OwnedReadHalf) {
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

/// More than any client has sent by the time that it reads its last words.
const MOST_READS: usize = 1024;
/// A client may end its sending side at once, and still wait for the greeting.
const UNHURRIED: Duration = Duration::from_secs(3);
pub(super) const SHUTTING_DOWN: &str = "the tunnel is being shut down";
