//! Attacks from the network, each by its name: a hostile client, a hostile FTP server, a hostile SSH server.
//! `users.rs` has what another local user can do, `tests/hostile` what all of them do at random. SECURITY.md
//! says which test holds which promise.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::common::{
    Ferry, Gate, Log, PATIENCE, Running, Script, ScriptedClient, ScriptedServer, Shore, answer,
    begins_file, extended_port, host_port, own_address, read_to_end, sends_file, skipped,
};

fn file_server() -> Script {
    let file = sends_file("the file");
    ScriptedServer::new().on("RETR", file)
}

/// An SSH server opens channels of every kind. Each is refused, and the forward that was asked for still
/// serves its one transfer. Channels for a forward that is kept ready are refused like the rest.
#[tokio::test]
async fn channels_that_nobody_asked_for_are_refused() {
    let log = Log::warnings();
    let server = file_server().start().await;
    let ferry = Ferry::to(server.address()).await;
    ferry.ssh_server.update(|faults| faults.unasked = true);
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    let rounds = 3;
    for _ in 0..rounds {
        let listener = client.active().await;
        client.ask("RETR f", "150 ").await;
        let data = client.accept(listener).await;
        assert_eq!(read_to_end(data).await.unwrap(), b"the file");
        client.expect("226 ").await;
    }
    ferry.at_rest_but_for_control(1).await;
    // One for each transfer, and those that were kept ready for the next one.
    let forwards = ferry.ssh_server.forwards_asked();
    assert!((rounds..=2 * rounds).contains(&forwards), "{forwards}");
    let refused = async {
        while ferry.ssh_server.unasked().0 < 11 * forwards {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = timeout(PATIENCE, refused).await;
    assert_eq!(ferry.ssh_server.unasked(), (11 * forwards, 0), "{waited:?}");
    // Whatever their number, the log has one line of each kind a minute.
    assert_eq!(log.all("a stranger (").len(), 1);
    assert!(log.all("connected to a remote forward").len() <= 2);
}

/// RFC 2577 section 3 from the other end: the port on the SSH host is closed when its one connection has
/// come, and with the session at the latest. A port that is kept ready for the next transfer, and that no
/// peer has been told, is closed a few seconds later.
#[tokio::test]
async fn q83_a_remote_forward_lives_no_longer_than_its_transfer() {
    let server = ScriptedServer::new()
        .on("RETR", sends_file("x"))
        .start()
        .await;
    let (ferry, mut client) = Ferry::with_client(&server).await;
    let listener = client.active().await;
    let told = host_port(&server.received("PORT").await).unwrap();
    client.ask("RETR f", "150 ").await;
    let data = client.accept(listener).await;
    assert_eq!(read_to_end(data).await.unwrap(), b"x");
    client.expect("226 ").await;
    ferry.at_rest_but_for_control(1).await;
    assert!(TcpStream::connect(told).await.is_err());

    let _unused = client.active().await;
    assert_eq!(ferry.ssh_server.remote_forwards(), 1);
    drop(client);
    ferry.at_rest().await;
}

#[tokio::test]
async fn q85_many_ports_and_many_passive_requests_hold_one_forward() {
    let server = ScriptedServer::new().start().await;
    let (ferry, mut client) = Ferry::with_client(&server).await;
    let mut passive = Vec::new();
    for round in 0..30 {
        passive.push(host_port(&client.ask("PASV", "227 ").await).unwrap());
        let own = format!("PORT 127,0,0,1,200,{round}");
        client.ask(&own, "200 ").await;
    }
    ferry.at_rest_but_one_forward().await;
    // The ports of superseded listeners are free again.
    for address in passive {
        assert!(TcpStream::connect(address).await.is_err(), "{address}");
    }
    // All in one segment: no more are under way at once than are allowed.
    let many = "PASV\r\nPORT 127,0,0,1,200,13\r\n".repeat(250);
    client.send_raw(many).await;
    for _ in 0..250 {
        client.expect("227 ").await;
        client.expect("200 ").await;
    }
    ferry.at_rest_but_one_forward().await;
    drop(client);
    ferry.at_rest().await;
}

#[tokio::test]
async fn clients_beyond_the_limit_get_a_421_and_are_served_when_there_is_room() {
    let log = Log::warnings();
    let server = ScriptedServer::new().start().await;
    let ferry = Ferry::plan(server.address())
        .options(|options| options.max_sessions = 3)
        .start()
        .await;
    let mut served = Vec::new();
    for address in [ferry.v4, ferry.v6, ferry.v4] {
        served.push(ScriptedClient::logged_in(address).await);
    }
    for address in [ferry.v4, ferry.v6] {
        // No banner before it: a client must not take it for the server's greeting.
        let mut client = ScriptedClient::connect(address).await;
        client
            .expect_exactly(
                "421 ferryline: too many clients, 3 are served already (--max-sessions)",
            )
            .await;
        client.expect_end().await;
    }
    let noted = log.all("refused: too many clients, 3 are served already");
    assert_eq!(noted.len(), 1, "{noted:?}");
    served.pop().unwrap().ask("QUIT", "221 ").await;
    ferry.at_rest_but_for_control(2).await;
    let mut client = serve_again(ferry.v4).await;
    client.ask("USER a", "331 ").await;
    for client in &mut served {
        client.ask("NOOP", "200 ").await;
    }
}

#[tokio::test]
async fn one_client_cannot_take_all_the_room() {
    let log = Log::warnings();
    let server = ScriptedServer::new().start().await;
    let ferry = Ferry::plan(server.address())
        .options(|options| options.max_per_client = 2)
        .start()
        .await;
    let _first = ScriptedClient::logged_in(ferry.v4).await;
    let second = ScriptedClient::logged_in(ferry.v4).await;
    ScriptedClient::connect(ferry.v4)
        .await
        .expect("421 ferryline: too many connections from 127.0.0.1, 2 are ")
        .await;
    log.says("refused: too many connections from 127.0.0.1")
        .await;
    // Another address is another client.
    let _other = ScriptedClient::logged_in(ferry.v6).await;
    drop(second);
    ferry.at_rest_but_for_control(2).await;
    serve_again(ferry.v4).await;
}

/// The seat of a client that has left becomes free a moment after its channel.
async fn serve_again(address: SocketAddr) -> ScriptedClient {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let mut client = ScriptedClient::connect(address).await;
        let greeting = client.line().await;
        if greeting.starts_with("220 ") {
            return client;
        }
        assert!(greeting.starts_with("421 "), "{greeting}");
        assert!(tokio::time::Instant::now() < deadline, "never served again");
    }
}

#[tokio::test]
async fn a_client_that_does_not_log_in_is_sent_away() {
    let server = ScriptedServer::new().start().await;
    let ferry = Ferry::plan(server.address())
        .options(|options| options.limits.login = Some(Duration::from_millis(300)))
        .start()
        .await;
    let mut client = ScriptedClient::connect(ferry.v4).await;
    client.expect("220 ").await;
    client.expect("421 ferryline: not logged in within ").await;
    client.expect_end().await;
    ferry.at_rest().await;
}

#[tokio::test]
async fn an_idle_client_is_sent_away_but_not_while_its_file_is_on_the_way() {
    let idle = Duration::from_millis(1500);
    let gate = Gate::new();
    let slow = begins_file("the ")
        .wait(&gate)
        .data("file")
        .send("226 done\r\n");
    let server = ScriptedServer::new().on("RETR", slow).start().await;
    let ferry = Ferry::plan(server.address())
        .options(|options| options.limits.idle = Some(idle))
        .start()
        .await;
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    let data = client.passive().await;
    client.ask("RETR f", "150 ").await;
    // Neither side sends anything for longer than that: the test is about time.
    tokio::time::sleep(idle * 3 / 2).await;
    client.nothing_came();
    gate.open();
    assert_eq!(read_to_end(data).await.unwrap(), b"the file");
    client.expect("226 ").await;
    client.expect("421 ferryline: idle for 1 s; ").await;
    client.expect_end().await;
    ferry.at_rest().await;
}

/// Where two connections both come from the client's user, or from another host, it cannot be known which is
/// the client's. With the wrong one, its upload would be lost, and it would be told that all went well.
#[tokio::test]
async fn q83_of_two_connections_to_one_data_port_neither_is_taken() {
    let server = file_server().start().await;
    let ferry = Ferry::to(server.address()).await;
    for command in ["PASV", "EPSV"] {
        let mut client = ScriptedClient::logged_in(ferry.v4).await;
        let reply = client.ask(command, "2").await;
        let data = host_port(&reply)
            .unwrap_or_else(|| SocketAddr::new(ferry.v4.ip(), extended_port(&reply).unwrap()));
        // This thread is the only one of the runtime: both connections are there before either is looked at.
        let both = [(); 2].map(|()| std::net::TcpStream::connect(data).unwrap());
        client.ask("STOR f", "425 ferryline: ").await;
        for mut stream in both {
            let end = std::io::Read::read(&mut stream, &mut [0]);
            assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
        }
        // The session still works.
        client.passive().await;
        client.ask("QUIT", "221 ").await;
    }
    ferry.at_rest().await;
}

/// The TLS hello of a client that does not wait for the answer to its AUTH is not a command.
#[tokio::test]
async fn q84_tls_behind_auth_ends_the_session_and_reaches_nobody() {
    let server = ScriptedServer::new().start().await;
    let (_ferry, mut client) = Ferry::with_client(&server).await;
    let hello = b"AUTH TLS\r\n\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03abc\r\nPORT 1,2\r\n";
    client.send_raw(hello).await;
    let rest = client.rest().await.unwrap();
    let rest = String::from_utf8_lossy(&rest).into_owned();
    assert!(!rest.contains("234"), "{rest}");
    assert!(
        rest.ends_with("500 ferryline: a NUL in a command line; the session ends\r\n"),
        "{rest}"
    );
    server.control_ended().await;
    assert_eq!(server.commands("").len(), 2, "{}", server.transcript());
}

/// NAT slipstreaming: a page makes the browser send a form, of which one line is FTP.
#[tokio::test]
async fn q80_a_browsers_post_opens_nothing_and_reaches_nobody() {
    let log = Log::warnings();
    let server = ScriptedServer::new().start().await;
    let ferry = Ferry::to(server.address()).await;
    for request in [
        "POST / HTTP/1.1\r\nHost: localhost:2121\r\nContent-Type: text/plain\r\n\r\n",
        "OPTIONS / HTTP/1.1\r\n",
        "CONNECT localhost:2121 HTTP/1.0\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n",
    ] {
        let mut client = ScriptedClient::connect(ferry.v4).await;
        client
            .send_raw(format!(
                "{request}USER a\r\nPASS b\r\nPORT 127,0,0,1,200,13\r\nRETR x\r\n"
            ))
            .await;
        let _ = client.rest().await;
        ferry.at_rest().await;
    }
    assert_eq!(server.lines().len(), 0, "{}", server.transcript());
    // A page can do this as often as it likes: the log has it once a minute.
    assert_eq!(log.all("HTTP").len(), 1, "{:?}", log.all(""));
}

/// Whatever peers send is written so that it can neither begin a line of the log nor control the terminal
/// that shows it, and no password is in it.
#[cfg(unix)]
#[tokio::test]
async fn q88_the_log_at_its_most_talkative_cannot_be_forged_and_holds_no_secret() {
    const EVIL: &str = "x\x1b[2Jy\x07\x08z\u{9b}31m\u{202e}\x7f";
    let shore = Shore::new().await;
    let server = ScriptedServer::new()
        .greeting(format!("220-{EVIL}\r\n220 {EVIL}\r\n").as_str())
        .on("USER", format!("331 {EVIL}\rERROR forged\r\n").as_str())
        .on("CWD", format!("550 {EVIL}: no\r\n").as_str())
        .on("EPSV", format!("229 {EVIL}\r\n").as_str())
        .on(
            "PASV",
            answer().send(format!("227 {EVIL} (10,0,0,9,200,13)\r\n")),
        )
        .on("STAT", format!("227 {EVIL}\r\n").as_str())
        .start()
        .await;
    let target = format!("localhost:{}", server.address().port());
    let mut ferry = shore.start(&["-vvv", "-L", &format!("0:{target}")]);
    let address = ferry.ftp_address().await;
    let mut client = ScriptedClient::connect(address).await;
    client.expect("220-").await;
    client.expect("220 ").await;
    client.ask(&format!("USER {EVIL}"), "331 ").await;
    for secret in [
        "PASS hunter2",
        "pass  hunter3",
        "PaSs\thunter4",
        "ACCT hunter5",
        "ADAT hunter6",
    ] {
        client.send(secret).await;
        client.line().await;
    }
    // Split over segments, and with a carriage return in it.
    client.send_raw("PA").await;
    client.send_raw("SS hun").await;
    client.send_raw("ter7\rhunter8\r\n").await;
    client.line().await;
    client.ask(&format!("CWD {EVIL}"), "550 ").await;
    client.ask("EPSV", "425 ").await;
    client.ask("STAT", "227 ferryline: ").await;
    let reply = client.ask("PASV", "227 ").await;
    // Nothing listens there: the log gets a reason.
    let data = TcpStream::connect(host_port(&reply).unwrap())
        .await
        .unwrap();
    let _ = read_to_end(data).await;
    client.ask(&format!("PORT {EVIL}"), "501 ").await;
    client.ask(&format!("EPRT |1|{EVIL}|1|"), "5").await;
    client.ask("QUIT", "221 ").await;
    drop(client);
    let mut browser = ScriptedClient::connect(address).await;
    browser.send(&format!("GET {EVIL} HTTP/1.1")).await;
    let _ = browser.rest().await;
    ferry.signal("TERM").await;
    let log = ferry.ended().await.stderr;
    assert!(log.contains("USER x\\x1b[2Jy"), "{log}");
    assert!(!log.contains("hunter"), "{log}");
    for line in log.lines() {
        assert!(!line.chars().any(char::is_control), "{line:?}");
        assert!(!line.contains('\u{202e}'), "{line:?}");
        // The time comes first: nothing that a peer sent begins a line.
        assert!(line.starts_with("20"), "{line:?}");
    }
}

/// Names and banners appear in replies of ferryline's own only escaped, never as a line.
#[tokio::test]
async fn q81_ferrylines_own_replies_are_one_line_of_plain_text() {
    let server = ScriptedServer::new()
        .on("PASV", "227 \x1b[2J (1,2,3)\r\n")
        .on("EPSV", "500 no\r\n")
        .start()
        .await;
    let ferry = Ferry::plan(server.address())
        .host("no\x1b[2J\u{9b}such.invalid")
        .start()
        .await;
    let mut client = ScriptedClient::connect(ferry.v4).await;
    let refusal = client.line().await;
    assert!(refusal.starts_with("421 ferryline: "), "{refusal}");
    assert!(
        refusal.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
        "{refusal:?}"
    );

    let (_ferry, mut client) = Ferry::with_client(&server).await;
    for command in [
        "PASV",
        "EPSV",
        "PORT \x1b[2J\u{9b}\r1",
        "EPRT |1|\x1b|2|",
        "AUTH \x1b[2J",
        "LPRT \x07",
    ] {
        let line = client.ask(command, "").await;
        assert!(
            line.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
            "{line:?}"
        );
    }
}

/// With few file descriptors, clients are served or told that they are not. Later they are served again.
#[cfg(unix)]
#[tokio::test]
async fn running_out_of_file_descriptors_is_a_421_and_passes() {
    let shore = Shore::new().await;
    let server = file_server().start().await;
    let forward = format!("0:localhost:{}", server.address().port());
    let arguments = shore.arguments(&["--lanes", "4", "-L", &forward]);
    let mut ferry = Running::limited(shore.home(), 140, &arguments);
    let address = ferry.ftp_address().await;
    for _ in 0..2 {
        let mut clients = Vec::new();
        let (mut served, mut refused) = (0, 0);
        for _ in 0..80 {
            let mut client = ScriptedClient::connect(address).await;
            let greeting = timeout(PATIENCE, client.line()).await.unwrap();
            match &greeting[..4] {
                "220 " => {
                    client.ask("USER a", "331 ").await;
                    client.ask("PASS b", "230 ").await;
                    served += 1;
                    clients.push(client);
                }
                "421 " => refused += 1,
                _ => panic!("{greeting}"),
            }
        }
        assert!(
            served >= 3 && refused > 0,
            "{served} served, {refused} refused"
        );
        // Each of those that are served can have its data connection.
        for client in &mut clients {
            let data = client.passive().await;
            client.ask("RETR f", "150 ").await;
            assert_eq!(read_to_end(data).await.unwrap(), b"the file");
            client.expect("226 ").await;
        }
        drop(clients);
        serve_again(address).await;
    }
    ferry.signal("TERM").await;
    assert_eq!(ferry.ended().await.code, Some(0));
}

/// The limit of descriptors that a login shell has does not decide: the hard one does.
#[cfg(unix)]
#[tokio::test]
async fn the_soft_limit_of_file_descriptors_is_raised_to_the_hard_one() {
    let shore = Shore::new().await;
    let server = file_server().start().await;
    let forward = format!("0:localhost:{}", server.address().port());
    let arguments = shore.arguments(&["--lanes", "4", "-L", &forward]);
    let mut ferry = Running::limited_softly(shore.home(), 64, &arguments);
    let address = ferry.ftp_address().await;
    // Each holds at least one. The test assumes a hard limit that is enough for this number.
    let mut clients = Vec::new();
    for _ in 0..70 {
        clients.push(ScriptedClient::logged_in(address).await);
    }
    ferry.signal("TERM").await;
    let ended = ferry.ended().await;
    assert_eq!(ended.code, Some(0));
    assert!(!ended.stderr.contains("file descriptors"), "{ended:?}");
}

/// The same without a limit that is known beforehand: connections that send nothing take descriptors until
/// there are none, and ferryline continues when they go.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_flood_of_connections_is_survived() {
    let shore = Shore::new().await;
    let server = file_server().start().await;
    let forward = format!("0:localhost:{}", server.address().port());
    let arguments = shore.arguments(&["--lanes", "4", "-L", &forward]);
    let mut ferry = Running::limited(shore.home(), 48, &arguments);
    let address = ferry.ftp_address().await;
    let mut flood = Vec::new();
    for _ in 0..300 {
        flood.push(TcpStream::connect(address).await.unwrap());
    }
    // Half of them hang up in the middle of it, one after another. The others see an end.
    let rest = flood.split_off(150);
    drop(flood);
    let mut told = 0;
    for mut stream in rest {
        let mut greeting = [0; 4];
        if timeout(PATIENCE, stream.read_exact(&mut greeting))
            .await
            .unwrap()
            .is_ok()
        {
            assert!([b"220 ", b"421 "].contains(&&greeting), "{greeting:?}");
            told += 1;
        }
        let _ = stream.shutdown().await;
    }
    assert!(told > 0);
    let mut client = serve_again(address).await;
    client.ask("USER a", "331 ").await;
    client.ask("PASS b", "230 ").await;
    let data = client.passive().await;
    client.ask("RETR f", "150 ").await;
    assert_eq!(read_to_end(data).await.unwrap(), b"the file");
    ferry.signal("TERM").await;
    assert_eq!(ferry.ended().await.code, Some(0));
}

/// The log has what strangers do, at a forward or at a data port, and not once for each time.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_thousand_strangers_are_a_few_lines_of_the_log() {
    let shore = Shore::new().await;
    let server = file_server().start().await;
    let forward = format!("0:localhost:{}", server.address().port());
    let mut ferry = shore.start(&["-g", "--allow-from", "198.51.100.0/24", "-L", &forward]);
    let port = ferry.ftp_address().await.port();
    let mut client = ScriptedClient::logged_in(SocketAddr::from(([127, 0, 0, 1], port))).await;
    let data = host_port(&client.ask("PASV", "227 ").await).unwrap();
    let mut targets = vec![("a data connection from ", [127, 0, 0, 2].into(), data)];
    match own_address() {
        Some(own) => targets.push((" turned away: ", own, SocketAddr::new(own, port))),
        None => {
            skipped("this host has no address beyond loopback: who is turned away is not tested")
        }
    }
    for (_, from, to) in &targets {
        for _ in 0..1000 {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind(SocketAddr::new(*from, 0)).unwrap();
            if let Ok(mut stream) = socket.connect(*to).await {
                // The log is read only after the program has ended: if it grew, the program would stand
                // still.
                let end = timeout(PATIENCE, stream.read(&mut [0])).await;
                assert!(matches!(end.unwrap(), Ok(0) | Err(_)));
            }
        }
    }
    let data = client.connect_data(data).await;
    client.ask("RETR f", "150 ").await;
    assert_eq!(read_to_end(data).await.unwrap(), b"the file");
    ferry.signal("TERM").await;
    let log = ferry.ended().await.stderr;
    for (what, ..) in targets {
        let lines = log.lines().filter(|line| line.contains(what)).count();
        // One, and one more for each minute that this takes on a busy machine.
        assert!((1..=3).contains(&lines), "{lines} of {what:?}");
    }
    assert!(log.lines().count() < 20, "{log}");
}

/// A server that floods one client, and a client that reads none of it, must not hold up the others:
/// all control connections share one SSH connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_takes_nothing_holds_up_nobody_else() {
    // Lines of a kilobyte: with short ones, a debug build on a busy machine spends its time on reading a
    // million.
    let flood = format!("200 take this{}\r\n", ".".repeat(1_000)).repeat(15);
    let mut stat = answer();
    for _ in 0..1_500 {
        stat = stat.send(&flood);
    }
    let server = ScriptedServer::new().on("STAT", stat).start().await;
    let ferry = Ferry::to(server.address()).await;
    let mut silent = ScriptedClient::logged_in(ferry.v4).await;
    silent.send("STAT").await;
    let mut other = ScriptedClient::logged_in(ferry.v4).await;
    for _ in 0..40 {
        tokio::time::sleep(Duration::from_millis(25)).await;
        other.ask("NOOP", "200 ").await;
    }
    drop(silent);
    other.ask("NOOP", "200 ").await;
}
