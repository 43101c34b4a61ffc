//! An SSH server that is not there, or not yet, or refuses.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;

use super::support::{Service, ssh_table, ssh_table_at, tunnel};
use crate::common::{ScriptedClient, ScriptedServer, Shore, nobody};

/// The service is ready without its SSH server, and the client that came meanwhile waits for it.
#[tokio::test]
async fn a_client_waits_for_an_ssh_server_that_is_down_at_the_start() {
    let shore = Shore::new().await;
    let server = ScriptedServer::new().start().await;
    let (socket, address) = nobody();
    // The host key is known for the port behind the relay.
    let hosts = shore.ssh_server.known_hosts();
    let real = shore.ssh_server.address();
    let hosts = hosts.replace(&real.port().to_string(), &address.port().to_string());
    fs::write(&shore.known_hosts, hosts).unwrap();
    let text = ssh_table_at("dc1", &shore, address.port()) + &tunnel("erp", server.address());
    let mut service = Service::start(shore.home(), &text);
    let tunnel = service.announced("erp").await;
    service.ready().await;
    let client = tokio::spawn(ScriptedClient::logged_in(tunnel));
    let status = service
        .manager
        .says("1 session; ssh dc1 not connected (")
        .await;
    assert!(status.contains("refused"), "{status}");
    let line = service.running.error_line("not connected yet: ").await;
    assert!(line.contains("WARN "), "{line}");
    let relay = socket.listen(8).unwrap();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = relay.accept().await {
            tokio::spawn(async move {
                let mut far = TcpStream::connect(real).await.unwrap();
                let _ = copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    let mut client = client.await.unwrap();
    client.ask("NOOP", "200 ").await;
    service
        .running
        .error_line("connected to tester@127.0.0.1")
        .await;
    service.manager.says("ssh dc1 up").await;
}

/// What time does not mend is said once with its remedy, clients are told at once, and a reload tries again:
/// the files are read anew.
#[tokio::test]
async fn an_unknown_host_key_is_told_and_a_reload_reads_the_known_hosts_anew() {
    let shore = Shore::new().await;
    let server = ScriptedServer::new().start().await;
    let hosts = fs::read_to_string(&shore.known_hosts).unwrap();
    fs::write(&shore.known_hosts, "").unwrap();
    let text = ssh_table("dc1", &shore) + &tunnel("erp", server.address());
    let mut service = Service::start(shore.home(), &text);
    let address = service.announced("erp").await;
    service.ready().await;
    let line = service
        .running
        .error_line("cannot connect, tried further")
        .await;
    assert!(
        line.contains("WARN ") && line.contains("host key"),
        "{line}"
    );
    let mut client = ScriptedClient::connect(address).await;
    let word = client.line().await;
    assert!(
        word.starts_with("421 ") && word.contains("no connection to the SSH server"),
        "{word}"
    );
    fs::write(&shore.known_hosts, hosts).unwrap();
    service.reload(&text).await;
    service.manager.says("ssh dc1 up").await;
    ScriptedClient::logged_in(address).await;
}

/// A key that is replaced while the service runs is used for the next log-in after a reload.
#[tokio::test]
async fn a_reload_reads_the_key_anew() {
    let shore = Shore::new().await;
    let server = ScriptedServer::new().start().await;
    let text = ssh_table("dc1", &shore) + "lanes = 0\n" + &tunnel("erp", server.address());
    let mut service = Service::start(shore.home(), &text);
    let address = service.announced("erp").await;
    ScriptedClient::logged_in(address).await;
    let key = fs::read_to_string(&shore.key).unwrap();
    fs::write(&shore.key, "no key at all\n").unwrap();
    service.reload(&text).await;
    // What is connected stays.
    ScriptedClient::logged_in(address).await;
    shore.ssh_server.kill();
    let line = service.running.error_line("cannot connect again").await;
    assert!(line.contains("WARN "), "{line}");
    fs::write(&shore.key, key).unwrap();
    service.reload(&text).await;
    service.manager.says("ssh dc1 up").await;
    ScriptedClient::logged_in(address).await;
}

/// systemd's credentials have mode 0440 and an access list; a key elsewhere with that mode counts as given away.
#[tokio::test]
async fn a_credential_may_be_readable_by_its_group() {
    let shore = Shore::new().await;
    let server = ScriptedServer::new().start().await;
    let credentials = tempfile::tempdir().unwrap();
    let key = credentials.path().join("key");
    fs::copy(&shore.key, &key).unwrap();
    fs::copy(&shore.known_hosts, credentials.path().join("hosts")).unwrap();
    fs::set_permissions(&key, PermissionsExt::from_mode(0o440)).unwrap();
    let text = format!(
        "[ssh.dc1]\ndestination = \"tester@127.0.0.1:{}\"\nidentity = \"credential:key\"\n\
        option = {{ UserKnownHostsFile = \"credential:hosts\", GlobalKnownHostsFile = \"none\" }}\n{}",
        shore.ssh_server.address().port(),
        tunnel("erp", server.address())
    );
    let variables = [(
        "CREDENTIALS_DIRECTORY",
        credentials.path().to_str().unwrap(),
    )];
    let mut service = Service::start_with(shore.home(), &text, &variables);
    let address = service.announced("erp").await;
    ScriptedClient::logged_in(address).await;
    // The same file by its path is none.
    let elsewhere = shore.home().join("copy");
    fs::copy(&key, &elsewhere).unwrap();
    fs::set_permissions(&elsewhere, PermissionsExt::from_mode(0o440)).unwrap();
    let text = text.replace("credential:key", elsewhere.to_str().unwrap());
    service.reload(&text).await;
    let line = service
        .running
        .error_line("others may read the private key")
        .await;
    assert!(line.contains("0440"), "{line}");
}
