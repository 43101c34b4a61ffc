//! An active data connection that is carried as a passive one: a channel to the FTP server's
//! passive listener, joined to a connection to the client's own.

use std::{net::SocketAddr, sync::Arc};

use tokio_util::sync::CancellationToken;

use super::{context::DataContext, local, reach::reach_client, report::Reporter, splice};
use crate::{
    control::{ForwardEvent, Target},
    proxy::trace::warnings::Trouble,
    ssh::{LostReason, Received},
};

/// Runs one joined forward. Connects to the client when its transfer has begun (`join`) or when the first
/// data comes, whichever is first. A transfer that fails shows the client no connection, as with a server
/// that speaks active mode itself.
pub(crate) async fn run(
    data: Arc<DataContext>,
    reporter: Reporter,
    targets: Vec<Target>,
    deliver_to: SocketAddr,
    join: CancellationToken,
) {
    let mut channel = match local::connect(&data, &targets).await {
        Ok((_, channel)) => channel,
        Err(reason) => {
            reporter.tell(ForwardEvent::Failed(reason));
            return;
        }
    };
    reporter.tell(ForwardEvent::Ready(deliver_to));
    let first = tokio::select! {
        biased;
        received = channel.reader.read() => Some(received),
        () = join.cancelled() => None,
    };
    match first {
        // The transfer comes to nothing. A refusal by the server passes; a success would not be one.
        Some(Received::Closed | Received::Lost(LostReason::Closed | LostReason::Local)) => {
            reporter.tell(ForwardEvent::Cut);
            return;
        }
        Some(Received::Lost(reason)) => {
            let text = format!("cut before the client was connected: {reason}");
            reporter.warn(Trouble::LostBefore, &text);
            reporter.tell(ForwardEvent::Cut);
            return;
        }
        Some(Received::Data(_) | Received::Eof) | None => {}
    }
    reporter.tell(ForwardEvent::Claimed);
    match reach_client(&data, deliver_to).await {
        Ok(stream) => {
            reporter.tell(ForwardEvent::Connected { target: 0 });
            let outcome = splice::run(stream, channel, first, &reporter).await;
            reporter.finish(outcome).await;
        }
        Err(reason) => reporter.broken(&reason, channel).await,
    }
}
