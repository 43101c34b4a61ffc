//! How things end through a real proxy: nothing whole is cut, nothing cut looks whole, and a peer that does
//! not read cannot fill the memory.

use std::time::Duration;

use ferryline::proxy::Direction;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::{sleep, timeout};

use crate::common::{
    Ferry, Gate, PATIENCE, ScriptedClient, ScriptedServer, answer, begins_file, noise, read_to_end,
    reset, six_numbers,
};

const LISTENING: &str = "227 Entering Passive Mode ({hostport}).\r\n";

#[tokio::test]
async fn a_file_that_is_complete_is_not_cut_by_a_stop() {
    let content = noise(300 * 1024);
    let server = ScriptedServer::new()
        .on("PASV", answer().listen().send(LISTENING))
        .on(
            "RETR",
            answer()
                .send("150 here it comes\r\n")
                .data(&content)
                .send("226 done\r\n"),
        )
        .start()
        .await;
    let mut ferry = Ferry::to(server.address()).await;
    let mut client = ScriptedClient::connect(ferry.v4).await;
    client.expect("220").await;
    let data = client.passive().await;
    client.ask("RETR f", "150").await;
    client.expect("226").await;
    // All of it is in the system's buffers by now; nothing has been read.
    ferry.begin_stop();
    client.expect("421").await;
    client.expect_end().await;
    ferry.stopped().await;
    assert!(read_to_end(data).await.unwrap() == content);
}

#[tokio::test]
async fn an_upload_that_the_client_breaks_off_ends_the_session_first() {
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
    let ferry = Ferry::to(server.address()).await;
    let mut client = ScriptedClient::connect(ferry.v4).await;
    client.expect("220").await;
    let mut data = client.passive().await;
    client.ask("STOR f", "150").await;
    data.write_all(&noise(100_000)).await.unwrap();
    reset(data);
    client.expect("421").await;
    let first = timeout(PATIENCE, async {
        tokio::select! {
            biased;
            _ = server.upload() => "the data connection",
            () = server.control_ended() => "the control connection",
        }
    });
    assert_eq!(first.await.unwrap(), "the control connection");
    ferry.at_rest().await;
    ferry.stop().await;
}

#[tokio::test]
async fn a_client_that_takes_no_replies_is_not_heard_for_ever() {
    /// Their answers are more than all buffers on the way hold.
    const FAR_TOO_MANY: usize = 150_000;
    let server = ScriptedServer::new().start().await;
    let ferry = Ferry::to(server.address()).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(ferry.v4).await.unwrap();
    let writer = tokio::spawn(async move {
        let commands = b"LPSV\r\n".repeat(10_000);
        while stream.write_all(&commands).await.is_ok() {}
    });
    let heard = || ferry.lines.all(Direction::FromClient, "LPSV").len();
    let mut before = 0;
    loop {
        // There is no event for not being read any more.
        sleep(Duration::from_secs(1)).await;
        let now = heard();
        assert!(now < FAR_TOO_MANY, "{now} commands were heard");
        if now == before && now > 0 {
            break;
        }
        before = now;
    }
    writer.abort();
    ferry.at_rest().await;
    ferry.stop().await;
}

/// The FTP server sees its control connection end before its data connection is cut, and ends the latter by
/// itself, in order. That end must not reach the client.
#[tokio::test]
async fn a_download_that_ends_with_its_session_is_reset() {
    let server = ScriptedServer::new()
        .on("PASV", answer().listen().send(LISTENING))
        .on("RETR", begins_file("part"))
        .start()
        .await;
    let ferry = Ferry::to(server.address()).await;
    for _ in 0..20 {
        let mut client = ScriptedClient::connect(ferry.v4).await;
        client.expect("220").await;
        let data = client.passive().await;
        client.ask("RETR f", "150").await;
        client.send_raw("a \0NUL\r\n").await;
        client.expect("500").await;
        let read = read_to_end(data).await;
        assert!(read.is_err(), "{read:?}");
    }
    ferry.at_rest().await;
    ferry.stop().await;
}

/// A server that reads both as they come would take them for nothing.
#[tokio::test]
async fn q118_what_a_client_uploads_is_not_there_before_its_command() {
    for content in [noise(100_000), Vec::new()] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let numbers = six_numbers(listener.local_addr().unwrap());
        let begin = Gate::new();
        let server = ScriptedServer::new()
            .on(
                "PASV",
                answer().send(format!("227 Entering Passive Mode ({numbers}).\r\n")),
            )
            .on("STOR", answer().wait(&begin).send("150 go on\r\n"))
            .start()
            .await;
        let ferry = Ferry::plan(server.address())
            .options(|options| options.limits.early_data = PATIENCE)
            .start()
            .await;
        let mut client = ScriptedClient::logged_in(ferry.v4).await;
        let mut data = client.passive().await;
        data.write_all(&content).await.unwrap();
        data.shutdown().await.unwrap();
        client.send("STOR f").await;
        server.received("STOR").await;
        let (mut arrived, _) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
        let early = timeout(Duration::from_millis(200), arrived.read(&mut [0])).await;
        assert!(early.is_err(), "{early:?}");
        begin.open();
        client.expect("150 ").await;
        let found = timeout(PATIENCE, read_to_end(arrived)).await.unwrap();
        assert!(found.unwrap() == content);
    }
}
