//! `ferryline demo`: ferryline between the demo's two servers.

use std::{error::Error, io::IsTerminal, sync::Arc};

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::{
    Failure, Verbosity, WARNINGS, runtime, signals, start_log,
    terminal::{self, Patience},
};
use crate::{
    demo::tour::{self, Ferry, Shore},
    paint::{ForLocale, Paint},
    proxy::{ForwardKind, ForwardSpec, Options, Proxy},
    shell_word::quoted,
    ssh::{Identity, Session, Settings, StrictHostKeyChecking, TerminalPrompt},
};

/// The arguments of `ferryline demo`.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Exit after the transfers; the exit code is not 0 if anything differs
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    verbosity: Verbosity,
}

/// Runs the tour; stays up until it is asked to stop, unless `--once` is given.
pub(super) fn run(arguments: &Arguments, before: Verbosity) -> Result<(), Failure> {
    start_log(arguments.verbosity.and(before), WARNINGS, Patience::Short)?;
    let complete = runtime()?.block_on(async {
        let stop = signals::stop().map_err(Failure::failed)?;
        let mut out =
            std::io::LineWriter::new(ForLocale(terminal::stdout().map_err(Failure::failed)?));
        tour::run(
            arguments.once,
            Paint::for_stdout(),
            std::io::stdout().is_terminal(),
            &mut out,
            start,
            stop.cancelled(),
        )
        .await
        .map_err(Failure::failed)
    })?;
    if complete {
        Ok(())
    } else {
        Err(Failure::Failed(
            "the demo failed: not everything arrived as it was sent".into(),
        ))
    }
}

/// Starts ferryline as `ferryline forward` does.
async fn start(shore: Shore) -> Result<Ferry, Box<dyn Error + Send + Sync>> {
    let spec = ForwardSpec {
        kind: ForwardKind::Ftp,
        bind: None,
        port: 0,
        host: shore.ftp_server.ip().to_string(),
        host_port: shore.ftp_server.port(),
    };
    let proxy = Proxy::bind(std::slice::from_ref(&spec)).await?;
    let address = proxy
        .addresses()
        .into_iter()
        .flatten()
        .next()
        .ok_or("no address to listen on")?;
    let commands = commands(&shore);
    let mut settings = Settings::new(
        shore.ssh_server.ip().to_string(),
        shore.ssh_server.port(),
        shore.user,
    );
    settings.identities = vec![Identity {
        path: shore.identity,
        explicit: true,
    }];
    settings.known_hosts = vec![shore.known_hosts];
    settings.strict_host_key_checking = StrictHostKeyChecking::Yes;
    settings.batch_mode = true;
    let ssh = Session::connect(settings, Arc::new(TerminalPrompt)).await?;
    let route = format!(
        "{address} → {} → {}:{}",
        ssh.destination(),
        spec.host,
        spec.host_port
    );
    let options = Options {
        observer: Some(shore.observer),
        books: vec![shore.books],
        ..Options::default()
    };
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let running = tokio::spawn(async move {
        proxy.run(ssh.clone(), options, stopped).await;
        ssh.close().await;
    });
    Ok(Ferry {
        address,
        route,
        commands,
        stop: Box::pin(async move {
            stop.cancel();
            // A panic in that task has been reported where it happened.
            let _ = running.await;
        }),
    })
}

/// What a visitor pastes to use ferryline with the demo's servers, whatever the visitor's own ssh configuration says.
/// Port 0 is any free one: the ready line shows it.
fn commands(shore: &Shore) -> Vec<String> {
    let program = std::env::args()
        .next()
        .unwrap_or_else(|| "ferryline".to_owned());
    let way = format!(
        "-F none -i {} -o {} -p {} -L 0:{}:{} {}@{}",
        quoted(&shore.identity.to_string_lossy()),
        quoted(&format!(
            "UserKnownHostsFile={}",
            shore.known_hosts.display()
        )),
        shore.ssh_server.port(),
        shore.ftp_server.ip(),
        shore.ftp_server.port(),
        shore.user,
        shore.ssh_server.ip(),
    );
    ["check", "forward"]
        .iter()
        .map(|command| format!("{} {command} {way}", quoted(&program)))
        .collect()
}
