//! FTP servers that stay silent, on the control connection, on the data connection or on both. Sessions that
//! their clients have left end all the same, and never as if they were complete.

use std::io::ErrorKind;
use std::time::Duration;

use ferryline::control::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{interval, sleep};

use crate::common::{
    Answer, Ferry, Gate, ScriptedClient, ScriptedServer, answer, begins_file, read_to_end, reset,
    upload,
};

const BEGINNING: &[u8] = b"the beginning";

#[tokio::test]
async fn a_download_that_stands_still_is_cut_when_its_client_has_ended_its_side() {
    let case = async |active: bool| {
        let server = serving("RETR", begins().wait(&Gate::new())).await;
        let ferry = impatient(&server).await;
        let (mut client, mut data) = transferring(&ferry, active, "RETR f").await;
        took_the_beginning(&mut data).await;
        client.finish().await;
        let error = read_to_end(data).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        client.expect("421 ferryline: no data has moved for ").await;
        client.expect_end().await;
        ferry.at_rest().await;
    };
    tokio::join!(case(false), case(true));
}

#[tokio::test]
async fn an_upload_that_stands_still_is_cut_when_its_client_has_ended_its_side() {
    let case = async |active: bool| {
        let script = answer()
            .send("150 go on\r\n")
            .open_data()
            .wait(&Gate::new());
        let server = serving("STOR", script).await;
        let ferry = impatient(&server).await;
        let (mut client, mut data) = transferring(&ferry, active, "STOR f").await;
        data.write_all(BEGINNING).await.unwrap();
        client.finish().await;
        let error = read_to_end(data).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        client.expect("421 ferryline: no data has moved for ").await;
        client.expect_end().await;
        ferry.at_rest().await;
    };
    tokio::join!(case(false), case(true));
}

/// The transfer never begins, or its data is through and its final reply never comes.
#[tokio::test]
async fn a_transfer_without_data_is_not_waited_for_when_its_client_has_ended_its_side() {
    let case = async |begins: bool| {
        let script = match begins {
            true => answer().send("150 go on\r\n").receive_data(),
            false => answer(),
        };
        let server = serving("STOR", script.wait(&Gate::new())).await;
        let ferry = impatient(&server).await;
        let mut client = ScriptedClient::logged_in(ferry.v4).await;
        let data = client.passive().await;
        if begins {
            client.ask("STOR f", "150 ").await;
            upload(data, BEGINNING).await.unwrap();
            assert_eq!(server.upload().await.unwrap(), BEGINNING);
        } else {
            reset(data);
            client.send("STOR f").await;
        }
        client.finish().await;
        client
            .expect("421 ferryline: the FTP server has been silent for ")
            .await;
        client.expect_end().await;
        ferry.at_rest().await;
    };
    tokio::join!(case(false), case(true));
}

/// The client's end of file comes after more commands than are read from it.
#[tokio::test]
async fn a_client_that_has_left_is_missed_also_where_it_is_not_read() {
    let server = serving("STOR", answer().wait(&Gate::new())).await;
    let ferry = impatient(&server).await;
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    client.send("STOR f").await;
    client.send_raw("NOOP\r\n".repeat(1000)).await;
    client.finish().await;
    client
        .expect("421 ferryline: the FTP server has been silent for ")
        .await;
    drop(client);
    ferry.at_rest().await;
}

#[tokio::test]
async fn a_client_that_has_ended_its_side_still_sends_all_of_its_file() {
    let script = answer()
        .send("150 go on\r\n")
        .receive_data()
        .send("226 got it\r\n")
        .close();
    let server = serving("STOR", script).await;
    let ferry = impatient(&server).await;
    let (mut client, mut data) = transferring(&ferry, false, "STOR f").await;
    client.finish().await;
    // Slowly, and for longer than data may stand still.
    let sent = drip(&mut data).await;
    data.shutdown().await.unwrap();
    assert_eq!(server.upload().await.unwrap(), sent);
    client.expect_exactly("226 got it").await;
    client.expect_end().await;
    drop(data);
    ferry.at_rest().await;
}

#[tokio::test]
async fn a_download_that_has_outlived_its_session_is_cut_when_it_stands_still() {
    let case = async |active: bool| {
        let server = serving("RETR", begins().close().wait(&Gate::new())).await;
        let ferry = impatient(&server).await;
        let (mut client, mut data) = transferring(&ferry, active, "RETR f").await;
        took_the_beginning(&mut data).await;
        client.expect_end().await;
        drop(client);
        let error = read_to_end(data).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        ferry.at_rest().await;
    };
    tokio::join!(case(false), case(true));
}

#[tokio::test]
async fn an_upload_that_has_outlived_its_session_ends_as_its_client_ends_it() {
    let case = async |whole: bool| {
        let script = answer().send("150 go on\r\n").close().receive_data();
        let server = serving("STOR", script).await;
        let ferry = impatient(&server).await;
        let (mut client, mut data) = transferring(&ferry, false, "STOR f").await;
        client.expect_end().await;
        drop(client);
        let sent = drip(&mut data).await;
        if whole {
            data.shutdown().await.unwrap();
            assert_eq!(read_to_end(data).await.unwrap(), b"");
        } else {
            let error = read_to_end(data).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        }
        // An SSH server can pass on no other end. The FTP server has ended the session itself.
        assert_eq!(server.upload().await.unwrap(), sent);
        ferry.at_rest().await;
    };
    tokio::join!(case(true), case(false));
}

/// For any length of time: a paused download, and a server that takes its time.
#[tokio::test]
async fn in_a_session_that_stands_data_may_stand_still() {
    let goes_on = Gate::new();
    let script = begins()
        .wait(&goes_on)
        .data(" and the rest")
        .send("226 done\r\n");
    let server = serving("RETR", script).await;
    let ferry = impatient(&server).await;
    let (mut client, data) = transferring(&ferry, false, "RETR f").await;
    sleep(STILL * 2).await;
    client.nothing_came();
    goes_on.open();
    assert_eq!(
        read_to_end(data).await.unwrap(),
        b"the beginning and the rest"
    );
    client.expect_exactly("226 done").await;
}

/// Longer than the pieces of a test can lie apart on a busy machine.
const STILL: Duration = Duration::from_secs(2);

async fn impatient(server: &ScriptedServer) -> Ferry {
    Ferry::plan(server.address())
        .options(|options| {
            options.limits = Limits {
                unanswered: Duration::from_secs(1),
                still_data: STILL,
                ..Limits::default()
            };
        })
        .start()
        .await
}

async fn serving(command: &str, script: Answer) -> ScriptedServer {
    ScriptedServer::new().on(command, script).start().await
}

/// Sends the beginning of a file, and then nothing.
fn begins() -> Answer {
    begins_file(BEGINNING)
}

/// A client whose transfer has begun, and its data connection.
async fn transferring(ferry: &Ferry, active: bool, command: &str) -> (ScriptedClient, TcpStream) {
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    let data = if active {
        let listener = client.active().await;
        client.ask(command, "150 ").await;
        client.accept(listener).await
    } else {
        let data = client.passive().await;
        client.ask(command, "150 ").await;
        data
    };
    (client, data)
}

async fn took_the_beginning(data: &mut TcpStream) {
    let mut beginning = vec![0; BEGINNING.len()];
    data.read_exact(&mut beginning).await.unwrap();
    assert_eq!(beginning, BEGINNING);
}

/// Sends a byte now and then, for longer than data may stand still. Returns what was sent.
async fn drip(data: &mut TcpStream) -> Vec<u8> {
    let mut ticks = interval(STILL / 20);
    let mut sent = Vec::new();
    for byte in 0..30 {
        ticks.tick().await;
        data.write_all(&[byte]).await.unwrap();
        sent.push(byte);
    }
    sent
}
