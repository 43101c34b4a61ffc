//! One forward to many FTP servers: each client names its own, `USER name@host[:port]`.

use std::{
    fs,
    time::{Duration, Instant},
};

use ferryline::{
    control::DataHost,
    demo::{
        ftp_client::{FtpClient, Mode},
        ftp_server::FtpServer,
    },
    transcript::{parse, replay},
};
use tokio::net::TcpListener;

use crate::common::{
    Ferry, Log, Plan, ScriptedClient, ScriptedServer, Shore, answer, nobody, noise, read_to_end,
    run, skipped,
};

/// A forward that leads to these servers, port 1 where the client names none.
fn to_any_of(patterns: &[&str]) -> Plan {
    let patterns: Vec<_> = patterns.iter().map(|text| text.parse().unwrap()).collect();
    Ferry::plan("127.0.0.1:1".parse().unwrap())
        .host("*")
        .options(|options| options.allow_hosts = patterns)
}

async fn welcomed(ferry: &Ferry) -> ScriptedClient {
    let mut client = ScriptedClient::connect(ferry.v4).await;
    let greeting = client.expect("220 ferryline: log in as ").await;
    assert!(greeting.contains("USER@FTPHOST"), "{greeting}");
    client
}

#[tokio::test]
async fn each_client_has_the_server_that_it_names_in_every_mode() {
    let ferry = to_any_of(&["127.0.0.1"]).start().await;
    let mut sites = Vec::new();
    for size in [1000, 300_000] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), noise(size)).unwrap();
        let server = FtpServer::start(folder.path()).unwrap();
        sites.push((folder, server, size));
    }
    for (_, server, size) in &sites {
        let name = format!("demo@127.0.0.1:{}", server.address().port());
        for address in [ferry.v4, ferry.v6] {
            let mut client = FtpClient::connect(address).await.unwrap();
            client.login(&name, "secret").await.unwrap();
            for mode in Mode::ALL {
                if address.is_ipv6() && matches!(mode, Mode::Passive | Mode::Active) {
                    continue;
                }
                let fetched = client.retrieve(mode, "file").await.unwrap();
                assert!(fetched == noise(*size), "{address} {mode}");
            }
            client.quit().await.unwrap();
        }
    }
    ferry.at_rest().await;
    ferry.stop().await;
    for (_, server, _) in sites {
        server.shutdown().await;
    }
}

#[tokio::test]
async fn the_server_gets_the_plain_name_and_its_greeting_is_not_seen() {
    let server = ScriptedServer::new()
        .greeting("220-secret\r\n220 greeting\r\n")
        .start()
        .await;
    let ferry = to_any_of(&["127.0.0.0/8"]).start().await;
    let mut client = welcomed(&ferry).await;
    let port = server.address().port();
    client
        .ask(&format!("USER me@corp.example@127.0.0.1:{port}"), "331 ")
        .await;
    client.ask("PASS x", "230 ").await;
    assert_eq!(server.commands("USER"), ["USER me@corp.example"]);
    client.nothing_came();
    client.ask("NOOP", "200 ").await;
    drop(client);
    ferry.stop().await;
}

#[tokio::test]
async fn a_whole_log_in_may_come_in_one_piece() {
    let server = ScriptedServer::new()
        .on("SYST", "215 UNIX\r\n")
        .on("EPSV", answer().listen().send("229 (|||{port}|)\r\n"))
        .on(
            "RETR",
            answer().send("150 a\r\n").data(b"hello").send("226 b\r\n"),
        )
        .start()
        .await;
    let ferry = to_any_of(&["127.0.0.1"]).start().await;
    let port = server.address().port();
    let mut client = ScriptedClient::connect(ferry.v4).await;
    // The client sends even before the greeting.
    client
        .send_raw(format!("USER me@127.0.0.1:{port}\r\nPASS x\r\nSYST\r\n"))
        .await;
    for code in ["220 ferryline: ", "331 ", "230 ", "215 "] {
        client.expect(code).await;
    }
    let data = client.extended_passive().await;
    client.send("RETR f").await;
    client.expect("150 ").await;
    assert_eq!(read_to_end(data).await.unwrap(), b"hello");
    client.expect("226 ").await;
    drop(client);
    ferry.stop().await;
}

#[tokio::test]
async fn before_the_log_in_there_is_no_server_to_ask() {
    let ferry = to_any_of(&["127.0.0.1"]).start().await;
    let mut client = welcomed(&ferry).await;
    for (command, reply) in [
        ("NOOP", "200 ferryline: "),
        ("", ""),
        ("FEAT", "530 ferryline: log in as user@host first"),
        ("SYST", "530 ferryline: log in as user@host first"),
        ("OPTS UTF8 ON", "530 ferryline: log in as user@host first"),
        ("PASS x", "530 ferryline: log in as user@host first"),
        ("PASV", "530 ferryline: log in as user@host first"),
        (
            "PORT 127,0,0,1,200,13",
            "530 ferryline: log in as user@host first",
        ),
        ("NONSENSE", "530 ferryline: log in as user@host first"),
        ("AUTH TLS", "502 ferryline: AUTH is refused"),
        ("PBSZ 0", "502 ferryline: PBSZ is refused"),
        (
            "USER",
            "530 ferryline: this port leads to many FTP servers: log in as USER@FTPHOST",
        ),
        (
            "USER me",
            "530 ferryline: this port leads to many FTP servers: log in as USER@FTPHOST",
        ),
        (
            "USER me@",
            "530 ferryline: this port leads to many FTP servers: log in as USER@FTPHOST",
        ),
        (
            "USER @host",
            "530 ferryline: this port leads to many FTP servers: log in as USER@FTPHOST",
        ),
        ("USER me@h/x", "530 ferryline: 'h/x' is no host; log in as "),
        (
            "USER me@::1",
            "530 ferryline: an IPv6 address stands in brackets; log in as ",
        ),
        (
            "USER me@host:0",
            "530 ferryline: '0' is no port; log in as ",
        ),
    ] {
        if reply.is_empty() {
            client.send(command).await;
        } else {
            client.ask(command, reply).await;
        }
    }
    client.ask("QUIT", "221 ferryline: ").await;
    client.expect_end().await;
    ferry.stop().await;
}

#[tokio::test]
async fn a_host_that_is_not_allowed_is_refused_before_anything_is_sent_there() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    // Wildcards and wide ranges do not mean the SSH server's own host.
    let ferry = to_any_of(&["*.example.com", "*", "0.0.0.0/0", "::/0", "126.0.0.0/7"])
        .start()
        .await;
    let mut client = welcomed(&ferry).await;
    for host in [
        "127.0.0.1",
        "localhost",
        "LOCALHOST.",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
    ] {
        client
            .ask(&format!("USER me@{host}:{port}"), "530 ferryline: ")
            .await;
    }
    // All was answered, so a connection would be here by now.
    let listener = listener.into_std().unwrap();
    assert!(listener.accept().is_err(), "the host was connected to");
    drop(client);

    let narrow = to_any_of(&["*.example.com", "10.0.0.0/8"]).start().await;
    let mut client = welcomed(&narrow).await;
    for host in [
        "ftp.example.org",
        "example.com",
        "11.0.0.1",
        "ftp.example.com.evil.net",
    ] {
        let refusal = client
            .ask(&format!("USER me@{host}"), "530 ferryline: ")
            .await;
        assert!(
            refusal.contains("not an FTP server that is allowed here"),
            "{refusal}"
        );
    }
    ferry.stop().await;
    narrow.stop().await;
}

/// Where a client names a mail server's port, ferryline would speak to it in the client's words.
#[tokio::test]
async fn a_port_below_1024_is_refused_but_for_21_and_that_of_the_forward() {
    let other = privileged_listener();
    let ferry = to_any_of(&["127.0.0.1"]).start().await;
    let mut client = welcomed(&ferry).await;
    let taken = other.as_ref().map(|(_, port)| *port);
    for port in [25, 22, 1023].into_iter().chain(taken) {
        let refusal = client
            .ask(&format!("USER me@127.0.0.1:{port}"), "530 ferryline: ")
            .await;
        let says = format!(
            "port {port} is not allowed here; allowed are 21, 1 (the port of -L) and all from 1024 on"
        );
        assert!(refusal.ends_with(&says), "{refusal}");
    }
    // All was answered, so a connection would be here by now.
    if let Some((listener, port)) = other {
        let came = listener.accept();
        assert!(came.is_err(), "port {port} was connected to");
    }
    for port in [1, 1024, 21] {
        let reply = client.ask(&format!("USER me@127.0.0.1:{port}"), "").await;
        assert!(!reply.contains("not allowed"), "{reply}");
    }
    ferry.stop().await;
}

/// A listener on a port below 1024; `None` where the tests lack the privilege for that.
fn privileged_listener() -> Option<(std::net::TcpListener, u16)> {
    let found = (600..1024).rev().find_map(|port| {
        let listener = std::net::TcpListener::bind(("127.0.0.1", port)).ok()?;
        Some((listener, port))
    });
    match &found {
        Some((listener, _)) => listener.set_nonblocking(true).unwrap(),
        None => skipped("no port below 1024 to be had: only the replies are looked at"),
    }
    found
}

/// The FTP server is asked for at once, however long the client took to name it.
#[tokio::test]
async fn what_a_client_took_to_name_its_server_is_not_idleness() {
    let server = ScriptedServer::new().start().await;
    let idle = Duration::from_secs(2);
    let ferry = to_any_of(&["127.0.0.1"])
        .options(|options| options.limits.idle = Some(idle))
        .start()
        .await;
    let mut client = welcomed(&ferry).await;
    // The test is about time.
    tokio::time::sleep(idle * 3 / 2).await;
    let named = format!("USER me@{}", server.address());
    client.ask(&named, "331 ").await;
    client.ask("PASS secret", "230 ").await;
    client.expect("421 ferryline: idle for 2 s; ").await;
    client.expect_end().await;
}

/// Many clients do not show why.
#[tokio::test]
async fn a_client_that_is_sent_away_before_it_has_a_server_is_a_warning() {
    let log = Log::warnings();
    let ferry = to_any_of(&["127.0.0.1"])
        .options(|options| options.limits.login = Some(Duration::from_secs(1)))
        .start()
        .await;
    let mut client = welcomed(&ferry).await;
    client
        .expect("421 ferryline: not logged in within 1 s; ")
        .await;
    let line = log
        .says("421 to the client: not logged in within 1 s")
        .await;
    assert!(line.contains("--login-time"), "{line}");

    let ferry = to_any_of(&["127.0.0.1"]).start().await;
    let mut client = welcomed(&ferry).await;
    for _ in 0..10 {
        client.ask("USER me@elsewhere.example", "530 ").await;
    }
    client.expect("421 ferryline: too many FTP servers").await;
    let line = log.says("421 to the client: too many FTP servers").await;
    assert!(line.contains("--allow-host"), "{line}");
}

/// There is one time limit for logging in, before the FTP server is known and after.
#[tokio::test]
async fn who_does_not_log_in_is_sent_away_with_or_without_a_server() {
    let server = ScriptedServer::new().start().await;
    let limit = Duration::from_secs(3);
    let ferry = to_any_of(&["127.0.0.1"])
        .options(|options| options.limits.login = Some(limit))
        .start()
        .await;
    let began = Instant::now();
    let mut nameless = welcomed(&ferry).await;
    let mut named = welcomed(&ferry).await;
    // The test is about time.
    tokio::time::sleep(limit * 2 / 3).await;
    nameless.nothing_came();
    named
        .ask(&format!("USER me@{}", server.address()), "331 ")
        .await;
    nameless
        .expect_exactly("421 ferryline: not logged in within 3 s; the session ends")
        .await;
    nameless.expect_end().await;
    named
        .expect("421 ferryline: not logged in within 3 s; ")
        .await;
    named.expect_end().await;
    let took = began.elapsed();
    assert!((limit..limit * 3 / 2).contains(&took), "{took:?}");
    ferry.at_rest().await;
    ferry.stop().await;
}

#[tokio::test]
async fn a_name_is_allowed_in_any_case_and_with_the_roots_dot() {
    let server = ScriptedServer::new().start().await;
    let ferry = to_any_of(&["LocalHost."]).start().await;
    let port = server.address().port();
    for host in ["localhost", "LOCALHOST", "localhost."] {
        let mut client = welcomed(&ferry).await;
        client.ask(&format!("USER me@{host}:{port}"), "331 ").await;
    }
    ferry.stop().await;
}

#[tokio::test]
async fn after_a_server_that_cannot_be_reached_another_may_be_named() {
    let server = ScriptedServer::new().start().await;
    let (_kept, nowhere) = nobody();
    let ferry = to_any_of(&["127.0.0.1"]).start().await;
    let mut client = welcomed(&ferry).await;
    let refusal = client
        .ask(&format!("USER me@{nowhere}"), "530 ferryline: ")
        .await;
    assert!(refusal.contains(&nowhere.to_string()), "{refusal}");
    // Without a port in the name it is the one of -L, and nothing listens there either.
    let refusal = client.ask("USER me@127.0.0.1", "530 ferryline: ").await;
    assert!(refusal.contains("127.0.0.1:1:"), "{refusal}");
    client
        .ask(&format!("USER me@{}", server.address()), "331 ")
        .await;
    client.ask("PASS x", "230 ").await;
    drop(client);
    ferry.stop().await;
}

#[tokio::test]
async fn a_search_for_servers_ends_soon() {
    let ferry = to_any_of(&["10.0.0.0/8"]).start().await;
    let mut client = welcomed(&ferry).await;
    for number in 0..10 {
        client
            .ask(&format!("USER me@ftp{number}"), "530 ferryline: ")
            .await;
    }
    client.expect("421 ferryline: ").await;
    client.expect_end().await;
    ferry.stop().await;
}

#[tokio::test]
async fn who_does_not_speak_ftp_is_left_alone() {
    let ferry = to_any_of(&["127.0.0.1"]).start().await;
    for request in ["POST / HTTP/1.1", "\r\nPOST / HTTP/1.1"] {
        let mut client = welcomed(&ferry).await;
        client.send(request).await;
        // A reset, or nothing.
        assert!(client.rest().await.unwrap_or_default().is_empty());
    }
    let mut client = welcomed(&ferry).await;
    client.send_raw(vec![b'x'; 20_000]).await;
    client.expect("500 ferryline: ").await;
    let _ = client.rest().await;
    ferry.stop().await;
}

#[tokio::test]
async fn a_stop_is_told_to_who_has_not_logged_in() {
    let ferry = to_any_of(&["127.0.0.1"]).start().await;
    let mut client = welcomed(&ferry).await;
    ferry.begin_stop();
    client.expect("421 ferryline: ").await;
    client.expect_end().await;
    ferry.stop().await;
}

#[tokio::test]
async fn what_is_learned_of_one_server_is_not_believed_of_another() {
    let old = ScriptedServer::new()
        .on("EPSV", "500 what?\r\n")
        .on("PASV", answer().listen().send("227 ({hostport})\r\n"))
        .start()
        .await;
    let new = ScriptedServer::new()
        .on("EPSV", answer().listen().send("229 (|||{port}|)\r\n"))
        .start()
        .await;
    let ferry = to_any_of(&["127.0.0.1"]).start().await;
    for server in [&old, &new, &old] {
        let mut client = welcomed(&ferry).await;
        client
            .ask(&format!("USER me@{}", server.address()), "331 ")
            .await;
        client.ask("PASS x", "230 ").await;
        client.extended_passive().await;
    }
    assert_eq!(old.commands("EPSV").len(), 1);
    assert_eq!(old.commands("PASV").len(), 2);
    assert_eq!(new.commands("EPSV").len(), 1);
    ferry.stop().await;
}

#[tokio::test]
async fn a_reply_cannot_name_a_data_host_that_the_client_could_not_have_named() {
    let elsewhere = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let port = elsewhere.local_addr().unwrap().port();
    let reply = format!("227 (127,0,0,2,{},{})\r\n", port >> 8, port & 0xff);
    let server = ScriptedServer::new()
        .on("PASV", reply.as_str())
        .on("RETR", "425 no data connection\r\n")
        .start()
        .await;
    let ferry = to_any_of(&["127.0.0.1"])
        .options(|options| options.data_host = DataHost::Reply)
        .start()
        .await;
    let mut client = welcomed(&ferry).await;
    client
        .ask(&format!("USER me@{}", server.address()), "331 ")
        .await;
    client.ask("PASS x", "230 ").await;
    let data = client.passive().await;
    assert!(read_to_end(data).await.is_err(), "it was not reset");
    client.ask("RETR f", "425 ").await;
    let elsewhere = elsewhere.into_std().unwrap();
    assert!(elsewhere.accept().is_err(), "the host was connected to");
    drop(client);
    ferry.stop().await;
}

#[tokio::test]
async fn such_a_session_is_recorded_and_replays_without_a_difference() {
    let records = tempfile::tempdir().unwrap();
    let server = ScriptedServer::new()
        .greeting("220-hello\r\n220 there\r\n")
        .on("EPSV", answer().listen().send("229 (|||{port}|)\r\n"))
        .on(
            "RETR",
            answer().send("150 a\r\n").data(b"hello").send("226 b\r\n"),
        )
        .start()
        .await;
    let folder = records.path().to_owned();
    let ferry = to_any_of(&["127.0.0.1"])
        .options(|options| options.record = Some(folder))
        .start()
        .await;
    let mut client = welcomed(&ferry).await;
    let named = server.address();
    client.ask("USER nobody@localhost", "530 ").await;
    client
        .send_raw(format!("USER me@{named}\r\nPASS over\r\n"))
        .await;
    client.expect("331 ").await;
    client.expect("230 ").await;
    client
        .ask("USER you@other.example", "530 ferryline: ")
        .await;
    let data = client.extended_passive().await;
    client.send("RETR f").await;
    client.expect("150 ").await;
    assert_eq!(read_to_end(data).await.unwrap(), b"hello");
    client.expect("226 ").await;
    client.ask("QUIT", "221 ").await;
    drop(client);
    ferry.at_rest().await;
    ferry.stop().await;

    let files: Vec<_> = fs::read_dir(records.path()).unwrap().collect();
    assert_eq!(files.len(), 1);
    let text = fs::read_to_string(files[0].as_ref().unwrap().path()).unwrap();
    for part in [
        &format!(" routed={named} "),
        &format!("C> USER me@{named}\n"),
        "S> USER me\n",
        "C> PASS ****\n",
        "S< 220 there\n",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    assert!(!text.contains("C< 220"), "{text}");
    let replayed = replay(&parse(&text).unwrap());
    assert!(
        replayed.differences.is_empty(),
        "{:?}\n{text}",
        replayed.differences
    );
}

#[tokio::test]
async fn the_ready_line_says_how_and_without_allow_host_it_is_wrong_usage() {
    let shore = Shore::new().await;
    let server = ScriptedServer::new().start().await;
    let mut ferry = shore.start(&["-L", "0:*:21", "--allow-host", "*.example.com,127.0.0.1"]);
    let line = ferry.line().await;
    assert!(line.ends_with(" → USER@FTPHOST"), "{line}");
    let address = line
        .strip_prefix("ftp://")
        .unwrap()
        .split(' ')
        .next()
        .unwrap();
    let mut client = ScriptedClient::connect(address.parse().unwrap()).await;
    client.expect("220 ferryline: ").await;
    client
        .ask(&format!("USER me@{}", server.address()), "331 ")
        .await;

    for (before, says) in [
        (&["-L", "0:*:21"][..], "--allow-host"),
        (&["-L", "tcp/0:*:21", "--allow-host", "x"], "ftp/"),
    ] {
        let arguments = [&["forward"], before, &["me@host"]].concat();
        let ended = run(shore.home(), &arguments).await;
        assert!(ended.one_line(2).contains(says), "{ended:?}");
    }
    let bad = ["forward", "-L", "0:*:21", "--allow-host", "a:21", "me@host"];
    let ended = run(shore.home(), &bad).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("'a:21'"), "{ended:?}");
}
