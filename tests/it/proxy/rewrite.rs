//! The lines that name a data connection: what the other side gets in their place, where the data then goes,
//! and what happens to lines that only look like them.

use std::io::ErrorKind;
use std::net::SocketAddr;

use ferryline::control::DataHost;
use ferryline::proxy::Direction;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::common::{
    Ferry, Log, Script, ScriptedClient, ScriptedServer, answer, extended_address, extended_port,
    host_port, read_to_end, sends_file, six_numbers, stores_file, upload,
};

/// A server that sends `the file` on RETR and takes one on STOR.
fn script() -> Script {
    ScriptedServer::new()
        .on("RETR", sends_file("the file"))
        .on("LIST", sends_file("the file"))
        .on("STOR", stores_file())
}

/// Fetches the file over the address of the last passive reply.
async fn fetch(client: &mut ScriptedClient, address: SocketAddr) {
    let data = client.connect_data(address).await;
    client.ask("RETR f", "150 ").await;
    assert_eq!(read_to_end(data).await.unwrap(), b"the file");
    client.expect_exactly("226 done").await;
}

/// The address in a 227, which must be ferryline's own and written in the canonical form.
fn rewritten_227(line: &str) -> SocketAddr {
    let address = host_port(line).unwrap_or_else(|| panic!("no address in {line:?}"));
    assert_eq!(address.ip().to_string(), "127.0.0.1", "{line}");
    let canonical = format!("227 Entering Passive Mode ({}).", six_numbers(address));
    assert_eq!(line, canonical);
    address
}

/// SSH server and FTP server are different hosts. The reply names a host that only the SSH server can reach,
/// and the SSH server is asked to connect there.
#[tokio::test]
async fn the_address_of_a_third_host_becomes_a_forward_to_it() {
    let log = Log::warnings();
    let reply = "227 Entering Passive Mode (10,1,60,99,6,12)\r\n";
    let server = ScriptedServer::new().on("PASV", reply).start().await;
    let ferry = Ferry::plan(server.address())
        .options(|o| o.data_host = DataHost::Reply)
        .start()
        .await;
    let mut client = ScriptedClient::logged_in(ferry.v4).await;

    let line = client.ask("PASV", "227 ").await;
    let address = rewritten_227(&line);
    assert_ne!(address.port(), 1548);

    // The embedded SSH server forwards only to loopback; its refusal shows what it was asked for.
    let data = client.connect_data(address).await;
    let refused = log.says("10.1.60.99:1548: ").await;
    assert!(refused.contains("administratively prohibited"), "{refused}");
    let error = read_to_end(data).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    client.ask("NOOP", "200 ").await;
}

/// All of 127.0.0.0/8 is this host's own on Linux, so that the data really can come from elsewhere.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn data_host_reply_brings_the_data_of_the_host_in_the_reply() {
    let elsewhere = TcpListener::bind("127.0.9.9:0").await.unwrap();
    let address = elsewhere.local_addr().unwrap();
    let reply = format!("227 Entering Passive Mode ({})\r\n", six_numbers(address));
    let server = ScriptedServer::new()
        .on("PASV", reply.as_str())
        .on("RETR", "150 from elsewhere\r\n226 done\r\n")
        .start()
        .await;
    let ferry = Ferry::plan(server.address())
        .options(|o| o.data_host = DataHost::Reply)
        .start()
        .await;
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    let line = client.ask("PASV", "227 ").await;
    let data = client.connect_data(rewritten_227(&line)).await;
    let (mut far, _) = elsewhere.accept().await.unwrap();
    far.write_all(b"from 127.0.9.9").await.unwrap();
    drop(far);
    client.ask("RETR f", "150 ").await;
    assert_eq!(read_to_end(data).await.unwrap(), b"from 127.0.9.9");
    client.expect_exactly("226 done").await;
}

#[tokio::test]
async fn data_host_control_keeps_to_the_control_connections_host() {
    let log = Log::warnings();
    let mut script = script();
    let named = ["10,1,60,99", "192,168,0,1", "8,8,8,8", "0,0,0,0"];
    for name in named {
        let line = format!("227 Entering Passive Mode ({name},{{twoports}})\r\n");
        script = script.on("PASV", answer().listen().send(line));
    }
    let server = script.start().await;
    let (_ferry, mut client) = Ferry::with_client(&server).await;
    for _ in named {
        let line = client.ask("PASV", "227 ").await;
        fetch(&mut client, rewritten_227(&line)).await;
    }
    let warned = log.all("--data-host reply");
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert!(warned[0].contains("10.1.60.99"), "{warned:?}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn data_host_auto_tries_the_control_host_then_the_reply_and_remembers() {
    let elsewhere = TcpListener::bind("127.0.9.9:0").await.unwrap();
    let address = elsewhere.local_addr().unwrap();
    let reply = format!("227 Entering Passive Mode ({})\r\n", six_numbers(address));
    let server = ScriptedServer::new()
        .on("PASV", reply.as_str())
        .on("RETR", "150 from elsewhere\r\n226 done\r\n")
        .start()
        .await;
    let ferry = Ferry::plan(server.address())
        .options(|o| o.data_host = DataHost::Auto)
        .start()
        .await;
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    for _ in 0..2 {
        let line = client.ask("PASV", "227 ").await;
        let data = client.connect_data(rewritten_227(&line)).await;
        let (mut far, _) = elsewhere.accept().await.unwrap();
        far.write_all(b"far").await.unwrap();
        drop(far);
        client.ask("RETR f", "150 ").await;
        assert_eq!(read_to_end(data).await.unwrap(), b"far");
        client.expect_exactly("226 done").await;
    }
}

#[tokio::test]
async fn every_form_of_227_reaches_the_client_in_the_one_that_all_clients_read() {
    let forms = [
        "227 Entering Passive Mode ({hostport}).\r\n",
        "227 Entering Passive Mode ({hostport})\n",
        "227 ={hostport}\r\n",
        "227 {hostport}\r\n",
        "227 Entering passive mode. {hostport}\r\n",
        "227 Data transfer will passively listen to {hostport}, 2 minutes\r\n",
        "227 Passiv 1. Modus: {hostport} ok\r\n",
        "227-listen socket created\r\n227 ({hostport})\r\n",
        "227-({hostport})\r\n227 that was it\r\n",
        "227-one\r\n ({hostport})\r\n227 three\r\n",
        "227-1\n 2\n227 ({hostport})\n",
    ];
    let mut script = script();
    for form in forms {
        script = script.on("PASV", answer().listen().send(form));
    }
    for form in forms {
        script = script.on("PASV", answer().listen().send_bytewise(form));
    }
    let server = script.start().await;
    let (ferry, mut client) = Ferry::with_client(&server).await;
    for _ in 0..2 * forms.len() {
        let line = client.ask("PASV", "227 ").await;
        fetch(&mut client, rewritten_227(&line)).await;
    }
    ferry.at_rest_but_for_control(1).await;
}

#[tokio::test]
async fn every_form_of_229_too() {
    let forms = [
        "229 Entering Extended Passive Mode (|||{port}|)\r\n",
        "229 Entering Extended Passive Mode (|||{port}|).\n",
        "229 Entering Extended Passive Mode (!!!{port}!)\r\n",
        "229 ok (||{port}|)\r\n",
        "229 |||{port}|\r\n",
        "229 ok (|1|10.1.60.99|{port}|)\r\n",
        "229-more\r\n229 (|||{port}|)\r\n",
        // Asked for by EPSV, answered in the older form.
        "227 Entering Passive Mode ({hostport})\r\n",
    ];
    let mut script = script();
    for form in forms {
        script = script.on("EPSV", answer().listen().send(form));
    }
    let server = script.start().await;
    let (ferry, mut client) = Ferry::with_client(&server).await;
    for _ in forms {
        let line = client.ask("EPSV", "229 ").await;
        let port = extended_port(&line).unwrap();
        let canonical = format!("229 Entering Extended Passive Mode (|||{port}|)");
        assert_eq!(line, canonical);
        fetch(&mut client, (ferry.v4.ip(), port).into()).await;
    }
}

#[tokio::test]
async fn a_passive_reply_without_a_usable_address_is_a_425() {
    let forms = [
        "227 Response to PASV command\r\n",
        "227 Entering Passive Mode (\r\n",
        "227 Entering Passive Mode (127,0,0,1,0,0)\r\n",
        "227 Entering Passive Mode (127,0,0,1,3,255)\r\n",
        "227 Entering Passive Mode (127,0,0,1,256,1)\r\n",
        "227 Entering Passive Mode (1216,256,2,127,127,127)\r\n",
        "227-a\r\n227 b\r\n",
    ];
    let mut script = ScriptedServer::new();
    for form in forms {
        script = script.on("PASV", form);
    }
    let server = script.start().await;
    let (_ferry, mut client) = Ferry::with_client(&server).await;
    for form in forms {
        let line = client.ask("PASV", "425 ferryline: ").await;
        assert!(line.contains("the FTP server's"), "{form:?}: {line}");
        client.ask("NOOP", "200 ").await;
    }
}

#[tokio::test]
async fn epsv_that_the_server_refuses_is_asked_as_pasv() {
    for refusal in [
        "500 what?\r\n",
        "501 no\r\n",
        "502 not here\r\n",
        "522-not\r\n522 use (1)\r\n",
        "202 superfluous\r\n",
    ] {
        let server = script().on("EPSV", refusal).start().await;
        let ferry = Ferry::to(server.address()).await;
        // The second client shows that what the first one cost is not paid again.
        for _ in 0..2 {
            let mut client = ScriptedClient::logged_in(ferry.v4).await;
            for _ in 0..2 {
                let line = client.ask("EPSV", "229 ").await;
                let port = extended_port(&line).unwrap();
                fetch(&mut client, (ferry.v4.ip(), port).into()).await;
            }
        }
        assert_eq!(server.commands("EPSV").len(), 1, "{refusal:?}");
        assert_eq!(server.commands("PASV").len(), 4, "{refusal:?}");
    }
}

#[tokio::test]
async fn after_epsv_all_ferryline_asks_no_pasv_either() {
    let server = ScriptedServer::new()
        .on("EPSV ALL", "200 as you wish\r\n")
        .on("EPSV", "502 but not so\r\n")
        .start()
        .await;
    let (_ferry, mut client) = Ferry::with_client(&server).await;
    client.ask("EPSV ALL", "200 ").await;
    client.ask("EPSV", "502 ").await;
    client.ask("PASV", "501 ferryline: ").await;
    client.ask("PORT 127,0,0,1,200,13", "501 ferryline: ").await;
    client.ask("NOOP", "200 ").await;
    assert!(server.commands("P").iter().all(|c| c.starts_with("PASS")));
}

#[tokio::test]
async fn a_passive_reply_that_nobody_asked_for_is_withheld() {
    let server = ScriptedServer::new().start().await;
    let (_ferry, mut client) = Ferry::with_client(&server).await;
    for line in [
        "227 Entering Passive Mode (127,0,0,1,200,13)",
        "229 Entering Extended Passive Mode (|||51213|)",
        "228 Entering Long Passive Mode (4,4,127,0,0,1,2,200,13)",
    ] {
        server.say(format!("{line}\r\n")).await;
        let code = &line[..4];
        let came = client.expect(code).await;
        assert!(came[4..].starts_with("ferryline: "), "{came}");
        assert!(!came.contains("200,13") && !came.contains("51213"));
        client.ask("NOOP", "200 ").await;
    }
    // In the middle of another reply it is text, except for clients that have counted the replies before.
    server
        .say("213-listing\r\n227 Entering Passive Mode (1,2,3,4,5,6)\r\n213 end\r\n")
        .await;
    client.expect_exactly("213-listing").await;
    client
        .expect_exactly(" ferryline: an address that nobody asked for, withheld")
        .await;
    client.expect_exactly("213 end").await;
}

#[tokio::test]
async fn a_port_that_is_not_the_clients_own_opens_nothing_and_reaches_nobody() {
    let server = ScriptedServer::new().start().await;
    let (ferry, mut client) = Ferry::with_client(&server).await;
    for (command, code) in [
        ("PORT 10,0,0,1,200,13", "501 "),
        ("PORT 8,8,8,8,0,80", "501 "),
        ("PORT 127,0,0,1,0,80", "501 "),
        ("PORT 127,0,0,1,3,255", "501 "),
        ("PORT 127,0,0,1,0,0", "501 "),
        ("PORT 127,0,0,1,256,13", "501 "),
        ("PORT 127,0,0,1,200", "501 "),
        ("PORT 127,0,0,1,200,13,1", "501 "),
        ("SPOR 127,0,0,1,200,13", "502 "),
        ("EPRT |1|10.0.0.1|51213|", "501 "),
        ("EPRT |1|127.0.0.1|80|", "501 "),
        ("EPRT |1|127.0.0.1|", "501 "),
        ("EPRT |2|::1|51213|", "522 "),
        ("EPRT |3|x|51213|", "522 "),
        ("EPSV 2", "522 "),
        ("EPSV 7", "522 "),
        ("LPRT 4,4,127,0,0,1,2,200,13", "502 "),
        ("LPSV", "502 "),
    ] {
        let line = client.ask(command, code).await;
        assert!(line[4..].starts_with("ferryline: "), "{command}: {line}");
    }
    client.ask("NOOP", "200 ").await;
    assert_eq!(server.lines().len(), 3, "{}", server.transcript());
    assert_eq!(ferry.ssh_server.remote_forwards(), 0);
    assert_eq!(ferry.ssh_server.channels(), 1);
}

#[tokio::test]
async fn a_port_in_any_dress_is_told_to_the_server_as_the_forwards_own() {
    let server = script().start().await;
    let (_ferry, mut client) = Ferry::with_client(&server).await;
    let dresses: [fn(SocketAddr) -> String; 6] = [
        |a| format!("PORT {}", six_numbers(a)),
        |a| format!("port {} ", six_numbers(a)),
        |a| format!("PORT {}", six_numbers(a).replace(',', ", ")),
        |a| format!("PORT 0,0,0,0,{},{}", a.port() >> 8, a.port() & 0xff),
        |a| format!("EPRT |1|127.0.0.1|{}|", a.port()),
        |a| format!("eprt !1!127.0.0.1!{}!", a.port()),
    ];
    for (number, dress) in dresses.into_iter().enumerate() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap();
        let command = dress(own);
        client.ask(&command, "200 ").await;

        let verb = command[..4].to_ascii_uppercase();
        let told = server.commands(&verb).pop().unwrap();
        let to = match verb.as_str() {
            "PORT" => host_port(&told),
            _ => extended_address(&told),
        };
        let to = to.unwrap_or_else(|| panic!("{told}"));
        assert_eq!(to.ip().to_string(), "127.0.0.1", "{told}");
        assert_ne!(to.port(), own.port(), "{told}");

        if number % 2 == 0 {
            client.ask("RETR f", "150 ").await;
            let data = client.accept(listener).await;
            assert_eq!(read_to_end(data).await.unwrap(), b"the file");
        } else {
            client.ask("STOR f", "150 ").await;
            let data = client.accept(listener).await;
            upload(data, command.as_bytes()).await.unwrap();
            assert_eq!(server.upload().await.unwrap(), command.as_bytes());
        }
        client.expect_exactly("226 done").await;
    }
}

#[tokio::test]
async fn eprt_that_the_server_refuses_is_sent_as_port() {
    let server = script().on("EPRT", "500 what?\r\n").start().await;
    let ferry = Ferry::to(server.address()).await;
    for address in [ferry.v4, ferry.v6] {
        let mut client = ScriptedClient::logged_in(address).await;
        let listener = client.extended_active().await;
        client.ask("RETR f", "150 ").await;
        let data = client.accept(listener).await;
        assert_eq!(read_to_end(data).await.unwrap(), b"the file");
        client.expect_exactly("226 done").await;
    }
    assert_eq!(server.commands("EPRT").len(), 1);
    assert_eq!(server.commands("PORT 127,0,0,1,").len(), 2);
}

#[tokio::test]
async fn what_would_hide_the_control_connection_is_refused_and_never_sent() {
    let server = ScriptedServer::new()
        .on(
            "FEAT",
            "211-Features:\r\n AUTH TLS\r\n AUTH SSL\r\n CCC\r\n EPSV\r\n MDTM\r\n PBSZ\r\n PROT\r\n \
             REST STREAM\r\n211 End\r\n",
        )
        .start()
        .await;
    let ferry = Ferry::to(server.address()).await;
    let mut client = ScriptedClient::connect(ferry.v4).await;
    client.expect("220 ").await;
    for command in ["AUTH TLS", "auth ssl", "PBSZ 0", "PROT P", "CCC", "ADAT x"] {
        let line = client.ask(command, "502 ferryline: ").await;
        assert!(line.contains("SSH"), "{line}");
    }
    client.ask("FEAT", "211-").await;
    let mut features = Vec::new();
    loop {
        let line = client.line().await;
        if line == "211 End" {
            break;
        }
        features.push(line);
    }
    // EPRT is ferryline's own: it uses PORT where the server has nothing else.
    assert_eq!(features, [" EPSV", " MDTM", " REST STREAM", " EPRT"]);
    client.ask("USER demo", "331 ").await;
    assert_eq!(server.commands(""), ["FEAT", "USER demo"]);
}

#[tokio::test]
async fn the_clients_addresses_never_reach_the_server_nor_the_servers_the_client() {
    let server = script().start().await;
    let (ferry, mut client) = Ferry::with_client(&server).await;
    for _ in 0..3 {
        let data = client.passive().await;
        client.ask("RETR f", "150 ").await;
        read_to_end(data).await.unwrap();
        client.expect("226 ").await;
        let listener = client.active().await;
        client.ask("RETR f", "150 ").await;
        read_to_end(client.accept(listener).await).await.unwrap();
        client.expect("226 ").await;
    }
    for (start, from, to) in [
        ("227 ", Direction::FromServer, Direction::ToClient),
        ("PORT ", Direction::FromClient, Direction::ToServer),
    ] {
        let (named, told) = (ferry.lines.all(from, start), ferry.lines.all(to, start));
        assert_eq!((named.len(), told.len()), (3, 3));
        assert!(named.iter().all(|line| !told.contains(line)), "{named:?}");
    }
}

/// The line cannot be used, so it is refused, and the log says what helps.
#[tokio::test]
async fn q102_a_connection_from_no_address_is_refused_and_said() {
    let log = Log::warnings();
    let retr = sends_file("x");
    let server = ScriptedServer::new().on("RETR", retr).start().await;
    let ferry = Ferry::to(server.address()).await;
    ferry
        .ssh_server
        .update(|faults| faults.name_originators = Some("somewhere".into()));
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    let _listener = client.active().await;
    client.send("RETR f").await;
    let said = log.says("--active passive").await;
    assert!(said.contains("from 'somewhere'"), "{said}");
}
