//! What the real program logs of the transfers that it carries, without an option that asks for it.

use tokio::io::AsyncReadExt;

use crate::common::{
    Gate, Running, Script, ScriptedClient, ScriptedServer, Shore, answer, begins_file, noise,
    read_to_end, sends_file, stores_file, upload,
};

fn script() -> Script {
    ScriptedServer::new()
        .on("RETR out/a.csv", sends_file(noise(5000)))
        .on(
            "RETR nothing",
            answer().send("550 Failed to open file.\r\n"),
        )
        .on("RETR half", begins_file(noise(100)).reset_data())
        .on("STOR", stores_file())
        .on("USER wrong", answer().send("331 password\r\n"))
        .on("PASS wrong", answer().send("530 Login incorrect.\r\n"))
        .on("USER mirror", answer().send("331 password\r\n"))
        .on(
            "PASS mirror",
            answer().send("530 no, mirror-s3cret it is not\r\n"),
        )
        .on("LIST", answer().send("530 Please login.\r\n"))
        .on("QUIT", answer().send("221 bye\r\n").close())
}

/// Starts the program, and logs in.
async fn begin(shore: &Shore, server: &ScriptedServer) -> (Running, std::net::SocketAddr) {
    let forward = format!("0:localhost:{}", server.address().port());
    let mut ferry = shore.start(&["-L", &forward]);
    let address = ferry.ftp_address().await;
    (ferry, address)
}

#[tokio::test]
async fn each_transfer_is_a_line_and_so_is_the_end_of_the_session() {
    let shore = Shore::new().await;
    let server = script().start().await;
    let (mut ferry, address) = begin(&shore, &server).await;
    let mut client = ScriptedClient::logged_in(address).await;

    let data = client.passive().await;
    client.ask("RETR out/a.csv", "150 ").await;
    assert_eq!(read_to_end(data).await.unwrap().len(), 5000);
    client.expect("226 ").await;
    let line = ferry.error_line("RETR out/a.csv").await;
    assert!(line.contains("INFO #1 "), "{line}");
    assert!(line.contains("RETR out/a.csv: 5000 bytes in "), "{line}");
    assert!(line.ends_with(", 226"), "{line}");

    let data = client.passive().await;
    client.ask("STOR b", "150 ").await;
    upload(data, &noise(700)).await.unwrap();
    client.expect("226 ").await;
    let line = ferry.error_line("STOR b").await;
    assert!(line.contains("STOR b: 700 bytes in "), "{line}");

    client.ask("RETR nothing", "550 ").await;
    let line = ferry.error_line("RETR nothing").await;
    assert!(line.contains("WARN #1 "), "{line}");
    assert!(
        line.contains("RETR nothing: failed after 0 bytes in "),
        "{line}"
    );
    assert!(line.ends_with(": 550 Failed to open file."), "{line}");

    client.ask("QUIT", "221 ").await;
    drop(client);
    let line = ferry.error_line(" ended after ").await;
    let totals = "QUIT; 3 transfers (1 failed), 5000 bytes to the client, 700 from it";
    assert!(line.ends_with(totals), "{line}");
    assert!(
        line.contains(&format!("→ localhost:{} ", server.address().port())),
        "{line}"
    );
}

/// curl asks for a file's size first, and asks for nothing more where there is none.
#[tokio::test]
async fn a_session_without_a_transfer_ends_with_the_last_refusal() {
    let shore = Shore::new().await;
    let server = script()
        .on("SIZE x", answer().send("550 No such file\r\n"))
        .start()
        .await;
    let (mut ferry, address) = begin(&shore, &server).await;
    let mut client = ScriptedClient::logged_in(address).await;
    client.ask("SIZE x", "550 ").await;
    client.ask("QUIT", "221 ").await;
    drop(client);
    let line = ferry.error_line(" ended after ").await;
    let end = "0 from it; last refusal: SIZE x: 550 No such file";
    assert!(line.ends_with(end), "{line}");
}

#[tokio::test]
async fn a_refused_log_in_is_a_warning_without_the_password() {
    let shore = Shore::new().await;
    let server = script().start().await;
    let (mut ferry, address) = begin(&shore, &server).await;
    let mut client = ScriptedClient::connect(address).await;
    client.expect("220 ").await;
    client.ask("USER wrong", "331 ").await;
    client.ask("PASS wrong-s3cret", "530 ").await;
    let line = ferry.error_line("is not logged in as wrong").await;
    assert!(line.contains("WARN #1 127.0.0.1:"), "{line}");
    assert!(line.ends_with(": 530 Login incorrect."), "{line}");
    // Each kind of warning comes once a minute, so the next is another program's.
    let (mut second, address) = begin(&shore, &server).await;
    let mut other = ScriptedClient::connect(address).await;
    other.expect("220 ").await;
    other
        .ask("USER mirror:mirror-s3cret@ftp.example", "331 ")
        .await;
    other.ask("PASS mirror-s3cret", "530 ").await;
    let line = second.error_line("is not logged in as mirror").await;
    assert!(
        line.ends_with(": 530 (its text repeats the password)"),
        "{line}"
    );
    second.signal("TERM").await;
    other.expect("421 ferryline: ").await;
    let line = second.error_line("421 to the client").await;
    assert!(
        line.contains("WARN #1 421 to the client: the tunnel is being shut down"),
        "{line}"
    );
    drop(other);
    let log = second.ended().await.stderr;
    assert!(!log.contains("s3cret"), "{log}");
    ferry.signal("TERM").await;
    client.expect("421 ferryline: ").await;
    drop(client);
    let log = ferry.ended().await.stderr;
    assert!(!log.contains("s3cret"), "{log}");
}

#[tokio::test]
async fn a_client_that_insists_on_tls_is_a_warning_and_one_that_goes_on_is_none() {
    let shore = Shore::new().await;
    let server = script().start().await;
    let (mut ferry, address) = begin(&shore, &server).await;
    let mut client = ScriptedClient::connect(address).await;
    client.expect("220 ").await;
    client.ask("AUTH TLS", "502 ferryline: ").await;
    client.ask("USER me", "331 ").await;
    client.ask("PASS x", "230 ").await;
    client.ask("QUIT", "221 ").await;
    ferry.error_line("#1 me@127.0.0.1:").await;

    // It goes on without TLS, and its password is wrong: that is why it leaves.
    let mut client = ScriptedClient::connect(address).await;
    client.expect("220 ").await;
    client.ask("AUTH TLS", "502 ferryline: ").await;
    client.ask("USER wrong", "331 ").await;
    client.ask("PASS wrong", "530 ").await;
    drop(client);
    ferry.error_line("#2 127.0.0.1:").await;

    let mut client = ScriptedClient::connect(address).await;
    client.expect("220 ").await;
    client.ask("AUTH TLS", "502 ferryline: ").await;
    drop(client);
    let line = ferry.error_line("asked for TLS").await;
    assert!(line.contains("WARN #3 127.0.0.1:"), "{line}");
    assert!(line.contains("turn TLS off in this client"), "{line}");
}

/// Each would be a line of the log.
#[tokio::test]
async fn strangers_cannot_fill_the_log_with_transfers() {
    let shore = Shore::new().await;
    let server = script().start().await;
    let (ferry, address) = begin(&shore, &server).await;
    for _ in 0..5 {
        let mut client = ScriptedClient::connect(address).await;
        client.expect("220 ").await;
        for _ in 0..20 {
            client.ask("LIST", "530 ").await;
        }
    }
    ferry.signal("TERM").await;
    let log = ferry.ended().await.stderr;
    // One, and one more for each minute that this takes on a busy machine.
    assert!((1..=3).contains(&log.lines().count()), "{log}");
    assert!(
        log.contains(" more like this, not shown (-vv shows all): #"),
        "{log}"
    );
    assert!(
        log.contains("(no user) LIST: failed after 0 bytes in "),
        "{log}"
    );
}

/// MODE B keeps the data connection for the next file. (Nothing tells where a file ends in it, so the line of a
/// transfer has what had moved by then.)
#[tokio::test]
async fn what_moves_over_one_data_connection_is_counted_once() {
    let shore = Shore::new().await;
    let server = ScriptedServer::new()
        .on("MODE", answer().send("200 ok\r\n"))
        .on(
            "RETR one",
            answer()
                .send("150 here\r\n")
                .partial_data(noise(300))
                .send("226 done\r\n"),
        )
        .on(
            "RETR two",
            answer()
                .send("150 here\r\n")
                .partial_data(noise(70))
                .send("226 done\r\n"),
        )
        .on("QUIT", answer().send("221 bye\r\n").close())
        .start()
        .await;
    let (mut ferry, address) = begin(&shore, &server).await;
    let mut client = ScriptedClient::logged_in(address).await;
    client.ask("MODE B", "200 ").await;
    let mut data = client.passive().await;
    for (file, length) in [("one", 300), ("two", 70)] {
        client.ask(&format!("RETR {file}"), "150 ").await;
        data.read_exact(&mut vec![0; length]).await.unwrap();
        client.expect("226 ").await;
    }
    client.ask("NO\rPORT 1", "500 ferryline: ").await;
    client.ask("QUIT", "221 ").await;
    drop((client, data));
    let line = ferry.error_line(" ended after ").await;
    assert!(
        line.ends_with("QUIT; 2 transfers, 370 bytes to the client, 0 from it"),
        "{line}"
    );
}

#[tokio::test]
async fn an_ftp_server_that_turns_the_client_away_is_a_warning_with_its_words() {
    let shore = Shore::new().await;
    let full = "421 There are too many connected users, please try later.";
    let server = ScriptedServer::new()
        .greeting(answer().send(format!("{full}\r\n")).close())
        .start()
        .await;
    let (mut ferry, address) = begin(&shore, &server).await;
    let mut client = ScriptedClient::connect(address).await;
    client.expect_exactly(full).await;
    let line = ferry.error_line("not logged in").await;
    assert!(line.contains("WARN #1 "), "{line}");
    assert!(
        line.contains(&format!("the FTP server ended it: {full}")),
        "{line}"
    );
    assert!(line.contains("from the SSH host"), "{line}");
}

#[tokio::test]
async fn an_ftp_server_that_closes_at_once_is_a_warning() {
    let shore = Shore::new().await;
    let server = ScriptedServer::new()
        .greeting(answer().close())
        .start()
        .await;
    let (mut ferry, address) = begin(&shore, &server).await;
    let _client = ScriptedClient::connect(address).await;
    let line = ferry.error_line("not logged in").await;
    assert!(
        line.contains("the FTP server closed the control connection"),
        "{line}"
    );
}

#[tokio::test]
async fn a_client_that_names_no_ftp_server_is_a_warning() {
    let shore = Shore::new().await;
    let mut ferry = shore.start(&["-L", "0:*:21", "--allow-host", "ftp.example"]);
    let address = ferry.ftp_address().await;
    let mut client = ScriptedClient::connect(address).await;
    client.expect("220 ").await;
    client.ask("USER me", "530 ").await;
    let line = ferry.error_line("without the name of an FTP server").await;
    assert!(line.contains("WARN #1 127.0.0.1:"), "{line}");
}

/// The system ends the connections of a client that is killed in order, as after a whole file.
#[tokio::test]
async fn an_upload_whose_client_does_not_wait_for_the_reply_is_a_warning() {
    let held = Gate::new();
    let shore = Shore::new().await;
    let begun = answer().send("150 here\r\n").receive_data().wait(&held);
    let server = ScriptedServer::new()
        .on("STOR", begun.send("226 done\r\n"))
        .start()
        .await;
    let (mut ferry, address) = begin(&shore, &server).await;
    let mut client = ScriptedClient::logged_in(address).await;
    let data = client.passive().await;
    client.ask("STOR b", "150 ").await;
    drop(client);
    drop(data);
    // By then ferryline has seen the first one leave.
    let _second = ScriptedClient::logged_in(address).await;
    held.open();
    let line = ferry.error_line("STOR b: 0 bytes in ").await;
    assert!(line.contains("WARN #1 "), "{line}");
    assert!(line.contains("the client left without waiting"), "{line}");
}
