//! `--passive-ahead`: which lines the FTP server gets, in which order, and what the client sees of it.

// Helpers are outside #[test], where clippy's exemption for tests does not reach.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
#![cfg(feature = "demo")]

mod common;

use std::fs;

use ferryline::{
    proxy::Direction,
    transcript::{parse, replay},
};
use tokio::net::TcpStream;

use common::{
    Ferry, Gate, Script, ScriptedClient, ScriptedServer, answer, extended_port, read_to_end, upload,
};

/// A server that sends `the file` on RETR and takes one on STOR.
fn script() -> Script {
    ScriptedServer::new()
        .on(
            "RETR",
            answer()
                .send("150 here\r\n")
                .data("the file")
                .send("226 done\r\n"),
        )
        .on(
            "STOR",
            answer()
                .send("150 here\r\n")
                .receive_data()
                .send("226 done\r\n"),
        )
}

async fn ferry(server: &ScriptedServer) -> Ferry {
    Ferry::plan(server.address())
        .options(|options| options.passive_ahead = true)
        .start()
        .await
}

async fn fetch(client: &mut ScriptedClient, data: TcpStream) {
    client.ask("RETR f", "150 ").await;
    assert_eq!(read_to_end(data).await.unwrap(), b"the file");
    client.expect_exactly("226 done").await;
}

/// What the server was sent behind the log-in.
fn commands(server: &ScriptedServer) -> Vec<String> {
    let all = server.commands("");
    let log_in = all
        .iter()
        .position(|line| line.starts_with("PASS"))
        .unwrap();
    all[log_in + 1..].to_vec()
}

#[tokio::test]
async fn the_server_is_asked_behind_each_transfer_and_not_again_by_the_client() {
    let server = script().start().await;
    let ferry = ferry(&server).await;
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    let data = client.extended_passive().await;
    fetch(&mut client, data).await;
    // Answered behind the request that was sent ahead, so that one has been answered, too.
    client.ask("TYPE I", "200 ").await;
    let data = client.extended_passive().await;
    fetch(&mut client, data).await;
    client.ask("NOOP", "200 ").await;
    let data = client.passive().await;
    client.ask("STOR f", "150 ").await;
    upload(data, b"one more").await.unwrap();
    client.expect_exactly("226 done").await;
    assert_eq!(server.upload().await.unwrap(), b"one more");
    client.ask("QUIT", "221 ").await;
    client.expect_end().await;
    let expected = [
        "EPSV", "RETR f", "EPSV", "TYPE I", "RETR f", "EPSV", "NOOP", "STOR f", "EPSV", "QUIT",
    ];
    assert_eq!(commands(&server), expected);
    ferry.at_rest().await;
    ferry.stop().await;
}

#[tokio::test]
async fn a_request_that_is_under_way_is_the_clients() {
    let slow = Gate::new();
    let listen = || answer().listen();
    let server = script()
        .on("EPSV", listen().send("229 (|||{port}|)\r\n"))
        .on("EPSV", listen().wait(&slow).send("229 (|||{port}|)\r\n"))
        .start()
        .await;
    let ferry = ferry(&server).await;
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    let data = client.extended_passive().await;
    fetch(&mut client, data).await;
    client.send("EPSV").await;
    client.send("TYPE I").await;
    server.received("TYPE I").await;
    client.nothing_came();
    slow.open();
    let line = client.expect("229 ").await;
    client.expect("200 ").await;
    let port = extended_port(&line).unwrap();
    let data = client.connect_data((ferry.v4.ip(), port).into()).await;
    fetch(&mut client, data).await;
    assert_eq!(
        commands(&server)[..5],
        ["EPSV", "RETR f", "EPSV", "TYPE I", "RETR f"]
    );
}

#[tokio::test]
async fn a_refusal_shows_nowhere_and_is_the_last() {
    let listen = || answer().listen().send("229 (|||{port}|)\r\n");
    let server = script()
        .on("EPSV", listen())
        .on("EPSV", "450 not now\r\n")
        .on("EPSV", listen())
        .start()
        .await;
    let ferry = ferry(&server).await;
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    let data = client.extended_passive().await;
    fetch(&mut client, data).await;
    client.ask("NOOP", "200 ").await;
    for _ in 0..2 {
        let data = client.extended_passive().await;
        fetch(&mut client, data).await;
    }
    client.ask("QUIT", "221 ").await;
    client.expect_end().await;
    let expected = [
        "EPSV", "RETR f", "EPSV", "NOOP", "EPSV", "RETR f", "EPSV", "RETR f", "QUIT",
    ];
    assert_eq!(commands(&server), expected);
}

/// pyftpdlib's, half a minute after a passive port that nobody came to.
#[tokio::test]
async fn a_421_about_the_port_alone_is_no_farewell() {
    let server = script().start().await;
    let ferry = ferry(&server).await;
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    let data = client.extended_passive().await;
    fetch(&mut client, data).await;
    client.ask("TYPE I", "200 ").await;
    server.say("421 Passive data channel timed out.\r\n").await;
    ferry.lines.seen(Direction::FromServer, "421").await;
    client.nothing_came();
    client.ask("NOOP", "200 ").await;
    let data = client.extended_passive().await;
    fetch(&mut client, data).await;
    client.ask("QUIT", "221 ").await;
    client.expect_end().await;
}

/// A session that the server ends while the port stands: its word comes through.
#[tokio::test]
async fn a_421_before_the_end_is() {
    let server = script().on("NOOP", answer().close()).start().await;
    let ferry = ferry(&server).await;
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    let data = client.extended_passive().await;
    fetch(&mut client, data).await;
    client.ask("TYPE I", "200 ").await;
    server.say("421 Timeout.\r\n").await;
    ferry.lines.seen(Direction::FromServer, "421").await;
    client.nothing_came();
    client.ask("NOOP", "421 Timeout.").await;
    client.expect_end().await;
}

#[tokio::test]
async fn where_the_port_does_not_answer_the_client_gets_425() {
    let listen = || answer().listen().send("229 (|||{port}|)\r\n");
    let (_socket, nobody) = common::nobody();
    let dead = format!("229 (|||{}|)\r\n", nobody.port());
    let server = script()
        .on("EPSV", listen())
        .on("EPSV", dead.as_str())
        .on("EPSV", listen())
        .start()
        .await;
    let ferry = ferry(&server).await;
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    let data = client.extended_passive().await;
    fetch(&mut client, data).await;
    client.ask("NOOP", "200 ").await;
    let data = client.extended_passive().await;
    read_to_end(data).await.unwrap_err();
    client.ask("RETR f", "425 ").await;
    for _ in 0..2 {
        let data = client.extended_passive().await;
        fetch(&mut client, data).await;
    }
    client.ask("QUIT", "221 ").await;
    client.expect_end().await;
    let passive = server.commands("EPSV").len();
    assert_eq!(passive, 4, "nothing was asked ahead behind the failure");
}

#[tokio::test]
async fn such_a_session_is_recorded_and_replays_without_a_difference() {
    let records = tempfile::tempdir().unwrap();
    let server = script().start().await;
    let folder = records.path().to_owned();
    let ferry = Ferry::plan(server.address())
        .options(|options| {
            options.passive_ahead = true;
            options.record = Some(folder);
        })
        .start()
        .await;
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    for command in ["TYPE I", "NOOP", "PWD"] {
        let data = client.extended_passive().await;
        fetch(&mut client, data).await;
        client.send(command).await;
        client.line().await;
    }
    client.ask("QUIT", "221 ").await;
    client.expect_end().await;
    ferry.stop().await;
    let file = fs::read_dir(records.path()).unwrap().next().unwrap();
    let text = fs::read_to_string(file.unwrap().path()).unwrap();
    assert!(text.contains(" passive-ahead "), "{text}");
    let replayed = replay(&parse(&text).unwrap());
    assert!(replayed.differences.is_empty(), "{text}");
}
