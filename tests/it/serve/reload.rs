//! SIGHUP: what changes, and what goes on.

use std::fs;

use tokio::net::TcpListener;

use super::support::{Service, is_refused, ssh_table, tunnel, tunnel_at};
use crate::common::{
    Gate, Script, ScriptedClient, ScriptedServer, Shore, answer, begins_file, noise, read_to_end,
};

/// An FTP server whose download stands still until the gate is open.
fn paused(content: &[u8], gate: &Gate) -> Script {
    let half = content.len() / 2;
    ScriptedServer::new()
        .on("PASV", answer().listen().send("227 ={hostport}\n"))
        .on(
            "RETR",
            begins_file(&content[..half])
                .wait(gate)
                .data(&content[half..])
                .send("226 done\r\n"),
        )
}

/// An FTP server that can be told from others by its answer to SYST.
async fn named(name: &str) -> ScriptedServer {
    let answer = format!("215 {name}\r\n");
    ScriptedServer::new()
        .on("SYST", crate::common::answer().send(&answer))
        .on("SYST", crate::common::answer().send(&answer))
        .on("SYST", crate::common::answer().send(&answer))
        .start()
        .await
}

#[tokio::test]
async fn tunnels_come_and_go_and_no_transfer_is_cut() {
    let shore = Shore::new().await;
    let (gate, content) = (Gate::new(), noise(300_000));
    let leaving = paused(&content, &gate).start().await;
    let staying = paused(&content, &gate).start().await;
    let coming = named("coming").await;
    let ssh = ssh_table("dc1", &shore);
    let stays = tunnel("stays", staying.address());
    let before = [
        ssh.clone(),
        tunnel("leaves", leaving.address()),
        stays.clone(),
    ]
    .concat();
    let mut service = Service::start(shore.home(), &before);
    let left = service.announced("leaves").await;
    let stayed = service.announced("stays").await;
    service.ready().await;
    let mut running = Vec::new();
    for address in [left, stayed] {
        let mut client = ScriptedClient::logged_in(address).await;
        let data = client.passive().await;
        client.ask("RETR file", "150 ").await;
        running.push((client, data));
    }
    let after = [ssh, stays, tunnel("comes", coming.address())].concat();
    service.reload(&after).await;
    let came = service.announced("comes").await;
    let line = service.running.error_line("reloaded: ").await;
    assert!(
        line.ends_with("reloaded: comes added; leaves removed"),
        "{line}"
    );
    assert!(is_refused(left).await);
    let mut new = ScriptedClient::logged_in(came).await;
    new.ask("SYST", "215 coming").await;
    ScriptedClient::logged_in(stayed).await;
    gate.open();
    for (mut client, data) in running {
        assert!(read_to_end(data).await.unwrap() == content);
        client.expect("226 ").await;
        client.ask("NOOP", "200 ").await;
    }
    assert_eq!(service.stop().await.code, Some(0));
}

#[tokio::test]
async fn a_changed_tunnel_keeps_its_socket_and_its_sessions() {
    let shore = Shore::new().await;
    let (one, other) = (named("one").await, named("other").await);
    let ssh = ssh_table("dc1", &shore);
    let text = |server: &ScriptedServer| ssh.clone() + &tunnel("erp", server.address());
    let mut service = Service::start(shore.home(), &text(&one));
    let address = service.announced("erp").await;
    service.ready().await;
    let mut old = ScriptedClient::logged_in(address).await;
    service.reload(&text(&other)).await;
    assert_eq!(service.announced("erp").await, address);
    let mut new = ScriptedClient::logged_in(address).await;
    new.ask("SYST", "215 other").await;
    old.ask("SYST", "215 one").await;
    assert_eq!(
        shore.ssh_server.connections(),
        2,
        "a control connection and a lane"
    );
}

#[tokio::test]
async fn a_table_that_is_read_at_the_start_only_is_named_when_it_changes() {
    let shore = Shore::new().await;
    let server = named("one").await;
    let text = ssh_table("dc1", &shore) + &tunnel("erp", server.address());
    let mut service = Service::start(shore.home(), &text);
    service.ready().await;
    let socket = shore.home().join("monitor");
    let more = format!(
        "[metrics]\nlisten = \"unix:{}\"\n[log]\nverbose = 1\n",
        socket.display()
    );
    service.reload(&(text + &more)).await;
    for table in ["log", "metrics"] {
        let line = service
            .running
            .error_line(&format!("[{table}] has changed"))
            .await;
        assert!(
            line.ends_with("only a restart puts that in force"),
            "{line}"
        );
    }
    assert_eq!(service.stop().await.code, Some(0));
}

/// An address that changes its tunnel is never without its socket: clients come all the time.
#[tokio::test]
async fn an_address_moves_to_another_tunnel_without_a_client_refused() {
    let shore = Shore::new().await;
    let (one, other) = (named("one").await, named("other").await);
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let ssh = ssh_table("dc1", &shore);
    let at = address.to_string();
    let first = ssh.clone() + &tunnel_at("one", &at, one.address());
    let second = ssh + &tunnel_at("other", &at, other.address());
    let mut service = Service::start(shore.home(), &first);
    assert_eq!(service.announced("one").await, address);
    service.ready().await;
    let (coming, mut served) = tokio::sync::watch::channel(0);
    let clients = tokio::spawn(async move {
        loop {
            let mut client = ScriptedClient::connect(address).await;
            client.expect("220 ").await;
            client.ask("QUIT", "221 ").await;
            coming.send_modify(|clients| *clients += 1);
        }
    });
    for _ in 0..3 {
        service.reload(&second).await;
        assert_eq!(service.announced("other").await, address);
        service.reload(&first).await;
        assert_eq!(service.announced("one").await, address);
    }
    // There were clients before, between, and after.
    let before = *served.borrow();
    served
        .wait_for(|clients| *clients > before + 1)
        .await
        .unwrap();
    assert!(before > 1, "{before}");
    clients.abort();
    assert!(
        clients.await.unwrap_err().is_cancelled(),
        "a client was refused"
    );
    let mut client = ScriptedClient::logged_in(address).await;
    client.ask("SYST", "215 one").await;
}

#[tokio::test]
async fn a_file_with_mistakes_changes_nothing_and_each_is_told() {
    let shore = Shore::new().await;
    let server = named("one").await;
    let right = ssh_table("dc1", &shore) + &tunnel("erp", server.address());
    let mut service = Service::start(shore.home(), &right);
    let address = service.announced("erp").await;
    service.ready().await;
    let mut old = ScriptedClient::logged_in(address).await;
    let wrong = right.clone() + "max-sesions = 3\nidle = \"soon\"\n";
    fs::write(shore.home().join("ferryline.toml"), &wrong).unwrap();
    service.running.signal("HUP").await;
    service.manager.says("RELOADING=1").await;
    let status = service.manager.says("STATUS=").await;
    assert!(status.contains("the last reload failed: "), "{status}");
    assert!(
        status.contains("ferryline.toml:10: [tunnel.erp]: there is no key"),
        "{status}"
    );
    service.ready().await;
    for (line, key) in [(10, "max-sesions"), (11, "idle")] {
        let said = service
            .running
            .error_line(&format!("ferryline.toml:{line}: "))
            .await;
        assert!(
            said.contains("ERROR ") && said.contains("not reloaded"),
            "{said}"
        );
        assert!(said.contains(key), "{said}");
    }
    old.ask("NOOP", "200 ").await;
    let mut new = ScriptedClient::logged_in(address).await;
    new.ask("SYST", "215 one").await;
    // The right file again, and all is well.
    service.reload(&right).await;
    let line = service.running.error_line("reloaded: ").await;
    assert!(line.ends_with("nothing has changed"), "{line}");
}

#[tokio::test]
async fn where_one_address_cannot_be_bound_the_whole_reload_is_refused() {
    let shore = Shore::new().await;
    let server = named("one").await;
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = taken.local_addr().unwrap().to_string();
    let ssh = ssh_table("dc1", &shore);
    let erp = tunnel("erp", server.address());
    let mut service = Service::start(shore.home(), &(ssh.clone() + &erp));
    let address = service.announced("erp").await;
    service.ready().await;
    let text = ssh + &tunnel("new", server.address()) + &tunnel_at("taken", &at, server.address());
    service.reload(&text).await;
    let said = service.running.error_line("not reloaded").await;
    assert!(
        said.contains(&format!("[tunnel.taken] cannot listen on {at}: ")),
        "{said}"
    );
    // The tunnel that the new file does not have is still there.
    ScriptedClient::logged_in(address).await;
}

#[tokio::test]
async fn an_ssh_connection_with_other_settings_is_for_new_clients() {
    let shore = Shore::new().await;
    let server = named("one").await;
    let erp = tunnel("erp", server.address());
    // All data over the one connection: each log-in is counted.
    let text = |ssh: &str, more: &str| ssh_table("dc1", &shore) + "lanes = 0\n" + ssh + &erp + more;
    let mut service = Service::start(shore.home(), &text("", ""));
    let address = service.announced("erp").await;
    service.ready().await;
    let mut old = ScriptedClient::logged_in(address).await;
    // Another tunnel, the same connection; and the same by other words.
    for (ssh, more) in [
        ("", "max-line = 600\n"),
        ("login = \"tester\"\n", "idle = \"1h\"\n"),
    ] {
        service.reload(&text(ssh, more)).await;
        assert_eq!(service.announced("erp").await, address);
        ScriptedClient::logged_in(address).await;
        assert_eq!(shore.ssh_server.logins(), 1, "{ssh}{more}");
    }
    service
        .reload(&text("option.ServerAliveInterval = 7\n", ""))
        .await;
    assert_eq!(service.announced("erp").await, address);
    let mut new = ScriptedClient::logged_in(address).await;
    assert_eq!(shore.ssh_server.logins(), 2);
    for client in [&mut old, &mut new] {
        client.ask("NOOP", "200 ").await;
    }
}
