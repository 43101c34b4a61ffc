//! FTP servers that send 226 and do not end the data connection: the reply waits for the data, not for that
//! end.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::common::{
    Answer, Ferry, Gate, ScriptedClient, ScriptedServer, answer, begins_file, noise, read_to_end,
    upload,
};

/// Used in place of a second.
const SHORT: Duration = Duration::from_millis(20);

#[tokio::test]
async fn q115_a_download_whose_server_ends_its_data_with_the_next_command() {
    for active in [false, true] {
        let file = noise(300_000);
        let script = begins_file(&file).send("226 done\r\n");
        let server = leaving_open("RETR", script).await;
        let ferry = asking_soon(&server).await;
        let (mut client, mut data) = begin(&ferry, active, "RETR f").await;
        client.expect("150 ").await;
        client.expect_exactly("226 done").await;
        // What a client finds that reads no further.
        let mut came = vec![0; file.len()];
        data.read_exact(&mut came).await.unwrap();
        assert!(came == file);
        client.ask("NOOP", "200 ").await;
        assert!(read_to_end(data).await.unwrap().is_empty());
        ferry.at_rest_but_for_control(1).await;
    }
}

/// The server continues to send data, so the reply continues to wait.
#[tokio::test]
async fn q115_a_226_ahead_of_data_that_a_client_takes_slowly_waits_for_it() {
    let file = noise(3_000_000);
    let script = answer()
        .send("150 here\r\n")
        .send("226 done\r\n")
        .data(&file);
    let server = leaving_open("RETR", script).await;
    let ferry = asking_soon(&server).await;
    let (mut client, mut data) = begin(&ferry, false, "RETR f").await;
    client.expect("150 ").await;
    let mut came = vec![0; file.len()];
    for piece in came.chunks_mut(400_000) {
        data.read_exact(piece).await.unwrap();
        // There is no event for nothing happening.
        tokio::time::sleep(SHORT * 3).await;
    }
    assert!(came == file);
    client.expect_exactly("226 done").await;
    drop(data);
    ferry.at_rest_but_for_control(1).await;
}

/// A client that does not read its data still gets its reply.
#[tokio::test]
async fn a_client_that_takes_nothing_has_its_226_ahead_of_its_data() {
    let file = noise(24 * 1024 * 1024);
    let script = answer()
        .send("150 here\r\n")
        .send("226 done\r\n")
        .data(&file);
    let server = leaving_open("RETR", script).await;
    let ferry = asking_soon(&server).await;
    let (mut client, data) = begin(&ferry, false, "RETR f").await;
    client.expect("150 ").await;
    client.expect_exactly("226 done").await;
    assert!(read_to_end(data).await.unwrap() == file);
    ferry.at_rest_but_for_control(1).await;
}

#[tokio::test]
async fn q116_an_upload_whose_server_leaves_the_data_connection_open_is_stored() {
    for active in [false, true] {
        for size in [1, 300_000] {
            let script = answer()
                .send("150 go on\r\n")
                .receive_part(size)
                .send("226 stored\r\n");
            let server = leaving_open("STOR", script).await;
            let ferry = asking_soon(&server).await;
            let (mut client, data) = begin(&ferry, active, "STOR f").await;
            client.expect("150 ").await;
            upload(data, &noise(size)).await.unwrap();
            client.expect_exactly("226 stored").await;
            client.ask("NOOP", "200 ").await;
            ferry.at_rest_but_for_control(1).await;
        }
    }
}

/// An upload that the client has not ended cannot be known to be whole.
#[tokio::test]
async fn q116_an_upload_that_its_client_has_not_ended_is_no_success() {
    let ended = Gate::new();
    let script = answer()
        .send("150 go on\r\n")
        .receive_part(1)
        .send("226 stored\r\n")
        .wait(&ended);
    let server = leaving_open("STOR", script).await;
    let ferry = asking_soon(&server).await;
    let (mut client, mut data) = begin(&ferry, false, "STOR f").await;
    client.expect("150 ").await;
    tokio::io::AsyncWriteExt::write_all(&mut data, b"a")
        .await
        .unwrap();
    client.expect("426 ").await;
    ended.open();
}

/// A server that ends its data connections with the next command.
async fn leaving_open(verb: &str, script: Answer) -> ScriptedServer {
    let next = answer().finish_data().send("200 as you wish\r\n");
    let server = ScriptedServer::new().on(verb, script).on("NOOP", next);
    server.start().await
}

async fn asking_soon(server: &ScriptedServer) -> Ferry {
    Ferry::plan(server.address())
        .options(|options| {
            options.limits.quiet_data = SHORT;
            options.limits.quiet_far_data = SHORT;
            options.limits.stalled_data = SHORT * 20;
        })
        .start()
        .await
}

async fn begin(ferry: &Ferry, active: bool, command: &str) -> (ScriptedClient, TcpStream) {
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    let data = if active {
        let listener = client.active().await;
        client.send(command).await;
        client.accept(listener).await
    } else {
        let data = client.passive().await;
        client.send(command).await;
        data
    };
    (client, data)
}
