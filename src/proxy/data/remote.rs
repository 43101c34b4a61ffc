//! An active data connection: a listener on the SSH server's host, and from there a connection to
//! the client's own listener.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use super::{context::DataContext, reach::reach_client, report::Reporter, splice};
use crate::{
    control::ForwardEvent,
    proxy::trace::warnings::Trouble,
    ssh::{Origin, RemoteForward},
};

/// Runs one remote forward from the request to the end of its data connection.
pub(crate) async fn run(
    data: Arc<DataContext>,
    reporter: Reporter,
    bind: IpAddr,
    deliver_to: SocketAddr,
) {
    let origin = origin(&data.server.host, bind);
    let opened = match data.prefetch.take(bind, origin).await {
        Some(forward) => Ok(forward),
        None => open(&data, bind, origin).await,
    };
    let mut forward = match opened {
        Ok(forward) => forward,
        Err(reason) => {
            reporter.tell(ForwardEvent::Failed(reason));
            return;
        }
    };
    reporter.tell(ForwardEvent::Ready(forward.address()));
    // It takes one connection, and cancels itself with that.
    let Some(incoming) = forward.next().await else {
        let text = "the SSH connection was lost before the FTP server connected";
        reporter.warn(Trouble::LostBefore, text);
        // The SSH server has taken the connection of the program that connected there, which may have handed
        // it a whole file.
        reporter.tell(ForwardEvent::Cut);
        return;
    };
    reporter.tell(ForwardEvent::Claimed);
    // The answer is here by the time that the client can ask for the next transfer.
    data.prefetch.ask(&data.ssh, bind, origin);
    match reach_client(&data, deliver_to).await {
        Ok(stream) => {
            let channel = incoming.accept();
            reporter.tell(ForwardEvent::Connected { target: 0 });
            let outcome = splice::run(stream, channel, None, &reporter).await;
            reporter.finish(outcome).await;
        }
        // Refusing the server's connection would end it in order, as if all had been sent.
        Err(reason) => reporter.broken(&reason, incoming).await,
    }
}

/// A remote forward on a lane of its own.
async fn open(data: &DataContext, bind: IpAddr, origin: Origin) -> Result<RemoteForward, String> {
    let lane = data.ssh.lane().await.map_err(|error| error.to_string())?;
    let forward = lane.remote_forward_from(bind, origin).await;
    forward.map_err(|error| error.to_string())
}

/// The originator that may come to a remote forward on this address: the FTP server. Where the server is
/// known by a name only, which the SSH server resolves, it cannot be told from any other originator.
fn origin(server: &str, bind: IpAddr) -> Origin {
    if bind.is_loopback() {
        return Origin::Loopback;
    }
    server.parse().map_or(Origin::Anyone, Origin::Host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remote_forward_is_for_the_ftp_server() {
        for (server, bind, expected) in [
            ("localhost", "127.0.0.1", Origin::Loopback),
            ("10.0.0.9", "::1", Origin::Loopback),
            (
                "10.0.0.9",
                "10.0.0.1",
                Origin::Host("10.0.0.9".parse().unwrap()),
            ),
            ("ftp.example", "10.0.0.1", Origin::Anyone),
        ] {
            assert_eq!(
                origin(server, bind.parse().unwrap()),
                expected,
                "{server} {bind}"
            );
        }
    }
}
