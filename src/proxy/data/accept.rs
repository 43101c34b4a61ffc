//! Which of the connections to a data port is the client's.

use std::{net::SocketAddr, time::Duration};

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};

use super::{context::DataContext, look::Looks, report::Reporter};
use crate::{
    control::ForwardEvent,
    proxy::{
        io::socket,
        policy::owner::{self, Owner},
    },
};

/// Pause after a connection that could not be accepted.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// The client's connection. A stranger's, by address or by user, is refused, and does not use the listener
/// up.
///
/// Where two connections might both be the client's, neither is taken: with the wrong one, what the client
/// has uploaded would be lost, and the client would not know.
pub(super) async fn claim(
    data: &DataContext,
    reporter: &Reporter,
    listener: &TcpListener,
    looks: &mut Looks,
) -> Result<TcpStream, String> {
    loop {
        let (stream, peer) = next(data, listener, looks).await;
        let Some(stream) = admit(data, reporter, stream, peer).await else {
            continue;
        };
        if let Err(error) = socket::data(&stream) {
            tracing::debug!("a data connection from {peer} was gone at once: {error}");
            continue;
        }
        while let Some((other, from)) = waiting(listener) {
            if let Some(other) = admit(data, reporter, other, from).await {
                socket::reset(stream);
                socket::reset(other);
                return Err(format!(
                    "two connections came to one data port, from {peer} and {from}: both refused"
                ));
            }
        }
        return Ok(stream);
    }
}

/// The next connection. Where a look is asked for, the connections that wait already come at once.
async fn next(
    data: &DataContext,
    listener: &TcpListener,
    looks: &mut Looks,
) -> (TcpStream, SocketAddr) {
    loop {
        if looks.goes_on()
            && let Some(accepted) = waiting(listener)
        {
            return accepted;
        }
        looks.done();
        tokio::select! {
            biased;
            () = looks.asked() => {}
            accepted = accept(data, listener) => return accepted,
        }
    }
}

async fn accept(data: &DataContext, listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                // Probably out of file descriptors: other connections must end first. The session closes this
                // forward when its time is up.
                data.warnings
                    .unaccepted_data
                    .warn(format_args!("cannot accept a data connection: {error}"));
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

/// A connection that may be the client's; any other is reset.
async fn admit(
    data: &DataContext,
    reporter: &Reporter,
    stream: TcpStream,
    peer: SocketAddr,
) -> Option<TcpStream> {
    let owner = data.client_peer.ip().to_canonical();
    if peer.ip().to_canonical() != owner {
        data.warnings.stranger.warn(format_args!(
            "a data connection from {peer} refused: the client is {owner}"
        ));
        socket::reset(stream);
        return None;
    }
    let user = owner::of_peer(&stream).await;
    if !data.owner.shares_with(user) {
        if user == Owner::Unknown {
            reporter.tell(ForwardEvent::Doubtful);
        }
        data.warnings.other_user.warn(format_args!(
            "a data connection from {peer} refused: it is {user}'s, the client's are {}'s",
            data.owner
        ));
        socket::reset(stream);
        return None;
    }
    Some(stream)
}

/// A connection that is in the listener's queue already. The kernel itself is asked, because the runtime may
/// not have learnt of it yet.
fn waiting(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    let (socket, peer) = SockRef::from(listener).accept().ok()?;
    socket.set_nonblocking(true).ok()?;
    let stream = TcpStream::from_std(socket.into()).ok()?;
    Some((stream, peer.as_socket()?))
}
