//! Whatever breaks, half a file is never taken for a whole one, and nothing stays behind. Cut SSH sessions,
//! resets, refusals, final replies that overtake their data, listeners that are not used.

use std::io::{self, ErrorKind, Read};
use std::net::SocketAddr;
use std::time::Duration;

use ferryline::control::ActiveMode;
use ferryline::demo::ftp_client::{FtpClient, Mode};
use ferryline::proxy::Direction;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::common::{
    Ferry, Gate, PATIENCE, ScriptedClient, ScriptedServer, answer, begins_file, host_port,
    logged_in, nobody, noise, read_to_end, reset, stores_file,
};

/// The SSH session is lost in mid-download, in each way that a data connection can be made.
#[tokio::test]
async fn a_download_cut_with_the_ssh_session_is_reset_and_never_ends_in_order() {
    for mode in Mode::ALL {
        let never = Gate::new();
        let server = ScriptedServer::new()
            .on("RETR", begins_file("the beginning").wait(&never))
            .start()
            .await;
        let ferry = Ferry::to(server.address()).await;
        let mut client = logged_in(ferry.v4).await;
        let mut data = client.begin(mode, "RETR f").await.unwrap();
        let mut beginning = [0; 13];
        data.read_exact(&mut beginning).await.unwrap();
        assert_eq!(&beginning, b"the beginning");

        ferry.ssh_server.kill();
        let error = read_to_end(data).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{mode}");
        ends_with_421(client).await;
        ferry.at_rest().await;
    }
}

/// As above, with enough under way to fill all buffers.
#[tokio::test]
async fn a_large_download_cut_with_the_ssh_session_is_reset() {
    let never = Gate::new();
    let file = noise(30_000_000);
    let server = ScriptedServer::new()
        .on("RETR", begins_file(&file).wait(&never))
        .start()
        .await;
    let ferry = Ferry::to(server.address()).await;
    let mut client = logged_in(ferry.v4).await;
    let mut data = client.begin(Mode::Passive, "RETR f").await.unwrap();
    let mut beginning = vec![0; 1_000_000];
    data.read_exact(&mut beginning).await.unwrap();
    assert!(beginning == file[..1_000_000]);
    ferry.ssh_server.kill();
    let error = read_to_end(data).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    ends_with_421(client).await;
}

#[tokio::test]
async fn an_upload_cut_with_the_ssh_session_fails_for_the_client() {
    for mode in Mode::ALL {
        let server = ScriptedServer::new()
            .on("STOR", stores_file())
            .start()
            .await;
        let ferry = Ferry::to(server.address()).await;
        let mut client = logged_in(ferry.v4).await;
        let mut data = client.begin(mode, "STOR f").await.unwrap();
        data.write_all(&noise(100_000)).await.unwrap();
        ferry.ssh_server.kill();
        let error = write_until_it_fails(&mut data).await;
        assert!(
            matches!(
                error.kind(),
                ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
            ),
            "{mode}: {error}"
        );
        ends_with_421(client).await;
        ferry.at_rest().await;
    }
}

#[tokio::test]
async fn after_a_lost_ssh_session_new_clients_are_served_again() {
    let server = ScriptedServer::new()
        .on(
            "RETR",
            answer()
                .send("150 here\r\n")
                .data("a file")
                .send("226 ok\r\n"),
        )
        .start()
        .await;
    let ferry = Ferry::to(server.address()).await;
    for _ in 0..3 {
        let mut client = logged_in(ferry.v4).await;
        for mode in Mode::ALL {
            assert_eq!(client.retrieve(mode, "f").await.unwrap(), b"a file");
        }
        ferry.ssh_server.kill();
        ends_with_421(client).await;
    }
    ferry.at_rest().await;
}

/// SSH cannot express a reset, so only the server's final reply tells the client. It must be the server's
/// own.
#[tokio::test]
async fn a_download_that_the_ftp_server_resets_is_told_by_the_final_reply() {
    for mode in Mode::ALL {
        let seen = Gate::new();
        let server = ScriptedServer::new()
            .on(
                "RETR",
                begins_file("half")
                    .wait(&seen)
                    .reset_data()
                    .send("426 lost it\r\n"),
            )
            .start()
            .await;
        let ferry = Ferry::to(server.address()).await;
        let mut client = logged_in(ferry.v4).await;
        let mut data = client.begin(mode, "RETR f").await.unwrap();
        let mut half = [0; 4];
        data.read_exact(&mut half).await.unwrap();
        seen.open();
        let rest = read_to_end(data).await;
        assert!(rest.as_ref().is_ok_and(Vec::is_empty) || rest.is_err());
        assert_eq!(client.reply().await.unwrap().code.value(), 426, "{mode}");
        assert_eq!(client.command("NOOP").await.unwrap().code.value(), 200);
    }
}

/// The server must not take an upload that the client reset for a complete file.
#[tokio::test]
async fn an_upload_that_the_client_resets_takes_its_session_with_it() {
    for mode in Mode::ALL {
        let server = ScriptedServer::new()
            .on("STOR", stores_file())
            .start()
            .await;
        let ferry = Ferry::to(server.address()).await;
        let mut client = logged_in(ferry.v4).await;
        let mut data = client.begin(mode, "STOR f").await.unwrap();
        data.write_all(b"half").await.unwrap();
        reset(data);
        // An SSH server cannot pass a reset on: the data may end in order. But the control connection is
        // lost, and the client never reads that all went well.
        let _stored = server.upload().await;
        server.control_ended().await;
        match client.reply().await {
            Ok(reply) => assert_eq!(reply.code.value(), 421, "{mode}"),
            Err(_) => panic!("{mode}: no last word"),
        }
        assert!(
            client.reply().await.is_err(),
            "{mode}: the session goes on\n{}",
            server.transcript()
        );
    }
}

/// Control and data take different ways, so a 226 often overtakes its data. Many clients read no more data
/// once they have it.
#[tokio::test]
async fn a_226_that_overtakes_its_data_waits_for_it() {
    for mode in Mode::ALL {
        let go_on = Gate::new();
        let server = ScriptedServer::new()
            .on(
                "RETR",
                begins_file("the first half, ")
                    .send("226 done\r\n")
                    .wait(&go_on)
                    .data("the second half"),
            )
            .start()
            .await;
        let ferry = Ferry::to(server.address()).await;
        let mut client = logged_in(ferry.v4).await;
        let data = client.begin(mode, "RETR f").await.unwrap();
        ferry.lines.seen(Direction::FromServer, "226").await;
        assert!(ferry.lines.all(Direction::ToClient, "226").is_empty());
        go_on.open();
        // The client reads nothing but the control connection until the server has sent its final reply.
        client.finish("RETR f").await.unwrap();
        // What the client then finds without waiting, asked of the system itself, is the whole file.
        let mut file = Vec::new();
        let mut data = data.into_std().unwrap();
        data.read_to_end(&mut file).unwrap_or_else(|error| {
            panic!("{mode}: of the file, {} B were there: {error}", file.len())
        });
        assert_eq!(file, b"the first half, the second half", "{mode}");
        drop(data);
        assert_eq!(client.command("NOOP").await.unwrap().code.value(), 200);
    }
}

#[tokio::test]
async fn a_data_channel_that_the_ssh_server_refuses_is_a_reset_at_once() {
    let server = ScriptedServer::new()
        .on(
            "RETR",
            answer()
                .send("150 here\r\n")
                .data("a file")
                .send("226 ok\r\n"),
        )
        .start()
        .await;
    let (ferry, mut client) = Ferry::with_client(&server).await;
    ferry
        .ssh_server
        .update(|faults| faults.refuse_direct = true);
    for verb in ["PASV", "EPSV"] {
        let data = match verb {
            "PASV" => client.passive().await,
            _ => client.extended_passive().await,
        };
        let error = read_to_end(data).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{verb}");
        client.ask("NOOP", "200 ").await;
    }
    ferry
        .ssh_server
        .update(|faults| faults.refuse_direct = false);
    let data = client.passive().await;
    client.ask("RETR f", "150 ").await;
    assert_eq!(read_to_end(data).await.unwrap(), b"a file");
    client.expect_exactly("226 ok").await;
    ferry.at_rest_but_for_control(1).await;
}

/// As above, where the FTP server does not listen at the address that it names.
#[tokio::test]
async fn a_passive_port_that_nobody_listens_on_is_a_reset_at_once() {
    let (_nobody, address) = nobody();
    let reply = format!("229 Extended Passive Mode (|||{}|)\r\n", address.port());
    let server = ScriptedServer::new()
        .on("EPSV", reply.as_str())
        .start()
        .await;
    let (ferry, mut client) = Ferry::with_client(&server).await;
    let data = client.extended_passive().await;
    let error = read_to_end(data).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    client.ask("NOOP", "200 ").await;
    ferry.at_rest_but_for_control(1).await;
}

#[tokio::test]
async fn a_remote_forward_that_the_ssh_server_refuses_is_one_425() {
    let server = ScriptedServer::new().start().await;
    let ferry = Ferry::plan(server.address())
        .options(|options| options.active = ActiveMode::Remote)
        .start()
        .await;
    ferry
        .ssh_server
        .update(|faults| faults.refuse_forward = true);
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    for command in ["PORT 127,0,0,1,200,13", "EPRT |1|127.0.0.1|51213|"] {
        let line = client.ask(command, "425 ferryline: ").await;
        assert!(line.contains("refused the remote forward"), "{line}");
        client.ask("NOOP", "200 ").await;
    }
    assert!(server.commands("PORT").is_empty() && server.commands("EPRT").is_empty());
    // Such a client falls back to passive mode.
    client.ask("PASV", "227 ").await;
}

#[tokio::test]
async fn an_active_client_that_does_not_listen_costs_only_its_own_transfer() {
    let server = ScriptedServer::new()
        .on(
            "RETR",
            answer()
                .send("150 here\r\n")
                .open_data()
                .finish_data()
                .send("426 nobody took it\r\n"),
        )
        .start()
        .await;
    let (ferry, mut client) = Ferry::with_client(&server).await;
    let listener = client.active().await;
    drop(listener);
    client.ask("RETR f", "150 ").await;
    client.expect_exactly("426 nobody took it").await;
    client.ask("NOOP", "200 ").await;
    ferry.at_rest_but_for_control(1).await;
}

#[tokio::test]
async fn a_listener_that_a_later_one_supersedes_is_gone() {
    let server = ScriptedServer::new()
        .on(
            "RETR",
            answer()
                .send("150 here\r\n")
                .data("a file")
                .send("226 ok\r\n"),
        )
        .start()
        .await;
    let (ferry, mut client) = Ferry::with_client(&server).await;
    let first = host_port(&client.ask("PASV", "227 ").await).unwrap();
    let second = host_port(&client.ask("PASV", "227 ").await).unwrap();
    gone(first).await;
    let listener = client.active().await;
    gone(second).await;
    let third = host_port(&client.ask("PASV", "227 ").await).unwrap();
    let data = client.connect_data(third).await;
    client.ask("RETR f", "150 ").await;
    assert_eq!(read_to_end(data).await.unwrap(), b"a file");
    client.expect_exactly("226 ok").await;
    // One listener, one connection.
    gone(third).await;
    drop(listener);
    ferry.at_rest_but_for_control(1).await;
}

#[tokio::test]
async fn a_listener_goes_with_the_transfer_that_did_not_use_it() {
    let server = ScriptedServer::new()
        .on("RETR", "425 nobody came\r\n")
        .start()
        .await;
    let (ferry, mut client) = Ferry::with_client(&server).await;
    let address = host_port(&client.ask("PASV", "227 ").await).unwrap();
    client.ask("RETR f", "425 nobody came").await;
    gone(address).await;
    let listener = client.active().await;
    client.ask("RETR f", "425 nobody came").await;
    drop(listener);
    ferry.at_rest_but_for_control(1).await;
}

#[tokio::test]
async fn a_data_connection_goes_with_its_control_connection() {
    let never = Gate::new();
    let server = ScriptedServer::new()
        .on("RETR", begins_file("half").wait(&never))
        .start()
        .await;
    let (ferry, mut client) = Ferry::with_client(&server).await;
    let unused = host_port(&client.ask("PASV", "227 ").await).unwrap();
    reset(client.into_socket());
    gone(unused).await;
    ferry.at_rest().await;
}

/// Expects 421 on the control connection, or just its end. The transfer may have been refused before.
async fn ends_with_421(mut client: FtpClient) {
    let mut codes = Vec::new();
    while let Ok(reply) = client.reply().await {
        codes.push(reply.code.value());
    }
    assert!(
        matches!(codes[..], [] | [421] | [425] | [425, 421]),
        "{codes:?}"
    );
}

async fn write_until_it_fails(data: &mut TcpStream) -> io::Error {
    let chunk = noise(64 * 1024);
    let failed = timeout(PATIENCE, async {
        loop {
            if let Err(error) = data.write_all(&chunk).await {
                return error;
            }
        }
    });
    failed.await.expect("a dead session goes on taking data")
}

/// Waits until nothing listens there any more.
async fn gone(address: SocketAddr) {
    let refused = timeout(PATIENCE, async {
        // There is no event for a listener that was closed.
        while TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    refused.await.expect("the listener is still there");
}
