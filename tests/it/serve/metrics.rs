//! What the service shows of itself.

use super::support::{Service, ssh_table, tunnel};
use crate::common::{ScriptedClient, ScriptedServer, Shore, sends_file};
use crate::monitor::{Door, Metrics, get};

#[tokio::test]
async fn tunnels_are_counted_by_their_names_and_over_reloads() {
    let shore = Shore::new().await;
    let server = ScriptedServer::new()
        .on("RETR", sends_file("hello world"))
        .start()
        .await;
    let socket = shore.home().join("metrics");
    let door = Door::Unix(socket.clone());
    let file = |tunnels: &[&str]| {
        let tunnels = tunnels.iter().map(|name| tunnel(name, server.address()));
        let metrics = format!("[metrics]\nlisten = \"unix:{}\"\n", socket.display());
        [ssh_table("dc1", &shore), tunnels.collect(), metrics].concat()
    };
    let mut service = Service::start(shore.home(), &file(&["erp"]));
    let erp = service.announced("erp").await;
    service.ready().await;
    let carry = async |address| {
        let mut client = ScriptedClient::logged_in(address).await;
        let data = client.passive().await;
        client.ask("RETR a", "150 ").await;
        crate::common::read_to_end(data).await.unwrap();
        client.expect("226 ").await;
        client
    };
    let mut first = carry(erp).await;
    service.reload(&file(&["erp", "plant"])).await;
    let plant = service.announced("plant").await;
    let _second = carry(plant).await;
    let read = async || Metrics::parse(&get(&door, "/metrics").await.body);
    let metrics = read().await;
    for tunnel in ["erp", "plant"] {
        let sessions = format!("ferryline_sessions{{tunnel=\"{tunnel}\"}}");
        assert_eq!(metrics.value(&sessions), 1.0);
        let bytes =
            format!("ferryline_transfer_bytes_total{{tunnel=\"{tunnel}\",direction=\"download\"}}");
        assert_eq!(metrics.value(&bytes), 11.0);
    }
    assert_eq!(metrics.value("ferryline_ssh_up{ssh=\"dc1\"}"), 1.0);
    assert_eq!(
        metrics.value("ferryline_config_last_reload_successful"),
        1.0
    );
    let at = metrics.value("ferryline_config_last_reload_success_timestamp_seconds");
    let start = metrics.value("process_start_time_seconds");
    assert!(at >= start.floor(), "{at} {start}");
    let (ready, health) = (get(&door, "/readyz").await, get(&door, "/healthz").await);
    assert_eq!(
        (ready.status, health.status),
        (200, 200),
        "{ready:?} {health:?}"
    );

    // A broken file changes nothing, and is seen. A tunnel that is removed is counted on.
    service.reload("[tunnel.erp]\nssh = 7\n").await;
    let metrics = read().await;
    assert_eq!(
        metrics.value("ferryline_config_last_reload_successful"),
        0.0
    );
    service.reload(&file(&["plant"])).await;
    let metrics = read().await;
    assert_eq!(
        metrics.value("ferryline_config_last_reload_successful"),
        1.0
    );
    assert_eq!(metrics.value("ferryline_sessions{tunnel=\"erp\"}"), 1.0);
    first.ask("NOOP", "200 ").await;
    let now = get(&door, "/sessions").await.body;
    let now: serde_json::Value = serde_json::from_str(&now).unwrap();
    let names: Vec<_> = now["tunnels"].as_array().unwrap().iter().collect();
    assert_eq!(names.len(), 1);
    assert_eq!(names[0]["name"], "plant");
    assert_eq!(now["sessions"].as_array().unwrap().len(), 2);
    assert_eq!(service.stop().await.code, Some(0));
    assert!(!socket.exists());
}
