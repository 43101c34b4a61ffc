//! Lanes that grow with demand, and how transfers share where there may be no more.

use bytes::Bytes;
use ferryline::ssh::{Error, Received};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::common::noise;
use crate::ssh::support::{
    World, all_quiet, echo_server, endless, on_a_lane, originator, ping, read_to_eof, serve,
    source, stalled, until, within,
};

const KIB: usize = 1024;

#[tokio::test]
async fn lanes_grow_to_what_is_needed_at_once() {
    let mut world = World::new().await;
    world.settings.lanes = 40;
    let session = world.connect().await;
    let mut held = Vec::new();
    for _ in 0..20 {
        held.push(within("a lane", session.lane()).await.unwrap());
    }
    assert!(held.iter().all(|lane| !lane.is_shared_control()));
    assert_eq!(session.stats().lanes_busy, 20);
    until("and one more is ready", || session.stats().lanes_open == 21).await;
    drop(held);
    all_quiet(&session, &world.server).await;
}

/// Otherwise a client that is slow to close its data connection would keep a lane.
#[tokio::test]
async fn a_lane_is_free_again_at_the_end_of_the_file() {
    let mut world = World::new().await;
    world.settings.lanes = 1;
    let session = world.connect().await;
    let file = source(4 * KIB).await;
    let mut ended = Vec::new();
    for _ in 0..20 {
        let (lane, mut channel) = on_a_lane(&session, file).await;
        drop(lane);
        assert_eq!(session.stats().lanes_busy, 1);
        assert!(read_to_eof(&mut channel.reader).await == noise(4 * KIB));
        // Its client has not closed it.
        assert_eq!(session.stats().lanes_busy, 0);
        ended.push(channel);
    }
    drop(ended);
    all_quiet(&session, &world.server).await;
}

/// Some servers end their own direction before they have taken anything.
#[tokio::test]
async fn an_upload_whose_far_side_ends_first_keeps_its_lane() {
    let mut world = World::new().await;
    world.settings.lanes = 1;
    let session = world.connect().await;
    let sink = serve(|mut tcp| async move {
        tcp.shutdown().await.unwrap();
        let _ = tokio::io::copy(&mut tcp, &mut tokio::io::sink()).await;
    })
    .await;
    let (lane, mut channel) = on_a_lane(&session, sink).await;
    drop(lane);
    assert_eq!(channel.reader.read().await, Received::Eof);
    channel
        .writer
        .write(Bytes::from_static(b"a line"))
        .await
        .unwrap();
    assert_eq!(session.stats().lanes_busy, 1);
    drop(channel);
    all_quiet(&session, &world.server).await;
}

/// The same in active mode, where the remote forward may live longer than its transfer.
#[tokio::test]
async fn the_lane_of_a_remote_forward_is_free_again_at_the_end_of_the_file() {
    let mut world = World::new().await;
    world.settings.lanes = 1;
    let session = world.connect().await;
    let lane = within("the lane", session.lane()).await.unwrap();
    let asked = lane.remote_forward("127.0.0.1".parse().unwrap()).await;
    let mut forward = asked.unwrap();
    drop(lane);
    assert_eq!(session.stats().lanes_busy, 1);
    let mut server = TcpStream::connect(forward.address()).await.unwrap();
    server.write_all(b"all of it").await.unwrap();
    server.shutdown().await.unwrap();
    let incoming = within("the connection", forward.next()).await.unwrap();
    let mut channel = incoming.accept();
    assert_eq!(read_to_eof(&mut channel.reader).await, b"all of it");
    assert_eq!(session.stats().lanes_busy, 0);
    drop((channel, forward, server));
    all_quiet(&session, &world.server).await;
}

#[tokio::test]
async fn who_came_first_gets_the_lane_that_comes_free() {
    let mut world = World::new().await;
    world.settings.lanes = 1;
    let session = world.connect().await;
    let (served, mut order) = tokio::sync::mpsc::unbounded_channel();
    let first = session.lane().await.unwrap();
    for number in 0..10 {
        let (session, served) = (session.clone(), served.clone());
        tokio::spawn(async move {
            let lane = session.lane().await.unwrap();
            served.send(number).unwrap();
            drop(lane);
        });
        // It is in the queue before the next transfer comes.
        tokio::task::yield_now().await;
    }
    drop(first);
    for number in 0..10 {
        assert_eq!(within("a lane", order.recv()).await, Some(number));
    }
}

#[tokio::test]
async fn where_there_may_be_no_more_lanes_transfers_share_with_those_that_keep_up() {
    let mut world = World::new().await;
    world.settings.lanes = 3;
    let session = world.connect().await;
    let (endless, echo) = (endless().await, echo_server().await);
    let slow = [
        stalled(&session, endless).await,
        stalled(&session, endless).await,
    ];
    // It is like an upload: nothing comes on it.
    let (lane, mut quick) = on_a_lane(&session, echo).await;
    assert_eq!(quick.reader.read_now().await, None);
    for _ in 0..5 {
        let shared = within("a share", session.lane()).await.unwrap();
        assert!(!shared.is_shared_control());
        // On a lane with a slow client this would never return.
        let opening = shared.open("127.0.0.1", echo.port(), originator());
        let mut channel = within("a channel", opening).await.unwrap();
        within("its echo", ping(&mut channel)).await;
    }
    assert_eq!(session.stats().lanes_open, 3);
    drop((slow, lane, quick));
    all_quiet(&session, &world.server).await;
}

#[tokio::test]
async fn where_all_lanes_have_slow_clients_a_transfer_fails_and_says_so() {
    let mut world = World::new().await;
    world.settings.lanes = 2;
    let session = world.connect().await;
    let (endless, echo) = (endless().await, echo_server().await);
    let slow = [
        stalled(&session, endless).await,
        stalled(&session, endless).await,
    ];
    let refused = within("the refusal", session.lane()).await.unwrap_err();
    assert!(
        matches!(refused, Error::HeldUp { lanes: 2, .. }),
        "{refused}"
    );
    // When the first of them is gone the next one is served, and waits for nothing else.
    let waiting = tokio::spawn({
        let session = session.clone();
        async move { session.lane().await }
    });
    tokio::task::yield_now().await;
    drop(slow);
    let lane = within("a lane", waiting).await.unwrap().unwrap();
    let opened = lane.open("127.0.0.1", echo.port(), originator()).await;
    ping(&mut opened.unwrap()).await;
}
