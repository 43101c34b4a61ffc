//! The FTP server is called by a loopback name. Data connections go to the address that the control
//! connection went to, whatever else the name stands for on the SSH server's host.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ferryline::control::DataHost;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::common::{
    Ferry, Log, Script, ScriptedClient, ScriptedServer, answer, extended_port, host_port,
    read_to_end, sends_file,
};

/// A data port of the FTP server's on 127.0.0.1, with another program on the same port of ::1.
struct DataPort {
    port: u16,
    stolen: Arc<AtomicUsize>,
}

impl DataPort {
    async fn open() -> Self {
        let (own, thief) = loop {
            let own = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let port = own.local_addr().unwrap().port();
            if let Ok(thief) = TcpListener::bind((Ipv6Addr::LOCALHOST, port)).await {
                break (own, thief);
            }
        };
        let port = own.local_addr().unwrap().port();
        let stolen = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&stolen);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = own.accept().await {
                stream.write_all(b"the file").await.unwrap();
            }
        });
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = thief.accept().await {
                count.fetch_add(1, Ordering::AcqRel);
                let _ = stream.write_all(b"a forgery").await;
            }
        });
        Self { port, stolen }
    }

    fn script(&self) -> Script {
        let (high, low) = (self.port / 256, self.port % 256);
        let passive = format!("227 here (127,0,0,1,{high},{low})\r\n");
        let extended = format!("229 here (|||{}|)\r\n", self.port);
        ScriptedServer::new()
            .on("PASV", passive.as_str())
            .on("EPSV", extended.as_str())
            .on("RETR", answer().send("150 here\r\n226 done\r\n"))
    }
}

async fn fetch(client: &mut ScriptedClient, request: &str) -> Vec<u8> {
    let code = if request == "EPSV" { "229 " } else { "227 " };
    let line = client.ask(request, code).await;
    let address = match request {
        "EPSV" => SocketAddr::from((Ipv4Addr::LOCALHOST, extended_port(&line).unwrap())),
        _ => host_port(&line).unwrap(),
    };
    let data = client.connect_data(address).await;
    client.ask("RETR f", "150 ").await;
    let got = read_to_end(data).await.unwrap();
    client.expect_exactly("226 done").await;
    got
}

/// The hosts that the SSH server was asked for, without duplicates, in order.
fn hosts(ferry: &Ferry) -> Vec<String> {
    let mut hosts: Vec<String> = Vec::new();
    for (host, _) in ferry.ssh_server.targets() {
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    hosts
}

#[tokio::test]
async fn q120_a_program_on_the_other_loopback_address_gets_no_data() {
    for policy in [DataHost::Control, DataHost::Auto, DataHost::Reply] {
        let port = DataPort::open().await;
        let server = port.script().start().await;
        let ferry = Ferry::plan(server.address())
            .host("localhost")
            .options(|o| o.data_host = policy)
            .start()
            .await;
        let mut client = ScriptedClient::logged_in(ferry.v4).await;
        for request in ["PASV", "EPSV"] {
            assert_eq!(fetch(&mut client, request).await, b"the file", "{policy:?}");
        }
        assert_eq!(port.stolen.load(Ordering::Acquire), 0, "{policy:?}");
        assert_eq!(hosts(&ferry), ["127.0.0.1"], "{policy:?}");
        ferry.stop().await;
    }
}

#[tokio::test]
async fn q120_a_client_that_names_localhost_is_as_safe() {
    let port = DataPort::open().await;
    let server = port.script().start().await;
    let ferry = Ferry::plan(server.address())
        .host("*")
        .options(|o| o.allow_hosts = vec!["localhost".parse().unwrap()])
        .start()
        .await;
    let mut client = ScriptedClient::connect(ferry.v4).await;
    client.expect("220 ").await;
    client.ask("USER me@localhost", "331 ").await;
    client.ask("PASS secret", "230 ").await;
    for request in ["PASV", "EPSV"] {
        assert_eq!(fetch(&mut client, request).await, b"the file");
    }
    assert_eq!(port.stolen.load(Ordering::Acquire), 0);
    assert_eq!(hosts(&ferry), ["127.0.0.1"]);
    ferry.stop().await;
}

#[tokio::test]
async fn q120_where_ipv4_is_refused_control_and_data_go_to_ipv6() {
    let server = ScriptedServer::new()
        .at((Ipv6Addr::LOCALHOST, 0).into())
        .on("RETR", sends_file("the file"))
        .start()
        .await;
    let ferry = Ferry::plan(server.address())
        .host("localhost")
        .start()
        .await;
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    assert_eq!(fetch(&mut client, "EPSV").await, b"the file");
    // The second client is not sent to the address that refused the first.
    let asked = ferry.ssh_server.targets().len();
    let mut second = ScriptedClient::logged_in(ferry.v4).await;
    assert_eq!(fetch(&mut second, "EPSV").await, b"the file");
    let later = &ferry.ssh_server.targets()[asked..];
    assert!(later.iter().all(|(host, _)| host == "::1"), "{later:?}");
    assert_eq!(hosts(&ferry), ["127.0.0.1", "::1"]);
    ferry.stop().await;
}

/// `permitopen="localhost:*"` is compared with the name that the SSH server is asked for, and not with its
/// address.
#[tokio::test]
async fn q120_an_ssh_server_that_takes_the_name_only_is_asked_by_it_and_that_is_said() {
    let log = Log::warnings();
    let server = ScriptedServer::new()
        .on("RETR", sends_file("the file"))
        .start()
        .await;
    let ferry = Ferry::plan(server.address())
        .host("localhost")
        .start()
        .await;
    let name = Some("localhost".to_owned());
    ferry.ssh_server.update(|faults| faults.permit_open = name);
    for _ in 0..2 {
        let mut client = ScriptedClient::logged_in(ferry.v4).await;
        assert_eq!(fetch(&mut client, "PASV").await, b"the file");
    }
    let said = log.says("by that name only").await;
    assert!(said.contains("127.0.0.1:*"), "{said}");
    assert_eq!(log.all("by that name only").len(), 1);
    let asked = ferry.ssh_server.targets();
    let by_address = asked.iter().filter(|(host, _)| host != "localhost");
    assert_eq!(by_address.count(), 2, "once for each address: {asked:?}");
    ferry.stop().await;
}

/// An FTP server that is not there is reported with the SSH server's text about its address.
#[tokio::test]
async fn q120_a_server_that_is_not_there_is_told_as_before() {
    let gone = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let ferry = Ferry::plan(address).host("localhost").start().await;
    ferry
        .ssh_server
        .update(|faults| faults.permit_open = Some("127.0.0.1".to_owned()));
    let mut client = ScriptedClient::connect(ferry.v4).await;
    let word = client.expect("421 ").await;
    assert!(word.contains("could not connect"), "{word}");
    ferry.stop().await;
}
