//! Stopping: idle clients are told, clients in a transfer may finish, and those that take too long are cut.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ferryline::proxy::Direction;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::common::{
    Ferry, Gate, Log, PATIENCE, ScriptedClient, ScriptedServer, answer, begins_file, nobody, noise,
    read_to_end, stores_file, upload,
};

#[tokio::test]
async fn an_idle_client_is_told_and_the_ports_are_free_again() {
    let server = ScriptedServer::new().start().await;
    let mut ferry = Ferry::to(server.address()).await;
    let mut idle = ScriptedClient::logged_in(ferry.v4).await;
    let mut new = ScriptedClient::connect(ferry.v6).await;
    new.expect("220 ").await;
    // Data ports that are open and will not be used.
    let passive = idle.passive().await;
    let listener = new.extended_active().await;

    ferry.begin_stop();
    for client in [&mut idle, &mut new] {
        let line = client.expect("421 ferryline: ").await;
        assert!(line.contains("shut down"), "{line}");
        client.expect_end().await;
    }
    drop((idle, new));
    ferry.stopped().await;
    server.control_ended().await;
    ferry.at_rest().await;
    assert!(read_to_end(passive).await.is_err());
    drop(listener);
    for address in [ferry.v4, ferry.v6] {
        refused(address).await;
    }
}

#[tokio::test]
async fn a_client_that_does_not_hang_up_holds_nothing_up_for_long() {
    let server = ScriptedServer::new().start().await;
    let mut ferry = Ferry::to(server.address()).await;
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    let began = Instant::now();
    ferry.begin_stop();
    client.expect("421 ferryline: ").await;
    ferry.stopped().await;
    // The grace of ten seconds is for transfers, and there is none.
    assert!(began.elapsed() < Duration::from_secs(9));
    client.expect_end().await;
}

#[tokio::test]
async fn a_running_download_may_finish() {
    let go_on = Gate::new();
    let file = noise(3_000_000);
    let server = ScriptedServer::new()
        .on(
            "RETR",
            begins_file("the beginning")
                .wait(&go_on)
                .data(&file)
                .send("226 done\r\n"),
        )
        .start()
        .await;
    let mut ferry = Ferry::to(server.address()).await;
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    let mut data = client.passive().await;
    client.ask("RETR f", "150 ").await;
    let mut beginning = [0; 13];
    data.read_exact(&mut beginning).await.unwrap();

    let log = Log::warnings();
    ferry.begin_stop();
    log.says("stopping: waits for demo RETR f, ").await;
    refused_soon(ferry.v4).await;
    client.nothing_came();
    go_on.open();
    assert!(read_to_end(data).await.unwrap() == file);
    client.expect_exactly("226 done").await;
    client.expect("421 ferryline: ").await;
    client.expect_end().await;
    drop(client);
    ferry.stopped().await;
    ferry.at_rest().await;
}

#[tokio::test]
async fn a_running_upload_may_finish() {
    let server = ScriptedServer::new()
        .on("STOR", stores_file())
        .start()
        .await;
    let mut ferry = Ferry::to(server.address()).await;
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    let listener = client.active().await;
    client.ask("STOR f", "150 ").await;
    let mut data = client.accept(listener).await;
    let file = noise(3_000_000);
    data.write_all(&file[..1000]).await.unwrap();

    ferry.begin_stop();
    refused_soon(ferry.v4).await;
    upload(data, &file[1000..]).await.unwrap();
    assert!(server.upload().await.unwrap() == file);
    client.expect_exactly("226 done").await;
    client.expect("421 ferryline: ").await;
    client.expect_end().await;
    drop(client);
    ferry.stopped().await;
    ferry.at_rest().await;
}

#[tokio::test]
async fn what_takes_longer_than_the_grace_is_cut() {
    let never = Gate::new();
    let server = ScriptedServer::new()
        .on("RETR", begins_file("the beginning").wait(&never))
        .start()
        .await;
    let mut ferry = Ferry::plan(server.address())
        .options(|options| options.grace = Duration::from_millis(200))
        .start()
        .await;
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    let mut data = client.passive().await;
    client.ask("RETR f", "150 ").await;
    let mut beginning = [0; 13];
    data.read_exact(&mut beginning).await.unwrap();

    ferry.begin_stop();
    let error = read_to_end(data).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    client.expect("421 ferryline: ").await;
    client.expect_end().await;
    drop(client);
    ferry.stopped().await;
    ferry.at_rest().await;
}

#[tokio::test]
async fn a_client_that_still_waits_for_its_server_is_told() {
    let never = Gate::new();
    let server = ScriptedServer::new()
        .greeting(answer().wait(&never).send("220 late\r\n"))
        .start()
        .await;
    let mut ferry = Ferry::to(server.address()).await;
    let mut client = ScriptedClient::connect(ferry.v4).await;
    server.client_came().await;
    ferry.begin_stop();
    client.expect("421 ferryline: ").await;
    client.expect_end().await;
    drop(client);
    ferry.stopped().await;
}

#[tokio::test]
async fn a_client_whose_ssh_server_does_not_answer_is_told() {
    let (_nobody, address) = nobody();
    let mut ferry = Ferry::to(address).await;
    ferry
        .ssh_server
        .update(|faults| faults.delay = Duration::from_secs(3600));
    let mut client = ScriptedClient::connect(ferry.v4).await;
    // It has been accepted when a later client has been, too.
    let mut later = ScriptedClient::connect(ferry.v4).await;
    ferry.begin_stop();
    for client in [&mut client, &mut later] {
        let rest = client.rest().await;
        // A client that had not been accepted yet is refused like a new one.
        let told = rest.is_err()
            || rest.is_ok_and(|rest| rest.is_empty() || rest.starts_with(b"421 ferryline: "));
        assert!(told);
    }
    drop((client, later));
    ferry.stopped().await;
}

#[tokio::test]
async fn a_plain_forward_ends_too() {
    let server = ScriptedServer::new().start().await;
    let mut ferry = Ferry::plan(server.address())
        .plain()
        .options(|options| options.grace = Duration::from_millis(200))
        .start()
        .await;
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    ferry.begin_stop();
    client.expect_reset().await;
    ferry.stopped().await;
    refused(ferry.v4).await;
    assert!(ferry.lines.all(Direction::FromClient, "").is_empty());
}

async fn refused(address: SocketAddr) {
    let error = TcpStream::connect(address).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

/// As [`refused`], where the listener may take a moment to close.
async fn refused_soon(address: SocketAddr) {
    let refused = tokio::time::timeout(PATIENCE, async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    refused.await.expect("new clients are still let in");
}
