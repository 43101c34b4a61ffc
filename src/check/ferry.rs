//! The proxy under test.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Plan, watch::Watch};
use crate::{
    proxy::{ForwardSpec, Options, Proxy},
    ssh::Session,
};

/// The proxy, on a loopback port of its own.
pub(super) struct Ferry {
    pub(super) address: SocketAddr,
    pub(super) watch: Arc<Watch>,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Ferry {
    pub(super) async fn start(
        plan: &Plan,
        spec: &ForwardSpec,
        session: &Session,
    ) -> Result<Self, String> {
        let spec = ForwardSpec {
            bind: Some("127.0.0.1".to_owned()),
            port: 0,
            ..spec.clone()
        };
        let proxy = Proxy::bind(&[spec])
            .await
            .map_err(|error| error.to_string())?;
        let address = proxy.addresses().into_iter().flatten().next();
        let address = address.ok_or("no address to listen on")?;
        let watch = Arc::new(Watch::default());
        // Who may come, what is limited and what is recorded is no part of the way: the client is the check
        // itself.
        let options = Options {
            data_host: plan.options.data_host,
            lowest_data_port: plan.options.lowest_data_port,
            active: plan.options.active,
            remote_bind: plan.options.remote_bind,
            allow_hosts: plan.options.allow_hosts.clone(),
            observer: Some(watch.clone()),
            grace: FAREWELL,
            ..Options::default()
        };
        let stop = CancellationToken::new();
        let running = tokio::spawn(proxy.run(session.clone(), options, stop.clone()));
        Ok(Self {
            address,
            watch,
            stop,
            running,
        })
    }

    pub(super) async fn stop(self) {
        self.stop.cancel();
        // A panic in there has been reported where it happened.
        let _ = self.running.await;
    }
}

/// How long a peer may take to close.
pub(super) const FAREWELL: Duration = Duration::from_secs(2);
