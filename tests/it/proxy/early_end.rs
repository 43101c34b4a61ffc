//! The far side ends a data connection before the client has: an SSH server that times the channel out
//! (sshd's `ChannelTimeout`), or an FTP server that ends its own direction first. What the client has sent,
//! or is about to send, is then not an upload that succeeded.

use std::io;
use std::time::Duration;

use ferryline::proxy::Direction;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::common::{
    Answer, Ferry, Gate, PATIENCE, ScriptedClient, ScriptedServer, answer, noise, read_to_end,
    reset, sends_file, upload,
};

/// The FTP server sees an end of file and takes what it has for the whole file.
#[tokio::test]
async fn an_upload_whose_channel_is_timed_out_before_its_first_byte_is_no_success() {
    for active in [false, true] {
        let server = stores(0).await;
        let ferry = Ferry::to(server.address()).await;
        let (mut client, mut data) = timed_out_in_mid_upload(&ferry, active, 0).await;
        data.write_all(b"the first piece").await.unwrap();
        client.expect("426 ").await;
        client.ask("NOOP", "200 ").await;
        assert!(is_broken(&mut data).await);
        ferry.at_rest_but_for_control(1).await;
    }
}

#[tokio::test]
async fn an_upload_whose_channel_is_timed_out_in_the_middle_is_no_success() {
    for active in [false, true] {
        let server = stores(100_000).await;
        let ferry = Ferry::to(server.address()).await;
        let (mut client, mut data) = timed_out_in_mid_upload(&ferry, active, 100_000).await;
        data.write_all(b"the next piece").await.unwrap();
        client.expect("426 ").await;
        client.ask("NOOP", "200 ").await;
        assert!(is_broken(&mut data).await);
        ferry.at_rest_but_for_control(1).await;
    }
}

/// The last bytes that the client sent may not have arrived.
#[tokio::test]
async fn an_upload_that_ends_when_its_channel_is_gone_is_no_success() {
    for active in [false, true] {
        let server = stores(100_000).await;
        let ferry = Ferry::to(server.address()).await;
        let (mut client, mut data) = timed_out_in_mid_upload(&ferry, active, 100_000).await;
        data.shutdown().await.unwrap();
        client.expect("426 ").await;
        client.ask("NOOP", "200 ").await;
        ferry.at_rest_but_for_control(1).await;
    }
}

/// The client is told even if it sends nothing more.
#[tokio::test]
async fn an_upload_that_pauses_when_its_channel_is_gone_is_no_success() {
    for sent in [0, 100_000] {
        let server = stores(sent).await;
        let ferry = impatient_to(&server).await;
        let (mut client, _data) = timed_out_in_mid_upload(&ferry, false, sent).await;
        client.expect("426 ").await;
        client.ask("NOOP", "200 ").await;
        ferry.at_rest_but_for_control(1).await;
    }
}

/// An empty file is stored whole.
#[tokio::test]
async fn an_empty_upload_whose_channel_is_timed_out_is_a_success() {
    let server = stores(0).await;
    let ferry = Ferry::to(server.address()).await;
    let (mut client, mut data) = timed_out_in_mid_upload(&ferry, false, 0).await;
    data.shutdown().await.unwrap();
    client.expect_exactly("226 stored").await;
    ferry.at_rest_but_for_control(1).await;
}

/// Neither while the client pauses nor when it is given up does anything look like the end of its file to the
/// FTP server.
#[tokio::test]
async fn an_upload_that_pauses_where_the_server_has_ended_its_side_ends_with_its_session() {
    for sent in [0, 100_000] {
        let server = half_closing().await;
        let ferry = impatient_to(&server).await;
        let (mut client, mut data) = uploading(&ferry).await;
        assert_eq!(data.read(&mut [0]).await.unwrap(), 0);
        data.write_all(&noise(sent)).await.unwrap();
        client.expect("421 ").await;
        server.control_ended().await;
        let _ = server.upload().await;
        let said = server.transcript().to_string();
        let at = |event: &str| said.find(event).unwrap();
        assert!(
            at("the control connection ended") < at("an upload has ended"),
            "{said}"
        );
        ferry.at_rest().await;
    }
}

/// sshd closes a channel by itself once it has both ends of file, and an early end then looks like the end of
/// the file. So a client that ends its side of a download first is treated like one that does not (Q130).
#[tokio::test]
async fn q130_a_download_whose_channel_is_timed_out_is_no_success() {
    for half_closed in [false, true] {
        for active in [false, true] {
            let handed_over = Gate::new();
            let server = ScriptedServer::new()
                .on(
                    "RETR",
                    answer()
                        .send("150 here it comes\r\n")
                        .partial_data("the beginning")
                        .wait(&handed_over)
                        .send("226 sent\r\n"),
                )
                .start()
                .await;
            let ferry = Ferry::plan(server.address()).openssh().start().await;
            let mut client = ScriptedClient::logged_in(ferry.v4).await;
            let mut other = ScriptedClient::logged_in(ferry.v4).await;
            let time_out = time_out_of_next(&ferry);
            let mut data = open(&mut client, active, "RETR f").await;
            client.expect("150 ").await;
            data.read_exact(&mut [0; 13]).await.unwrap();
            if half_closed {
                data.shutdown().await.unwrap();
                // ferryline's reaction is over before it has answered this number of commands.
                for _ in 0..5 {
                    other.ask("NOOP", "200 ").await;
                }
            }
            time_out.cancel();
            let ended = read_to_end(data).await;
            assert!(ended.is_err(), "{half_closed} {active}: {ended:?}");
            handed_over.open();
            client.expect("426 ").await;
            client.ask("NOOP", "200 ").await;
        }
    }
}

/// The server pauses, and the server's time limits apply.
#[tokio::test]
async fn an_upload_is_whole_where_the_server_has_ended_its_side_and_is_slow_to_take_it() {
    let goes_on = Gate::new();
    let script = answer()
        .send("150 go on\r\n")
        .half_finish_data()
        .wait(&goes_on)
        .receive_data()
        .send("226 stored\r\n");
    let server = storing(script).await;
    let ferry = impatient_to(&server).await;
    let (mut client, mut data) = uploading(&ferry).await;
    assert_eq!(data.read(&mut [0]).await.unwrap(), 0);
    // More than all buffers on the way hold.
    let file = noise(64 * 1024 * 1024);
    let sending = async {
        data.write_all(&file).await.unwrap();
        data.shutdown().await.unwrap();
    };
    let pause = async {
        // Long enough for the buffers to fill, and for the limit to pass after that.
        sleep(SHORT * 20).await;
        client.nothing_came();
        goes_on.open();
    };
    tokio::join!(sending, pause);
    client.expect_exactly("226 stored").await;
    assert!(server.upload().await.unwrap() == file);
    ferry.at_rest_but_for_control(1).await;
}

/// Nothing was sent yet, so nothing is whole.
#[tokio::test]
async fn an_upload_that_is_reset_where_the_server_has_ended_its_side_ends_with_its_session() {
    let server = half_closing().await;
    let ferry = Ferry::to(server.address()).await;
    let (mut client, mut data) = uploading(&ferry).await;
    assert_eq!(data.read(&mut [0]).await.unwrap(), 0);
    reset(data);
    client.expect("421 ").await;
    server.control_ended().await;
    ferry.at_rest().await;
}

#[tokio::test]
async fn an_upload_is_whole_where_the_server_has_ended_its_side() {
    let server = half_closing().await;
    let ferry = Ferry::to(server.address()).await;
    let (mut client, mut data) = uploading(&ferry).await;
    assert_eq!(data.read(&mut [0]).await.unwrap(), 0);
    upload(data, &noise(3_000_000)).await.unwrap();
    client.expect_exactly("226 stored").await;
    assert!(server.upload().await.unwrap() == noise(3_000_000));
    ferry.at_rest_but_for_control(1).await;
}

/// A whole file is whole: neither its channel nor its client need end in order.
#[tokio::test]
async fn a_download_stays_a_success_however_it_is_closed() {
    for content in ["a file", ""] {
        let script = sends_file(content);
        let server = ScriptedServer::new().on("RETR", script).start().await;
        let ferry = impatient_to(&server).await;
        for way in ["times out", "is reset", "stays", "closes"] {
            let mut client = ScriptedClient::logged_in(ferry.v4).await;
            let time_out = time_out_of_next(&ferry);
            let mut data = client.passive().await;
            client.ask("RETR f", "150 ").await;
            let mut came = Vec::new();
            data.read_to_end(&mut came).await.unwrap();
            assert_eq!(came, content.as_bytes());
            client.expect_exactly("226 done").await;
            // The next control connection is not one of those that are timed out.
            time_out_of_next(&ferry);
            let kept = match way {
                "times out" => {
                    time_out.cancel();
                    Some(data)
                }
                "is reset" => {
                    reset(data);
                    None
                }
                "closes" => None,
                _ => Some(data),
            };
            client.ask("NOOP", "200 ").await;
            ferry.at_rest_but_for_control(1).await;
            drop(kept);
            client.ask("QUIT", "221 ").await;
            client.expect_end().await;
            ferry.at_rest().await;
        }
    }
}

/// FTP's time limits do not apply to a plain forward: `ssh -L` lets a half-closed connection stay open, too.
#[tokio::test]
async fn a_plain_forward_whose_far_side_has_ended_stands_as_long_as_its_client_likes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ferry = Ferry::plan(listener.local_addr().unwrap())
        .plain()
        .options(|options| options.last_word = SHORT)
        .start()
        .await;
    let mut near = TcpStream::connect(ferry.v4).await.unwrap();
    let (mut far, _) = listener.accept().await.unwrap();
    far.shutdown().await.unwrap();
    assert_eq!(near.read(&mut [0]).await.unwrap(), 0);
    near.write_all(b"one, ").await.unwrap();
    // There is no event for nothing happening.
    sleep(SHORT * 5).await;
    near.write_all(b"two").await.unwrap();
    near.shutdown().await.unwrap();
    assert_eq!(read_to_end(far).await.unwrap(), b"one, two");
    drop(near);
    ferry.at_rest().await;
}

#[tokio::test]
async fn a_plain_forward_whose_far_side_is_gone_ends_although_its_client_stays() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ferry = Ferry::plan(listener.local_addr().unwrap())
        .plain()
        .start()
        .await;
    for answered in [true, false] {
        let time_out = time_out_of_next(&ferry);
        let mut near = TcpStream::connect(ferry.v4).await.unwrap();
        let (mut far, _) = listener.accept().await.unwrap();
        near.write_all(b"asked").await.unwrap();
        far.read_exact(&mut [0; 5]).await.unwrap();
        if answered {
            far.write_all(b"answered").await.unwrap();
            near.read_exact(&mut [0; 8]).await.unwrap();
        }
        // An end of file and a close, together.
        time_out.cancel();
        ferry.at_rest().await;
        drop(near);
    }
}

/// In place of a minute.
const SHORT: Duration = Duration::from_millis(200);

/// A server that takes all that comes up to an end of file for a whole file. It says that it begins when it
/// has `beginning` bytes.
async fn stores(beginning: usize) -> ScriptedServer {
    storing(
        answer()
            .receive_part(beginning)
            .send("150 go on\r\n")
            .receive_data()
            .send("226 stored\r\n"),
    )
    .await
}

/// As above; the server ends its own direction first.
async fn half_closing() -> ScriptedServer {
    storing(
        answer()
            .send("150 go on\r\n")
            .half_finish_data()
            .receive_data()
            .send("226 stored\r\n"),
    )
    .await
}

async fn storing(script: Answer) -> ScriptedServer {
    ScriptedServer::new().on("STOR", script).start().await
}

async fn impatient_to(server: &ScriptedServer) -> Ferry {
    Ferry::plan(server.address())
        .options(|options| options.last_word = SHORT)
        .start()
        .await
}

async fn uploading(ferry: &Ferry) -> (ScriptedClient, TcpStream) {
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    let data = begin(&mut client, false, 0).await;
    (client, data)
}

/// A client in an upload of which `sent` bytes have arrived when the SSH server times its channel out, and
/// the FTP server has reported success.
async fn timed_out_in_mid_upload(
    ferry: &Ferry,
    active: bool,
    sent: usize,
) -> (ScriptedClient, TcpStream) {
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    let time_out = time_out_of_next(ferry);
    let data = begin(&mut client, active, sent).await;
    time_out.cancel();
    ferry.lines.seen(Direction::FromServer, "226").await;
    (client, data)
}

/// Times out the channels that are opened from now on.
fn time_out_of_next(ferry: &Ferry) -> CancellationToken {
    let time_out = CancellationToken::new();
    ferry
        .ssh_server
        .update(|faults| faults.time_out = time_out.clone());
    time_out
}

/// Asks for a transfer; returns its data connection.
async fn open(client: &mut ScriptedClient, active: bool, command: &str) -> TcpStream {
    if active {
        let listener = client.active().await;
        client.send(command).await;
        client.accept(listener).await
    } else {
        let data = client.passive().await;
        client.send(command).await;
        data
    }
}

/// Begins an upload with `sent` bytes.
async fn begin(client: &mut ScriptedClient, active: bool, sent: usize) -> TcpStream {
    let mut data = open(client, active, "STOR f").await;
    data.write_all(&noise(sent)).await.unwrap();
    client.expect("150 ").await;
    data
}

/// Whether writing fails in the end.
async fn is_broken(data: &mut TcpStream) -> bool {
    let failed: Result<io::Error, _> = timeout(PATIENCE, async {
        loop {
            if let Err(error) = data.write_all(&[0; 1024]).await {
                return error;
            }
        }
    })
    .await;
    failed.is_ok()
}
