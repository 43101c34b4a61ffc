//! From a client's connection to a control connection with the forward's FTP server, or to the reason why
//! there is none.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use ferryline_grammar::LineCodec;
use tokio::{
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::Instant,
};

use super::{
    context::Context,
    io::{farewell::say_last, line_reader::LineReader},
    servers::home::Reached,
};
use crate::{
    control::{EndReason, Target},
    ssh::{Channel, OpenError},
};

/// Both control connections: with the client, and with its FTP server.
pub(super) struct ControlConnections {
    pub(super) client: LineReader<OwnedReadHalf>,
    pub(super) to_client: OwnedWriteHalf,
    pub(super) channel: Channel,
    /// The FTP server, as the SSH server was asked for it.
    pub(super) server: Target,
    /// What the server's name stands for, where that is several addresses.
    pub(super) server_addresses: Vec<IpAddr>,
    /// When the client was first answered: its time for logging in runs from then on.
    pub(super) began: Instant,
    /// The name by which the client named the server, where it did.
    pub(super) routed: Option<String>,
}

/// Connects the client with the forward's FTP server. `None`: it has been refused, or has gone.
pub(super) async fn dial_server(
    stream: TcpStream,
    peer: SocketAddr,
    number: u64,
    context: &Context,
) -> Option<ControlConnections> {
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
        () = context.stop.cancelled() => Err(EndReason::ShuttingDown.to_string()),
    };
    match opened {
        Ok(Reached {
            channel,
            server,
            addresses,
        }) => {
            let (read, to_client) = stream.into_split();
            Some(ControlConnections {
                client: LineReader::of_client(
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

/// Returns when a client that has waited for a while is seen to have left.
async fn gone(stream: &TcpStream) {
    tokio::time::sleep(UNHURRIED).await;
    if matches!(stream.peek(&mut [0]).await, Ok(1..)) {
        std::future::pending::<()>().await;
    }
}

/// A client may end its sending side at once, and still wait for the greeting.
const UNHURRIED: Duration = Duration::from_secs(3);
