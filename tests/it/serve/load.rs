//! Reloads while many clients work.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ferryline::demo::ftp_client::Mode;
use ferryline::demo::ftp_server::FtpServer;

use super::support::{Service, ssh_table, tunnel_over};
use crate::common::{Shore, logged_in, noise};

const TUNNELS: usize = 20;
const CLIENTS: usize = 100;
const RELOADS: usize = 10;

/// Twenty tunnels over three SSH connections are reloaded ten times, with something else each time, while a hundred
/// clients carry files: each transfer is whole.
#[tokio::test]
async fn ten_reloads_under_load_cut_no_transfer() {
    let shores = [Shore::new().await, Shore::new().await, Shore::new().await];
    let files = tempfile::tempdir().unwrap();
    let content = Arc::new(noise(50_000));
    fs::write(files.path().join("file"), &*content).unwrap();
    let server = FtpServer::start(files.path()).unwrap();
    let text = |round: usize| file(&shores, server.address(), round);
    let mut service = Service::start(shores[0].home(), &text(0));
    let mut addresses = Vec::new();
    for number in 0..TUNNELS {
        addresses.push(service.announced(&name(number)).await);
    }
    service.ready().await;
    let (stop, done) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let address = addresses[number % TUNNELS];
            let content = Arc::clone(&content);
            tokio::spawn(carry(
                address,
                content,
                Arc::clone(&stop),
                Arc::clone(&done),
            ))
        })
        .collect();
    for round in 1..=RELOADS {
        // Work is under way at each of them.
        let before = done.load(Ordering::Relaxed);
        while done.load(Ordering::Relaxed) < before + CLIENTS / 2 {
            assert!(
                clients.iter().all(|client| !client.is_finished()),
                "a client failed"
            );
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        service.reload(&text(round)).await;
        let line = service.running.error_line("reloaded: ").await;
        assert!(line.contains(" changed"), "{line}");
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    assert!(done.load(Ordering::Relaxed) >= RELOADS * CLIENTS / 2);
}

/// Carries the file until it is asked to stop, in a session of its own each time.
async fn carry(
    address: SocketAddr,
    content: Arc<Vec<u8>>,
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
) {
    let mut modes = Mode::ALL.into_iter().cycle();
    while !stop.load(Ordering::Relaxed) {
        let mut client = logged_in(address).await;
        let mode = modes.next().unwrap();
        let fetched = client.retrieve(mode, "file").await.unwrap();
        assert!(
            fetched == *content,
            "{address} {mode}: {} bytes",
            fetched.len()
        );
        client.quit().await.unwrap();
        done.fetch_add(1, Ordering::Relaxed);
    }
}

fn name(number: usize) -> String {
    format!("t{number:02}")
}

/// The file of a round: a third of the tunnels, an SSH connection, and a tunnel without clients are not as before.
fn file(shores: &[Shore; 3], server: SocketAddr, round: usize) -> String {
    let mut text = String::new();
    for (number, shore) in shores.iter().enumerate() {
        text += &ssh_table(&format!("dc{number}"), shore);
        text += "lanes = 4\n";
        if number == round % 3 {
            text += &format!("option.ServerAliveInterval = {}\n", 20 + round);
        }
    }
    for number in 0..TUNNELS {
        text += &tunnel_over(
            &format!("dc{}", number % 3),
            &name(number),
            "127.0.0.1:0",
            server,
        );
        if number % 3 == round % 3 {
            text += &format!("max-line = {}\n", 1000 + round);
        }
    }
    if round % 2 == 1 {
        text += &tunnel_over("dc1", "now-and-then", "127.0.0.1:0", server);
    }
    text
}
