//! `ferryline top`: what another ferryline carries at the moment.

use std::path::Path;

use clap::Args;

use super::{Failure, runtime, signals};
use crate::{
    paint::Paint,
    top::{self, AskError, Place},
};

/// The arguments of `ferryline top`.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Where the other ferryline shows what runs: its --metrics
    ///
    /// A path, unix:/PATH, or ADDRESS:PORT. Without it, the socket of the service, or port 9121 of this host where
    /// there is no such socket.
    #[arg(long, value_name = "PATH|ADDRESS")]
    socket: Option<Place>,
    /// Print what runs once, in plain lines, as where there is no terminal
    #[arg(long)]
    once: bool,
}

/// Under the help.
pub(super) const EXAMPLES: &str = "\
Examples:
  ferryline top
  ferryline top --once --socket 127.0.0.1:9121
Keys: q quits, the arrows choose a session, k ends it after a question (over a Unix socket only).";

/// The socket of the service, as its unit has it.
const SERVICE: &str = "/run/ferryline/ferryline.sock";

/// Its port, where it has no socket.
const PORT: ([u8; 4], u16) = ([127, 0, 0, 1], 9121);

/// Shows it until it is asked to stop.
pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    let place = arguments
        .socket
        .unwrap_or_else(|| match Path::new(SERVICE).exists() {
            true => Place::Unix(SERVICE.into()),
            false => Place::Tcp(PORT.into()),
        });
    let runtime = runtime()?;
    let done = runtime.block_on(async {
        if arguments.once || !top::has_terminal() {
            return top::once(&place, &mut std::io::stdout().lock()).await;
        }
        watch(&place).await
    });
    // The thread that reads keys may wait for one.
    runtime.shutdown_background();
    match done {
        // The reader of the output has closed it.
        Err(AskError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        done => done.map_err(Failure::failed),
    }
}

#[cfg(unix)]
async fn watch(place: &Place) -> Result<(), AskError> {
    let stop = signals::stop().map_err(AskError::Output)?;
    top::watch(place, Paint::for_stdout(), &stop).await
}

#[cfg(not(unix))]
async fn watch(place: &Place) -> Result<(), AskError> {
    top::once(place, &mut std::io::stdout().lock()).await
}
