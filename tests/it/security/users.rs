//! Other users of the same machine: they can reach every port on loopback, and get nothing from it. These
//! tests should run as root; otherwise they cannot act as another user.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener as StdListener, TcpStream as StdStream};
use std::sync::{Arc, Mutex};

use ferryline::proxy::Direction;

use crate::common::{
    Ferry, Log, PATIENCE, Script, ScriptedClient, ScriptedServer, Shore, answer, as_nobody,
    extended_port, host_port, read_to_end, sends_file, six_numbers, upload,
};

fn file_server() -> Script {
    ScriptedServer::new().on("RETR", sends_file("the file")).on(
        "STOR",
        answer()
            .open_data()
            .send("150 now\r\n")
            .receive_data()
            .send("226 done\r\n"),
    )
}

/// Connects, sends something and reads what comes back.
fn steal(from: SocketAddr) -> std::io::Result<Vec<u8>> {
    let mut stream = StdStream::connect(from)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // If it is refused at once, the connection may be gone before this is sent.
    let _ = stream.write_all(b"forged");
    let mut got = Vec::new();
    stream.read_to_end(&mut got).map(|_| got)
}

/// Whether it was a reset, or what is left to see of a reset that a write has met.
fn nothing(got: &std::io::Result<Vec<u8>>) -> bool {
    got.as_ref().map_or(true, Vec::is_empty)
}

#[tokio::test]
async fn q83_another_user_can_neither_take_nor_use_up_a_passive_data_port() {
    let log = Log::warnings();
    let server = file_server().start().await;
    let ferry = Ferry::to(server.address()).await;
    for (command, address) in [("PASV", ferry.v4), ("EPSV", ferry.v4), ("EPSV", ferry.v6)] {
        for transfer in ["RETR f", "STOR f"] {
            let mut client = ScriptedClient::logged_in(address).await;
            let reply = client.ask(command, "2").await;
            let data = host_port(&reply)
                .unwrap_or_else(|| SocketAddr::new(address.ip(), extended_port(&reply).unwrap()));
            // It connects first, but is not served; then again with the transfer on its way.
            let attempt = move || as_nobody(move || steal(data));
            let Some(first) = tokio::task::spawn_blocking(attempt).await.unwrap() else {
                return;
            };
            assert!(nothing(&first), "the stranger was given {first:?}");
            client.send(transfer).await;
            let second = tokio::task::spawn_blocking(attempt).await.unwrap().unwrap();
            assert!(nothing(&second), "the stranger was given {second:?}");
            let stream = client.connect_data(data).await;
            client.expect("150 ").await;
            if transfer.starts_with("RETR") {
                assert_eq!(read_to_end(stream).await.unwrap(), b"the file");
            } else {
                upload(stream, b"my own").await.unwrap();
                assert_eq!(server.upload().await.unwrap(), b"my own");
            }
            client.expect("226 ").await;
        }
    }
    log.says("it is user 65534's, the client's are user 0's")
        .await;
}

/// The classic theft leaves before the owner can be looked up: what it has sent must not become the upload.
#[tokio::test]
async fn q83_data_that_was_left_by_another_user_is_not_the_upload() {
    let server = file_server().start().await;
    let (_ferry, mut client) = Ferry::with_client(&server).await;
    let data = host_port(&client.ask("PASV", "227 ").await).unwrap();
    let forged = as_nobody(|| {
        // This thread is the only one of the runtime: ferryline looks when all is over.
        let mut stream = StdStream::connect(data).unwrap();
        stream.write_all(b"forged").unwrap();
    });
    if forged.is_none() {
        return;
    }
    client.send("STOR f").await;
    let stream = client.connect_data(data).await;
    client.expect("150 ").await;
    upload(stream, b"my own").await.unwrap();
    assert_eq!(server.upload().await.unwrap(), b"my own");
    client.expect("226 ").await;
}

/// The client's own connection may also be over before its owner could be looked up. The client is told so,
/// and can try again. (Kernels from 6.16 on know closed sockets that are not root's.)
#[tokio::test]
async fn q114_an_upload_that_is_closed_at_once_is_refused_and_not_left_waiting() {
    if as_nobody(|| ()).is_none() {
        return;
    }
    let server = ScriptedServer::new().on("STOR", answer()).start().await;
    let (_ferry, mut client) = Ferry::with_client(&server).await;
    let data = host_port(&client.ask("PASV", "227 ").await).unwrap();
    // This thread is the only one of the runtime: ferryline looks when all is over.
    let mut stream = StdStream::connect(data).unwrap();
    stream.write_all(b"my own").unwrap();
    drop(stream);
    client.send("STOR f").await;
    client
        .expect("425 ferryline: the data connection was closed")
        .await;
    client.ask("NOOP", "200 ").await;
    assert_eq!(server.commands("ABOR"), ["ABOR"]);
}

/// The client acts on the 150: it connects before it, sends its few bytes after it, and closes at once.
/// ferryline's runtime has not heard of the connection when the 150 comes, as on a busy machine.
#[tokio::test]
async fn q114_an_upload_whose_client_had_connected_before_the_150_is_served() {
    if as_nobody(|| ()).is_none() {
        return;
    }
    for start in ["150 ", "125 ", "200 "] {
        let server = ScriptedServer::new()
            .on(
                "STOR",
                answer()
                    .send(format!("{start}now\r\n"))
                    .receive_data()
                    .send("226 done\r\n"),
            )
            .start()
            .await;
        let (ferry, mut client) = Ferry::with_client(&server).await;
        let data = host_port(&client.ask("PASV", "227 ").await).unwrap();
        let connected = Arc::new(Mutex::new(None));
        let stream = Arc::clone(&connected);
        ferry.lines.at(Direction::FromServer, start, move || {
            *stream.lock().unwrap() = Some(StdStream::connect(data).unwrap());
        });
        ferry.lines.at(Direction::ToClient, start, move || {
            let stream = connected.lock().unwrap().take();
            stream.unwrap().write_all(b"my own").unwrap();
        });
        client.ask("STOR f", start).await;
        client.expect("226 ").await;
        assert_eq!(server.upload().await.unwrap(), b"my own");
    }
}

/// In active mode ferryline connects, and only to the client's own listener.
#[tokio::test]
async fn q83_another_users_listener_is_given_no_data() {
    for carried in [false, true] {
        let server = file_server()
            .on("RETR", sends_file("the file"))
            .start()
            .await;
        let ferry = Ferry::to(server.address()).await;
        ferry
            .ssh_server
            .update(|faults| faults.refuse_forward = carried);
        let mut client = ScriptedClient::logged_in(ferry.v4).await;
        let Some(listener) = as_nobody(|| StdListener::bind("127.0.0.1:0").unwrap()) else {
            return;
        };
        let address = listener.local_addr().unwrap();
        client
            .ask(&format!("PORT {}", six_numbers(address)), "200 ")
            .await;
        client.send("RETR f").await;
        let take = move || {
            let (mut stream, _) = listener.accept()?;
            stream.set_read_timeout(Some(PATIENCE))?;
            let mut got = Vec::new();
            stream.read_to_end(&mut got).map(|_| got)
        };
        let came = tokio::task::spawn_blocking(move || as_nobody(take).unwrap());
        let came = came.await.unwrap();
        assert!(
            nothing(&came),
            "carried {carried}: the stranger was given {came:?}"
        );
        // The client's own next transfer still works.
        let mut client = ScriptedClient::logged_in(ferry.v4).await;
        let listener = client.active().await;
        client.ask("RETR f", "150 ").await;
        let stream = client.accept(listener).await;
        assert_eq!(read_to_end(stream).await.unwrap(), b"the file");
        client.expect("226 ").await;
    }
}

/// The client's sockets may all be closed before their owner could be looked up: a client that is fast is not
/// a stranger. (The owner of a closed socket is unknown if it is root's, or on kernels before 6.16.)
#[tokio::test]
async fn an_active_upload_that_is_over_at_once_is_taken() {
    let server = file_server().start().await;
    let (_ferry, mut client) = Ferry::with_client(&server).await;
    for _ in 0..20 {
        let listener = StdListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let port = format!("PORT {}", six_numbers(address));
        client.ask(&port, "200 ").await;
        let sends = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            drop(listener);
            stream.write_all(b"my own").unwrap();
        });
        client.ask("STOR f", "150 ").await;
        client.expect("226 ").await;
        assert_eq!(server.upload().await.unwrap(), b"my own");
        sends.join().unwrap();
    }
}

#[tokio::test]
async fn only_user_serves_nobody_else() {
    let log = Log::warnings();
    let server = file_server().start().await;
    let everybody = Ferry::to(server.address()).await;
    let ftp = Ferry::plan(server.address())
        .options(|options| options.only_users = Some(vec![0]))
        .start()
        .await;
    let tcp = Ferry::plan(server.address())
        .plain()
        .options(|options| options.only_users = Some(vec![0]))
        .start()
        .await;
    let ask = |address: SocketAddr| {
        tokio::task::spawn_blocking(move || {
            as_nobody(|| {
                let mut stream = StdStream::connect(address).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                let mut got = [0; 200];
                let count = stream.read(&mut got)?;
                Ok::<_, std::io::Error>(String::from_utf8_lossy(&got[..count]).into_owned())
            })
        })
    };
    let Some(served) = ask(everybody.v4).await.unwrap() else {
        return;
    };
    assert!(served.unwrap().starts_with("220 "));
    for address in [ftp.v4, ftp.v6] {
        let refused = ask(address).await.unwrap().unwrap().unwrap();
        assert_eq!(
            refused,
            "421 ferryline: this forward is not for user 65534 (--only-user)\r\n"
        );
    }
    let refused = ask(tcp.v4).await.unwrap().unwrap();
    assert!(
        refused.is_err() || refused.as_ref().is_ok_and(String::is_empty),
        "{refused:?}"
    );
    log.says("refused: this forward is not for user 65534")
        .await;
    assert_eq!(ftp.session.stats().control_channels, 0);
    // The owners themselves are served.
    for address in [ftp.v4, ftp.v6, tcp.v4] {
        ScriptedClient::connect(address).await.expect("220 ").await;
    }
}

#[tokio::test]
async fn only_user_is_an_option_of_forward() {
    let shore = Shore::new().await;
    let server = ScriptedServer::new().start().await;
    let forward = format!("0:localhost:{}", server.address().port());
    for (users, served) in [("4711", false), ("nobody,root", true), ("65534", false)] {
        let mut ferry = shore.start(&["--only-user", users, "-L", &forward]);
        let address = ferry.ftp_address().await;
        if as_nobody(|| ()).is_none() {
            return;
        }
        let mut client = ScriptedClient::connect(address).await;
        client
            .expect(if served { "220 " } else { "421 ferryline: " })
            .await;
    }
    let ended = shore
        .run(&["--only-user", "no-such-user", "-L", &forward])
        .await;
    assert!(ended.one_line(2).contains("no-such-user"));
}
