//! SSH servers that accept one connection and drop or refuse further ones: no transfer waits for those.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ferryline::ssh::StrictHostKeyChecking;

use crate::ssh::support::{World, echo_server, originator, ping, serve, until, within};

/// A relay to a server. It passes on the first connection and leaves all later ones unanswered, as a packet
/// filter does that counts connections.
struct DeafAfterOne {
    address: SocketAddr,
    unanswered: Arc<AtomicUsize>,
    given_up: Arc<AtomicUsize>,
}

impl DeafAfterOne {
    async fn before(to: SocketAddr) -> Self {
        let (unanswered, given_up) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (held, left) = (Arc::clone(&unanswered), Arc::clone(&given_up));
        let came = AtomicUsize::new(0);
        let address = serve(move |mut near| {
            let first = came.fetch_add(1, Ordering::AcqRel) == 0;
            let (held, left) = (Arc::clone(&held), Arc::clone(&left));
            async move {
                if first {
                    let mut far = tokio::net::TcpStream::connect(to).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                    return;
                }
                held.fetch_add(1, Ordering::AcqRel);
                let _ = tokio::io::copy(&mut near, &mut tokio::io::sink()).await;
                left.fetch_add(1, Ordering::AcqRel);
            }
        })
        .await;
        Self {
            address,
            unanswered,
            given_up,
        }
    }
}

#[tokio::test]
async fn q122_no_transfer_waits_for_a_log_in_that_is_not_answered() {
    let mut world = World::new().await;
    let near = DeafAfterOne::before(world.server.address()).await;
    world.settings.port = near.address.port();
    world.settings.strict_host_key_checking = StrictHostKeyChecking::AcceptNew;
    world.settings.lane_patience = Duration::from_millis(50);
    let session = world.connect().await;
    let echo = echo_server().await;
    for _ in 0..20 {
        let lane = within("the data's way", session.lane()).await.unwrap();
        assert!(lane.is_shared_control());
        let mut channel = lane
            .open("127.0.0.1", echo.port(), originator())
            .await
            .unwrap();
        ping(&mut channel).await;
    }
    // Log-ins have 20 s. All transfers were over before the first log-in was given up.
    let given_up = near.given_up.load(Ordering::Acquire);
    let unanswered = near.unanswered.load(Ordering::Acquire);
    assert_eq!(given_up, 0);
    assert!((1..=2).contains(&unanswered), "{unanswered}");
}

#[tokio::test]
async fn q122_a_server_that_refuses_further_connections_is_left_in_peace() {
    let world = World::new().await;
    let session = world.connect().await;
    until("one lane is warm", || session.stats().lanes_open == 1).await;
    world.server.update(|f| f.hang_up = true);
    let echo = echo_server().await;
    let _busy = session.lane().await.unwrap();
    for _ in 0..30 {
        let lane = within("the data's way", session.lane()).await.unwrap();
        let mut channel = lane
            .open("127.0.0.1", echo.port(), originator())
            .await
            .unwrap();
        ping(&mut channel).await;
    }
    let attempts = world.server.hang_ups();
    assert!((1..=8).contains(&attempts), "{attempts}");
}
