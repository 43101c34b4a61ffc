//! A path to the SSH server that falls silent, and comes back or does not.

use std::time::{Duration, Instant};

use ferryline::ssh::{OpenError, Received, StrictHostKeyChecking};
use tokio::net::{TcpSocket, TcpStream};

use crate::common::Log;
use crate::ssh::path::Path;
use crate::ssh::support::{World, echo_server, endless, originator, ping, stalled, until, within};

/// A world behind such a path, without lanes, and a session that notices silence soon.
async fn behind_a_path() -> (World, Path) {
    let mut world = World::new().await;
    let path = Path::to(world.server.address()).await;
    world.settings.port = path.address.port();
    world.settings.strict_host_key_checking = StrictHostKeyChecking::AcceptNew;
    world.settings.lanes = 0;
    world.settings.unanswered = Duration::from_millis(100);
    (world, path)
}

#[tokio::test]
async fn q126_a_client_that_meets_silence_gets_a_connection_beside_and_nothing_is_lost() {
    let (world, path) = behind_a_path().await;
    let session = world.connect().await;
    let echo = echo_server().await;
    let mut old = session
        .open_control("127.0.0.1", echo.port(), originator())
        .await
        .unwrap();
    ping(&mut old).await;
    path.silence_those_there_are();
    let opening = session.open_control("127.0.0.1", echo.port(), originator());
    let mut new = within("a channel on another connection", opening)
        .await
        .unwrap();
    ping(&mut new).await;
    assert_eq!(world.server.logins(), 2);
    // The next channels go there at once.
    let opening = session.open_control("127.0.0.1", echo.port(), originator());
    let mut next = within("the next channel", opening).await.unwrap();
    ping(&mut next).await;
    assert_eq!(world.server.logins(), 2);
    path.come_back();
    ping(&mut old).await;
}

#[tokio::test]
async fn q126_what_answers_first_serves_also_where_it_is_the_old_connection() {
    let (world, path) = behind_a_path().await;
    let session = world.connect().await;
    let echo = echo_server().await;
    path.silence_all();
    let opening = session.open_control("127.0.0.1", echo.port(), originator());
    let back = async {
        // The second connection is on its way, and silent, too.
        until("another connection", || path.connections() == 2).await;
        path.come_back();
    };
    let (opened, ()) = tokio::join!(within("the channel", opening), back);
    ping(&mut opened.unwrap()).await;
}

/// The FTP server takes its time here: another SSH connection would not help.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn q126_a_connection_that_is_heard_gets_none_beside_it() {
    let (world, path) = behind_a_path().await;
    let session = world.connect().await;
    // Its queue is full, so its kernel answers nothing.
    let full = TcpSocket::new_v4().unwrap();
    full.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = full.listen(1).unwrap();
    let at = full.local_addr().unwrap();
    let mut filling = Vec::new();
    while let Ok(Ok(tcp)) =
        tokio::time::timeout(Duration::from_secs(1), TcpStream::connect(at)).await
    {
        filling.push(tcp);
    }
    let opening = session.open_control("127.0.0.1", at.port(), originator());
    let ten_questions = tokio::time::timeout(20 * world.settings.unanswered, opening);
    assert!(ten_questions.await.is_err(), "it was answered");
    assert_eq!(path.connections(), 1);
}

#[tokio::test]
async fn q126_a_client_that_waited_in_vain_is_told_why_and_the_next_is_served() {
    let (mut world, path) = behind_a_path().await;
    world.settings.client_patience = Duration::from_secs(1);
    let session = world.connect().await;
    let echo = echo_server().await;
    path.silence_all();
    let opening = session.open_control("127.0.0.1", echo.port(), originator());
    let error = within("an answer", opening).await.unwrap_err();
    let OpenError::Away(why) = error else {
        panic!("{error:?}");
    };
    assert!(why.contains("has not been heard for"), "{why}");
    path.come_back();
    let opening = session.open_control("127.0.0.1", echo.port(), originator());
    ping(&mut within("a channel", opening).await.unwrap()).await;
}

/// The old limit of ten seconds for a lost connection, with a path that takes longer than that.
#[tokio::test]
async fn q126_a_client_waits_for_a_lost_connection_as_long_as_the_path_is_silent() {
    let (mut world, path) = behind_a_path().await;
    world.settings.connect_timeout = Duration::from_secs(2);
    let session = world.connect().await;
    let echo = echo_server().await;
    // The end of the old connection passes, and nothing of another one does.
    path.silence_further_ones();
    world.server.kill();
    until("it is lost", || !session.stats().control_is_up).await;
    let began = Instant::now();
    let opening = session.open_control("127.0.0.1", echo.port(), originator());
    let back = async {
        // Longer than the old limit. This is the silence itself, not a wait for something else.
        tokio::time::sleep(Duration::from_secs(11)).await;
        path.come_back();
    };
    let (opened, ()) = tokio::join!(within("the channel", opening), back);
    assert!(began.elapsed() > Duration::from_secs(10));
    ping(&mut opened.unwrap()).await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn q127_a_silent_lane_beside_a_control_connection_that_is_heard_is_explained() {
    let log = Log::warnings();
    let (mut world, path) = behind_a_path().await;
    world.settings.lanes = 1;
    world.settings.alive_interval = Some(Duration::from_secs(1));
    world.settings.alive_count_max = 1;
    let session = world.connect().await;
    let endless = endless().await;
    until("a lane", || session.stats().lanes_open == 1).await;
    let (_lane, mut data) = stalled(&session, endless).await;
    path.silence_further_ones();
    let end = within("the end", async {
        loop {
            match data.reader.read().await {
                Received::Data(_) => {}
                end => return end,
            }
        }
    });
    assert!(matches!(end.await, Received::Lost(_)));
    log.says("net.ipv4.tcp_mtu_probing=1").await;
}
