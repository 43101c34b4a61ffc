//! A hostile client and a hostile server that try everything at random, through the real proxy, while other
//! clients work normally. Nothing panics, nothing grows, nothing is left, and no other client is harmed.
//!
//! `FERRYLINE_HOSTILE_SECONDS` sets for how long (5), `FERRYLINE_HOSTILE_SEED` the seed of the random
//! numbers.
//!
//! A binary of its own: it counts the panics and the memory of the whole process.

// Helpers are outside #[test], where clippy's exemption for tests does not reach.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]
#![allow(unreachable_pub)]
#![cfg(feature = "demo")]

mod client;
#[path = "../it/common/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "it is used in part; tests/it uses the rest"
)]
mod common;
#[path = "../../src/control/tests/invariants/lax.rs"]
mod lax;
mod random;
mod server;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ferryline::control::Limits;
use ferryline::demo::ftp_client::{FtpClient, Mode};
use ferryline::demo::ftp_server::FtpServer;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use client::Seen;
use common::{Ferry, PATIENCE, noise};
use random::Random;

const CLIENTS: usize = 6;
const OTHERS: usize = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_clients_and_a_hostile_server_harm_nobody_else() {
    let seconds = setting("FERRYLINE_HOSTILE_SECONDS", 5);
    let seed = setting("FERRYLINE_HOSTILE_SEED", 1);
    eprintln!("seed {seed}, {seconds} s");
    // A task's panic is seen only by the task, unless the test looks for it.
    let panics = Arc::new(AtomicUsize::new(0));
    let (counter, before) = (Arc::clone(&panics), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |what| {
        counter.fetch_add(1, Ordering::Relaxed);
        before(what);
    }));

    let folder = tempfile::tempdir().unwrap();
    let honest = FtpServer::start(folder.path()).unwrap();
    let hostile = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hostile_address = hostile.local_addr().unwrap();
    // Both sides name this address wherever one can be named. No peer may ever be sent there.
    let trap = TcpListener::bind("127.0.0.2:0").await.unwrap();
    let trap_address = trap.local_addr().unwrap();
    let ferry = Ferry::plan(hostile_address)
        .also(honest.address())
        .options(|options| options.limits = short())
        .start()
        .await;
    ferry.ssh_server.update(|faults| faults.unasked = true);
    let ways = [ferry.v4, ferry.v4, ferry.also.unwrap()];
    let hostile_server = tokio::spawn(server::run(hostile, seed, trap_address));

    let until = Instant::now() + Duration::from_secs(seconds);
    let crowd = tokio::task::spawn_blocking(move || crowd(seed, ways, trap_address, until));
    let mut others = JoinSet::new();
    for number in 0..OTHERS {
        others.spawn(transfer(ways[2], number, until));
    }

    // No more is under way than this number of clients can have. Each can have a current forward, one that it
    // replaces, one that is kept ready, and those that are being cancelled.
    let mut most = 0;
    let mut memory = Vec::new();
    while Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let now = ferry.session.stats();
        most = most.max(now.remote_forwards);
        assert!(now.remote_forwards <= 64, "{now:?}");
        memory.extend(resident());
    }
    let mut transfers = 0;
    while let Some(done) = others.join_next().await {
        transfers += done.expect("a client that did nothing wrong was harmed");
    }
    let (sessions, seen) = crowd.await.expect("a hostile client saw what it must not");
    // A client that comes now is served as ever.
    assert_eq!(transfer(ways[2], OTHERS, Instant::now()).await, 1);
    // With the clients gone nothing may be left. The servers are still there and send nothing: one waits for
    // data connections that never come, or for bytes that never come on them.
    let began = Instant::now();
    ferry.at_rest_within(3 * PATIENCE, 0, 0).await;
    eprintln!("at rest after {:?}", began.elapsed());
    assert!(!hostile_server.is_finished());
    hostile_server.abort();
    let _ = hostile_server.await;
    honest.shutdown().await;
    let (refused, taken) = ferry.ssh_server.unasked();
    eprintln!(
        "{sessions} hostile sessions ({} uploads stored), {transfers} transfers of others, at most {most} remote \
         forwards, {refused} channels refused",
        seen.stored
    );
    assert!(sessions >= CLIENTS && transfers >= OTHERS);
    assert_eq!(taken, 0, "a channel that nobody had asked for was taken");
    assert_eq!(panics.load(Ordering::Relaxed), 0, "something panicked");
    let trapped = tokio::time::timeout(Duration::ZERO, trap.accept()).await;
    assert!(
        trapped.is_err(),
        "somebody was sent to another host: {trapped:?}"
    );
    // After all clients had begun, it needed no more.
    if let (Some(early), Some(last)) = (memory.get(memory.len() / 3), memory.last()) {
        let grown = last.saturating_sub(*early) >> 20;
        assert!(
            grown < 64,
            "{grown} MiB more than after a third of the time"
        );
    }
    ferry.stop().await;
}

/// Limits that run out within the test: what a silent server may keep when its client is gone.
fn short() -> Limits {
    Limits {
        farewell: Duration::from_secs(2),
        unanswered: Duration::from_secs(2),
        still_data: Duration::from_secs(4),
        ..Limits::default()
    }
}

/// Runs the hostile clients, as another user than the others where that is possible: they must not reach what
/// belongs to the others. Returns how many sessions they had, and what they have seen.
///
/// A user of their own does not keep the FTP server's own passive ports out of their reach here, where the SSH
/// host is this one. With few ports to choose from, a hostile client that comes back to an old data port may
/// find the FTP server's listener there, before the SSH server does, and what it sends becomes the upload. So
/// the hostile clients' own listeners are on ports that no other program is given.
fn crowd(seed: u64, ways: [SocketAddr; 3], trap: SocketAddr, until: Instant) -> (usize, Seen) {
    let run = |bold| {
        // On this thread, which has that user.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut clients = JoinSet::new();
            for number in 0..CLIENTS {
                clients.spawn(async move {
                    let mut random = Random::new(seed + 1000 * number as u64);
                    let (mut sessions, mut all) = (0, Seen::default());
                    while Instant::now() < until {
                        let seen = client::run(&mut random, ways, trap, bold).await;
                        sessions += 1;
                        all.stored += seen.stored;
                    }
                    (sessions, all)
                });
            }
            let (mut sessions, mut all) = (0, Seen::default());
            for (count, seen) in clients.join_all().await {
                sessions += count;
                all.stored += seen.stored;
            }
            (sessions, all)
        })
    };
    #[cfg(target_os = "linux")]
    if let Some(sessions) = common::as_nobody(|| run(true)) {
        return sessions;
    }
    run(false)
}

/// Transfers files in every mode until the time is up, and at least one; returns the number.
async fn transfer(address: SocketAddr, number: usize, until: Instant) -> usize {
    let mut done = 0;
    let file = noise(100_000 + number);
    loop {
        let mut client = FtpClient::connect(address).await.unwrap();
        client.login("demo", "secret").await.unwrap();
        for mode in Mode::ALL {
            let name = format!("of-{number}-{mode}");
            client.store(mode, &name, &file).await.unwrap();
            let fetched = client.retrieve(mode, &name).await.unwrap();
            assert!(fetched == file, "{mode}: what came differs");
        }
        client.quit().await.unwrap();
        done += 1;
        if Instant::now() >= until {
            return done;
        }
    }
}

/// Number of bytes of this process in memory.
fn resident() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * 4096)
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}
