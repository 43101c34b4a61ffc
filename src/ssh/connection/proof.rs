//! A proof that two SSH connections end on one host.
//!
//! Behind one name, or one ProxyCommand, there may be several hosts with the same host key. A data connection
//! has to be made by the host that the control connection goes through: on another host the FTP server's port
//! is closed, or belongs to another program. So the first connection asks for a remote forward on its host's
//! loopback. The other one has to reach that port and send a random token through it.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use russh::keys::{key::safe_rng, ssh_key::rand_core::Rng as _};
use tokio::time::timeout;

use super::{
    arrival::Origin,
    channel::{Channel, Received},
    forward::{self, RemoteForward},
    handle::Connection,
    keep_alive::{Counted, Hold, KeepAlive},
    open::open,
};
use crate::ssh::error::{ForwardError, OpenError};

/// Why two connections are not known to end on one host.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Unproven {
    /// They end on different hosts, as far as can be seen.
    Elsewhere,
    /// One of them is lost.
    Lost,
    /// The SSH server does not allow what the proof needs.
    Untold(String),
}

/// Whether `second` ends on the host that `first` ends on.
pub(crate) async fn same_host(
    first: &Arc<Connection>,
    second: &Arc<Connection>,
) -> Result<(), Unproven> {
    timeout(PATIENCE, prove(first, second))
        .await
        .unwrap_or_else(|_| Err(Unproven::Untold("no answer came in time".to_owned())))
}

async fn prove(first: &Arc<Connection>, second: &Arc<Connection>) -> Result<(), Unproven> {
    let counted = Counted::new(&Arc::default());
    let asked = forward::request(
        first,
        LOOPBACK,
        Origin::Loopback,
        KeepAlive::default(),
        counted,
        None,
    );
    let mut forward = asked.await.map_err(|error| match error {
        ForwardError::Lost => Unproven::Lost,
        error => Unproven::Untold(error.to_string()),
    })?;
    let mut token = [0; 32];
    safe_rng().fill_bytes(&mut token);
    let proven = tokio::try_join!(
        send(second, forward.address(), &token),
        receive(&mut forward, &token)
    );
    let proven = proven.map(|_| ());
    forward.cancel().await;
    proven
}

/// Sends the token through the port. The channel stays open until the other end has read the token.
async fn send(
    connection: &Arc<Connection>,
    at: SocketAddr,
    token: &[u8],
) -> Result<Channel, Unproven> {
    let mut refused = None;
    // An SSH server may permit the name only, or the address only.
    for host in ["127.0.0.1", "localhost"] {
        let opening = open(connection, host, at.port(), ORIGINATOR, Hold::default());
        match opening.await {
            Ok(mut channel) => {
                let token = Bytes::copy_from_slice(token);
                let sent = channel.writer.write(token).await;
                return sent.map(|()| channel).map_err(|_| Unproven::Elsewhere);
            }
            Err(OpenError::Lost) => return Err(Unproven::Lost),
            Err(error @ OpenError::Prohibited(_)) => refused = Some(error),
            Err(_) => return Err(Unproven::Elsewhere),
        }
    }
    let refused = refused.map_or_else(String::new, |error| error.to_string());
    Err(Unproven::Untold(refused))
}

async fn receive(forward: &mut RemoteForward, token: &[u8]) -> Result<(), Unproven> {
    let incoming = forward.next().await.ok_or(Unproven::Lost)?;
    let mut channel = incoming.accept();
    let mut got = BytesMut::new();
    while got.len() < token.len() {
        match channel.reader.read().await {
            Received::Data(data) => got.extend_from_slice(&data),
            Received::Eof | Received::Closed | Received::Lost(_) => break,
        }
    }
    match got == token {
        true => Ok(()),
        // Another program connected first.
        false => Err(Unproven::Elsewhere),
    }
}

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// The originator of the channel: this program itself.
const ORIGINATOR: SocketAddr = SocketAddr::new(LOOPBACK, 0);
/// A few round trips.
const PATIENCE: Duration = Duration::from_secs(10);
