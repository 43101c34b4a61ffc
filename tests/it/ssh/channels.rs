//! Channels and remote forwards, against the embedded server.

use bytes::Bytes;
use ferryline::ssh::{ForwardError, LostReason, OpenError, Received};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::common::noise;
use crate::ssh::support::{
    World, all_quiet, echo_server, endless, on_a_lane, originator, ping, read_to_eof, serve,
    source, stalled, until, within,
};

const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn megabytes_go_both_ways_unchanged() {
    let world = World::new().await;
    let session = world.connect().await;
    let echo = echo_server().await;
    let (lane, mut channel) = on_a_lane(&session, echo).await;
    let sent = noise(8 * MIB);
    let mut writer = channel.writer;
    let to_send = Bytes::from(sent.clone());
    let sending = tokio::spawn(async move {
        for start in (0..to_send.len()).step_by(100_000) {
            let end = (start + 100_000).min(to_send.len());
            writer.write(to_send.slice(start..end)).await.unwrap();
        }
        writer.finish().await.unwrap();
        writer
    });
    let got = read_to_eof(&mut channel.reader).await;
    assert!(got == sent, "{} bytes of {}", got.len(), sent.len());
    drop(sending.await.unwrap());
    assert_eq!(
        within("the close", channel.reader.read()).await,
        Received::Closed
    );
    assert_eq!(channel.reader.read().await, Received::Closed, "it stays so");
    drop((channel.reader, lane));
    all_quiet(&session, &world.server).await;
}

#[tokio::test]
async fn each_direction_ends_on_its_own() {
    let world = World::new().await;
    let session = world.connect().await;
    let lane = session.lane().await.unwrap();
    // This side ends first, and still receives.
    let late = serve(|mut tcp| async move {
        let mut all = Vec::new();
        tcp.read_to_end(&mut all).await.unwrap();
        tcp.write_all(format!("got {}", all.len()).as_bytes())
            .await
            .unwrap();
    })
    .await;
    let mut channel = lane
        .open("127.0.0.1", late.port(), originator())
        .await
        .unwrap();
    channel
        .writer
        .write(Bytes::from_static(b"12345"))
        .await
        .unwrap();
    channel.writer.finish().await.unwrap();
    assert_eq!(read_to_eof(&mut channel.reader).await, b"got 5");
    // The far side ends first, and still receives.
    let (done, mut dones) = tokio::sync::mpsc::unbounded_channel();
    let early = serve(move |mut tcp| {
        let done = done.clone();
        async move {
            tcp.write_all(b"hello").await.unwrap();
            tcp.shutdown().await.unwrap();
            let mut all = Vec::new();
            tcp.read_to_end(&mut all).await.unwrap();
            done.send(all).unwrap();
        }
    })
    .await;
    let mut channel = lane
        .open("127.0.0.1", early.port(), originator())
        .await
        .unwrap();
    assert_eq!(read_to_eof(&mut channel.reader).await, b"hello");
    channel
        .writer
        .write(Bytes::from_static(b"after its end"))
        .await
        .unwrap();
    channel.writer.finish().await.unwrap();
    assert_eq!(
        within("the upload", dones.recv()).await.unwrap(),
        b"after its end"
    );
}

#[tokio::test]
async fn a_lost_connection_is_no_end_of_file() {
    let world = World::new().await;
    let session = world.connect().await;
    let endless = endless().await;
    let (lane, mut channel) = stalled(&session, endless).await;
    world.server.kill();
    let end = within("the end", async {
        loop {
            match channel.reader.read().await {
                Received::Data(_) => {}
                end => return end,
            }
        }
    })
    .await;
    assert!(
        matches!(end, Received::Lost(LostReason::Connection(_))),
        "{end:?}"
    );
    let written = channel.writer.write(Bytes::from_static(b"x")).await;
    assert!(
        matches!(written, Err(LostReason::Connection(_))),
        "{written:?}"
    );
    drop((channel, lane));
    until("the lane is gone", || session.stats().lanes_busy == 0).await;
}

#[tokio::test]
async fn a_writer_that_waits_for_its_window_hears_of_the_end() {
    let world = World::new().await;
    let session = world.connect().await;
    let deaf = serve(|tcp| async move {
        let _tcp = tcp;
        std::future::pending().await
    })
    .await;
    let lane = session.lane().await.unwrap();
    let channel = lane
        .open("127.0.0.1", deaf.port(), originator())
        .await
        .unwrap();
    let mut writer = channel.writer;
    let (full, mut is_full) = tokio::sync::watch::channel(0);
    let writing = tokio::spawn(async move {
        loop {
            if let Err(reason) = writer.write(Bytes::from(vec![0; 256 * 1024])).await {
                return reason;
            }
            full.send_modify(|n| *n += 1);
        }
    });
    // The buffers are full when nothing more has gone for a moment.
    let moment = std::time::Duration::from_millis(500);
    while tokio::time::timeout(moment, is_full.changed())
        .await
        .is_ok()
    {}
    world.server.kill();
    let reason = within("the writer", writing).await.unwrap();
    assert!(matches!(reason, LostReason::Connection(_)), "{reason:?}");
}

#[tokio::test]
async fn a_channel_closed_without_end_of_file_is_lost() {
    let world = World::new().await;
    let session = world.connect().await;
    let rude = serve(|tcp| async move {
        // A reset while data comes in makes the embedded server close the channel.
        let mut tcp = tcp;
        let _ = tcp.read(&mut [0; 1]).await;
        socket2::SockRef::from(&tcp)
            .set_linger(Some(std::time::Duration::ZERO))
            .unwrap();
    })
    .await;
    let lane = session.lane().await.unwrap();
    let channel = lane
        .open("127.0.0.1", rude.port(), originator())
        .await
        .unwrap();
    let mut writer = channel.writer;
    let reason = within("the close", async {
        loop {
            if let Err(reason) = writer.write(Bytes::from_static(b"data")).await {
                return reason;
            }
        }
    })
    .await;
    assert_eq!(reason, LostReason::Closed);
}

#[tokio::test]
async fn refusals_carry_the_servers_reason() {
    let world = World::new().await;
    let session = world.connect().await;
    let lane = session.lane().await.unwrap();
    let closed = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    let error = lane
        .open("127.0.0.1", closed, originator())
        .await
        .unwrap_err();
    assert!(matches!(error, OpenError::ConnectFailed(_)), "{error:?}");
    world.server.update(|f| f.refuse_direct = true);
    for error in [
        lane.open("127.0.0.1", closed, originator())
            .await
            .unwrap_err(),
        session
            .open_control("127.0.0.1", closed, originator())
            .await
            .unwrap_err(),
    ] {
        assert!(matches!(error, OpenError::Prohibited(_)), "{error:?}");
        assert!(error.to_string().contains("SSH server"), "{error}");
    }
    drop(lane);
    all_quiet(&session, &world.server).await;
}

#[tokio::test]
async fn dropped_channels_and_abandoned_openings_leave_nothing_behind() {
    let world = World::new().await;
    let session = world.connect().await;
    let echo = echo_server().await;
    for _ in 0..20 {
        let mut channel = session
            .open_control("127.0.0.1", echo.port(), originator())
            .await
            .unwrap();
        ping(&mut channel).await;
        // At first only one half is dropped.
        let writer = channel.writer;
        drop(channel.reader);
        drop(writer);
    }
    all_quiet(&session, &world.server).await;
    // The caller of this opening has given up before it is confirmed.
    world
        .server
        .update(|f| f.delay = std::time::Duration::from_millis(100));
    let lane = session.lane().await.unwrap();
    for _ in 0..3 {
        let opening = lane.open("127.0.0.1", echo.port(), originator());
        let given_up = tokio::time::timeout(std::time::Duration::from_millis(10), opening).await;
        assert!(given_up.is_err());
    }
    drop(lane);
    until("they were opened, and closed", || {
        session.stats().lanes_busy == 0
    })
    .await;
    all_quiet(&session, &world.server).await;
}

/// The end of its lane tells a client sooner that SSH is lost than the control connection's own end does. A
/// client that comes back at once is among the first to see that.
#[tokio::test]
async fn a_channel_that_is_asked_for_while_the_connection_is_lost_is_asked_for_again() {
    let world = World::new().await;
    let session = world.connect().await;
    let echo = echo_server().await;
    let answers_after = |delay| world.server.update(|faults| faults.delay = delay);
    answers_after(std::time::Duration::from_secs(3600));
    let open = session.open_control("127.0.0.1", echo.port(), originator());
    let lose = async {
        until("asked for", || session.stats().control_channels == 1).await;
        answers_after(std::time::Duration::ZERO);
        world.server.kill();
    };
    let (opened, ()) = within("a channel", async { tokio::join!(open, lose) }).await;
    ping(&mut opened.unwrap()).await;
}

#[tokio::test]
async fn closing_closes_at_once() {
    let world = World::new().await;
    let session = world.connect().await;
    let echo = echo_server().await;
    let mut channel = session
        .open_control("127.0.0.1", echo.port(), originator())
        .await
        .unwrap();
    ping(&mut channel).await;
    channel.writer.close().await;
    let end = within("the end", channel.reader.read()).await;
    assert_eq!(end, Received::Lost(LostReason::Local));
    until("the far end is closed", || world.server.channels() == 0).await;
}

#[tokio::test]
async fn a_remote_forward_takes_one_connection_and_goes() {
    let world = World::new().await;
    let session = world.connect().await;
    let lane = session.lane().await.unwrap();
    let mut forward = lane
        .remote_forward("127.0.0.1".parse().unwrap())
        .await
        .unwrap();
    let address = forward.address();
    assert!(address.ip().is_loopback() && address.port() != 0);
    assert_eq!(session.stats().remote_forwards, 1);

    let mut first = TcpStream::connect(address).await.unwrap();
    let incoming = within("the connection", forward.next()).await.unwrap();
    assert_eq!(incoming.originator(), first.local_addr().unwrap());
    // The connection is not accepted yet, and the forward is gone already.
    until("cancelled", || world.server.remote_forwards() == 0).await;
    until("counted", || session.stats().remote_forwards == 0).await;
    assert!(TcpStream::connect(address).await.is_err());
    assert!(within("no second one", forward.next()).await.is_none());

    let mut channel = incoming.accept();
    channel
        .writer
        .write(Bytes::from(noise(3 * MIB)))
        .await
        .unwrap();
    channel.writer.finish().await.unwrap();
    let mut got = Vec::new();
    within("the download", first.read_to_end(&mut got))
        .await
        .unwrap();
    assert!(got == noise(3 * MIB));
    first.write_all(b"and back").await.unwrap();
    first.shutdown().await.unwrap();
    assert_eq!(read_to_eof(&mut channel.reader).await, b"and back");
    drop((channel, forward, lane));
    all_quiet(&session, &world.server).await;
}

/// SSH servers other than OpenSSH give their own name for the address that they listen on.
#[tokio::test]
async fn q102_a_connection_that_is_named_by_another_name_of_the_host_is_taken() {
    let world = World::new().await;
    let session = world.connect().await;
    for (name, from) in [
        ("localhost", None),
        ("0.0.0.0", None),
        ("::1", Some("localhost")),
        ("", None),
    ] {
        world.server.update(|faults| {
            faults.name_forwards = Some(name.to_owned());
            faults.name_originators = from.map(str::to_owned);
        });
        let lane = session.lane().await.unwrap();
        let bind = "127.0.0.1".parse().unwrap();
        let mut forward = lane.remote_forward(bind).await.unwrap();
        let mut tcp = TcpStream::connect(forward.address()).await.unwrap();
        let incoming = within(name, forward.next()).await.unwrap();
        assert!(incoming.originator().ip().is_loopback());
        let mut channel = incoming.accept();
        tcp.write_all(b"data").await.unwrap();
        tcp.shutdown().await.unwrap();
        assert_eq!(read_to_eof(&mut channel.reader).await, b"data");
    }
}

#[tokio::test]
async fn of_two_connections_to_a_forward_the_second_is_refused() {
    let world = World::new().await;
    let session = world.connect().await;
    let lane = session.lane().await.unwrap();
    let mut forward = lane
        .remote_forward("127.0.0.1".parse().unwrap())
        .await
        .unwrap();
    // Both connections are made before the forward is even looked at.
    let mut first = TcpStream::connect(forward.address()).await.unwrap();
    let mut second = TcpStream::connect(forward.address()).await.unwrap();
    let incoming = within("one", forward.next()).await.unwrap();
    let (chosen, other) = match incoming.originator() == first.local_addr().unwrap() {
        true => (&mut first, &mut second),
        false => (&mut second, &mut first),
    };
    let mut got = Vec::new();
    let _ = within("the other is closed", other.read_to_end(&mut got)).await;
    assert!(got.is_empty());
    let mut channel = incoming.accept();
    channel
        .writer
        .write(Bytes::from_static(b"you"))
        .await
        .unwrap();
    let mut three = [0; 3];
    within("the one", chosen.read_exact(&mut three))
        .await
        .unwrap();
    assert_eq!(&three, b"you");
}

#[tokio::test]
async fn a_refused_incoming_connection_is_closed() {
    let world = World::new().await;
    let session = world.connect().await;
    let lane = session.lane().await.unwrap();
    let mut forward = lane
        .remote_forward("127.0.0.1".parse().unwrap())
        .await
        .unwrap();
    let mut tcp = TcpStream::connect(forward.address()).await.unwrap();
    within("it", forward.next()).await.unwrap().reject();
    let mut got = Vec::new();
    let _ = within("closed", tcp.read_to_end(&mut got)).await;
    drop((forward, lane));
    all_quiet(&session, &world.server).await;
}

#[tokio::test]
async fn forwards_are_cancelled_when_dropped_or_told_to() {
    let world = World::new().await;
    let session = world.connect().await;
    let lane = session.lane().await.unwrap();
    let bind = "127.0.0.1".parse().unwrap();
    let forward = lane.remote_forward(bind).await.unwrap();
    assert_eq!(world.server.remote_forwards(), 1);
    within("cancel", forward.cancel()).await;
    assert_eq!(session.stats().remote_forwards, 0);
    until("gone", || world.server.remote_forwards() == 0).await;
    drop(lane.remote_forward(bind).await.unwrap());
    drop(lane);
    all_quiet(&session, &world.server).await;
}

#[tokio::test]
async fn a_refused_forward_and_a_lost_one() {
    let world = World::new().await;
    let session = world.connect().await;
    let lane = session.lane().await.unwrap();
    let bind = "127.0.0.1".parse().unwrap();
    let mut forward = lane.remote_forward(bind).await.unwrap();
    world.server.update(|f| f.refuse_forward = true);
    let refused = lane.remote_forward(bind).await.unwrap_err();
    assert_eq!(refused, ForwardError::Refused);
    world.server.kill();
    assert!(within("the loss", forward.next()).await.is_none());
    let lost = within("the answer", lane.remote_forward(bind))
        .await
        .unwrap_err();
    assert_eq!(lost, ForwardError::Lost);
    drop((forward, lane));
    until("counted", || session.stats().remote_forwards == 0).await;
}

#[tokio::test]
async fn many_short_transfers_are_all_whole() {
    let world = World::new().await;
    let session = world.connect().await;
    let length = 5000;
    let file = source(length).await;
    let lane = session.lane().await.unwrap();
    for round in 0..300 {
        let mut channel = lane
            .open("127.0.0.1", file.port(), originator())
            .await
            .unwrap();
        let got = read_to_eof(&mut channel.reader).await;
        assert_eq!(got.len(), length, "round {round}");
        channel.writer.finish().await.unwrap();
    }
    drop(lane);
    all_quiet(&session, &world.server).await;
}

#[test]
fn a_runtime_may_end_with_channels_still_open() {
    for _ in 0..10 {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let held = runtime.block_on(async {
            let world = World::new().await;
            let session = world.connect().await;
            let echo = echo_server().await;
            let mut channel = session
                .open_control("127.0.0.1", echo.port(), originator())
                .await
                .unwrap();
            ping(&mut channel).await;
            let other = session
                .open_control("127.0.0.1", echo.port(), originator())
                .await
                .unwrap();
            tokio::spawn(async move {
                let _other = other;
                std::future::pending::<()>().await;
            });
            drop(channel);
            let lane = session.lane().await.unwrap();
            let forward = lane
                .remote_forward("127.0.0.1".parse().unwrap())
                .await
                .unwrap();
            (world, session, lane, forward)
        });
        drop(runtime);
        drop(held);
    }
}

/// A server that did not hang up at the first end of file will not do so at a second one.
#[tokio::test]
async fn leaving_closes_where_an_end_of_file_was_sent_before() {
    let world = World::new().await;
    let session = world.connect().await;
    let (gone, mut gones) = tokio::sync::mpsc::unbounded_channel();
    let deaf = serve(move |mut tcp| {
        let gone = gone.clone();
        async move {
            let mut all = Vec::new();
            tcp.read_to_end(&mut all).await.unwrap();
            // It sends until nothing reads any more.
            while tcp.write_all(&[b'x'; 1024]).await.is_ok() {}
            let _ = gone.send(());
        }
    })
    .await;
    let mut channel = session
        .open_control("127.0.0.1", deaf.port(), originator())
        .await
        .unwrap();
    channel.writer.finish().await.unwrap();
    drop(channel.writer);
    channel.reader.leave().await;
    // Channels that are given time have 5 s.
    let end = tokio::time::timeout(std::time::Duration::from_secs(4), gones.recv()).await;
    assert!(end.is_ok(), "it was given time once more");
    all_quiet(&session, &world.server).await;
}
