//! How control connections begin and end: greetings of every kind, and ends from either side, in order and
//! without a reply. Whatever happens, nothing of a session stays behind.

use tokio::io::AsyncReadExt;

use crate::common::{
    Ferry, Gate, Log, ScriptedClient, ScriptedServer, answer, begins_file, nobody, noise,
    read_to_end, reset, six_numbers,
};

#[tokio::test]
async fn quit_ends_both_sides_in_order() {
    let server = ScriptedServer::new().start().await;
    let (ferry, mut client) = Ferry::with_client(&server).await;
    client.ask("QUIT", "221 bye").await;
    client.expect_end().await;
    server.control_ended().await;
    ferry.at_rest().await;
}

#[tokio::test]
async fn a_client_that_closes_without_quit_leaves_nothing_behind() {
    let server = ScriptedServer::new().start().await;
    let ferry = Ferry::to(server.address()).await;
    for _ in 0..3 {
        let mut client = ScriptedClient::logged_in(ferry.v4).await;
        // A listener here and a remote forward there, neither of them used.
        client.ask("PASV", "227 ").await;
        let _listener = client.active().await;
        drop(client);
        ferry.at_rest().await;
    }
    server.control_ended().await;
}

#[tokio::test]
async fn a_client_that_resets_its_control_connection_leaves_nothing_behind() {
    let server = ScriptedServer::new()
        .on("RETR", begins_file("part"))
        .start()
        .await;
    let (ferry, mut client) = Ferry::with_client(&server).await;
    let data = client.passive().await;
    client.ask("RETR f", "150 ").await;
    reset(client.into_socket());
    server.control_ended().await;
    // The client can no longer be told whether its file is whole or cut, so the data connection must not end
    // in order.
    assert!(read_to_end(data).await.is_err());
    ferry.at_rest().await;
}

#[tokio::test]
async fn a_client_that_has_said_all_still_gets_its_answers() {
    let held = Gate::new();
    let server = ScriptedServer::new()
        .on("STAT", answer().wait(&held).send("211 fine\r\n"))
        .start()
        .await;
    let (_ferry, mut client) = Ferry::with_client(&server).await;
    client.send_raw("STAT\r\nPWD\r\n").await;
    client.finish().await;
    // The end of file reaches the server after the commands, and the answers still come.
    server.control_ended().await;
    assert_eq!(server.commands("")[2..], ["STAT", "PWD"]);
    held.open();
    client.expect_exactly("211 fine").await;
    client.expect("257 ").await;
}

#[tokio::test]
async fn a_client_that_has_said_all_still_gets_its_file() {
    let held = Gate::new();
    let server = ScriptedServer::new()
        .on(
            "RETR",
            answer()
                .send("150 here\r\n")
                .wait(&held)
                .data("a file")
                .send("226 done\r\n")
                .close(),
        )
        .start()
        .await;
    let (ferry, mut client) = Ferry::with_client(&server).await;
    let data = client.passive().await;
    client.ask("RETR f", "150 ").await;
    client.finish().await;
    server.control_ended().await;
    held.open();
    assert_eq!(read_to_end(data).await.unwrap(), b"a file");
    client.expect_exactly("226 done").await;
    client.expect_end().await;
    ferry.at_rest().await;
}

#[tokio::test]
async fn a_greeting_that_takes_its_time() {
    let ready = Gate::new();
    let server = ScriptedServer::new()
        .greeting(
            answer()
                .wait(&ready)
                .send("220-welcome\r\n  to this\r\n220 server\r\n"),
        )
        .start()
        .await;
    let ferry = Ferry::to(server.address()).await;
    let mut client = ScriptedClient::connect(ferry.v4).await;
    server.client_came().await;
    client.nothing_came();
    ready.open();
    for line in ["220-welcome", "  to this", "220 server"] {
        client.expect_exactly(line).await;
    }
    client.ask("USER demo", "331 ").await;
}

#[tokio::test]
async fn a_server_that_is_too_busy_says_so_to_the_client() {
    for greeting in ["421 too many users\r\n", "530-no\r\n530 sorry\r\n"] {
        let server = ScriptedServer::new()
            .greeting(answer().send(greeting).close())
            .start()
            .await;
        let ferry = Ferry::to(server.address()).await;
        let mut client = ScriptedClient::connect(ferry.v4).await;
        assert_eq!(client.rest().await.unwrap(), greeting.as_bytes());
        drop(client);
        ferry.at_rest().await;
    }
}

#[tokio::test]
async fn a_server_that_closes_at_once_closes_the_client() {
    let server = ScriptedServer::new()
        .greeting(answer().close())
        .start()
        .await;
    let ferry = Ferry::to(server.address()).await;
    let mut client = ScriptedClient::connect(ferry.v4).await;
    client.expect_end().await;
    drop(client);
    ferry.at_rest().await;
}

#[tokio::test]
async fn a_server_that_resets_closes_the_client() {
    let server = ScriptedServer::new()
        .on("STAT", answer().reset())
        .start()
        .await;
    let (ferry, mut client) = Ferry::with_client(&server).await;
    client.send("STAT").await;
    let rest = client.rest().await.unwrap_or_default();
    assert!(
        rest.is_empty() || rest.starts_with(b"421 ferryline: "),
        "{}",
        rest.escape_ascii()
    );
    drop(client);
    ferry.at_rest().await;
}

#[tokio::test]
async fn a_server_that_times_out_says_so_unasked() {
    let server = ScriptedServer::new().start().await;
    let (_ferry, mut client) = Ferry::with_client(&server).await;
    server.say("421 Timeout.\r\n").await;
    client.expect_exactly("421 Timeout.").await;
    client.ask("NOOP", "200 ").await;
}

#[tokio::test]
async fn a_last_word_without_an_end_of_line_is_passed_on() {
    let server = ScriptedServer::new()
        .on("STAT", answer().send("421 cut short").close())
        .start()
        .await;
    let (_ferry, mut client) = Ferry::with_client(&server).await;
    client.send("STAT").await;
    assert_eq!(client.rest().await.unwrap(), b"421 cut short");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_421_that_says_who_failed() {
    let (_nobody, address) = nobody();
    let ferry = Ferry::to(address).await;
    let mut client = ScriptedClient::connect(ferry.v4).await;
    let line = client.expect("421 ferryline: ").await;
    assert!(line.contains("the SSH server could not connect"), "{line}");
    client.expect_end().await;
    drop(client);
    ferry.at_rest().await;
}

#[tokio::test]
async fn a_forward_that_the_ssh_server_forbids_is_a_421_that_says_so() {
    let server = ScriptedServer::new().start().await;
    let ferry = Ferry::to(server.address()).await;
    ferry
        .ssh_server
        .update(|faults| faults.refuse_direct = true);
    let mut client = ScriptedClient::connect(ferry.v4).await;
    let line = client.expect("421 ferryline: ").await;
    assert!(line.contains("administratively prohibited"), "{line}");
    client.expect_end().await;
    // It is asked for anew each time.
    ferry
        .ssh_server
        .update(|faults| faults.refuse_direct = false);
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    client.ask("NOOP", "200 ").await;
}

#[tokio::test]
async fn one_clients_end_is_no_business_of_the_others() {
    let server = ScriptedServer::new().start().await;
    let ferry = Ferry::to(server.address()).await;
    let mut stays = ScriptedClient::logged_in(ferry.v4).await;
    let mut goes = ScriptedClient::logged_in(ferry.v4).await;
    goes.ask("QUIT", "221 ").await;
    goes.expect_end().await;
    drop(goes);
    let resets = ScriptedClient::logged_in(ferry.v4).await;
    reset(resets.into_socket());
    ferry.at_rest_but_for_control(1).await;
    stays.ask("NOOP", "200 ").await;
}

/// A client can name any number of them.
#[tokio::test]
async fn clients_data_ports_that_do_not_answer_are_one_line_of_the_log() {
    let log = Log::warnings();
    let server = ScriptedServer::new()
        .on("PORT", answer().send("200 ok\r\n").connect())
        .start()
        .await;
    let ferry = Ferry::to(server.address()).await;
    let (_nobody, dead) = nobody();
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    let port = format!("PORT {}", six_numbers(dead));
    for _ in 0..5 {
        client.ask(&port, "200 ").await;
    }
    drop(client);
    ferry.at_rest().await;
    let lines = log.all(&format!("the client's data port {dead}"));
    assert_eq!(lines.len(), 1, "{lines:?}");
}

/// A video player, `head`, or PHP's `fclose`: no fault, and so no warning beside the line of the transfer.
#[tokio::test]
async fn a_client_that_wants_only_the_head_of_a_file_is_no_warning_of_its_own() {
    let log = Log::warnings();
    let server = ScriptedServer::new()
        .on("RETR", begins_file(noise(8_000_000)).send("426 broken\r\n"))
        .start()
        .await;
    let ferry = Ferry::to(server.address()).await;
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    let mut data = client.passive().await;
    client.ask("RETR film", "150 ").await;
    data.read_exact(&mut [0; 1000]).await.unwrap();
    reset(data);
    client.expect("426 ").await;
    log.says("RETR film: failed after ").await;
    assert_eq!(log.all("data connection 1"), [""; 0]);
}
