//! A passive data connection: a listener for the client, and behind it a channel to the FTP
//! server.

use std::sync::Arc;

use ferryline_grammar::is_loopback;

use super::{accept::claim, context::DataContext, look::Looks, report::Reporter, splice};
use crate::{
    control::{ForwardEvent, Target},
    proxy::{io::socket, trace::warnings::Trouble},
    ssh::Channel,
};

/// Runs one local forward from its listener to the end of its data connection.
pub(crate) async fn run(
    data: Arc<DataContext>,
    reporter: Reporter,
    targets: Vec<Target>,
    mut looks: Looks,
) {
    let listener = match data.gateway.listen(data.client_local) {
        Ok(listener) => listener,
        Err(reason) => {
            reporter.warn(Trouble::NoListener, &reason);
            reporter.tell(ForwardEvent::Failed(reason));
            return;
        }
    };
    match listener.listener.local_addr() {
        Ok(bound) => {
            let told = data.gateway.told(data.client_peer, bound);
            reporter.tell(ForwardEvent::Ready(told));
        }
        Err(error) => {
            reporter.tell(ForwardEvent::Failed(format!("no data port: {error}")));
            return;
        }
    }
    let claimed = claim(&data, &reporter, &listener.listener, &mut looks).await;
    // One listener, one connection (Q83).
    drop(listener);
    reporter.tell(ForwardEvent::Claimed);
    drop(looks);
    let stream = match claimed {
        Ok(stream) => stream,
        Err(reason) => {
            reporter.tell(ForwardEvent::Unreachable(reason));
            return;
        }
    };
    match connect(&data, &targets).await {
        Ok((target, channel)) => {
            reporter.tell(ForwardEvent::Connected { target });
            let outcome = splice::run(stream, channel, None, &reporter).await;
            reporter.finish(outcome).await;
        }
        Err(reason) => {
            // Reset at once, so that the client can fall back (Q24).
            socket::reset(stream);
            // The session knows whether the FTP server itself has an answer, and warns where it has none
            // (Q100).
            reporter.tell(ForwardEvent::Unreachable(reason));
        }
    }
}

/// A channel to the first target that can be reached, with its place among them.
pub(crate) async fn connect(
    data: &DataContext,
    targets: &[Target],
) -> Result<(usize, Channel), String> {
    let lane = data.ssh.lane().await.map_err(|error| error.to_string())?;
    let mut reasons = Vec::new();
    for (index, target) in targets.iter().enumerate() {
        if !data.may_reach(&target.host) {
            reasons.push(format!("{target}: not a host that is allowed here"));
            continue;
        }
        // The target is not asked for again if its lane is lost: the SSH server may have made the connection,
        // and the FTP server takes only one.
        match lane.open(&target.host, target.port, data.client_peer).await {
            Ok(channel) => return Ok((index, channel)),
            Err(error) => {
                let error = error.of_data_connection(permitted_as(&target.host));
                reasons.push(format!("{target}: {error}"));
            }
        }
    }
    Err(reasons.join("; "))
}
/// The host that the SSH server should permit for data connections to this one: a loopback name is asked for by its
/// address first.
fn permitted_as(host: &str) -> &str {
    match is_loopback(host) {
        true => "127.0.0.1",
        false => host,
    }
}
