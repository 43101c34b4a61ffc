//! The pool of data lanes and the control connection, against the embedded server.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use ferryline::demo::ssh_server::{Options, SshServer};
use ferryline::ssh::{Error, LostReason, OpenError, Received, StrictHostKeyChecking};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::common::{Log, noise};
use crate::ssh::support::{
    Script, World, all_quiet, echo_server, endless, on_a_lane, originator, ping, read_to_eof,
    serve, source, stalled, until, within,
};

const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn a_lane_is_ready_before_it_is_asked_for() {
    let world = World::new().await;
    let session = world.connect().await;
    until("one lane is warm", || session.stats().lanes_open == 1).await;
    assert_eq!(session.stats().lanes_busy, 0);
    let lane = session.lane().await.unwrap();
    until("and another one", || session.stats().lanes_open == 2).await;
    assert_eq!(session.stats().lanes_busy, 1);
    drop(lane);
    until("given back", || session.stats().lanes_busy == 0).await;
}

#[tokio::test]
async fn every_transfer_has_a_lane_of_its_own() {
    let mut world = World::new().await;
    world.settings.lanes = 5;
    let session = world.connect().await;
    let file = source(MIB).await;
    let mut transfers = tokio::task::JoinSet::new();
    let all_have = std::sync::Arc::new(tokio::sync::Barrier::new(5));
    for _ in 0..5 {
        let (session, all_have) = (session.clone(), all_have.clone());
        transfers.spawn(async move {
            let lane = session.lane().await.unwrap();
            all_have.wait().await;
            assert_eq!(session.stats().lanes_busy, 5);
            let mut channel = lane
                .open("127.0.0.1", file.port(), originator())
                .await
                .unwrap();
            let got = read_to_eof(&mut channel.reader).await;
            assert!(got == noise(MIB));
        });
    }
    within("all transfers", transfers.join_all()).await;
    assert_eq!(session.stats().lanes_open, 5, "and no more than that");
    all_quiet(&session, &world.server).await;
}

#[tokio::test]
async fn a_stalled_transfer_stalls_nothing_else() {
    let world = World::new().await;
    let session = world.connect().await;
    let endless = endless().await;
    let echo = echo_server().await;
    let file = source(20 * MIB).await;
    let mut control = session
        .open_control("127.0.0.1", echo.port(), originator())
        .await
        .unwrap();
    let (stalled_lane, stalled) = stalled(&session, endless).await;
    // Nothing reads it from here on; its connection fills up to the last buffer.
    let (lane, mut moving) = on_a_lane(&session, file).await;
    let got = read_to_eof(&mut moving.reader).await;
    assert!(got == noise(20 * MIB));
    for _ in 0..10 {
        ping(&mut control).await;
    }
    // It can still be closed.
    drop((stalled, stalled_lane, moving, lane));
    drop(control);
    all_quiet(&session, &world.server).await;
}

#[tokio::test]
async fn with_all_lanes_busy_a_transfer_waits_for_one_and_then_shares() {
    let mut world = World::new().await;
    world.settings.lanes = 1;
    let session = world.connect().await;
    let echo = echo_server().await;
    let first = session.lane().await.unwrap();
    // The lane is freed while a transfer waits, and goes to that transfer.
    let waiting = tokio::spawn({
        let session = session.clone();
        async move { session.lane().await.unwrap() }
    });
    tokio::task::yield_now().await;
    drop(first);
    let second = within("the freed lane", waiting).await.unwrap();
    assert_eq!(session.stats().lanes_busy, 1);
    // The lane is not freed: it is shared after a while.
    let third = within("a shared lane", session.lane()).await.unwrap();
    assert!(!third.is_shared_control());
    assert_eq!(session.stats().lanes_open, 1);
    for lane in [&second, &third] {
        let mut channel = lane
            .open("127.0.0.1", echo.port(), originator())
            .await
            .unwrap();
        ping(&mut channel).await;
    }
    drop((second, third));
    all_quiet(&session, &world.server).await;
}

#[tokio::test]
async fn where_only_one_log_in_is_allowed_all_share_it() {
    let world = World::with(|o| o.faults.max_logins = Some(1)).await;
    let script = Script::new([]);
    let session = world.try_connect(script.clone()).await.unwrap();
    let echo = echo_server().await;
    let lane = within("a lane", session.lane()).await.unwrap();
    assert!(lane.is_shared_control());
    let mut channel = lane
        .open("127.0.0.1", echo.port(), originator())
        .await
        .unwrap();
    ping(&mut channel).await;
    let mut forward = lane
        .remote_forward("127.0.0.1".parse().unwrap())
        .await
        .unwrap();
    let _tcp = TcpStream::connect(forward.address()).await.unwrap();
    assert!(within("the connection", forward.next()).await.is_some());
    let again = within("another lane", session.lane()).await.unwrap();
    assert!(again.is_shared_control());
    assert_eq!(world.server.logins(), 1);
    assert!(script.asked().is_empty());
    drop((channel, forward, lane, again));
    all_quiet(&session, &world.server).await;
}

#[tokio::test]
async fn no_lanes_wanted_means_none() {
    let mut world = World::new().await;
    world.settings.lanes = 0;
    let session = world.connect().await;
    let lane = session.lane().await.unwrap();
    assert!(lane.is_shared_control());
    assert_eq!(world.server.logins(), 1);
}

#[tokio::test]
async fn a_server_that_hangs_up_now_and_then_is_asked_again() {
    let world = World::new().await;
    let session = world.connect().await;
    until("one lane is warm", || session.stats().lanes_open == 1).await;
    world.server.update(|f| f.hang_up = true);
    let _first = session.lane().await.unwrap();
    let waiting = tokio::spawn({
        let session = session.clone();
        async move { session.lane().await.unwrap() }
    });
    // The log-in for it fails before the server works again.
    until("a failure", || world.server.hang_ups() > 0).await;
    world.server.update(|f| f.hang_up = false);
    let lane = within("a lane", waiting).await.unwrap();
    assert!(!lane.is_shared_control());
}

#[tokio::test]
async fn a_lost_connection_comes_back() {
    let log = Log::warnings();
    let world = World::new().await;
    let session = world.connect().await;
    let echo = echo_server().await;
    let mut channel = session
        .open_control("127.0.0.1", echo.port(), originator())
        .await
        .unwrap();
    let lane = session.lane().await.unwrap();
    ping(&mut channel).await;
    world.server.kill();
    let end = within("the end", channel.reader.read()).await;
    assert!(matches!(end, Received::Lost(_)), "{end:?}");
    let error = lane
        .open("127.0.0.1", echo.port(), originator())
        .await
        .unwrap_err();
    assert_eq!(error, OpenError::Lost);
    // New channels wait for it, control and data.
    let mut again = within(
        "a new one",
        session.open_control("127.0.0.1", echo.port(), originator()),
    )
    .await
    .unwrap();
    ping(&mut again).await;
    // At the level at which the loss is told.
    log.says("; connecting again to ").await;
    log.says("connected again to ").await;
    let (lane_again, mut data) = on_a_lane(&session, echo).await;
    ping(&mut data).await;
    drop((channel, lane, again, lane_again, data));
    all_quiet(&session, &world.server).await;
}

#[tokio::test]
async fn while_the_server_is_away_waiting_is_bounded() {
    let world = World::new().await;
    let session = world.connect().await;
    world.server.update(|f| f.hang_up = true);
    world.server.kill();
    until("it is lost", || !session.stats().control_is_up).await;
    let began = std::time::Instant::now();
    let (control, lane) = tokio::join!(
        session.open_control("127.0.0.1", 1, originator()),
        session.lane()
    );
    assert!(began.elapsed() < Duration::from_secs(15));
    assert!(matches!(control, Err(OpenError::Away(_))), "{control:?}");
    assert!(matches!(lane, Err(Error::Lost { .. })), "{lane:?}");
    // And closing does not wait for it.
    within("close", session.close()).await;
}

#[tokio::test]
async fn dropping_the_session_ends_its_connections() {
    let world = World::new().await;
    let session = world.connect().await;
    until("one lane is warm", || session.stats().lanes_open == 1).await;
    assert_eq!(world.server.connections(), 2);
    drop(session);
    until("all gone", || world.server.connections() == 0).await;
}

#[tokio::test]
async fn closing_ends_what_is_under_way() {
    let world = World::new().await;
    let session = world.connect().await;
    let (sent, mut is_sent) = tokio::sync::watch::channel(0);
    let endless = serve(move |mut tcp| {
        let sent = sent.clone();
        async move {
            while tcp.write_all(&[7; 65_536]).await.is_ok() {
                sent.send_modify(|n| *n += 1);
            }
        }
    })
    .await;
    let lane = session.lane().await.unwrap();
    // A channel that is not read, up to the last buffer: it is full when nothing more has gone for a moment.
    let mut stalled = lane
        .open("127.0.0.1", endless.port(), originator())
        .await
        .unwrap();
    let moment = Duration::from_secs(1);
    while tokio::time::timeout(moment, is_sent.changed())
        .await
        .is_ok()
    {}
    // And a channel that waits.
    let echo = echo_server().await;
    let mut channel = session
        .open_control("127.0.0.1", echo.port(), originator())
        .await
        .unwrap();
    ping(&mut channel).await;
    within("close", session.close()).await;
    assert!(matches!(
        within("the end", channel.reader.read()).await,
        Received::Lost(_)
    ));
    assert!(
        channel
            .writer
            .write(Bytes::from_static(b"x"))
            .await
            .is_err()
    );
    until("the server sees it", || world.server.connections() == 0).await;
    // What was received stays lost.
    assert!(matches!(stalled.reader.read().await, Received::Lost(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_clients_at_once() {
    let mut world = World::new().await;
    world.settings.lanes = 8;
    let session = world.connect().await;
    let file = source(MIB).await;
    let mut transfers = tokio::task::JoinSet::new();
    for _ in 0..24 {
        let session = session.clone();
        transfers.spawn(async move {
            let (_lane, mut channel) = on_a_lane(&session, file).await;
            let got = read_to_eof(&mut channel.reader).await;
            assert!(got == noise(MIB));
        });
    }
    within("all transfers", transfers.join_all()).await;
    all_quiet(&session, &world.server).await;
}

/// russh looks for no keepalive replies while one of its writes waits. An upload at full speed would hang until
/// the system's TCP gives up.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_way_that_falls_silent_in_mid_upload_is_a_lost_connection() {
    let mut world = World::new().await;
    let silent = CancellationToken::new();
    let near = relay(world.server.address(), silent.clone()).await;
    world.settings.port = near.port();
    world.settings.strict_host_key_checking = StrictHostKeyChecking::AcceptNew;
    world.settings.lanes = 0;
    world.settings.alive_interval = Some(Duration::from_secs(1));
    world.settings.alive_count_max = 1;
    let session = world.connect().await;
    let sink = serve(|mut socket| async move {
        let _ = tokio::io::copy(&mut socket, &mut tokio::io::sink()).await;
    })
    .await;
    let lane = session.lane().await.unwrap();
    // Together their windows are more than the sockets on the way hold.
    let mut channels = Vec::new();
    for _ in 0..32 {
        let opened = lane.open("127.0.0.1", sink.port(), originator()).await;
        channels.push(opened.unwrap());
    }
    let mut uploads = tokio::task::JoinSet::new();
    for mut channel in channels {
        let silent = silent.clone();
        uploads.spawn(async move {
            let block = Bytes::from(vec![7; MIB]);
            let mut sent = 0;
            loop {
                if let Err(lost) = channel.writer.write(block.clone()).await {
                    return lost;
                }
                sent += 1;
                if sent == 8 {
                    silent.cancel();
                }
            }
        });
    }
    let lost = within("the loss", uploads.join_next())
        .await
        .unwrap()
        .unwrap();
    assert!(matches!(lost, LostReason::Connection(_)), "{lost:?}");
}

/// A relay that carries nothing any more once `silent` is cancelled, and ends nothing either.
#[cfg(target_os = "linux")]
async fn relay(to: SocketAddr, silent: CancellationToken) -> SocketAddr {
    serve(move |mut near| {
        let silent = silent.clone();
        async move {
            let mut far = TcpStream::connect(to).await.unwrap();
            tokio::select! {
                () = silent.cancelled() => std::future::pending().await,
                _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
            }
        }
    })
    .await
}

/// Otherwise the client would log in as fast as the server can hang up.
#[tokio::test]
async fn a_server_that_lets_in_and_hangs_up_is_not_knocked_at_all_the_time() {
    let mut world = World::new().await;
    world.settings.lanes = 0;
    let session = world.connect().await;
    let server = &world.server;
    let before = server.logins();
    let hanging_up = async {
        loop {
            until("it is connected", || session.stats().control_is_up).await;
            server.kill();
            until("it is lost", || !session.stats().control_is_up).await;
        }
    };
    // The pauses are 0.25 to 0.5 s, 0.5 to 1 s, 1 to 2 s, 2 to 4 s.
    let _: Result<(), _> = tokio::time::timeout(Duration::from_secs(3), hanging_up).await;
    let logins = server.logins() - before;
    assert!((1..=4).contains(&logins), "{logins}");
}

#[tokio::test]
async fn a_refused_reconnection_is_reported_at_once() {
    let world = World::with(|o| o.faults.max_logins = Some(1)).await;
    let session = world.connect().await;
    world.server.kill();
    until("it is lost", || !session.stats().control_is_up).await;
    let error = loop {
        match within("an answer", session.lane()).await {
            Err(error) => break error,
            Ok(lane) => drop(lane),
        }
    };
    assert!(error.to_string().contains("log-in refused"), "{error}");
    let began = std::time::Instant::now();
    assert!(
        session
            .open_control("127.0.0.1", 1, originator())
            .await
            .is_err()
    );
    assert!(began.elapsed() < Duration::from_secs(5));
}

/// A long-lived tunnel must not pay for its clients that broke off: russh keeps memory for each channel that
/// this side closes first, for as long as its connection lives.
#[tokio::test]
async fn a_connection_on_which_many_channels_were_broken_off_is_replaced() {
    let mut world = World::new().await;
    world.settings.lanes = 1;
    let session = world.connect().await;
    let echo = echo_server().await;
    until("the lane is open", || session.stats().lanes_open == 1).await;
    let mut first = session
        .open_control("127.0.0.1", echo.port(), originator())
        .await
        .unwrap();
    for _ in 0..BROKEN_OFF {
        let broken_off = session
            .open_control("127.0.0.1", echo.port(), originator())
            .await
            .unwrap();
        broken_off.writer.close().await;
    }
    until("a new control connection", || world.server.logins() == 3).await;
    // The channels on the old connection stay open.
    ping(&mut first).await;
    assert_eq!(world.server.connections(), 3);
    drop(first);
    until("the old one ends", || world.server.connections() == 2).await;
    for _ in 0..BROKEN_OFF {
        let lane = within("the lane", session.lane()).await.unwrap();
        let data = lane
            .open("127.0.0.1", echo.port(), originator())
            .await
            .unwrap();
        data.writer.close().await;
    }
    until("a new lane", || world.server.logins() == 4).await;
    until("the old one ends", || world.server.connections() == 2).await;
    all_quiet(&session, &world.server).await;
}

/// An FTP server hangs up on an end of file, and such a channel costs no memory.
#[tokio::test]
async fn a_channel_that_was_left_is_closed_by_the_far_side() {
    let mut world = World::new().await;
    world.settings.lanes = 0;
    let session = world.connect().await;
    let echo = echo_server().await;
    for _ in 0..BROKEN_OFF {
        let left = session
            .open_control("127.0.0.1", echo.port(), originator())
            .await
            .unwrap();
        left.reader.leave().await;
    }
    all_quiet(&session, &world.server).await;
    // A log-in would have begun before this answer.
    let mut another = session
        .open_control("127.0.0.1", echo.port(), originator())
        .await
        .unwrap();
    ping(&mut another).await;
    assert_eq!(world.server.logins(), 1);
}

/// More than a connection is used for.
const BROKEN_OFF: usize = 300;

/// Leads the first connection to the first address, and all later ones to the second.
async fn balancer(first: SocketAddr, then: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut to = first;
        while let Ok((mut from, _)) = listener.accept().await {
            let target = std::mem::replace(&mut to, then);
            tokio::spawn(async move {
                let mut tcp = TcpStream::connect(target).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut from, &mut tcp).await;
            });
        }
    });
    address
}

/// A lane carries data only to the host that the control connection leads to: another host's key is refused
/// although `known_hosts` has it for the same name.
#[tokio::test]
async fn a_lane_is_refused_where_another_host_answers_for_the_name() {
    let mut other = Options::default();
    let mut world = World::with(|options| other = options.clone()).await;
    let other = SshServer::start(other).await.unwrap();
    let address = balancer(world.server.address(), other.address()).await;
    let named = |line: &str| {
        let (_, key) = line.split_once(' ').unwrap();
        format!("[127.0.0.1]:{} {key}\n", address.port())
    };
    let known: String = [world.server.known_hosts(), other.known_hosts()]
        .iter()
        .flat_map(|lines| lines.lines().map(named).collect::<Vec<_>>())
        .collect();
    world.settings.known_hosts = vec![world.write("both", &known)];
    world.settings.port = address.port();
    let session = world.connect().await;
    let lane = within("a lane", session.lane()).await.unwrap();
    assert!(lane.is_shared_control());
    assert_eq!(other.logins(), 0);
    let echo = echo_server().await;
    let mut channel = lane
        .open("127.0.0.1", echo.port(), originator())
        .await
        .unwrap();
    ping(&mut channel).await;
}
