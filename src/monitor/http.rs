//! The connections of those who ask.

use std::{sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};

use super::{
    listen::{Accepted, Bound},
    routes::Routes,
};

/// Number of connections that are served at once. More wait in the socket.
const CONNECTIONS: usize = 64;

/// Greatest size of the head of a request, in bytes: a browser's is below 2 KiB.
const HEAD: usize = 8 << 10;

/// Greatest number of header fields of a request.
const FIELDS: usize = 64;

/// How long a client may take to send the head of its request.
const HEAD_TIME: Duration = Duration::from_secs(5);

/// How long a connection may take in all. Each has one request.
const WHOLE_TIME: Duration = Duration::from_secs(20);

/// The pause after a connection that could not be accepted, as without a free file descriptor.
const PAUSE: Duration = Duration::from_millis(200);

/// Answers requests, without end.
pub(super) async fn serve(bound: &Bound, routes: &Arc<Routes>) {
    let seats = Arc::new(Semaphore::new(CONNECTIONS));
    // Those that are served end with this.
    let mut served = JoinSet::new();
    loop {
        let Ok(seat) = Arc::clone(&seats).acquire_owned().await else {
            return;
        };
        while served.try_join_next().is_some() {}
        match bound.accept().await {
            Ok(accepted) => {
                let routes = Arc::clone(routes);
                served.spawn(async move {
                    let _seat = seat;
                    let answered = async {
                        match accepted {
                            Accepted::Tcp(stream) => answer(stream, &routes).await,
                            #[cfg(unix)]
                            Accepted::Unix(stream) => answer(stream, &routes).await,
                        }
                    };
                    // A client that takes longer is let go of.
                    let _ = timeout(WHOLE_TIME, answered).await;
                });
            }
            Err(error) => {
                tracing::debug!("cannot accept a connection for metrics: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Answers the request of one connection.
async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin, routes: &Routes) {
    let service = service_fn(|request| routes.answer(request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .keep_alive(false)
        .half_close(true)
        .max_headers(FIELDS)
        .max_header_size(HEAD)
        .max_buf_size(2 * HEAD)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!("a request for metrics failed: {error}");
    }
}
