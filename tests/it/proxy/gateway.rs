//! Clients on other hosts, and FTP servers that are not on the SSH server's host. This host's own address
//! beyond loopback stands for another host.

use std::net::{IpAddr, SocketAddr};

use ferryline::proxy::Options;
use tokio::{
    io::AsyncReadExt,
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::common::{
    Ferry, Log, PATIENCE, Plan, ScriptedClient, ScriptedServer, Shore, answer, extended_port,
    host_port, noise, own_address, read_to_end, run, sends_file, skipped,
};

/// This host's address beyond loopback. A host without one has no clients on other hosts.
macro_rules! own_address_or_return {
    () => {
        match own_address() {
            Some(own) => own,
            None => {
                skipped("this host has no address beyond loopback");
                return;
            }
        }
    };
}

/// Sends the file on whatever data connection the client asked for.
async fn file_server(file: &[u8]) -> ScriptedServer {
    let retr = sends_file(file);
    ScriptedServer::new()
        .on("PASV", answer().listen().send("227 ({hostport})\r\n"))
        .on("EPSV", answer().listen().send("229 (|||{port}|)\r\n"))
        .on("PORT", answer().send("200 ok\r\n"))
        .on("EPRT", answer().send("200 ok\r\n"))
        .on("RETR", retr)
        .start()
        .await
}

/// A ferry on all addresses of this host.
fn open_to(server: &ScriptedServer, ranges: &[String]) -> Plan {
    let ranges: Vec<_> = ranges.iter().map(|range| range.parse().unwrap()).collect();
    Ferry::plan(server.address())
        .bind("0.0.0.0")
        .options(|options: &mut Options| options.gateway.allow_from = ranges)
}

fn reached(ferry: &Ferry, own: IpAddr) -> SocketAddr {
    SocketAddr::new(own, ferry.v4.port())
}

#[tokio::test]
async fn a_client_on_another_host_works_in_every_mode() {
    let own = own_address_or_return!();
    let file = noise(100_000);
    let server = file_server(&file).await;
    let ferry = open_to(&server, &[format!("{own}/32")]).start().await;
    let mut client = ScriptedClient::logged_in(reached(&ferry, own)).await;

    // The address of the 227 is the one that the client reached.
    let line = client.ask("PASV", "227 ").await;
    let told = host_port(&line).unwrap();
    assert_eq!(told.ip(), own);
    let data = client.connect_data(told).await;
    client.send("RETR f").await;
    client.expect("150 ").await;
    assert!(read_to_end(data).await.unwrap() == file);
    client.expect("226 ").await;

    let data = client.extended_passive().await;
    client.send("RETR f").await;
    client.expect("150 ").await;
    assert!(read_to_end(data).await.unwrap() == file);
    client.expect("226 ").await;

    let listener = client.extended_active().await;
    client.send("RETR f").await;
    client.expect("150 ").await;
    let data = client.accept(listener).await;
    assert_eq!(data.peer_addr().unwrap().ip(), own);
    assert!(read_to_end(data).await.unwrap() == file);
    client.expect("226 ").await;

    // The address of another host is still refused.
    client.ask("PORT 198,51,100,1,200,13", "501 ").await;
    client.ask("PORT 127,0,0,1,200,13", "501 ").await;
    drop(client);
    ferry.at_rest().await;
    ferry.stop().await;
}

#[tokio::test]
async fn who_is_not_allowed_gets_not_even_a_banner() {
    let own = own_address_or_return!();
    let server = file_server(b"").await;
    for ranges in [
        vec![],
        vec!["198.51.100.0/24".to_owned(), "::/0".to_owned()],
    ] {
        let ferry = open_to(&server, &ranges).start().await;
        let mut client = ScriptedClient::connect(reached(&ferry, own)).await;
        client.expect_end().await;
        assert!(server.lines().is_empty());
        // This host itself is still served.
        let mut client =
            ScriptedClient::connect(SocketAddr::from(([127, 0, 0, 1], ferry.v4.port()))).await;
        client.expect("220 ").await;
        drop(client);
        ferry.stop().await;
    }
}

#[tokio::test]
async fn a_plain_forward_is_closed_to_them_too() {
    let own = own_address_or_return!();
    let server = file_server(b"").await;
    let ferry = open_to(&server, &[]).plain().start().await;
    let mut client = ScriptedClient::connect(reached(&ferry, own)).await;
    client.expect_end().await;
    ferry.stop().await;
}

#[tokio::test]
async fn data_connections_are_the_clients_only() {
    let own = own_address_or_return!();
    let file = noise(1000);
    let server = file_server(&file).await;
    let ferry = open_to(&server, &[format!("{own}/32")]).start().await;
    let mut client = ScriptedClient::logged_in(reached(&ferry, own)).await;
    let line = client.ask("PASV", "227 ").await;
    let told = host_port(&line).unwrap();

    let stranger = TcpSocket::new_v4().unwrap();
    stranger.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let mut stranger = stranger.connect(told).await.unwrap();
    let mut byte = [0];
    let read = timeout(PATIENCE, stranger.read(&mut byte)).await.unwrap();
    assert!(read.is_err(), "a stranger was not reset: {read:?}");

    let data = client.connect_data(told).await;
    client.send("RETR f").await;
    client.expect("150 ").await;
    assert!(read_to_end(data).await.unwrap() == file);
    client.expect("226 ").await;
    drop(client);
    ferry.stop().await;
}

#[tokio::test]
async fn behind_nat_other_hosts_are_told_the_outer_address() {
    let own = own_address_or_return!();
    let server = file_server(b"hello").await;
    let ferry = open_to(&server, &[format!("{own}/32")])
        .options(|options| options.gateway.advertise = Some("203.0.113.5".parse().unwrap()))
        .start()
        .await;
    let mut client = ScriptedClient::logged_in(reached(&ferry, own)).await;
    let line = client.ask("PASV", "227 ").await;
    let told = host_port(&line).unwrap();
    assert_eq!(told.ip().to_string(), "203.0.113.5");
    // NAT takes the port to this host.
    let data = client.connect_data(SocketAddr::new(own, told.port())).await;
    client.send("RETR f").await;
    client.expect("150 ").await;
    assert_eq!(read_to_end(data).await.unwrap(), b"hello");
    client.expect("226 ").await;
    let line = client.ask("EPSV", "229 ").await;
    assert!(
        extended_port(&line).is_some() && !line.contains("203.0.113.5"),
        "{line}"
    );

    // For itself, this host is not behind NAT.
    let local = SocketAddr::from(([127, 0, 0, 1], ferry.v4.port()));
    let mut client = ScriptedClient::logged_in(local).await;
    let line = client.ask("PASV", "227 ").await;
    assert_eq!(host_port(&line).unwrap().ip().to_string(), "127.0.0.1");
    drop(client);
    ferry.stop().await;
}

/// Two ports next to each other that were free a moment ago.
fn two_free_ports() -> (u16, u16) {
    loop {
        let probe = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let low = probe.local_addr().unwrap().port();
        if low < 65535 && std::net::TcpListener::bind(("127.0.0.1", low + 1)).is_ok() {
            return (low, low + 1);
        }
    }
}

#[tokio::test]
async fn data_ports_come_from_the_range_and_when_it_is_used_up_the_client_is_told() {
    let file = noise(1000);
    let server = file_server(&file).await;
    let (low, high) = two_free_ports();
    let range = format!("{low}-{high}").parse().unwrap();
    let ferry = Ferry::plan(server.address())
        .options(|options| options.gateway.data_ports = Some(range))
        .start()
        .await;
    let mut one = ScriptedClient::logged_in(ferry.v4).await;
    let mut two = ScriptedClient::logged_in(ferry.v4).await;
    let mut three = ScriptedClient::logged_in(ferry.v4).await;
    let first = host_port(&one.ask("PASV", "227 ").await).unwrap();
    let second = host_port(&two.ask("PASV", "227 ").await).unwrap();
    let mut ports = [first.port(), second.port()];
    ports.sort_unstable();
    assert_eq!(ports, [low, high]);
    for verb in ["PASV", "EPSV"] {
        let refusal = three.ask(verb, "425 ferryline: ").await;
        assert!(refusal.contains(&format!("{low} to {high}")), "{refusal}");
        assert!(refusal.contains("--data-ports"), "{refusal}");
    }
    // A port is free again when its listener is closed, while its data connection still runs.
    let data = one.connect_data(first).await;
    one.send("RETR f").await;
    one.expect("150 ").await;
    assert!(read_to_end(data).await.unwrap() == file);
    one.expect("226 ").await;
    let third = host_port(&three.ask("PASV", "227 ").await).unwrap();
    assert_eq!(third.port(), first.port());
    drop((one, two, three));
    ferry.at_rest().await;
    ferry.stop().await;
}

#[tokio::test]
async fn a_range_of_one_port_serves_one_transfer_after_another() {
    let file = noise(50_000);
    let server = file_server(&file).await;
    let (low, _) = two_free_ports();
    let range = format!("{low}-{low}").parse().unwrap();
    let ferry = Ferry::plan(server.address())
        .options(|options| options.gateway.data_ports = Some(range))
        .start()
        .await;
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    for _ in 0..5 {
        let data = client.passive().await;
        assert_eq!(data.peer_addr().unwrap().port(), low);
        client.send("RETR f").await;
        client.expect("150 ").await;
        assert!(read_to_end(data).await.unwrap() == file);
        client.expect("226 ").await;
    }
    drop(client);
    ferry.stop().await;
}

#[tokio::test]
async fn a_server_on_another_host_comes_to_the_remote_bind_address() {
    let own = own_address_or_return!();
    let file = noise(100_000);
    let retr = sends_file(&file);
    let server = ScriptedServer::new()
        .at((own, 0).into())
        .on("PORT", answer().send("200 ok\r\n"))
        .on("EPRT", answer().send("200 ok\r\n"))
        .on("RETR", retr)
        .start()
        .await;
    let ferry = Ferry::plan(server.address())
        .any_target()
        .options(|options| options.remote_bind = Some(own))
        .start()
        .await;
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    let listener = client.active().await;
    let told = host_port(&server.received("PORT").await).unwrap();
    assert_eq!(told.ip(), own);

    // An originator that is not the FTP server does not use it up.
    let stranger = TcpSocket::new_v4().unwrap();
    stranger.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let mut stranger = stranger.connect(told).await.unwrap();
    let mut byte = [0];
    let read = timeout(PATIENCE, stranger.read(&mut byte)).await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)), "{read:?}");

    client.send("RETR f").await;
    client.expect("150 ").await;
    let data = client.accept(listener).await;
    assert!(read_to_end(data).await.unwrap() == file);
    client.expect("226 ").await;

    let listener = client.extended_active().await;
    let line = server.received("EPRT").await;
    assert!(line.starts_with(&format!("EPRT |1|{own}|")), "{line}");
    client.send("RETR f").await;
    client.expect("150 ").await;
    let data = client.accept(listener).await;
    assert!(read_to_end(data).await.unwrap() == file);
    client.expect("226 ").await;
    assert!(server.commands("EPSV").is_empty() && server.commands("PASV").is_empty());
    drop(client);
    ferry.at_rest().await;
    ferry.stop().await;
}

#[tokio::test]
async fn where_the_ssh_server_refuses_the_remote_bind_address_active_is_carried_as_passive() {
    let own = own_address_or_return!();
    let file = noise(1000);
    let retr = sends_file(&file);
    let server = ScriptedServer::new()
        .at((own, 0).into())
        .on("EPSV", answer().listen().send("229 (|||{port}|)\r\n"))
        .on("RETR", retr)
        .start()
        .await;
    let ferry = Ferry::plan(server.address())
        .any_target()
        // Not an address of this host: the embedded SSH server cannot listen there.
        .options(|options| options.remote_bind = Some("192.0.2.77".parse().unwrap()))
        .start()
        .await;
    for _ in 0..2 {
        let mut client = ScriptedClient::logged_in(ferry.v4).await;
        for _ in 0..2 {
            let listener = client.active().await;
            client.send("RETR f").await;
            client.expect("150 ").await;
            let data = client.accept(listener).await;
            assert!(read_to_end(data).await.unwrap() == file);
            client.expect("226 ").await;
        }
    }
    assert!(server.commands("PORT").is_empty());
    ferry.stop().await;
}

#[tokio::test]
async fn beyond_loopback_without_allow_from_is_wrong_usage() {
    let home = tempfile::tempdir().unwrap();
    for before in [
        &["-g", "-L", "0:localhost:21"][..],
        &["-L", "0.0.0.0:0:localhost:21"],
        &["-L", "*:0:localhost:21"],
        &["-L", ":0:localhost:21"],
        &["-L", "[::]:0:localhost:21"],
        &["-L", "tcp/*:0:localhost:21"],
        &["-L", "192.0.2.1:0:localhost:21"],
    ] {
        let arguments = [&["forward"], before, &["me@host"]].concat();
        let ended = run(home.path(), &arguments).await;
        let line = ended.one_line(2);
        assert!(
            line.contains("--allow-from") && line.contains("other hosts"),
            "{line}"
        );
    }
    for (before, says) in [
        (
            &["--allow-from", "10.0.0.1/8"][..],
            "a network ends in zeros",
        ),
        (&["--allow-from", "10.0.0.0/8,ten"], "'ten'"),
        (&["--data-ports", "9-10"], "LOW-HIGH"),
        (&["--advertise", "0.0.0.0"], "no client could connect"),
        (&["--remote-bind", "::"], "--remote-bind ::"),
        (&["--advertise", "ftp.example"], "--advertise"),
    ] {
        let arguments = [&["forward", "-L", "0:localhost:21"], before, &["me@host"]].concat();
        let ended = run(home.path(), &arguments).await;
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains(says), "{ended:?}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_not_encrypted_is_said_at_the_start() {
    let shore = Shore::new().await;
    let server = ScriptedServer::new().start().await;
    let target = format!("localhost:{}", server.address().port());
    let mut ferry = shore.start(&[
        "-g",
        "--allow-from",
        "198.51.100.0/24,2001:db8::/32",
        "--allow-from",
        "203.0.113.9",
        "-L",
        &format!("0:{target}"),
        "-L",
        &format!("127.0.0.1:0:{target}"),
    ]);
    // No client on another host could use 0.0.0.0.
    let line = ferry.line().await;
    let (port, _) = line
        .strip_prefix("ftp://*:")
        .and_then(|rest| rest.split_once(" → "))
        .unwrap_or_else(|| panic!("{line}"));
    let port: u16 = port.parse().unwrap();
    // An address that the user asked for stays, as with ssh.
    let line = ferry.line().await;
    assert!(line.starts_with("ftp://127.0.0.1:"), "{line}");
    let local = SocketAddr::from(([127, 0, 0, 1], port));
    let mut client = ScriptedClient::connect(local).await;
    client.expect("220 ").await;
    let own = own_address();
    if own.is_none() {
        skipped("this host has no address beyond loopback: a refused client is not tested");
    }
    if let Some(own) = own {
        let refused = TcpStream::connect((own, port)).await;
        let mut bytes = Vec::new();
        refused.unwrap().read_to_end(&mut bytes).await.unwrap();
        assert!(bytes.is_empty());
    }
    drop(client);
    ferry.signal("TERM").await;
    let ended = ferry.ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for part in [
        "NOTHING IS ENCRYPTED",
        "198.51.100.0/24,2001:db8::/32,203.0.113.9/32",
    ] {
        assert!(ended.stderr.contains(part), "{ended:?}");
    }
    let open = format!("): ftp://*:{port}.");
    assert!(ended.stderr.contains(&open), "{ended:?}");
    assert!(!ended.stderr.contains("127.0.0.1:"), "{ended:?}");
    if own.is_some() {
        assert!(ended.stderr.contains("turned away"), "{ended:?}");
    }
}

#[tokio::test]
async fn q102_a_remote_bind_address_for_a_server_with_a_name_only_is_warned_of() {
    let log = Log::warnings();
    let server = ScriptedServer::new().start().await;
    let ferry = Ferry::plan(server.address())
        .host("ftp.example")
        .options(|options| options.remote_bind = Some([192, 0, 2, 1].into()))
        .start()
        .await;
    log.says("--remote-bind 192.0.2.1: the address of ftp.example")
        .await;
    ferry.stop().await;
}
