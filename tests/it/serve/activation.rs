//! Sockets that the service manager passes.

use std::net::TcpListener;

use ferryline::demo::ftp_client::Mode;
use ferryline::demo::ftp_server::FtpServer;

use super::support::{Service, ssh_table, tunnel, tunnel_at};
use crate::common::{ScriptedClient, ScriptedServer, Shore, logged_in, noise};

#[tokio::test]
async fn a_passed_socket_is_the_one_of_its_address_and_is_kept() {
    let shore = Shore::new().await;
    let (server, other) = (
        ScriptedServer::new().start().await,
        ScriptedServer::new().start().await,
    );
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let ssh = ssh_table("dc1", &shore);
    // Without an address it would be both loopback addresses: the socket decides.
    let at = address.port().to_string();
    let erp = tunnel_at("erp", &at, server.address());
    let mut service = Service::activated(shore.home(), &(ssh.clone() + &erp), socket);
    assert_eq!(service.announced("erp").await, address);
    service.ready().await;
    ScriptedClient::logged_in(address).await;
    // Nobody else could bind it, and ferryline has not: it is the same socket.
    assert!(TcpListener::bind(address).is_err());
    // It outlives the tunnel, and is there for another one.
    service
        .reload(&(ssh.clone() + &tunnel("new", other.address())))
        .await;
    service.announced("new").await;
    let line = service.running.error_line("passed a socket").await;
    assert!(
        line.contains(&format!("listens on {address}, and no tunnel")),
        "{line}"
    );
    assert!(TcpListener::bind(address).is_err());
    service
        .reload(&(ssh + &tunnel_at("back", &at, other.address())))
        .await;
    assert_eq!(service.announced("back").await, address);
    ScriptedClient::logged_in(address).await;
}

#[tokio::test]
async fn a_passed_socket_of_both_families_serves_all_addresses() {
    let shore = Shore::new().await;
    let files = tempfile::tempdir().unwrap();
    let content = noise(100_000);
    std::fs::write(files.path().join("file"), &content).unwrap();
    let server = FtpServer::start(files.path()).unwrap();
    let Ok(socket) = TcpListener::bind("[::]:0") else {
        return crate::common::skipped("no IPv6 here");
    };
    let address = socket.local_addr().unwrap();
    let at = format!("*:{}", address.port());
    let text = ssh_table("dc1", &shore)
        + &tunnel_at("erp", &at, server.address())
        + "allow-from = \"127.0.0.0/8\"\n";
    let mut service = Service::activated(shore.home(), &text, socket);
    assert_eq!(service.announced("erp").await, address);
    // An IPv4 client of a socket of IPv6.
    let v4 = std::net::SocketAddr::from(([127, 0, 0, 1], address.port()));
    let v6 = std::net::SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, address.port()));
    for (address, modes) in [
        (v4, &Mode::ALL[..]),
        (v6, &[Mode::ExtendedPassive, Mode::ExtendedActive]),
    ] {
        let mut client = logged_in(address).await;
        for &mode in modes {
            let fetched = client.retrieve(mode, "file").await.unwrap();
            assert!(fetched == content, "{address} {mode}");
        }
    }
}

#[tokio::test]
async fn a_passed_socket_that_no_tunnel_has_is_an_error_that_names_it() {
    let shore = Shore::new().await;
    let server = ScriptedServer::new().start().await;
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let text = ssh_table("dc1", &shore) + &tunnel("erp", server.address());
    let service = Service::activated(shore.home(), &text, socket);
    let ended = service.running.ended().await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let says = format!("passed a socket that listens on {address}, and no tunnel listens there");
    assert!(ended.stderr.contains(&says), "{ended:?}");
}
