//! Beginnings and ends of sessions.

use super::bench::{Bench, frame, settings};
use crate::control::{EndReason, Ending, ForwardEvent, Notice, Output};

#[test]
fn q80_a_browser_is_not_an_ftp_client() {
    for line in [
        "POST / HTTP/1.1",
        "GET /x http/1.0",
        "\u{16}\u{3}\u{1}",
        "SSH-2.0-x",
    ] {
        let mut bench = Bench::new(settings());
        let line = if line.starts_with('\u{16}') {
            "\x16\x03\x01abc"
        } else {
            line
        };
        bench.client(line, &["! end, abort"]);
        bench.client("PORT 127,0,0,1,200,13", &[]);
        // An empty line is no first line.
        let mut bench = Bench::new(settings());
        bench.client("", &["S> "]);
        bench.client(line, &["! end, abort"]);
    }
}

#[test]
fn q63_a_command_that_is_too_long_ends_the_session() {
    let mut bench = Bench::local();
    bench.client_ended(
        Ending::LineTooLong(8192),
        &[
            "C< 500 ferryline: a command line longer than 8192 bytes; the session ends",
            "! end, abort",
        ],
    );
}

#[test]
fn a_nul_ends_the_session() {
    let mut bench = Bench::local();
    bench.client_ended(
        Ending::Nul,
        &[
            "C< 500 ferryline: a NUL in a command line; the session ends",
            "! end, abort",
        ],
    );
    let mut bench = Bench::local();
    bench.server_ended(
        Ending::Nul,
        &[
            "C< 421 ferryline: the FTP server sent a NUL in a reply",
            "! end, abort",
        ],
    );
}

#[test]
fn q126_a_silent_ssh_session_is_a_421_that_says_so() {
    let mut bench = Bench::local();
    bench.server_ended(
        Ending::Silent,
        &[
            "C< 421 ferryline: the SSH connection was lost: the SSH server does not answer any more",
            "! end, abort",
        ],
    );
}

#[test]
fn q89_a_lost_ssh_session_is_a_421() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 here it comes", &["C< 150 here it comes"]);
    bench.server_ended(
        Ending::Lost,
        &[
            "C< 421 ferryline: the SSH connection was lost",
            "! end, abort, then close 1",
        ],
    );
}

#[test]
fn q76_a_client_that_just_closes() {
    let mut bench = Bench::local();
    bench.client_ended(Ending::Eof, &["! finish server"]);
    bench.server_ended(Ending::Eof, &["! end"]);
}

#[test]
fn q76_the_last_commands_of_a_client_that_closes_are_sent_first() {
    let mut bench = Bench::local();
    bench.client(
        "PORT 127,0,0,1,200,13",
        &["! remote 1 127.0.0.1 to 127.0.0.1:51213"],
    );
    bench.client("QUIT", &[]);
    bench.client_ended(Ending::Eof, &[]);
    bench.ready(
        1,
        "127.0.0.1:40000",
        &["S> PORT 127,0,0,1,156,64", "S> QUIT", "! finish server"],
    );
    bench.server("200 ok", &["C< 200 ok"]);
    bench.server("221 bye", &["C< 221 bye"]);
    bench.server_ended(Ending::Eof, &["! end, then close 1"]);
}

#[test]
fn a_server_that_does_not_close_after_the_clients_end() {
    let mut bench = Bench::local();
    bench.client_ended(Ending::Eof, &["! finish server"]);
    bench.wait(30, &["! end"]);
}

#[test]
fn q69_a_transfer_goes_on_after_quit() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 here it comes", &["C< 150 here it comes"]);
    bench.client("QUIT", &["S> QUIT"]);
    bench.server("221 bye", &["C< 221 bye"]);
    bench.server_ended(Ending::Eof, &["! end"]);
}

#[test]
fn a_reset_client_takes_its_data_with_it() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client_ended(Ending::Lost, &["! end, abort, then close 1"]);
}

#[test]
fn stopping_lets_a_transfer_end() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 here it comes", &["C< 150 here it comes"]);
    bench.stop(&[]);
    bench.event(1, ForwardEvent::Drained, &[]);
    bench.server(
        "226 done",
        &[
            "C< 226 done",
            "C< 421 ferryline: the tunnel is being shut down",
            "! end, abort, then close 1",
        ],
    );
}

#[test]
fn stopping_an_idle_session() {
    let mut bench = Bench::local();
    bench.stop(&[
        "C< 421 ferryline: the tunnel is being shut down",
        "! end, abort",
    ]);
}

#[test]
fn q67_rein_resets_what_epsv_all_had_set() {
    let mut bench = Bench::local();
    bench.client("EPSV ALL", &["S> EPSV ALL"]);
    bench.server("200 ok", &["C< 200 ok"]);
    bench.client("REIN", &["S> REIN"]);
    bench.server("220 again", &["C< 220 again"]);
    bench.client("PASV", &["S> PASV"]);
}

#[test]
fn what_the_server_said_before_it_closed_is_not_lost() {
    let mut bench = Bench::local();
    bench.client(
        "PORT 127,0,0,1,200,13",
        &["! remote 1 127.0.0.1 to 127.0.0.1:51213"],
    );
    bench.server("421 Timeout.", &[]);
    bench.server_ended(
        Ending::Eof,
        &[
            "C< 425 ferryline: the FTP server closed the control connection",
            "C< 421 Timeout.",
            "! end, then close 1",
        ],
    );
}

#[test]
fn a_server_that_closes_before_it_is_asked_again() {
    let mut bench = Bench::local();
    bench.client(
        "PORT 127,0,0,1,200,13",
        &["! remote 1 127.0.0.1 to 127.0.0.1:51213"],
    );
    bench.ready(1, "127.0.0.1:40000", &["S> PORT 127,0,0,1,156,64"]);
    bench.client("QUIT", &["S> QUIT"]);
    bench.server(
        "500 no PORT",
        &["! close 1", "! remote 2 ::1 to 127.0.0.1:51213"],
    );
    bench.server("221 bye", &[]);
    bench.server_ended(
        Ending::Eof,
        &["C< 500 no PORT", "C< 221 bye", "! end, then close 2"],
    );
}

#[test]
fn a_farewell_that_was_not_handed_out_is_none() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("RETR f", &["S> RETR f"]);
    bench.client("QUIT", &["S> QUIT"]);
    bench.server("150 here it comes", &["C< 150 here it comes"]);
    bench.server("226 done", &[]);
    bench.server("221 bye", &[]);
    bench.server_ended(
        Ending::Lost,
        &[
            "C< 421 ferryline: the SSH connection was lost",
            "! end, abort, then close 1",
        ],
    );
}

#[test]
fn telnet_options_are_not_refused_for_ever() {
    let mut bench = Bench::local();
    let mut refused = 0;
    for _ in 0..10_000 {
        let asked = ferryline_grammar::Negotiation::Do(24);
        bench
            .control
            .client(bench.now, ferryline_grammar::Frame::Negotiation(asked));
        refused += usize::from(bench.control.poll_output().is_some());
    }
    assert_eq!(refused, 255);
}

#[test]
fn q57_a_listener_that_nobody_used_goes_with_the_session() {
    let mut bench = Bench::local();
    bench.client("PASV", &["S> PASV"]);
    bench.server("227 =10,0,0,9,156,64", &["! local 1 localhost:40000"]);
    bench.ready(
        1,
        "127.0.0.1:51213",
        &["C< 227 Entering Passive Mode (127,0,0,1,200,13)."],
    );
    bench.client("QUIT", &["S> QUIT"]);
    bench.server("221 bye", &["C< 221 bye"]);
    bench.server_ended(Ending::Eof, &["! end, then close 1"]);
}

#[test]
fn q68_the_220_to_host_is_no_greeting() {
    let mut bench = Bench::local();
    bench.client("HOST ftp.example", &["S> HOST ftp.example"]);
    bench.client("AUTH TLS", &[]);
    bench.server(
        "220 ftp.example",
        &[
            "C< 220 ftp.example",
            "C< 502 ferryline: AUTH is refused: this connection is inside SSH already; turn TLS off in the client",
        ],
    );
}

#[test]
fn q75_sessions_share_nothing_but_what_is_known_of_the_server() {
    let (mut one, mut other) = (Bench::local(), Bench::local());
    one.client("PASV", &["S> PASV"]);
    other.client("PASV", &["S> PASV"]);
    other.server("227 =10,0,0,9,156,65", &["! local 1 localhost:40001"]);
    one.server("227 =10,0,0,9,156,64", &["! local 1 localhost:40000"]);
}

#[test]
fn a_server_of_another_protocol_is_named_at_once() {
    for (said, shown) in [
        ("SSH-2.0-OpenSSH_9.2", "SSH-2.0-OpenSSH_9.2"),
        ("HTTP/1.1 400 Bad Request", "HTTP/1.1 400 Bad Request"),
    ] {
        let mut bench = Bench::new(settings());
        let told = format!(
            "C< 421 ferryline: what answers is not an FTP server, it says '{shown}': check host and port of -L"
        );
        bench.server(said, &[&told, "! end, abort"]);
    }
    // curl does not show the text of a 421: the log has it too, while there is a session.
    let mut bench = Bench::new(settings());
    bench.control.server(bench.now, frame("SSH-2.0-x"));
    let first = bench.control.poll_output();
    assert!(
        matches!(&first, Some(Output::Notice(Notice::Ended(EndReason::NotFtpServer(said)))) if said == "SSH-2.0-x"),
        "{first:?}"
    );
    // A line that looks like another protocol in the middle of a session is a line like any other.
    let mut bench = Bench::local();
    bench.server("SSH-2.0-OpenSSH_9.2", &["C< SSH-2.0-OpenSSH_9.2"]);
}

/// What the log is told of the end of a session, and how many 421 of ferryline's own the client gets.
fn ended(bench: &mut Bench) -> (Vec<EndReason>, usize) {
    let (mut told, mut own) = (Vec::new(), 0);
    for output in std::iter::from_fn(|| bench.control.poll_output()) {
        match output {
            Output::Notice(Notice::Ended(reason)) => told.push(reason),
            Output::ToClient(line) if line.starts_with(b"421 ferryline: ") => own += 1,
            _ => {}
        }
    }
    (told, own)
}

#[test]
fn each_421_of_ferrylines_own_is_in_the_log_with_what_to_do() {
    type End = fn(&mut Bench);
    let ends: [(End, EndReason); 5] = [
        (|b| b.control.stop(b.now), EndReason::ShuttingDown),
        (|b| b.control.cut(), EndReason::ShuttingDown),
        (
            |b| b.control.server_ended(b.now, Ending::Lost),
            EndReason::SshLost,
        ),
        (
            |b| b.control.server_ended(b.now, Ending::Silent),
            EndReason::SshSilent,
        ),
        (
            |b| b.control.server_ended(b.now, Ending::LineTooLong(9)),
            EndReason::LongReply(9),
        ),
    ];
    for (end, reason) in ends {
        let mut bench = Bench::local();
        end(&mut bench);
        let text = Notice::Ended(reason.clone()).to_string();
        assert!(text.contains(reason.remedy().unwrap()), "{text}");
        assert_eq!(ended(&mut bench), (vec![reason], 1));
    }
}

#[test]
fn a_421_of_the_servers_own_is_no_warning_of_ferrylines() {
    let mut bench = Bench::local();
    bench.server("421 idle for too long", &["C< 421 idle for too long"]);
    bench.control.stop(bench.now);
    assert_eq!(ended(&mut bench), (vec![], 0));
}
