//! The path between ferryline and an SSH server.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A relay to an SSH server. It counts what passes. Some of its connections, or all, can be silent for a
/// while: nothing passes, and nothing ends.
pub struct Path {
    pub address: SocketAddr,
    /// The numbers of the connections that are silent.
    silent: watch::Sender<Range<usize>>,
    connections: watch::Receiver<usize>,
    passed: Arc<Passed>,
}

/// Bytes of all connections.
#[derive(Default)]
struct Passed {
    up: AtomicU64,
    down: AtomicU64,
}

impl Path {
    pub async fn to(server: SocketAddr) -> Self {
        let silent = watch::Sender::new(0..0);
        let (count, connections) = watch::channel(0);
        let gate = silent.clone();
        let passed = Arc::new(Passed::default());
        let counters = Arc::clone(&passed);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let number = *count.borrow();
                count.send_modify(|count| *count += 1);
                let gate = gate.subscribe();
                let passed = Arc::clone(&counters);
                tokio::spawn(async move {
                    let far = TcpStream::connect(server).await.unwrap();
                    near.set_nodelay(true).unwrap();
                    far.set_nodelay(true).unwrap();
                    let (near_from, near_to) = near.into_split();
                    let (far_from, far_to) = far.into_split();
                    tokio::join!(
                        carry(number, gate.clone(), near_from, far_to, &passed.up),
                        carry(number, gate, far_from, near_to, &passed.down)
                    );
                });
            }
        });
        Self {
            address,
            silent,
            connections,
            passed,
        }
    }

    /// Number of bytes that went to the server.
    pub fn up(&self) -> u64 {
        self.passed.up.load(Ordering::Acquire)
    }

    /// Number of bytes that came from the server.
    pub fn down(&self) -> u64 {
        self.passed.down.load(Ordering::Acquire)
    }

    /// Number of connections so far.
    pub fn connections(&self) -> usize {
        *self.connections.borrow()
    }

    pub fn silence_those_there_are(&self) {
        self.silent.send_replace(0..self.connections());
    }

    pub fn silence_all(&self) {
        self.silent.send_replace(0..usize::MAX);
    }

    /// Silences all but the first connection, which is the first control connection.
    pub fn silence_further_ones(&self) {
        self.silent.send_replace(1..usize::MAX);
    }

    pub fn come_back(&self) {
        self.silent.send_replace(0..0);
    }
}

async fn carry(
    number: usize,
    mut silent: watch::Receiver<Range<usize>>,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    passed: &AtomicU64,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = from.read(&mut buffer).await.unwrap_or(0);
        // The task ends with the test.
        let passes = silent.wait_for(|silent| !silent.contains(&number));
        if passes.await.is_err() {
            return;
        }
        passed.fetch_add(count as u64, Ordering::AcqRel);
        if count == 0 || to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
