//! The remote forward that a session keeps ready for its next active transfer: which transfer gets it, and
//! when it is dropped.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::common::{
    Ferry, PATIENCE, ScriptedClient, ScriptedServer, host_port, read_to_end, sends_file,
};

/// Longer than any test, so nothing is dropped because of its age.
const FOREVER: Duration = Duration::from_secs(3600);

/// The SSH server answers no further request, and yet the PORT line goes to the FTP server, and its transfer
/// is whole. This is what the forward is kept ready for.
#[tokio::test]
async fn the_second_port_waits_for_no_answer_of_the_ssh_server() {
    let (server, ferry) = world(FOREVER).await;
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    transfer(&ferry, &mut client).await;
    ferry.at_rest_but_for(1, 1).await;
    assert_eq!(ferry.ssh_server.forwards_asked(), 2);
    ferry.ssh_server.update(|faults| faults.hold_forward = true);

    let listener = client.active().await;
    assert_eq!(ferry.ssh_server.forwards_asked(), 2);
    let ports = ports(&server);
    assert_eq!(ports.len(), 2);
    assert_ne!(ports[0], ports[1], "a port is never used again");
    client.ask("RETR f", "150 ").await;
    let data = client.accept(listener).await;
    assert_eq!(read_to_end(data).await.unwrap(), b"the file");
    client.expect("226 ").await;
    ferry
        .ssh_server
        .update(|faults| faults.hold_forward = false);
    drop(client);
    ferry.at_rest().await;
}

#[tokio::test]
async fn each_transfer_asks_ahead_for_the_next_and_for_no_more() {
    let (server, ferry) = world(FOREVER).await;
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    for round in 1..=5 {
        transfer(&ferry, &mut client).await;
        ferry.at_rest_but_for(1, 1).await;
        assert_eq!(ferry.ssh_server.forwards_asked(), round + 1);
    }
    let mut ports = ports(&server);
    ports.sort();
    ports.dedup();
    assert_eq!(ports.len(), 5);
    drop(client);
    ferry.at_rest().await;
}

#[tokio::test]
async fn another_session_gets_a_forward_of_its_own() {
    let (server, ferry) = world(FOREVER).await;
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    transfer(&ferry, &mut client).await;
    ferry.at_rest_but_for(1, 1).await;
    // With a lane besides the one that has the prefetched forward.
    lanes(&ferry, 2).await;

    let mut other = ScriptedClient::logged_in(ferry.v4).await;
    let _listener = other.active().await;
    assert_eq!(ferry.ssh_server.forwards_asked(), 3);
    // The first one still has its own.
    let listener = client.active().await;
    assert_eq!(ferry.ssh_server.forwards_asked(), 3);
    let ports = ports(&server);
    assert_ne!(ports[1], ports[2]);
    fetch(&mut client, listener).await;
    drop((client, other));
    ferry.at_rest().await;
}

/// All lanes are taken by others. The lane with the prefetched forward counts as idle, like any other.
#[tokio::test]
async fn a_transfer_that_needs_the_lane_has_it_at_once() {
    let (_server, ferry) = world_with(FOREVER, 2).await;
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    transfer(&ferry, &mut client).await;
    ferry.at_rest_but_for(1, 1).await;
    let first = ferry.session.lane().await.unwrap();
    assert_eq!(ferry.session.stats().remote_forwards, 1);
    let second = ferry.session.lane().await.unwrap();
    // Each has a lane of its own, without having waited for a share.
    assert_eq!(ferry.session.stats().lanes_busy, 2);
    assert_eq!(ferry.ssh_server.logins(), 3);
    until("the spare is gone", || {
        ferry.session.stats().remote_forwards == 0 && ferry.ssh_server.remote_forwards() == 0
    })
    .await;
    drop((first, second));
    // The next transfer works as ever.
    transfer(&ferry, &mut client).await;
    drop(client);
    ferry.at_rest().await;
}

#[tokio::test]
async fn unused_it_goes_after_its_time() {
    let (_server, ferry) = world(Duration::from_millis(50)).await;
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    transfer(&ferry, &mut client).await;
    until("it was asked for", || {
        ferry.ssh_server.forwards_asked() == 2
    })
    .await;
    ferry.at_rest_but_for_control(1).await;
    // A new one is asked for after that.
    transfer(&ferry, &mut client).await;
    until("again", || ferry.ssh_server.forwards_asked() == 4).await;
    ferry.at_rest_but_for_control(1).await;
}

/// No peer has been told the port. A program that finds it is refused, and the port is used no more.
#[tokio::test]
async fn a_stranger_is_refused_and_the_next_transfer_is_whole() {
    let (server, ferry) = world(FOREVER).await;
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    transfer(&ferry, &mut client).await;
    ferry.at_rest_but_for(1, 1).await;
    let spare = ferry.ssh_server.listening()[0];
    assert!(!ports(&server).contains(&spare));
    let mut stranger = TcpStream::connect(spare).await.unwrap();
    let mut got = Vec::new();
    let read = timeout(PATIENCE, stranger.read_to_end(&mut got)).await;
    assert!(read.is_ok() && got.is_empty(), "{read:?}");
    ferry.at_rest_but_for_control(1).await;

    let listener = client.active().await;
    assert!(!ports(&server).contains(&spare));
    fetch(&mut client, listener).await;
    drop(client);
    ferry.at_rest().await;
}

#[tokio::test]
async fn it_goes_with_its_session() {
    let (_server, ferry) = world(FOREVER).await;
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    transfer(&ferry, &mut client).await;
    ferry.at_rest_but_for(1, 1).await;
    client.ask("QUIT", "221 ").await;
    // The client does not hang up, and the session is over all the same.
    ferry.at_rest().await;
}

#[tokio::test]
async fn one_that_is_refused_is_not_asked_for_again() {
    let (_server, ferry) = world(FOREVER).await;
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    let listener = client.active().await;
    lanes(&ferry, 2).await;
    ferry
        .ssh_server
        .update(|faults| faults.refuse_forward = true);
    fetch(&mut client, listener).await;
    ferry.at_rest_but_for_control(1).await;
    assert_eq!(ferry.ssh_server.forwards_asked(), 2);
    ferry
        .ssh_server
        .update(|faults| faults.refuse_forward = false);
    for round in 1..=3 {
        transfer(&ferry, &mut client).await;
        ferry.at_rest_but_for_control(1).await;
        assert_eq!(ferry.ssh_server.forwards_asked(), 2 + round);
    }
}

/// The lane is lost together with the prefetched forward. The PORT gets a new one.
#[tokio::test]
async fn a_dead_one_is_never_handed_out() {
    let (_server, ferry) = world(FOREVER).await;
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    transfer(&ferry, &mut client).await;
    ferry.at_rest_but_for(1, 1).await;
    ferry.ssh_server.kill();
    until("it is gone", || ferry.session.stats().remote_forwards == 0).await;
    ferry.at_rest().await;
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    transfer(&ferry, &mut client).await;
    drop(client);
    ferry.at_rest().await;
}

#[tokio::test]
async fn there_is_none_on_a_shared_control_connection() {
    let (_server, ferry) = world_with(FOREVER, 0).await;
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    for round in 1..=3 {
        let listener = client.active().await;
        fetch(&mut client, listener).await;
        ferry.at_rest_but_for_control(1).await;
        assert_eq!(ferry.ssh_server.forwards_asked(), round);
    }
}

async fn world(time: Duration) -> (ScriptedServer, Ferry) {
    world_with(time, 4).await
}

async fn world_with(time: Duration, lanes: usize) -> (ScriptedServer, Ferry) {
    let file = sends_file("the file");
    let server = ScriptedServer::new().on("RETR", file).start().await;
    let ferry = Ferry::plan(server.address())
        .options(|options| options.ready_time = time)
        .lanes(lanes)
        .start()
        .await;
    (server, ferry)
}

/// One active download, with an idle lane besides its own when the data connection comes.
async fn transfer(ferry: &Ferry, client: &mut ScriptedClient) {
    let listener = client.active().await;
    lanes(ferry, 2).await;
    fetch(client, listener).await;
}

async fn fetch(client: &mut ScriptedClient, listener: tokio::net::TcpListener) {
    client.ask("RETR f", "150 ").await;
    let data = client.accept(listener).await;
    assert_eq!(read_to_end(data).await.unwrap(), b"the file");
    client.expect("226 ").await;
}

async fn lanes(ferry: &Ferry, count: usize) {
    until("the lanes are there", || {
        ferry.session.stats().lanes_open >= count
    })
    .await;
}

/// The ports that were sent to the FTP server.
fn ports(server: &ScriptedServer) -> Vec<SocketAddr> {
    let lines = server.commands("PORT");
    lines.iter().map(|line| host_port(line).unwrap()).collect()
}

/// Waits in a loop, because counters send no event when they change.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waited = timeout(PATIENCE, async {
        while !is_so() {
            sleep(Duration::from_millis(2)).await;
        }
    });
    assert!(waited.await.is_ok(), "not so: {what}");
}
