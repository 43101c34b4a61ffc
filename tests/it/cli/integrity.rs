//! The real program with data under way: killed, and with clients that stop reading.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

use crate::common::{
    Gate, PATIENCE, ScriptedClient, ScriptedServer, Shore, answer, begins_file, noise, read_to_end,
};

const LISTENING: &str = "227 Entering Passive Mode ({hostport}).\r\n";

/// The socket is set up so that the system resets it, whatever ends the program.
#[tokio::test]
async fn a_download_of_a_program_that_is_killed_is_reset() {
    let shore = Shore::new().await;
    let never = Gate::new();
    // A file of which the client has all that was sent, and one that fills every buffer on the way.
    for size in [13, 20_000_000] {
        let file = noise(size);
        let server = ScriptedServer::new()
            .on("PASV", answer().listen().send(LISTENING))
            .on("RETR", begins_file(&file).wait(&never))
            .start()
            .await;
        let mut ferry = shore.start(&["-L", &format!("0:{}", server.address())]);
        let mut client = ScriptedClient::logged_in(ferry.ftp_address().await).await;
        let mut data = client.passive().await;
        client.ask("RETR f", "150 ").await;
        let mut beginning = [0; 13];
        data.read_exact(&mut beginning).await.unwrap();
        assert!(file.starts_with(&beginning));

        ferry.signal("KILL").await;
        let error = read_to_end(data).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{size}");
        ferry.ended().await;
    }
}

/// What happens to the file is up to the SSH server; but the client knows.
#[tokio::test]
async fn an_upload_of_a_program_that_is_killed_is_no_success() {
    let shore = Shore::new().await;
    let server = ScriptedServer::new()
        .on("PASV", answer().listen().send(LISTENING))
        .on(
            "STOR",
            answer()
                .send("150 go on\r\n")
                .receive_data()
                .send("226 stored\r\n"),
        )
        .start()
        .await;
    let mut ferry = shore.start(&["-L", &format!("0:{}", server.address())]);
    let mut client = ScriptedClient::logged_in(ferry.ftp_address().await).await;
    let mut data = client.passive().await;
    client.ask("STOR f", "150 ").await;
    data.write_all(&noise(100_000)).await.unwrap();
    ferry.signal("KILL").await;
    let ended = timeout(PATIENCE, data.read(&mut [0; 1])).await.unwrap();
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset);
    // No last reply, above all no 226.
    assert!(client.rest().await.map_or(true, |said| said.is_empty()));
    ferry.ended().await;
}

/// Bytes in the memory of ferryline for each transfer whose client does not read, as stated in
/// `src/proxy/data/splice.rs`.
const BOUND: u64 = 8 * 1024 * 1024;
const STALLED: u64 = 4;

#[tokio::test]
async fn clients_that_stop_reading_cost_bounded_memory_and_stall_nobody_else() {
    let shore = Shore::new().await;
    let sent = Arc::new(AtomicU64::new(0));
    let endless = endless_server(Arc::clone(&sent)).await;
    let server = ScriptedServer::new()
        .on(
            "EPSV",
            format!("229 here (|||{}|)\r\n", endless.port()).as_str(),
        )
        .on("RETR", "150 for ever\r\n")
        .start()
        .await;
    let mut ferry = shore.start(&["-L", &format!("0:{}", server.address())]);
    let address = ferry.ftp_address().await;
    let mut other = ScriptedClient::logged_in(address).await;
    let before = ferry.resident();

    let mut stalled = Vec::new();
    for _ in 0..STALLED {
        let mut client = ScriptedClient::logged_in(address).await;
        let mut data = client.extended_passive().await;
        client.ask("RETR f", "150 ").await;
        data.read_exact(&mut [0; 100_000]).await.unwrap();
        stalled.push((client, data));
    }
    // There is no event for the moment when nothing moves any more.
    let mut last = 0;
    timeout(PATIENCE, async {
        loop {
            sleep(Duration::from_millis(300)).await;
            let now = sent.load(Ordering::Relaxed);
            if now == last {
                return;
            }
            last = now;
            other.ask("NOOP", "200 ").await;
        }
    })
    .await
    .expect("a server that sends for ever is never stopped");
    let grown = ferry.resident().saturating_sub(before);
    assert!(
        grown < STALLED * BOUND,
        "{STALLED} stalled transfers cost {grown} B; the server sent {last} B"
    );
    // No other client waits for them, neither for lines nor for files.
    for _ in 0..20 {
        other.ask("NOOP", "200 ").await;
    }
    let mut data = other.extended_passive().await;
    other.ask("RETR f", "150 ").await;
    data.read_exact(&mut vec![0; 1_000_000]).await.unwrap();
    // They continue when their clients do.
    for (_, data) in &mut stalled {
        data.read_exact(&mut vec![0; 20_000_000]).await.unwrap();
    }
}

/// A server that sends for ever to each client that connects.
async fn endless_server(sent: Arc<AtomicU64>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let sent = Arc::clone(&sent);
            tokio::spawn(async move {
                let piece = vec![7; 64 * 1024];
                while let Ok(count) = stream.write(&piece).await {
                    sent.fetch_add(count as u64, Ordering::Relaxed);
                }
            });
        }
    });
    address
}
