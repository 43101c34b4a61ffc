//! How bytes become lines: pipelined commands, lines in pieces, odd line ends, Telnet and urgent data, and
//! input that no FTP client sends. The server must see plain commands, in order, or none.

use ferryline::proxy::Direction;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use crate::common::{
    Ferry, Gate, Log, ScriptedClient, ScriptedServer, answer, begins_file, host_port, read_to_end,
    sends_file, six_numbers,
};

#[tokio::test]
async fn pasv_and_the_transfer_in_one_segment() {
    let server = ScriptedServer::new()
        .on("LIST", sends_file("a list"))
        .start()
        .await;
    let (_ferry, mut client) = Ferry::with_client(&server).await;
    client.send_raw("PASV\r\nLIST\r\nPWD\r\nNOOP\r\n").await;
    let line = client.expect("227 ").await;
    let data = client.connect_data(host_port(&line).unwrap()).await;
    client.expect("150 ").await;
    assert_eq!(read_to_end(data).await.unwrap(), b"a list");
    client.expect_exactly("226 done").await;
    client.expect("257 ").await;
    client.expect("200 ").await;
    let commands = server.commands("");
    assert_eq!(commands[2..], ["PASV", "LIST", "PWD", "NOOP"]);
}

#[tokio::test]
async fn port_and_the_transfer_in_one_segment() {
    let server = ScriptedServer::new()
        .on("RETR", sends_file("a file"))
        .start()
        .await;
    let (_ferry, mut client) = Ferry::with_client(&server).await;
    for _ in 0..2 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let six = six_numbers(listener.local_addr().unwrap());
        client
            .send_raw(format!("PORT {six}\r\nRETR f\r\nPWD\r\n"))
            .await;
        client.expect("200 ").await;
        client.expect("150 ").await;
        let data = client.accept(listener).await;
        assert_eq!(read_to_end(data).await.unwrap(), b"a file");
        client.expect_exactly("226 done").await;
        client.expect("257 ").await;
    }
    let verbs: Vec<String> = server.commands("")[2..]
        .iter()
        .map(|command| command.split(' ').next().unwrap().to_owned())
        .collect();
    assert_eq!(verbs, ["PORT", "RETR", "PWD", "PORT", "RETR", "PWD"]);
}

#[tokio::test]
async fn answers_of_ferrylines_own_keep_their_place_in_the_order() {
    let server = ScriptedServer::new().start().await;
    let (_ferry, mut client) = Ferry::with_client(&server).await;
    client
        .send_raw("PWD\r\nAUTH TLS\r\nNOOP\r\nPORT 8,8,8,8,1,1\r\nPASV\r\nSYST\r\n")
        .await;
    for code in ["257 ", "502 ", "200 ", "501 ", "227 ", "215 "] {
        client.expect(code).await;
    }
}

#[tokio::test]
async fn a_whole_session_one_byte_at_a_time() {
    let server = ScriptedServer::new()
        .greeting(answer().send_bytewise("220-one\r\n220 two\r\n"))
        .on("USER", answer().send_bytewise("331 password\r\n"))
        .on(
            "PASV",
            answer()
                .listen()
                .send_bytewise("227 Entering Passive Mode ({hostport}).\r\n"),
        )
        .on(
            "RETR",
            answer()
                .send_bytewise("150 here\r\n")
                .data("a file")
                .send_bytewise("226 done\r\n"),
        )
        .start()
        .await;
    let ferry = Ferry::to(server.address()).await;
    let mut client = ScriptedClient::connect(ferry.v4).await;
    client.expect_exactly("220-one").await;
    client.expect_exactly("220 two").await;
    for (command, code) in [("USER demo", "331 "), ("PASS demo", "230 ")] {
        bytewise(&mut client, command).await;
        client.expect(code).await;
    }
    bytewise(&mut client, "PASV").await;
    let line = client.expect("227 ").await;
    let data = client.connect_data(host_port(&line).unwrap()).await;
    bytewise(&mut client, "RETR f").await;
    client.expect_exactly("150 here").await;
    assert_eq!(read_to_end(data).await.unwrap(), b"a file");
    client.expect_exactly("226 done").await;
    let wanted = ["USER demo", "PASS demo", "PASV", "RETR f"];
    assert_eq!(server.commands(""), wanted);
}

async fn bytewise(client: &mut ScriptedClient, command: &str) {
    for byte in format!("{command}\r\n").bytes() {
        client.send_raw([byte]).await;
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn lines_that_end_in_lf_alone_work_and_keep_their_end() {
    let server = ScriptedServer::new()
        .greeting("220 hello\n")
        .on("PASV", answer().listen().send("227 ({hostport})\n"))
        .on("SYST", "215-UNIX\n mixed\r\n215 end\n")
        .on(
            "RETR",
            answer()
                .send("150 here\n")
                .data("a file")
                .send("226 done\n"),
        )
        .start()
        .await;
    let ferry = Ferry::to(server.address()).await;
    let mut client = ScriptedClient::connect(ferry.v4).await;
    assert_eq!(client.raw_line().await, b"220 hello\n");
    client.send_raw("USER demo\nPASS demo\nSYST\nPASV\n").await;
    client.expect("331 ").await;
    client.expect("230 ").await;
    assert_eq!(client.raw_line().await, b"215-UNIX\n");
    assert_eq!(client.raw_line().await, b" mixed\r\n");
    assert_eq!(client.raw_line().await, b"215 end\n");
    // A line of ferryline's own ends as the RFC says: otherwise some clients wait for ever.
    let line = client.expect("227 ").await;
    let data = client.connect_data(host_port(&line).unwrap()).await;
    client.send_raw("RETR f\n").await;
    assert_eq!(client.raw_line().await, b"150 here\n");
    assert_eq!(read_to_end(data).await.unwrap(), b"a file");
    assert_eq!(client.raw_line().await, b"226 done\n");
    assert_eq!(server.lines()[0], b"USER demo\n");
}

#[tokio::test]
async fn what_is_no_address_line_passes_byte_for_byte() {
    let odd = b"150-\xff\xff\xe9\x01 227 (1,2,3,4,5,6)\r\n\r\n no code\r\n150 end\t \r\n";
    let server = ScriptedServer::new()
        .on("SITE", answer().send(odd))
        .start()
        .await;
    let (_ferry, mut client) = Ferry::with_client(&server).await;
    let command = b"SiTe  b\xe4h \xff\xff  \x01\x7f \r\n";
    client.send_raw(command).await;
    let mut came = Vec::new();
    while came.len() < odd.len() {
        came.extend(client.raw_line().await);
    }
    assert_eq!(
        came.escape_ascii().to_string(),
        odd.escape_ascii().to_string()
    );
    assert_eq!(server.lines()[2], command);
}

/// How clients abort a transfer (Q58): the Telnet signals, and the choice of the urgent byte.
#[tokio::test]
async fn an_urgent_abor_reaches_the_server_plain_and_at_once() {
    let ways = [
        (
            "lftp",
            vec![urgent(b"\xff\xf4\xff\xf2"), plain(b"ABOR\r\n")],
        ),
        (
            "inetutils",
            vec![plain(b"\xff\xf4"), urgent(b"\xff"), plain(b"\xf2ABOR\r\n")],
        ),
        ("python", vec![urgent(b"ABOR\r\n")]),
        // IP and DM in the wrong order (Q98).
        ("others", vec![urgent(b"\xf4\xff"), plain(b"ABOR\r\n")]),
        ("others", vec![plain(b"ABOR\r\n")]),
    ];
    for (who, pieces) in ways {
        let aborted = Gate::new();
        let server = ScriptedServer::new()
            .on(
                "RETR",
                begins_file("part")
                    .wait(&aborted)
                    .reset_data()
                    .send("426 aborted\r\n"),
            )
            .on("ABOR", "225 no transfer\r\n")
            .start()
            .await;
        let (_ferry, mut client) = Ferry::with_client(&server).await;
        let mut data = client.passive().await;
        client.ask("RETR f", "150 ").await;
        let mut part = [0; 4];
        data.read_exact(&mut part).await.unwrap();

        for piece in pieces {
            match piece {
                Piece::Plain(bytes) => client.send_raw(bytes).await,
                Piece::Urgent(bytes) => client.send_urgent(bytes),
            }
        }
        // The transfer still runs: the script does not continue before the gate is open.
        server.received("ABOR").await;
        assert_eq!(server.lines().last().unwrap(), b"ABOR\r\n", "{who}");
        aborted.open();
        client.expect_exactly("426 aborted").await;
        client.expect_exactly("225 no transfer").await;
        client.ask("NOOP", "200 ").await;
    }
}

/// Bytes that are sent in one call.
enum Piece {
    Plain(&'static [u8]),
    /// The last byte is TCP urgent data.
    Urgent(&'static [u8]),
}

fn plain(bytes: &'static [u8]) -> Piece {
    Piece::Plain(bytes)
}

fn urgent(bytes: &'static [u8]) -> Piece {
    Piece::Urgent(bytes)
}

#[tokio::test]
async fn abor_goes_past_a_line_that_waits() {
    let held = Gate::new();
    let server = ScriptedServer::new()
        .on(
            "RETR",
            answer()
                .send("150 here\r\n")
                .wait(&held)
                .send("426 aborted\r\n"),
        )
        .on("ABOR", "226 abort done\r\n")
        .start()
        .await;
    let (_ferry, mut client) = Ferry::with_client(&server).await;
    let listener = client.active().await;
    client.ask("RETR f", "150 ").await;
    client.send("ABOR").await;
    server.received("ABOR").await;
    held.open();
    client.expect_exactly("426 aborted").await;
    client.expect_exactly("226 abort done").await;
    drop(listener);
    client.ask("NOOP", "200 ").await;
}

#[tokio::test]
async fn telnet_options_are_refused_by_ferryline_on_both_sides() {
    let server = ScriptedServer::new()
        .greeting(answer().send(b"\xff\xfb\x01\xff\xfd\x06220 hello\r\n"))
        .start()
        .await;
    let ferry = Ferry::to(server.address()).await;
    let mut client = ScriptedClient::connect(ferry.v4).await;
    client.expect_exactly("220 hello").await;
    // DO 1 is answered by WONT 1, WILL 3 by DONT 3. The command after them comes out whole.
    client
        .send_raw(b"\xff\xfd\x01\xff\xfb\x03USER demo\r\n")
        .await;
    let line = client.raw_line().await;
    assert!(line.starts_with(b"\xff\xfc\x01\xff\xfe\x03"), "{line:?}");
    let lines = server.lines().concat();
    assert_eq!(lines, b"\xff\xfe\x01\xff\xfc\x06USER demo\r\n");
}

#[tokio::test]
async fn a_command_that_is_too_long_ends_the_session_and_none_of_it_passes() {
    let server = ScriptedServer::new().start().await;
    let ferry = Ferry::to(server.address()).await;
    // The longest line that is allowed still passes.
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    let long = format!("CWD {}", "x".repeat(8 * 1024 - 4));
    client.ask(&long, "500 not in the script").await;
    assert_eq!(server.commands("CWD"), [long]);

    let too_long = format!("MKD {}\r\nDELE hidden\r\n", "x".repeat(100_000));
    client.send_raw(too_long).await;
    client.expect("500 ferryline: ").await;
    client.expect_end().await;
    server.control_ended().await;
    assert!(server.commands("MKD").is_empty());
    assert!(server.commands("DELE").is_empty());
    ferry.at_rest().await;
}

#[tokio::test]
async fn the_longest_line_can_be_chosen() {
    let server = ScriptedServer::new().start().await;
    let ferry = Ferry::plan(server.address())
        .options(|options| options.command_limit = 600)
        .start()
        .await;
    let mut client = ScriptedClient::logged_in(ferry.v4).await;
    let long = format!("CWD {}", "x".repeat(596));
    client.ask(&long, "500 not in the script").await;
    let too_long = "500 ferryline: a command line longer than 600 bytes";
    client.ask(&format!("{long}x"), too_long).await;
    client.expect_end().await;
    assert_eq!(server.commands("CWD"), [long]);
    ferry.at_rest().await;
}

#[tokio::test]
async fn a_reply_that_is_too_long_ends_the_session() {
    let endless = format!("211 {}", "x".repeat(70_000));
    let server = ScriptedServer::new()
        .on("STAT", answer().send(endless))
        .start()
        .await;
    let (_ferry, mut client) = Ferry::with_client(&server).await;
    client.ask("STAT", "421 ferryline: ").await;
    client.expect_end().await;
    server.control_ended().await;
}

#[tokio::test]
async fn a_nul_in_a_command_ends_the_session_and_none_of_it_passes() {
    let server = ScriptedServer::new().start().await;
    let (_ferry, mut client) = Ferry::with_client(&server).await;
    client.ask("NOOP", "200 ").await;
    client.send_raw(b"MKD a\0b\r\nDELE x\r\n").await;
    client.expect("500 ferryline: ").await;
    client.expect_end().await;
    server.control_ended().await;
    assert_eq!(server.commands("")[2..], ["NOOP"]);
}

#[tokio::test]
async fn a_command_behind_a_bare_cr_is_not_smuggled_past() {
    let server = ScriptedServer::new().start().await;
    let (_ferry, mut client) = Ferry::with_client(&server).await;
    for line in [
        &b"CWD x\rPORT 8,8,8,8,1,1\r\n"[..],
        b"CWD x\rPASV\r\n",
        b"CWD x\r\0AUTH TLS\r\n",
    ] {
        client.send_raw(line).await;
        client.expect("500 ferryline: ").await;
    }
    client.ask("NOOP", "200 ").await;
    assert_eq!(server.commands("")[2..], ["NOOP"]);
}

#[tokio::test]
async fn a_passive_reply_behind_a_bare_cr_is_not_smuggled_past() {
    let server = ScriptedServer::new()
        .on("PWD", "257 x\r227 Entering Passive Mode (1,2,3,4,5,6)\r\n")
        .start()
        .await;
    let (_ferry, mut client) = Ferry::with_client(&server).await;
    client.send("PWD").await;
    client
        .expect_exactly("257 x 227 Entering Passive Mode (1,2,3,4,5,6)")
        .await;
}

/// As of curl with `ftps://`, and of FileZilla with implicit TLS. Its many NULs say nothing of TLS.
#[tokio::test]
async fn q80_a_client_that_begins_with_tls_is_told_so_in_the_log() {
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x00\x00\r\nPASV\r\n";
    for pieces in [vec![&hello[..]], vec![&hello[..1], &hello[1..]]] {
        let log = Log::warnings();
        let server = ScriptedServer::new().start().await;
        let ferry = Ferry::to(server.address()).await;
        let mut client = ScriptedClient::connect(ferry.v4).await;
        client.expect("220 ").await;
        for piece in pieces {
            client.send_raw(piece).await;
        }
        ended(&mut client).await;
        let line = log.says("the client speaks TLS").await;
        assert!(line.contains("use ftp:// in it and not ftps://"), "{line}");
        server.control_ended().await;
        assert!(server.lines().is_empty(), "{}", server.transcript());
        ferry.at_rest().await;
    }
}

/// A browser can be made to send FTP commands in the body of a POST (Q80).
#[tokio::test]
async fn another_protocol_ends_the_session_at_once() {
    let openings: [&[u8]; 4] = [
        b"POST / HTTP/1.1\r\nHost: localhost:2121\r\n\r\nUSER x\r\nPORT 8,8,8,8,1,1\r\n",
        b"GET /PASV HTTP/1.0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03PASV\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ];
    for opening in openings {
        let server = ScriptedServer::new().start().await;
        let ferry = Ferry::to(server.address()).await;
        let mut client = ScriptedClient::connect(ferry.v4).await;
        client.expect("220 ").await;
        client.send_raw(opening).await;
        ended(&mut client).await;
        server.control_ended().await;
        let shown = opening.escape_ascii();
        assert!(
            server.lines().is_empty(),
            "{shown}: {}",
            server.transcript()
        );
        assert!(ferry.lines.all(Direction::ToServer, "").is_empty());
        ferry.at_rest().await;
    }
}

/// Each is another program that was pointed at the wrong port.
#[tokio::test]
async fn no_other_protocol_hides_another_in_the_log() {
    let log = Log::warnings();
    let server = ScriptedServer::new().start().await;
    let ferry = Ferry::to(server.address()).await;
    for (opening, name) in [
        (&b"GET / HTTP/1.0\r\n\r\n"[..], "HTTP"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "TLS"),
    ] {
        for _ in 0..2 {
            let mut client = ScriptedClient::connect(ferry.v4).await;
            client.expect("220 ").await;
            client.send_raw(opening).await;
            ended(&mut client).await;
        }
        let said = format!("the client speaks {name}, not FTP");
        log.says(&said).await;
        assert_eq!(log.all(&said).len(), 1, "once a minute");
    }
}

/// Reads at most one reply of ferryline's own, then the end.
async fn ended(client: &mut ScriptedClient) {
    let rest = client.rest().await.unwrap();
    assert!(
        rest.is_empty() || rest.starts_with(b"500 ferryline: "),
        "{}",
        rest.escape_ascii()
    );
}

#[tokio::test]
async fn what_comes_before_the_greeting_waits_for_it() {
    let ready = Gate::new();
    let server = ScriptedServer::new()
        .greeting(
            answer()
                .send("120 soon\r\n")
                .wait(&ready)
                .send("220 now\r\n"),
        )
        .start()
        .await;
    let ferry = Ferry::to(server.address()).await;
    let mut client = ScriptedClient::connect(ferry.v4).await;
    client.expect_exactly("120 soon").await;
    client
        .send_raw("USER demo\r\nPASS demo\r\nAUTH TLS\r\n")
        .await;
    server.received("PASS").await;
    client.nothing_came();
    ready.open();
    client.expect_exactly("220 now").await;
    for code in ["331 ", "230 ", "502 "] {
        client.expect(code).await;
    }
}

/// Odd server lines that work with several clients when they connect directly (Q91 to Q94).
#[tokio::test]
async fn q91_to_q94_odd_replies_are_replies() {
    let odd_ends = [
        |text: &str| format!("{text}\r\n").replacen(' ', ": ", 1),
        |text: &str| format!("{text}\r\n").replacen(' ', "", 1),
        |text: &str| format!("{text}\r\n").replacen(' ', "\t", 1),
        |text: &str| format!(" {text}\r\n"),
        |text: &str| format!("{text}\0\r\n"),
        |text: &str| format!("{text}\r\n\0"),
        |text: &str| format!("{text}\n\r"),
        |text: &str| format!("{text}\r"),
    ];
    for odd in odd_ends {
        let shown = odd("227 x").escape_debug().to_string();
        let server = ScriptedServer::new()
            .greeting(answer().send(odd("220 ready")))
            .on("USER", answer().send(odd("331 password")))
            .on("PASS", answer().send(odd("230 in")))
            .on(
                "PASV",
                answer().listen().send(odd("227 Passive ({hostport})")),
            )
            .on("PORT", answer().send(odd("200 ok")))
            .on(
                "RETR",
                answer()
                    .send(odd("150 here"))
                    .data("a file")
                    .send(odd("226 done")),
            )
            .start()
            .await;
        let ferry = Ferry::to(server.address()).await;
        let mut client = ScriptedClient::connect(ferry.v4).await;
        came(&mut client, "220").await;
        for (command, code) in [("USER demo", "331"), ("PASS demo", "230")] {
            client.send(command).await;
            came(&mut client, code).await;
        }
        client.send("PASV").await;
        let line = came(&mut client, "227").await;
        let address = host_port(&line).unwrap_or_else(|| panic!("{shown}: {line}"));
        let data = client.connect_data(address).await;
        client.send("RETR f").await;
        came(&mut client, "150").await;
        assert_eq!(read_to_end(data).await.unwrap(), b"a file", "{shown}");
        came(&mut client, "226").await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let six = six_numbers(listener.local_addr().unwrap());
        client.send(&format!("PORT {six}")).await;
        came(&mut client, "200").await;
        client.send("RETR f").await;
        came(&mut client, "150").await;
        let data = client.accept(listener).await;
        assert_eq!(read_to_end(data).await.unwrap(), b"a file", "{shown}");
        came(&mut client, "226").await;
    }
}

/// Reads the next line, which must have this code in it for a client that skips blanks.
async fn came(client: &mut ScriptedClient, code: &str) -> String {
    let line = String::from_utf8(client.raw_line().await).unwrap();
    assert!(line.trim_start().starts_with(code), "{code}: {line:?}");
    line
}

/// Names in CP1251, and the bytes that clients put around their commands (Q93, Q94, Q97, Q99).
#[tokio::test]
async fn q93_to_q99_odd_commands_reach_the_server() {
    let server = ScriptedServer::new()
        .on("CWD", answer().send(b"550 \xff\xfa: no such directory\r\n"))
        .start()
        .await;
    let ferry = Ferry::to(server.address()).await;
    let mut client = ScriptedClient::connect(ferry.v4).await;
    client.expect("220 ").await;
    client.send_raw(b"USER demo\r\n\0PASS demo\r\n\0").await;
    client.expect("331 ").await;
    client.expect("230 ").await;
    client.send_raw(b"NOOP\n\rNOOP\n\rNOOP\0\r\n").await;
    for _ in 0..3 {
        client.expect("200 ").await;
    }
    for name in [&b"\xff\xfa"[..], b"\xff\xfd\xff", b"a\xff\xfa\xe0"] {
        client.send_raw([b"CWD ", name, b"\r\n"].concat()).await;
        let reply = client.raw_line().await;
        assert_eq!(reply, b"550 \xff\xfa: no such directory\r\n");
        let sent = [b"CWD ", name, b"\r\n"].concat();
        assert_eq!(server.lines().last(), Some(&sent));
    }
    client.send_raw("\u{feff}NOOP\r\n").await;
    client.expect("500 not in the script").await;
    client.ask("NOOP", "200 ").await;
    client.ask("PORT", "200 as you wish").await;
}
