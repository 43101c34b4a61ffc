//! Opening channels on an SSH connection (RFC 4254 section 7.2).

use std::{net::SocketAddr, sync::Arc, time::Duration};

use russh::ChannelOpenFailure;
use tokio::{sync::oneshot, time::timeout};

use super::{
    channel::{self, Channel},
    handle::Connection,
    keep_alive::Hold,
};
use crate::ssh::error::OpenError;

/// Opens a `direct-tcpip` channel (RFC 4254 section 7.2), within 30 s.
pub(crate) async fn open(
    connection: &Arc<Connection>,
    host: &str,
    port: u16,
    originator: SocketAddr,
    hold: Hold,
) -> Result<Channel, OpenError> {
    let opening = open_patiently(connection, host, port, originator, hold);
    let opened = timeout(OPEN_TIMEOUT, opening).await;
    opened.unwrap_or(Err(OpenError::Timeout))
}

/// As [`open`], without a limit. The request runs in a task of its own: when the caller gives up, a late
/// confirmation is closed again instead of being leaked.
pub(crate) async fn open_patiently(
    connection: &Arc<Connection>,
    host: &str,
    port: u16,
    originator: SocketAddr,
    hold: Hold,
) -> Result<Channel, OpenError> {
    let (answer, answered) = oneshot::channel();
    let connection_in_task = Arc::clone(connection);
    let host = host.to_owned();
    tokio::spawn(async move {
        let opened = open_in_task(connection_in_task, host, port, originator, hold).await;
        // The caller has given up: dropping the channel closes it.
        let _ = answer.send(opened);
    });
    tokio::select! {
        biased;
        opened = answered => opened.unwrap_or(Err(OpenError::Lost)),
        () = connection.lost() => Err(OpenError::Lost),
    }
}

async fn open_in_task(
    connection: Arc<Connection>,
    host: String,
    port: u16,
    originator: SocketAddr,
    hold: Hold,
) -> Result<Channel, OpenError> {
    let opened = connection
        .handle()
        .channel_open_direct_tcpip(
            host,
            u32::from(port),
            originator.ip().to_string(),
            u32::from(originator.port()),
        )
        .await;
    match opened {
        Ok(raw) => Ok(channel::wrap(raw, connection, false, hold)),
        Err(russh::Error::ChannelOpenFailure(reason)) => {
            let said = connection.shared().refusal(&reason).await;
            Err(match reason {
                ChannelOpenFailure::AdministrativelyProhibited => OpenError::Prohibited(said),
                ChannelOpenFailure::ConnectFailed => OpenError::ConnectFailed(said),
                _ => OpenError::Other(said),
            })
        }
        Err(_) => Err(OpenError::Lost),
    }
}

/// How long a server may take to say whether it opens a channel.
pub(crate) const OPEN_TIMEOUT: Duration = Duration::from_secs(30);
