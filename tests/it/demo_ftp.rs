//! The demo's FTP client and FTP server against each other, with nothing between. The other hermetic tests
//! rely on them. The server has no EPRT, so that mode is tried on a scripted one.

use std::fs;
use std::net::{Ipv6Addr, SocketAddr};

use ferryline::demo::ftp_client::{FtpClient, Mode, Problem};
use ferryline::demo::ftp_server::FtpServer;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::common::{
    Gate, ScriptedClient, ScriptedServer, answer, begins_file, logged_in, noise, read_to_end,
    upload,
};

/// The modes that the demo's server supports.
const SERVED: [Mode; 3] = [Mode::Passive, Mode::ExtendedPassive, Mode::Active];

struct Site {
    folder: TempDir,
    server: FtpServer,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = FtpServer::start(folder.path()).unwrap();
        Self { folder, server }
    }

    async fn client(&self) -> FtpClient {
        logged_in(self.server.address()).await
    }

    fn put(&self, name: &str, content: &[u8]) {
        fs::write(self.folder.path().join(name), content).unwrap();
    }

    fn content(&self, name: &str) -> Vec<u8> {
        fs::read(self.folder.path().join(name)).unwrap()
    }
}

#[tokio::test]
async fn files_of_every_kind_arrive_byte_for_byte_both_ways() {
    let site = Site::new();
    let every_byte: Vec<u8> = (0..=255).collect();
    let files = [
        ("empty", Vec::new()),
        ("one", vec![0x0a]),
        ("text", b"a\r\nb\nc\r\xff\xf4\0".to_vec()),
        ("every byte", every_byte),
        ("large", noise(5 * 1024 * 1024 + 17)),
    ];
    for (name, content) in &files {
        site.put(name, content);
    }
    let mut client = site.client().await;
    for mode in SERVED {
        for (name, content) in &files {
            assert!(
                client.retrieve(mode, name).await.unwrap() == *content,
                "{mode} {name}"
            );
            let stored = format!("{mode} {name}");
            client.store(mode, &stored, content).await.unwrap();
            assert!(site.content(&stored) == *content, "{mode} {name}");
        }
    }
    client.quit().await.unwrap();
    site.server.shutdown().await;
}

#[tokio::test]
async fn the_listing_names_the_files_in_every_mode() {
    let site = Site::new();
    site.put("first.txt", b"1");
    site.put("second.bin", &noise(1000));
    let mut client = site.client().await;
    for mode in SERVED {
        let listing = String::from_utf8(client.list(mode).await.unwrap()).unwrap();
        assert_eq!(listing.lines().count(), 2, "{listing}");
        assert!(listing.contains("first.txt"), "{listing}");
        assert!(listing.contains("second.bin"), "{listing}");
    }
}

#[tokio::test]
async fn several_clients_at_once_do_not_mix() {
    let site = Site::new();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..8_usize {
        let content = noise(100_000 + number);
        site.put(&format!("file{number}"), &content);
        let server = site.server.address();
        tasks.spawn(async move {
            let mut client = logged_in(server).await;
            let mode = SERVED[number % SERVED.len()];
            let got = client.retrieve(mode, &format!("file{number}")).await;
            assert!(got.unwrap() == content, "file{number}");
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}

#[tokio::test]
async fn replies_of_several_lines_are_one_reply() {
    let site = Site::new();
    let mut client = site.client().await;
    let reply = client.command("FEAT").await.unwrap();
    assert_eq!(reply.code.value(), 211);
    assert!(reply.lines.len() > 2, "{reply}");
    assert!(reply.lines.iter().any(|line| line == b" EPSV"), "{reply}");
    // Nothing is left over for the next command.
    assert_eq!(client.command("NOOP").await.unwrap().code.value(), 200);
}

#[tokio::test]
async fn pipelined_commands_are_answered_one_by_one() {
    let site = Site::new();
    let mut client = site.client().await;
    let batch = b"NOOP\r\nSYST\r\nPWD\r\n";
    client.control().write_all(batch).await.unwrap();
    for code in [200, 215, 257] {
        assert_eq!(client.reply().await.unwrap().code.value(), code);
    }
}

#[tokio::test]
async fn a_file_that_is_not_there_is_the_servers_answer() {
    let site = Site::new();
    let mut client = site.client().await;
    for mode in SERVED {
        let error = client.retrieve(mode, "missing").await.unwrap_err();
        assert_eq!(error.step, "RETR missing");
        assert!(
            matches!(error.problem, Problem::Answer(ref reply) if reply.code.value() == 550),
            "{error}"
        );
    }
}

#[tokio::test]
async fn the_demo_server_has_no_eprt_and_the_error_says_so() {
    let site = Site::new();
    let mut client = site.client().await;
    let error = client.list(Mode::ExtendedActive).await.unwrap_err();
    assert!(error.step.starts_with("EPRT |1|127.0.0.1|"), "{error}");
    assert!(
        matches!(error.problem, Problem::Answer(ref reply) if reply.code.value() == 500),
        "{error}"
    );
}

#[tokio::test]
async fn over_ipv6_epsv_works_on_the_demo_server() {
    let site = Site::new();
    let here = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
    let server = FtpServer::start_at(site.folder.path(), here).unwrap();
    site.put("file", b"over IPv6");
    let mut client = logged_in(server.address()).await;
    let mode = Mode::ExtendedPassive;
    assert_eq!(client.retrieve(mode, "file").await.unwrap(), b"over IPv6");
    client.store(mode, "back", b"and back").await.unwrap();
    assert_eq!(site.content("back"), b"and back");
}

#[tokio::test]
async fn eprt_works_over_both_families() {
    for here in ["127.0.0.1:0", "[::1]:0"] {
        let server = ScriptedServer::new()
            .at(here.parse().unwrap())
            .on(
                "RETR",
                answer().send("150 now\r\n").data("x").send("226 ok\r\n"),
            )
            .on(
                "STOR",
                answer()
                    .send("150 now\r\n")
                    .receive_data()
                    .send("226 ok\r\n"),
            )
            .start()
            .await;
        let mut client = logged_in(server.address()).await;
        let mode = Mode::ExtendedActive;
        assert_eq!(client.retrieve(mode, "f").await.unwrap(), b"x");
        client.store(mode, "f", b"yz").await.unwrap();
        assert_eq!(server.upload().await.unwrap(), b"yz");
        client.quit().await.unwrap();
        server.control_ended().await;
    }
}

#[tokio::test]
async fn a_reset_data_connection_is_never_the_end_of_a_file() {
    for mode in [Mode::Passive, Mode::Active] {
        let seen = Gate::new();
        let server = ScriptedServer::new()
            .on(
                "RETR",
                begins_file("half")
                    .wait(&seen)
                    .reset_data()
                    .send("426 lost it\r\n"),
            )
            .start()
            .await;
        let mut client = logged_in(server.address()).await;
        let mut data = client.begin(mode, "RETR f").await.unwrap();
        let mut half = [0; 4];
        data.read_exact(&mut half).await.unwrap();
        seen.open();
        let error = read_to_end(data).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        let error = client.finish("RETR f").await.unwrap_err();
        assert!(error.to_string().contains("426 lost it"), "{error}");

        // The same with the plain call.
        let error = client.retrieve(mode, "f").await.unwrap_err();
        assert!(matches!(error.problem, Problem::Data { .. }), "{error}");
        assert_eq!(client.reply().await.unwrap().code.value(), 426);
    }
}

#[tokio::test]
async fn a_refusal_in_place_of_the_active_connection_is_reported() {
    let server = ScriptedServer::new()
        .on("LIST", answer().send("150 now\r\n425 cannot connect\r\n"))
        .start()
        .await;
    let mut client = logged_in(server.address()).await;
    let error = client.list(Mode::Active).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "LIST: the server answered \"425 cannot connect\""
    );
}

#[tokio::test]
async fn a_final_reply_that_overtakes_the_active_connection_is_kept() {
    let server = ScriptedServer::new()
        .on(
            "LIST",
            answer().send("150 now\r\n226 done\r\n").data("list"),
        )
        .start()
        .await;
    let mut client = logged_in(server.address()).await;
    assert_eq!(client.list(Mode::Active).await.unwrap(), b"list");
}

#[tokio::test]
async fn passwords_are_in_no_error() {
    let server = ScriptedServer::new().on("PASS", "530 no\r\n").start().await;
    let mut client = FtpClient::connect(server.address()).await.unwrap();
    let error = client.login("demo", "hunter2").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "PASS ****: the server answered \"530 no\""
    );
}

#[tokio::test]
async fn the_scripted_client_works_in_every_mode() {
    let server = ScriptedServer::new()
        .on(
            "RETR",
            answer().send("150 now\r\n").data("abc").send("226 ok\r\n"),
        )
        .on(
            "STOR",
            answer()
                .send("150 now\r\n")
                .receive_data()
                .send("226 ok\r\n"),
        )
        .start()
        .await;
    let mut client = ScriptedClient::logged_in(server.address()).await;
    let data = client.passive().await;
    client.ask("RETR f", "150 ").await;
    assert_eq!(read_to_end(data).await.unwrap(), b"abc");
    client.expect_exactly("226 ok").await;

    let data = client.extended_passive().await;
    client.ask("STOR f", "150 ").await;
    upload(data, b"up").await.unwrap();
    client.expect_exactly("226 ok").await;
    assert_eq!(server.upload().await.unwrap(), b"up");

    let listener = client.active().await;
    client.ask("RETR f", "150 ").await;
    let data = client.accept(listener).await;
    assert_eq!(read_to_end(data).await.unwrap(), b"abc");
    client.expect_exactly("226 ok").await;

    let listener = client.extended_active().await;
    client.ask("RETR f", "150 ").await;
    let data = client.accept(listener).await;
    assert_eq!(read_to_end(data).await.unwrap(), b"abc");
    client.expect_exactly("226 ok").await;

    client.ask("QUIT", "221 ").await;
    client.expect_end().await;
}

#[tokio::test]
async fn the_scripted_server_keeps_lines_exactly_and_answers_as_told() {
    let gate = Gate::new();
    let server = ScriptedServer::new()
        .greeting("220-hello\n220 there\r\n")
        .on("PASV", answer().listen().send("227 ={hostport}\n"))
        .on("PASV", "502 once was enough\r\n")
        .on("STAT", answer().wait(&gate).send_bytewise("211 now\r\n"))
        .on("ABOR", answer().reset())
        .start()
        .await;
    let mut client = ScriptedClient::connect(server.address()).await;
    assert_eq!(client.raw_line().await, b"220-hello\n");
    client.expect_exactly("220 there").await;

    client.send_raw(b"pasv \n").await;
    let line = client.raw_line().await;
    assert!(line.starts_with(b"227 =127,0,0,1,"), "{line:?}");
    assert!(line.ends_with(b"\n") && !line.ends_with(b"\r\n"));
    client.ask("PASV", "502 ").await;
    client.ask("PASV", "502 ").await;

    // Held back by the gate, while the server still reads what comes.
    client.send_raw("STAT\r\nNO").await;
    client.send_raw("OP\r\n").await;
    assert_eq!(server.received("NOOP").await, "NOOP");
    client.nothing_came();
    gate.open();
    client.expect_exactly("211 now").await;
    client.expect("200 ").await;

    server.say("421 enough\r\n").await;
    client.expect_exactly("421 enough").await;
    client.send("ABOR").await;
    client.expect_reset().await;
    server.control_ended().await;
    let wanted: [&[u8]; 6] = [
        b"pasv \n",
        b"PASV\r\n",
        b"PASV\r\n",
        b"STAT\r\n",
        b"NOOP\r\n",
        b"ABOR\r\n",
    ];
    assert_eq!(server.lines(), wanted);
    assert_eq!(server.commands("PASV"), ["pasv ", "PASV", "PASV"]);
}
