//! What the service manager is told.

use super::support::{Service, ssh_table, tunnel};
use crate::common::{ScriptedClient, ScriptedServer, Shore};

#[tokio::test]
async fn it_is_told_of_the_start_of_reloads_and_of_the_end() {
    let shore = Shore::new().await;
    let server = ScriptedServer::new().start().await;
    let text = ssh_table("dc1", &shore) + &tunnel("erp", server.address());
    let mut service = Service::start(shore.home(), &text);
    let address = service.announced("erp").await;
    assert_eq!(service.manager.next().await, "READY=1\n");
    let client = ScriptedClient::logged_in(address).await;
    let status = service.manager.says("1 session; ssh dc1 up").await;
    assert_eq!(status, "STATUS=1 tunnel, 1 session; ssh dc1 up\n");
    drop(client);
    service.manager.says("0 sessions;").await;
    service.running.signal("HUP").await;
    let reloading = service.manager.says("RELOADING=1").await;
    // Both in one datagram.
    let rest = reloading
        .strip_prefix("RELOADING=1\nMONOTONIC_USEC=")
        .unwrap();
    let now: u64 = rest.trim_end().parse().unwrap();
    assert!(now > 0);
    service.manager.says("READY=1").await;
    service.running.signal("TERM").await;
    service.manager.says("STOPPING=1").await;
    assert_eq!(service.running.ended().await.code, Some(0));
}

#[tokio::test]
async fn the_watchdog_is_fed_also_while_the_ssh_server_is_away() {
    let shore = Shore::new().await;
    let server = ScriptedServer::new().start().await;
    let text = ssh_table("dc1", &shore) + &tunnel("erp", server.address());
    let watchdog = [("WATCHDOG_USEC", "300000")];
    let mut service = Service::start_with(shore.home(), &text, &watchdog);
    let address = service.announced("erp").await;
    for _ in 0..3 {
        service.manager.says("WATCHDOG=1").await;
    }
    let client = ScriptedClient::logged_in(address).await;
    shore.ssh_server.kill();
    drop(client);
    for _ in 0..3 {
        service.manager.says("WATCHDOG=1").await;
    }
}
