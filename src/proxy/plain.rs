//! A `tcp/` forward: one connection, one channel, as `ssh -L` does it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::net::TcpStream;

use super::{context::Context, data::splice, io::socket, moved::Tally};

/// A connection without a session that would be told how it goes.
#[derive(Default)]
struct Unwatched(Tally);

impl splice::Watch for Unwatched {
    fn tally(&self) -> &Tally {
        &self.0
    }
    fn drained(&self) {}
    fn progress(&self) {}
    fn blocked(&self) {}
    /// There is no FTP server whose reply could be ahead of its data.
    async fn asked(&self) {
        std::future::pending().await
    }
    /// There is no command.
    async fn begun(&self) {}
    async fn may_end(&self) {}
    fn all_received(&self) {}
    fn all_sent(&self) {}
    /// As with `ssh -L`, a connection of which one half has ended stays open until the other has ended, too,
    /// or the far side is gone for good.
    fn last_word(&self) -> Option<Duration> {
        None
    }
    fn cut(&self) -> impl Future<Output = ()> + Send + 'static {
        std::future::pending()
    }
    /// There is no control connection that it could outlive.
    fn settle(&self) -> impl Future<Output = ()> + Send + 'static {
        std::future::pending()
    }

    fn orphaned(&self) -> impl Future<Output = Duration> + Send + 'static {
        std::future::pending()
    }
}

/// Serves one connection.
pub(super) async fn run(stream: TcpStream, peer: SocketAddr, context: Arc<Context>) {
    let number = context.next_session();
    tokio::select! {
        () = serve(stream, peer, number, &context) => {}
        () = context.abort.cancelled() => {}
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, number: u64, context: &Context) {
    let (host, port) = (&context.spec.host, context.spec.host_port);
    tracing::info!("#{number} {peer} → {host}:{port}");
    if let Err(error) = socket::data(&stream) {
        tracing::debug!("#{number} was gone at once: {error}");
        return;
    }
    let opened = match context.ssh.lane().await {
        Ok(lane) => lane
            .open(host, port, peer)
            .await
            .map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match opened {
        Ok(channel) => {
            let outcome = splice::run(stream, channel, None, &Unwatched::default()).await;
            tracing::info!("#{number} {}", outcome);
        }
        Err(reason) => {
            context
                .warnings
                .no_connection
                .warn(format_args!("#{number} {host}:{port}: {reason}"));
            socket::reset(stream);
        }
    }
}
