//! An active data connection: a listener on the SSH server's host, and from there a connection to
//! the client's own listener.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use super::{
    session::{Data, Reporter},
    socket, splice,
};
use crate::control::ForwardEvent;

/// How long the client's listener may take to answer: it is on this host or near.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs one remote forward from the request to the end of its data connection.
pub(super) async fn run(
    data: Arc<Data>,
    mut reporter: Reporter,
    bind: IpAddr,
    deliver_to: SocketAddr,
) {
    let lane = match data.ssh.lane().await {
        Ok(lane) => lane,
        Err(error) => {
            reporter.tell(ForwardEvent::Failed(error.to_string()));
            return;
        }
    };
    let mut forward = match lane.remote_forward(bind).await {
        Ok(forward) => forward,
        Err(error) => {
            reporter.tell(ForwardEvent::Failed(error.to_string()));
            return;
        }
    };
    reporter.tell(ForwardEvent::Ready(forward.address()));
    // It takes one connection, and cancels itself with it.
    let Some(incoming) = forward.next().await else {
        reporter.warn("the SSH connection was lost before the FTP server connected");
        reporter.tell(ForwardEvent::Ended);
        return;
    };
    reporter.tell(ForwardEvent::Claimed);
    let from = SocketAddr::new(data.client_local.ip().to_canonical(), 0);
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, socket::connect(from, deliver_to)).await;
    let stream = match connected {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            incoming.reject();
            reporter.warn(&format!("the client's data port {deliver_to}: {error}"));
            reporter.tell(ForwardEvent::Ended);
            return;
        }
        Err(_) => {
            incoming.reject();
            reporter.warn(&format!(
                "the client's data port {deliver_to} does not answer"
            ));
            reporter.tell(ForwardEvent::Ended);
            return;
        }
    };
    if let Err(error) = socket::data(&stream) {
        reporter.warn(&format!("the client's data port {deliver_to}: {error}"));
        incoming.reject();
    } else {
        let channel = incoming.accept();
        reporter.tell(ForwardEvent::Connected { target: 0 });
        let outcome = splice::run(stream, channel, &mut reporter).await;
        reporter.log(&outcome);
    }
    reporter.tell(ForwardEvent::Ended);
}
