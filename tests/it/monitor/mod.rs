//! Metrics, health and the view of what runs, of the real program: each number is compared with what the test did.

mod counters;
mod files;
mod listener;
mod metrics_text;
mod top;
mod web_client;

use std::time::Duration;

pub use metrics_text::Metrics;
use tokio::time::{sleep, timeout};
pub use web_client::{Door, get};

use crate::common::{PATIENCE, Running, ScriptedServer, Shore};

/// A program that forwards to a scripted server and shows what it does.
struct Watched {
    ferry: Running,
    /// The address for FTP clients.
    ftp: std::net::SocketAddr,
    door: Door,
    /// The name of its tunnel.
    tunnel: String,
    shore: Shore,
}

impl Watched {
    /// Shows it at a port, with these options besides.
    async fn start(server: &ScriptedServer, options: &[&str]) -> Self {
        Self::start_at(server, "127.0.0.1:0", options).await
    }

    async fn start_at(server: &ScriptedServer, listen: &str, options: &[&str]) -> Self {
        let shore = Shore::new().await;
        let tunnel = format!("127.0.0.1:0:127.0.0.1:{}", server.address().port());
        let arguments = [&["-L", &tunnel, "--metrics", listen], options].concat();
        let mut ferry = shore.start(&arguments);
        let ftp = ferry.ftp_address().await;
        let shown_at = ferry.line().await;
        let door = Door::named(shown_at.split(' ').next().unwrap());
        Self {
            ferry,
            ftp,
            door,
            tunnel,
            shore,
        }
    }

    async fn metrics(&self) -> Metrics {
        let answer = get(&self.door, "/metrics").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let kind = answer.header("content-type");
        assert_eq!(kind, Some("text/plain; version=0.0.4; charset=utf-8"));
        Metrics::parse(&answer.body)
    }

    /// Reads the metrics until they are as wanted: counters send no event when they change.
    async fn metrics_when(&self, wanted: impl Fn(&Metrics) -> bool) -> Metrics {
        let mut last = self.metrics().await;
        let read = timeout(PATIENCE, async {
            while !wanted(&last) {
                sleep(Duration::from_millis(10)).await;
                last = self.metrics().await;
            }
        });
        let waited = read.await;
        assert!(waited.is_ok(), "it never came to that: {last:#?}");
        last
    }

    /// The value of a metric of the tunnel, with these further labels.
    fn of(&self, metrics: &Metrics, name: &str, labels: &str) -> f64 {
        let comma = if labels.is_empty() { "" } else { "," };
        metrics.value(&format!(
            "{name}{{tunnel=\"{}\"{comma}{labels}}}",
            self.tunnel
        ))
    }
}
