//! The way to an SSH server: through jump hosts, and through a command.

use bytes::Bytes;
use ferryline::demo::ssh_server::KeyPair;
use ferryline::ssh::{Error, Received, Session, Way};

use crate::common::{noise, skipped};
use crate::ssh::support::{
    Script, World, echo_server, originator, ping, read_to_eof, serve, source, until, within,
};

const MIB: usize = 1024 * 1024;

/// Three servers. The last one is reached through the others, in their order.
struct Chain {
    first: World,
    second: World,
    last: World,
}

impl Chain {
    async fn new() -> Self {
        let (first, second) = (World::new().await, World::new().await);
        let mut chain = Self {
            first,
            second,
            last: World::new().await,
        };
        chain.join();
        chain
    }

    fn join(&mut self) {
        self.second.settings.way = Way::Jump(Box::new(self.first.settings.clone()));
        self.last.settings.way = Way::Jump(Box::new(self.second.settings.clone()));
    }

    async fn refused(&self) -> Error {
        self.last.try_connect(Script::new([])).await.unwrap_err()
    }
}

#[tokio::test]
async fn everything_goes_over_two_hops() {
    let chain = Chain::new().await;
    let session = chain.last.connect().await;
    let echo = echo_server().await;
    let mut control = session
        .open_control("127.0.0.1", echo.port(), originator())
        .await
        .unwrap();
    ping(&mut control).await;
    let lane = session.lane().await.unwrap();
    assert!(!lane.is_shared_control());
    let file = source(5 * MIB).await;
    let mut download = lane
        .open("127.0.0.1", file.port(), originator())
        .await
        .unwrap();
    assert!(read_to_eof(&mut download.reader).await == noise(5 * MIB));
    let mut forward = lane
        .remote_forward("127.0.0.1".parse().unwrap())
        .await
        .unwrap();
    let address = forward.address();
    let mut tcp = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut channel = within("the connection", forward.next())
        .await
        .unwrap()
        .accept();
    tokio::io::AsyncWriteExt::write_all(&mut tcp, b"hello")
        .await
        .unwrap();
    let got = within("data", channel.reader.read()).await;
    assert_eq!(got, Received::Data(Bytes::from_static(b"hello")));
    // The log-ins of a lane at each hop come before the one at the last server.
    let logins = chain.last.server.logins();
    assert!(logins >= 2);
    assert!(chain.first.server.logins() >= logins && chain.second.server.logins() >= logins);
    assert!(chain.last.server.channels() > 0);
}

#[tokio::test]
async fn nothing_is_left_at_any_hop() {
    let chain = Chain::new().await;
    let session = chain.last.connect().await;
    drop(session.lane().await.unwrap());
    within("the end", session.close()).await;
    drop(session);
    until("all connections are gone", || {
        let worlds = [&chain.first, &chain.second, &chain.last];
        worlds
            .iter()
            .all(|world| world.server.connections() == 0 && world.server.channels() == 0)
    })
    .await;
}

#[tokio::test]
async fn a_stalled_lane_leaves_the_others_alone() {
    let chain = Chain::new().await;
    let session = chain.last.connect().await;
    let echo = echo_server().await;
    let mut control = session
        .open_control("127.0.0.1", echo.port(), originator())
        .await
        .unwrap();
    let file = source(64 * MIB).await;
    let lane = session.lane().await.unwrap();
    let mut stalled = lane
        .open("127.0.0.1", file.port(), originator())
        .await
        .unwrap();
    assert!(matches!(stalled.reader.read().await, Received::Data(_)));
    for _ in 0..20 {
        ping(&mut control).await;
    }
    let other = session.lane().await.unwrap();
    assert!(!other.is_shared_control());
    let mut moving = other
        .open("127.0.0.1", echo.port(), originator())
        .await
        .unwrap();
    ping(&mut moving).await;
}

#[tokio::test]
async fn a_lost_jump_host_is_a_lost_connection_and_is_made_again() {
    let chain = Chain::new().await;
    let session = chain.last.connect().await;
    let echo = echo_server().await;
    let mut channel = session
        .open_control("127.0.0.1", echo.port(), originator())
        .await
        .unwrap();
    ping(&mut channel).await;
    chain.first.server.kill();
    let end = within("the end", channel.reader.read()).await;
    assert!(matches!(end, Received::Lost(_)), "{end:?}");
    let opened = session.open_control("127.0.0.1", echo.port(), originator());
    let mut again = within("connected again", opened).await.unwrap();
    ping(&mut again).await;
}

#[tokio::test]
async fn a_hop_that_lets_in_once_carries_everything_over_one_connection() {
    let mut chain = Chain::new().await;
    chain.first = World::with(|options| options.faults.max_logins = Some(1)).await;
    chain.join();
    let session = chain.last.connect().await;
    let lane = session.lane().await.unwrap();
    assert!(lane.is_shared_control());
    let file = source(MIB).await;
    let mut download = lane
        .open("127.0.0.1", file.port(), originator())
        .await
        .unwrap();
    assert!(read_to_eof(&mut download.reader).await == noise(MIB));
}

#[tokio::test]
async fn a_hop_that_refuses_is_named() {
    let chain = Chain::new().await;
    let first = chain.first.settings.destination();
    let second = chain.second.settings.destination();
    chain
        .second
        .server
        .update(|faults| faults.refuse_direct = true);
    let error = chain.refused().await;
    assert!(matches!(error, Error::JumpForbidden { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains(&second) && text.contains("AllowTcpForwarding"),
        "{text}"
    );
    chain
        .second
        .server
        .update(|faults| faults.refuse_direct = false);

    let key = chain.first.settings.identities[0].path.clone();
    let stranger = KeyPair::generate(None).unwrap();
    let mine = std::fs::read(&key).unwrap();
    std::fs::write(&key, stranger.private.as_str()).unwrap();
    let text = chain.refused().await.to_string();
    let expected = format!("on the way, at the jump host {first}: {first}: log-in refused");
    assert!(text.starts_with(&expected), "{text}");
    std::fs::write(&key, mine).unwrap();

    std::fs::write(&chain.first.settings.known_hosts[0], "").unwrap();
    let text = chain.refused().await.to_string();
    let expected = format!("on the way, at the jump host {first}: the host key of");
    assert!(text.starts_with(&expected), "{text}");
}

#[tokio::test]
async fn a_server_that_a_hop_cannot_reach_is_named_with_the_hop() {
    let mut chain = Chain::new().await;
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    chain.last.settings.port = gone.local_addr().unwrap().port();
    drop(gone);
    let text = chain.refused().await.to_string();
    let port = format!("127.0.0.1 port {}", chain.last.settings.port);
    let hop = format!("the jump host {} says", chain.second.settings.destination());
    assert!(text.contains(&port) && text.contains(&hop), "{text}");
    chain.second.settings.port = chain.last.settings.port;
    chain.join();
    let text = chain.refused().await.to_string();
    let hop = format!("the jump host {} says", chain.first.settings.destination());
    assert!(text.contains(&hop), "{text}");
}

#[tokio::test]
async fn the_passwords_of_hops_are_asked_for_once() {
    let by_password = |options: &mut ferryline::demo::ssh_server::Options| {
        options.password = Some("sesame".into());
        options.authorized_keys.clear();
    };
    let first = World::with(by_password).await;
    let mut last = World::with(by_password).await;
    last.settings.way = Way::Jump(Box::new(first.settings.clone()));
    let script = Script::new(["sesame", "sesame"]);
    let session = last.try_connect(script.clone()).await.unwrap();
    assert!(!session.lane().await.unwrap().is_shared_control());
    let asked = script.asked();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(
        asked[0].contains(&first.settings.destination()),
        "{asked:?}"
    );
    assert!(asked[1].contains(&last.settings.destination()), "{asked:?}");
}

#[cfg(unix)]
mod command {
    use super::*;

    /// A relay made with bash alone.
    fn relay(world: &World) -> String {
        let port = world.settings.port;
        format!("bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}; cat <&3 & exec cat >&3'")
    }

    #[tokio::test]
    async fn everything_goes_through_a_command() {
        if !std::path::Path::new("/bin/bash").exists() {
            skipped("no /bin/bash");
            return;
        }
        let mut world = World::new().await;
        world.settings.way = Way::Command(relay(&world));
        let session = world.connect().await;
        let lane = session.lane().await.unwrap();
        assert!(!lane.is_shared_control());
        let file = source(5 * MIB).await;
        let mut download = lane
            .open("127.0.0.1", file.port(), originator())
            .await
            .unwrap();
        assert!(read_to_eof(&mut download.reader).await == noise(5 * MIB));
        drop((download, lane));
        within("the end", session.close()).await;
        until("all connections are gone", || {
            world.server.connections() == 0
        })
        .await;
    }

    /// Two servers with one host key, which accept the same user.
    async fn twins() -> (World, World) {
        let (host, user) = (
            KeyPair::generate(None).unwrap(),
            KeyPair::generate(None).unwrap(),
        );
        let twin = async || {
            let mut world = World::with(|options| {
                options.host_key = Some(host.private.clone());
                options.authorized_keys.push(user.public.clone());
            })
            .await;
            world.settings.identities[0].path = world.write("id_twins", &user.private);
            world
        };
        (twin().await, twin().await)
    }

    /// Leads to the first of these once, and to the second from then on.
    fn balancer(first: &World, second: &World) -> String {
        let been = first.dir.path().join("been").display().to_string();
        let (first, second) = (first.settings.port, second.settings.port);
        format!(
            "bash -c 'port={second}; if mkdir {been} 2>/dev/null; then port={first}; fi; \
             exec 3<>/dev/tcp/127.0.0.1/$port; cat <&3 & exec cat >&3'"
        )
    }

    #[tokio::test]
    async fn q121_where_a_command_leads_to_another_host_no_data_goes_there() {
        if !std::path::Path::new("/bin/bash").exists() {
            skipped("no /bin/bash");
            return;
        }
        let (mut first, second) = twins().await;
        second.server.update(|faults| faults.elsewhere = true);
        first.settings.way = Way::Command(balancer(&first, &second));
        let session = first.connect().await;
        let echo = echo_server().await;
        let asked = session.lane_within(std::time::Duration::from_secs(60));
        let lane = within("the data's way", asked).await.unwrap();
        assert!(second.server.logins() > 0, "a lane was tried");
        assert!(lane.is_shared_control());
        let mut data = lane
            .open("127.0.0.1", echo.port(), originator())
            .await
            .unwrap();
        ping(&mut data).await;
        let port = u32::from(echo.port());
        let asked = |world: &World| world.server.targets().iter().any(|(_, at)| *at == port);
        assert!(asked(&first) && !asked(&second));
        // It stays so for good.
        let logins = second.server.logins();
        for _ in 0..20 {
            assert!(session.lane().await.unwrap().is_shared_control());
        }
        assert_eq!(second.server.logins(), logins);
        until("nothing is left of the proofs", || {
            first.server.remote_forwards() == 0
        })
        .await;
    }

    #[tokio::test]
    async fn q121_where_it_cannot_be_found_out_where_a_command_leads_data_shares_one_connection() {
        if !std::path::Path::new("/bin/bash").exists() {
            skipped("no /bin/bash");
            return;
        }
        let mut world = World::with(|options| options.faults.refuse_forward = true).await;
        world.settings.way = Way::Command(relay(&world));
        let session = world.connect().await;
        let echo = echo_server().await;
        let mut logins = None;
        for _ in 0..20 {
            let asked = session.lane_within(std::time::Duration::from_secs(60));
            let lane = within("the data's way", asked).await.unwrap();
            assert!(lane.is_shared_control());
            let mut data = lane
                .open("127.0.0.1", echo.port(), originator())
                .await
                .unwrap();
            ping(&mut data).await;
            // It stays so for good.
            let tried = *logins.get_or_insert_with(|| world.server.logins());
            assert!((2..=3).contains(&tried), "{tried}");
            assert_eq!(world.server.logins(), tried);
        }
    }

    #[tokio::test]
    async fn q121_a_new_control_connection_elsewhere_leaves_no_lane_of_old_in_use() {
        if !std::path::Path::new("/bin/bash").exists() {
            skipped("no /bin/bash");
            return;
        }
        let (mut first, second) = twins().await;
        // The control connection goes through a relay, so that it can be cut alone.
        let cut = tokio_util::sync::CancellationToken::new();
        let (token, to) = (cut.clone(), first.server.address());
        let relay = serve(move |mut near| {
            let token = token.clone();
            async move {
                let mut far = tokio::net::TcpStream::connect(to).await.unwrap();
                tokio::select! {
                    () = token.cancelled() => {}
                    _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                }
            }
        })
        .await;
        let been = first.dir.path().join("been").display().to_string();
        let switch = first.dir.path().join("switch");
        first.settings.way = Way::Command(format!(
            "bash -c 'port={}; if test -e {}; then port={}; elif mkdir {been} 2>/dev/null; then port={}; fi; \
             exec 3<>/dev/tcp/127.0.0.1/$port; cat <&3 & exec cat >&3'",
            first.settings.port,
            switch.display(),
            second.settings.port,
            relay.port()
        ));
        let session = first.connect().await;
        let old = session
            .lane_within(std::time::Duration::from_secs(60))
            .await
            .unwrap();
        assert!(!old.is_shared_control());
        std::fs::write(&switch, "").unwrap();
        cut.cancel();
        let echo = echo_server().await;
        let opened = session.open_control("127.0.0.1", echo.port(), originator());
        let mut control = within("connected again", opened).await.unwrap();
        ping(&mut control).await;
        let asked = session.lane_within(std::time::Duration::from_secs(60));
        let lane = within("a lane", asked).await.unwrap();
        let mut data = lane
            .open("127.0.0.1", echo.port(), originator())
            .await
            .unwrap();
        ping(&mut data).await;
        let port = u32::from(echo.port());
        let asked = |world: &World| world.server.targets().iter().any(|(_, at)| *at == port);
        assert!(asked(&second) && !asked(&first));
        drop(old);
    }

    #[tokio::test]
    async fn the_first_hop_may_be_reached_by_one() {
        if !std::path::Path::new("/bin/bash").exists() {
            skipped("no /bin/bash");
            return;
        }
        let mut chain = Chain::new().await;
        chain.first.settings.way = Way::Command(relay(&chain.first));
        chain.first.settings.port = 1;
        // The known key belongs to the name, wherever the command leads.
        let known = std::fs::read_to_string(&chain.first.settings.known_hosts[0]).unwrap();
        let key = known.split_once(' ').unwrap().1;
        chain
            .first
            .write("known_hosts", &format!("[127.0.0.1]:1 {key}"));
        chain.join();
        let session = chain.last.connect().await;
        let echo = echo_server().await;
        let opened = session.open_control("127.0.0.1", echo.port(), originator());
        ping(&mut opened.await.unwrap()).await;
    }

    #[tokio::test]
    async fn one_that_ends_is_the_error() {
        let mut world = World::new().await;
        for (command, says) in [
            (
                "sh -c 'echo no way out >&2; exit 7'",
                "the ProxyCommand 'sh' for the SSH server 127.0.0.1 ended (exit status: 7): no way out",
            ),
            (
                "/no/such/program -x secret",
                "the ProxyCommand '/no/such/program' for the SSH server 127.0.0.1 ended (exit status: 127)",
            ),
        ] {
            world.settings.way = Way::Command(command.to_owned());
            let error = Session::connect(world.settings.clone(), Script::new([])).await;
            let text = error.unwrap_err().to_string();
            assert!(text.starts_with(says), "{text}");
        }
    }

    #[tokio::test]
    async fn one_that_is_silent_is_not_waited_for_for_ever() {
        let mut world = World::new().await;
        world.settings.way = Way::Command("sleep 600".to_owned());
        world.settings.connect_timeout = std::time::Duration::from_millis(500);
        let error = within("the error", world.try_connect(Script::new([]))).await;
        assert!(matches!(error, Err(Error::Timeout { .. })), "{error:?}");
    }
}
