//! The real program at work: `forward` from its ready line to its end, `demo`, and the help.

use std::fs;
use std::net::SocketAddr;

use ferryline::demo::ftp_client::{FtpClient, Mode};
use ferryline::demo::ftp_server::FtpServer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::common::{
    Gate, Running, ScriptedClient, ScriptedServer, Shore, answer, begins_file, noise, read_to_end,
    run,
};

/// Checks that the line is `KIND://ADDRESS → user@host:port → host:port` and nothing else; returns the
/// address.
fn address(line: &str, kind: &str, shore: &Shore, target: &str) -> SocketAddr {
    let rest = line.strip_prefix(kind).unwrap_or_else(|| panic!("{line}"));
    let (address, rest) = rest.split_once(" → ").unwrap();
    let ssh_port = shore.ssh_server.address().port();
    assert_eq!(rest, format!("tester@127.0.0.1:{ssh_port} → {target}"));
    let address: SocketAddr = address.parse().unwrap();
    assert_eq!(address.ip().to_string(), "127.0.0.1");
    assert_ne!(address.port(), 0);
    address
}

#[tokio::test]
async fn the_ready_line_is_what_a_client_can_use() {
    let shore = Shore::new().await;
    let files = tempfile::tempdir().unwrap();
    let content = noise(300_000);
    fs::write(files.path().join("file"), &content).unwrap();
    let server = FtpServer::start(files.path()).unwrap();
    let target = format!("localhost:{}", server.address().port());
    let mut ferry = shore.start(&["-L", &format!("0:{target}")]);
    let v4 = address(&ferry.line().await, "ftp://", &shore, &target);
    let v6 = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, v4.port()));
    for (address, modes) in [
        (v4, &Mode::ALL[..]),
        (v6, &[Mode::ExtendedPassive, Mode::ExtendedActive]),
    ] {
        let mut client = FtpClient::connect(address).await.unwrap();
        client.login("demo", "secret").await.unwrap();
        for &mode in modes {
            let fetched = client.retrieve(mode, "file").await.unwrap();
            assert!(fetched == content, "{address} {mode}");
        }
        client.quit().await.unwrap();
    }
}

#[tokio::test]
async fn several_forwards_have_a_line_each_in_their_order() {
    let shore = Shore::new().await;
    let echo = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let echo_target = format!("localhost:{}", echo.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = echo.accept().await {
            let (mut read, mut write) = stream.split();
            let _ = tokio::io::copy(&mut read, &mut write).await;
        }
    });
    let server = ScriptedServer::new().start().await;
    let ftp_target = format!("127.0.0.1:{}", server.address().port());
    let mut ferry = shore.start(&[
        "-L",
        &format!("tcp/0:{echo_target}"),
        "-L",
        &format!("ftp/127.0.0.1:0:{ftp_target}"),
    ]);
    let plain = address(&ferry.line().await, "tcp://", &shore, &echo_target);
    let ftp = address(&ferry.line().await, "ftp://", &shore, &ftp_target);

    // A plain forward looks at nothing: bytes that would end an FTP session pass.
    let sent = [
        &b"GET / HTTP/1.1\r\n\0\xff\xf4 PORT 1,2,3,4,5,6\r\n"[..],
        &noise(1_000_000),
    ]
    .concat();
    let mut stream = TcpStream::connect(plain).await.unwrap();
    let (mut read, mut write) = stream.split();
    let send = async {
        write.write_all(&sent).await.unwrap();
        write.shutdown().await.unwrap();
    };
    let mut came = Vec::new();
    let (_, read) = tokio::join!(send, read.read_to_end(&mut came));
    read.unwrap();
    assert!(came == sent);

    let mut client = ScriptedClient::logged_in(ftp).await;
    client.ask("NOOP", "200 ").await;
}

#[cfg(unix)]
#[tokio::test]
async fn sigterm_sigint_and_sighup_stop_it_with_exit_code_0() {
    for signal in ["TERM", "INT", "HUP"] {
        let shore = Shore::new().await;
        let server = ScriptedServer::new().start().await;
        let target = format!("localhost:{}", server.address().port());
        let arguments = shore.arguments(&["-L", &format!("0:{target}")]);
        let mut ferry = Running::with_hang_up(shore.home(), false, &arguments);
        let address = address(&ferry.line().await, "ftp://", &shore, &target);
        let mut client = ScriptedClient::logged_in(address).await;
        ferry.signal(signal).await;
        client.expect("421 ferryline: ").await;
        client.expect_end().await;
        drop(client);
        let ended = ferry.ended().await;
        assert_eq!(ended.code, Some(0), "SIG{signal}: {ended:?}");
        let lines: Vec<&str> = ended.stderr.lines().collect();
        let [warning, line] = lines[..] else {
            panic!("SIG{signal}: {ended:?}");
        };
        assert!(
            warning.contains("WARN #1 421 to the client: the tunnel is being shut down ("),
            "SIG{signal}: {warning}"
        );
        assert!(
            line.contains("INFO #1 demo@127.0.0.1:"),
            "SIG{signal}: {line}"
        );
        assert!(
            line.contains(": the tunnel is being shut down; "),
            "SIG{signal}: {line}"
        );
    }
}

/// Started as nohup starts it. A handler for the signal would undo that.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn where_sighup_is_ignored_it_stays_so() {
    let shore = Shore::new().await;
    let server = ScriptedServer::new().start().await;
    let target = format!("localhost:{}", server.address().port());
    let arguments = shore.arguments(&["-L", &format!("0:{target}")]);
    let mut ferry = Running::with_hang_up(shore.home(), true, &arguments);
    address(&ferry.line().await, "ftp://", &shore, &target);
    assert!(ferry.ignores_hang_up());
}

#[cfg(unix)]
#[tokio::test]
async fn a_transfer_that_runs_may_finish_before_it_stops() {
    let shore = Shore::new().await;
    let go_on = Gate::new();
    let server = ScriptedServer::new()
        .on(
            "RETR",
            begins_file("the first half, ")
                .wait(&go_on)
                .data("the second half")
                .send("226 done\r\n"),
        )
        .start()
        .await;
    let target = format!("localhost:{}", server.address().port());
    let mut ferry = shore.start(&["-L", &format!("0:{target}")]);
    let address = address(&ferry.line().await, "ftp://", &shore, &target);
    let mut idle = ScriptedClient::connect(address).await;
    idle.expect("220 ").await;
    let mut client = ScriptedClient::logged_in(address).await;
    let data = client.passive().await;
    client.ask("RETR f", "150 ").await;
    ferry.signal("TERM").await;
    // When the idle client has its 421, the signal has arrived.
    idle.expect("421 ferryline: ").await;
    go_on.open();
    let file = read_to_end(data).await.unwrap();
    assert_eq!(file, b"the first half, the second half");
    client.expect_exactly("226 done").await;
    client.expect("421 ferryline: ").await;
    drop((client, idle));
    assert_eq!(ferry.ended().await.code, Some(0));
}

/// A terminal that was closed, or a `tee` that the same Ctrl-C has ended: the program must not end because it
/// cannot write.
#[cfg(unix)]
#[tokio::test]
async fn it_goes_on_and_stops_in_order_where_nobody_reads_its_log() {
    let shore = Shore::new().await;
    let server = ScriptedServer::new()
        .on("STOR", answer().send("150 go on\r\n").receive_data())
        .start()
        .await;
    let target = format!("localhost:{}", server.address().port());
    let mut ferry = shore.start(&["-v", "-L", &format!("0:{target}")]);
    let address = address(&ferry.line().await, "ftp://", &shore, &target);
    ferry.lose_stderr();
    // It warns of the loss, connects again, and says so.
    let mut client = ScriptedClient::logged_in(address).await;
    shore.ssh_server.kill();
    client.expect("421 ferryline: ").await;
    let mut client = ScriptedClient::logged_in(address).await;
    let mut data = client.passive().await;
    client.ask("STOR f", "150 ").await;
    data.write_all(b"half a file").await.unwrap();
    ferry.signal("TERM").await;
    // It warns when the time for transfers is over.
    client.expect("421 ferryline: ").await;
    drop((client, data));
    assert_eq!(ferry.ended().await.code, Some(0));
}

#[cfg(unix)]
#[tokio::test]
async fn it_can_be_stopped_while_it_still_connects() {
    let shore = Shore::new().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let destination = format!("ssh://tester@{}", silent.local_addr().unwrap());
    let arguments = ["forward", "-L", "0:localhost:21", &destination];
    let ferry = Running::start(shore.home(), &arguments);
    // The connection has come to the SSH server, which never sends anything.
    let _connected = silent.accept().await.unwrap();
    ferry.signal("TERM").await;
    let ended = ferry.ended().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!((ended.stdout, ended.stderr), (String::new(), String::new()));
}

#[cfg(unix)]
#[tokio::test]
async fn the_log_at_its_most_talkative_shows_no_password() {
    let shore = Shore::new().await;
    let server = ScriptedServer::new().start().await;
    let target = format!("localhost:{}", server.address().port());
    let mut ferry = shore.start(&["-vvv", "-L", &format!("0:{target}")]);
    let address = address(&ferry.line().await, "ftp://", &shore, &target);
    let mut client = ScriptedClient::connect(address).await;
    client.expect("220 ").await;
    client.ask("USER demo", "331 ").await;
    client.ask("pAsS hunter2", "230 ").await;
    client.ask("ACCT hunter3", "500 ").await;
    client.ask("QUIT", "221 ").await;
    drop(client);
    ferry.signal("TERM").await;
    let ended = ferry.ended().await;
    assert_eq!(ended.code, Some(0));
    assert!(ended.stderr.contains("USER demo"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("hunter"), "{}", ended.stderr);
}

#[tokio::test]
async fn the_demo_shows_all_four_modes_rewritten() {
    let home = tempfile::tempdir().unwrap();
    let ended = run(home.path(), &["demo", "--once"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.stderr, "", "{}", ended.stderr);
    for start in [
        "227 Entering Passive Mode (127,0,0,1,",
        "229 Entering Extended Passive Mode (|||",
        "PORT 127,0,0,1,",
        "EPRT |1|127.0.0.1|",
    ] {
        // As one side sent it, and after that as the other side got it.
        let lines: Vec<&str> = ended
            .stdout
            .lines()
            .filter_map(|line| line.find(start).map(|at| &line[at..]))
            .collect();
        assert!(lines.len() >= 2, "{start}: {}", ended.stdout);
        assert_ne!(lines[0], lines[1], "{}", ended.stdout);
    }
    for mode in Mode::ALL {
        let success = format!("✓ {mode}: ");
        assert!(ended.stdout.contains(&success), "{}", ended.stdout);
    }
    assert!(!ended.stdout.contains('✗'), "{}", ended.stdout);
}

#[tokio::test]
async fn the_help_names_what_there_is() {
    let home = tempfile::tempdir().unwrap();
    for (arguments, names) in [
        (&["--help"][..], &["forward", "demo", "--version"][..]),
        (
            &["forward", "--help"],
            &[
                "[BIND:]PORT:HOST:HOSTPORT",
                "-o",
                "--data-host",
                "--lanes",
                "DESTINATION",
            ],
        ),
        (&["demo", "--help"], &["--once"]),
    ] {
        let ended = run(home.path(), arguments).await;
        assert_eq!(ended.code, Some(0), "{arguments:?}");
        assert_eq!(ended.stderr, "", "{arguments:?}");
        for name in names {
            assert!(ended.stdout.contains(name), "{arguments:?}: {name}");
        }
    }
}
