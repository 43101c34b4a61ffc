//! New keys in the middle of transfers: requested by this side, by the server, or by both, many times in each
//! file. Every byte arrives, once and in its place.

use std::time::Duration;

use bytes::Bytes;
use ferryline::ssh::{Channel, Received, Session};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use crate::common::noise;
use crate::ssh::path::Path;
use crate::ssh::support::{
    World, all_quiet, echo_server, originator, ping, read_to_eof, serve, within,
};

/// The side that asks for new keys stops sending only after the other side has heard of it, and by then the
/// other side has sent all that it had. So files are sent in pieces, with a pause after each. Some thirty key
/// exchanges in a file are possible; on a busy machine there are fewer.
const LIMIT: u64 = 30_000;
const SIZE: usize = 1_000_000;
const PIECE: usize = 10_000;
const PAUSE: Duration = Duration::from_millis(5);

/// Which side asks for new keys after this small number of bytes: this side, the server, or both at once.
const WHO: [(bool, bool); 3] = [(true, false), (false, true), (true, true)];

/// At least six exchanges besides the first ones of the two connections: each takes less than 3 KB in either
/// direction.
const EXCHANGES: u64 = 8 * 3_000;

async fn world(ours: bool, servers: bool) -> (World, Session, Path) {
    let mut world = World::with(|options| {
        options.rekey_limit = servers.then_some(LIMIT);
    })
    .await;
    world.settings.rekey_limit = ours.then_some(LIMIT);
    // This would also find a connection that exchanges keys for ever.
    world.settings.alive_interval = Some(Duration::from_secs(5));
    let path = Path::to(world.server.address()).await;
    let at = path.address;
    let known = format!(
        "[{}]:{} {}\n",
        at.ip(),
        at.port(),
        world.server.host_public_key()
    );
    let hosts = world.write("known_hosts", &known);
    world.settings.known_hosts = vec![hosts];
    world.settings.port = at.port();
    let session = world.connect().await;
    (world, session, path)
}

async fn open(session: &Session, to: std::net::SocketAddr) -> Channel {
    let lane = session.lane().await.unwrap();
    lane.open(&to.ip().to_string(), to.port(), originator())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_download_with_new_keys_all_the_time() {
    for (ours, servers) in WHO {
        let (world, session, path) = world(ours, servers).await;
        let mut channel = open(&session, paced_source().await).await;
        let got = read_to_eof(&mut channel.reader).await;
        assert!(got == noise(SIZE), "{ours} {servers}: {} B", got.len());
        // Almost nothing else goes this way.
        let keys = path.up();
        assert!(keys > EXCHANGES, "no new keys: {keys} B; {ours} {servers}");
        channel.writer.finish().await.unwrap();
        drop(channel);
        all_quiet(&session, &world.server).await;
    }
}

#[tokio::test]
async fn an_upload_with_new_keys_all_the_time() {
    for (ours, servers) in WHO {
        let (world, session, path) = world(ours, servers).await;
        let (told, stored) = tokio::sync::oneshot::channel();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sink = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut tcp, _) = listener.accept().await.unwrap();
            let mut all = Vec::new();
            tcp.read_to_end(&mut all).await.unwrap();
            told.send(all).unwrap();
        });
        let mut channel = open(&session, sink).await;
        send(&mut channel, &noise(SIZE)).await;
        let stored = within("the end of the upload", stored).await.unwrap();
        assert!(
            stored == noise(SIZE),
            "{ours} {servers}: {} B",
            stored.len()
        );
        assert_eq!(
            within("its end", channel.reader.read()).await,
            Received::Eof
        );
        let keys = path.down();
        assert!(keys > EXCHANGES, "no new keys: {keys} B; {ours} {servers}");
        drop(channel);
        all_quiet(&session, &world.server).await;
    }
}

/// Data is under way in both directions, and each direction waits for the other's new keys.
#[tokio::test]
async fn both_ways_at_once_with_new_keys_all_the_time() {
    for (ours, servers) in WHO {
        let (world, session, path) = world(ours, servers).await;
        let Channel {
            mut reader,
            mut writer,
        } = open(&session, echo_server().await).await;
        let content = noise(SIZE);
        let up = async {
            for piece in content.chunks(PIECE) {
                writer.write(Bytes::copy_from_slice(piece)).await.unwrap();
                sleep(PAUSE).await;
            }
            writer.finish().await.unwrap();
        };
        let (got, ()) = within("an echo", async {
            tokio::join!(read_to_eof(&mut reader), up)
        })
        .await;
        assert!(got == content, "{ours} {servers}: {} B", got.len());
        assert!(path.up() > SIZE as u64 + EXCHANGES, "no new keys");
        drop((reader, writer));
        all_quiet(&session, &world.server).await;
    }
}

/// Many lines of few bytes: new keys are due again before a round trip is over.
#[tokio::test]
async fn a_control_connection_with_new_keys_all_the_time() {
    let mut world = World::with(|options| options.rekey_limit = Some(2_000)).await;
    world.settings.rekey_limit = Some(2_000);
    let session = world.connect().await;
    let echo = echo_server().await;
    let mut channel = session
        .open_control(&echo.ip().to_string(), echo.port(), originator())
        .await
        .unwrap();
    for _ in 0..200 {
        ping(&mut channel).await;
    }
    drop(channel);
    all_quiet(&session, &world.server).await;
}

async fn send(channel: &mut Channel, content: &[u8]) {
    within("an upload", async {
        for piece in content.chunks(PIECE) {
            let piece = Bytes::copy_from_slice(piece);
            channel.writer.write(piece).await.unwrap();
            sleep(PAUSE).await;
        }
        channel.writer.finish().await.unwrap();
    })
    .await;
}

/// Sends a file, then its end of file. Then reads up to the other end of file.
async fn paced_source() -> std::net::SocketAddr {
    serve(|mut tcp| async move {
        let (mut from, mut to) = tcp.split();
        for piece in noise(SIZE).chunks(PIECE) {
            let _ = to.write_all(piece).await;
            sleep(PAUSE).await;
        }
        let _ = to.shutdown().await;
        let _ = from.read_to_end(&mut Vec::new()).await;
    })
    .await
}
