//! Many clients at once, among them one that has stopped reading: every byte arrives, and no client waits for
//! another.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use ferryline::demo::ftp_client::Mode;
use ferryline::demo::ftp_server::FtpServer;
use ferryline::proxy::Direction;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::common::{
    Ferry, PATIENCE, ScriptedClient, ScriptedServer, begins_file, logged_in, noise, read_to_end,
    reset,
};

const CLIENTS: usize = 50;
const SIZE: usize = 5 * 1024 * 1024;
/// More than all buffers hold between the FTP server and a client that does not read.
const STALLED_SIZE: usize = 64 * 1024 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_clients_and_one_that_has_stopped_reading() {
    load(CLIENTS + 2).await;
}

/// With fewer SSH connections than transfers some must share, but none shares with the one that stalls.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_clients_share_a_few_lanes_but_not_that_of_one_that_has_stopped_reading() {
    load(8).await;
}

/// Where all is one SSH connection every client waits for one that does not read on. Once that one has gone,
/// none waits: its control connection, which ends first, could not end otherwise.
#[tokio::test]
async fn a_client_that_has_gone_from_a_stalled_download_stalls_nobody() {
    let script = begins_file(noise(STALLED_SIZE));
    let server = ScriptedServer::new().on("RETR", script).start().await;
    let ferry = Ferry::plan(server.address()).lanes(0).start().await;
    let mut other = ScriptedClient::logged_in(ferry.v4).await;
    let mut goes = ScriptedClient::logged_in(ferry.v4).await;
    let _unread = goes.passive().await;
    goes.ask("RETR f", "150 ").await;
    // Until the connection stalls.
    loop {
        other.send("NOOP").await;
        if timeout(Duration::from_secs(1), other.expect("200 "))
            .await
            .is_err()
        {
            break;
        }
    }
    reset(goes.into_socket());
    // In a fraction of the time that is allowed for the end of a control connection.
    other.expect("200 ").await;
    ferry.at_rest_but_for_control(1).await;
}

async fn load(lanes: usize) {
    let folder = tempfile::tempdir().unwrap();
    let stalled_file = noise(STALLED_SIZE);
    let file = Arc::new(noise(SIZE));
    fs::write(folder.path().join("large"), &stalled_file).unwrap();
    fs::write(folder.path().join("file"), file.as_slice()).unwrap();
    let server = FtpServer::start(folder.path()).unwrap();
    let ferry = Ferry::plan(server.address()).lanes(lanes).start().await;

    // The client that stops reading comes first, and reads on only after the others have gone.
    let mut stalled = logged_in(ferry.v4).await;
    let mut stalled_data = stalled.begin(Mode::Passive, "RETR large").await.unwrap();
    let mut beginning = vec![0; 1000];
    stalled_data.read_exact(&mut beginning).await.unwrap();

    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        let (file, address) = (Arc::clone(&file), ferry.v4);
        clients.spawn(async move {
            let mut client = logged_in(address).await;
            let mode = Mode::ALL[number % Mode::ALL.len()];
            let name = format!("of-client-{number}");
            client.store(mode, &name, &file).await.unwrap();
            let fetched = client.retrieve(mode, "file").await.unwrap();
            assert!(
                fetched == *file,
                "client {number}, {mode}: what came differs"
            );
            client.quit().await.unwrap();
            name
        });
    }
    let mut done = 0;
    while let Some(name) = clients.join_next().await {
        let name = folder.path().join(name.unwrap());
        assert!(fs::read(&name).unwrap() == *file, "{}", name.display());
        fs::remove_file(name).unwrap();
        done += 1;
    }
    assert_eq!(done, CLIENTS);
    // All this time the other download was really stalled: its server has more to send.
    let finished = ferry.lines.all(Direction::FromServer, "226").len();
    assert_eq!(finished, 2 * CLIENTS);

    let rest = read_to_end(stalled_data).await.unwrap();
    assert!([beginning, rest].concat() == stalled_file);
    stalled.finish("RETR large").await.unwrap();
    stalled.quit().await.unwrap();
    ferry.at_rest().await;
    ferry.stop().await;
    server.shutdown().await;
}

/// All come before any of them reads, and some have sent something already.
#[tokio::test]
async fn q129_of_many_clients_at_once_each_reads_why_it_is_refused() {
    const MANY: usize = 150;
    let server = ScriptedServer::new().start().await;
    let ferry = Ferry::plan(server.address())
        .options(|options| options.max_sessions = 1)
        .start()
        .await;
    let _served = ScriptedClient::logged_in(ferry.v4).await;
    let mut clients = Vec::new();
    for number in 0..MANY {
        let mut client = TcpStream::connect(ferry.v4).await.unwrap();
        if number % 3 == 0 {
            client.write_all(b"USER a\r\n").await.unwrap();
        }
        clients.push(client);
    }
    for (number, mut client) in clients.into_iter().enumerate() {
        let mut said = String::new();
        let read = timeout(PATIENCE, client.read_to_string(&mut said)).await;
        read.unwrap()
            .unwrap_or_else(|error| panic!("client {number}: {error}"));
        assert!(
            said.starts_with("421 ferryline: too many clients, "),
            "{said}"
        );
    }
}

/// Clients that are not waited for are told as well.
#[tokio::test]
async fn q129_who_is_refused_and_not_waited_for_reads_why_too() {
    const MANY: usize = 60;
    let server = ScriptedServer::new().start().await;
    let ferry = Ferry::plan(server.address())
        .options(|options| {
            options.max_sessions = 1;
            options.refusals = 2;
        })
        .start()
        .await;
    let _served = ScriptedClient::logged_in(ferry.v4).await;
    let mut clients = Vec::new();
    for _ in 0..MANY {
        clients.push(TcpStream::connect(ferry.v4).await.unwrap());
    }
    for client in &mut clients {
        let mut said = String::new();
        let read = timeout(PATIENCE, client.read_to_string(&mut said)).await;
        read.unwrap().unwrap();
        assert!(
            said.starts_with("421 ferryline: too many clients, "),
            "{said}"
        );
    }
}
