//! Answers in order: ferryline's own among the server's.

use super::bench::{Bench, settings};
use crate::control::{ActiveMode, Settings};

const AUTH: &str = "C< 502 ferryline: AUTH is refused: this connection is inside SSH already; turn TLS off in the client";

#[test]
fn an_answer_of_ours_comes_after_the_replies_before_it() {
    let mut bench = Bench::local();
    bench.client("FEAT", &["S> FEAT"]);
    bench.client("AUTH TLS", &[]);
    bench.client("SYST", &["S> SYST"]);
    bench.server("211 no features", &["C< 211 no features", AUTH]);
    bench.server("215 UNIX", &["C< 215 UNIX"]);
}

#[test]
fn q65_what_would_hide_the_control_connection_is_refused() {
    let mut bench = Bench::local();
    bench.client("AUTH TLS", &[AUTH]);
    bench.client("auth ssl", &[AUTH]);
    for verb in ["ADAT", "CCC", "CONF", "ENC", "MIC", "PBSZ", "PROT"] {
        bench.client(
            &format!("{verb} x"),
            &[&format!(
                "C< 502 ferryline: {verb} is refused: this connection is inside SSH already; turn TLS off in the client"
            )],
        );
    }
}

#[test]
fn q65_feat_shows_what_can_be_had() {
    let mut bench = Bench::local();
    bench.client("FEAT", &["S> FEAT"]);
    bench.server("211-Features:", &["C< 211-Features:"]);
    bench.server(" AUTH TLS", &[]);
    bench.server(" MDTM", &["C<  MDTM"]);
    bench.server(" PBSZ", &[]);
    bench.server(" EPSV", &["C<  EPSV"]);
    bench.server("211 End", &["C<  EPRT", "C< 211 End"]);
}

#[test]
fn q53_a_blank_line_is_no_request() {
    let mut bench = Bench::local();
    bench.client("", &["S> "]);
    bench.client("AUTH TLS", &[AUTH]);
}

#[test]
fn q41_commands_before_the_greeting() {
    let mut bench = Bench::new(settings());
    bench.client("USER u", &["S> USER u"]);
    bench.client("AUTH TLS", &[]);
    bench.server("220-hello", &["C< 220-hello"]);
    bench.server("220 ready", &["C< 220 ready"]);
    bench.server("331 password", &["C< 331 password", AUTH]);
}

#[test]
fn q40_a_delayed_greeting() {
    let mut bench = Bench::new(settings());
    bench.client("AUTH TLS", &[]);
    bench.server("120 ready in 5 minutes", &["C< 120 ready in 5 minutes"]);
    bench.server("220 ready", &["C< 220 ready", AUTH]);
}

#[test]
fn q29_a_reply_that_is_never_closed() {
    let mut bench = Bench::local();
    bench.client("DELE x", &["S> DELE x"]);
    bench.server("553-", &["C< 553-"]);
    bench.server("553- excluded", &["C< 553- excluded"]);
    bench.client("PASV", &["S> PASV"]);
    bench.server("227 =10,0,0,9,156,64", &["! local 1 localhost:40000"]);
    bench.ready(
        1,
        "127.0.0.1:51213",
        &["C< 227 Entering Passive Mode (127,0,0,1,200,13)."],
    );
}

#[test]
fn q36_lines_without_a_code_pass() {
    let mut bench = Bench::local();
    bench.client("SYST", &["S> SYST"]);
    bench.server("SYST not supported", &["C< SYST not supported"]);
    bench.server("99 what", &["C< 99 what"]);
    bench.server("500 really", &["C< 500 really"]);
}

#[test]
fn q46_a_421_at_any_time() {
    let mut bench = Bench::local();
    bench.server("421 Timeout.", &["C< 421 Timeout."]);
    bench.server_ended(crate::control::Ending::Eof, &["! end"]);
}

#[test]
fn an_answer_of_ours_behind_a_waiting_forward_does_not_spin() {
    let mut bench = Bench::remote_only();
    bench.client(
        "PORT 127,0,0,1,200,13",
        &["! remote 1 127.0.0.1 to 127.0.0.1:51213"],
    );
    bench.client("AUTH TLS", &[]);
    bench.wait(20, &[]);
    let next = bench.control.poll_timeout();
    assert!(next.is_none_or(|at| at > bench.now), "{next:?}");
    bench.failed(1, "no", &["C< 425 ferryline: no", AUTH]);
}

#[test]
fn an_answer_of_ours_does_not_overtake_a_slow_server() {
    let mut bench = Bench::local();
    bench.client("FEAT", &["S> FEAT"]);
    bench.client("AUTH TLS", &[]);
    bench.wait(30, &[]);
    bench.server("211 no features", &["C< 211 no features", AUTH]);
}

#[test]
fn a_forward_that_fails_at_once_does_not_overtake_the_replies_before_it() {
    let mut bench = Bench::remote_only();
    bench.client("SYST", &["S> SYST"]);
    bench.client(
        "PORT 127,0,0,1,200,13",
        &["! remote 1 127.0.0.1 to 127.0.0.1:51213"],
    );
    bench.failed(1, "no", &[]);
    bench.server("215 UNIX", &["C< 215 UNIX", "C< 425 ferryline: no"]);
}

#[test]
fn a_command_in_the_middle_of_a_reply_loses_nothing_of_it() {
    let mut bench = Bench::new(settings());
    bench.server("220-welcome", &["C< 220-welcome"]);
    bench.client("USER u", &["S> USER u"]);
    bench.server("220 ready", &["C< 220 ready"]);
    bench.server("331 password", &["C< 331 password"]);
}

#[test]
fn q47_a_list_that_looks_like_replies_while_the_client_pipelines() {
    let mut bench = Bench::local();
    bench.client("STAT /", &["S> STAT /"]);
    bench.server("213-status of /", &["C< 213-status of /"]);
    bench.client("SYST", &["S> SYST"]);
    bench.client("AUTH TLS", &[]);
    bench.server("550 miles.txt", &["C< 550 miles.txt"]);
    bench.server("213 end", &["C< 213 end"]);
    bench.server("215 UNIX", &["C< 215 UNIX", AUTH]);
}

#[test]
fn q29_a_227_behind_a_reply_that_was_left_open() {
    let mut bench = Bench::local();
    bench.client("CWD x", &["S> CWD x"]);
    bench.server("250-", &["C< 250-"]);
    bench.client("PASV", &["S> PASV"]);
    bench.server(
        "250- a message of the day",
        &["C< 250- a message of the day"],
    );
    bench.server("227 =10,0,0,9,156,64", &["! local 1 localhost:40000"]);
}

#[test]
fn a_refusal_that_is_left_open_is_asked_again_all_the_same() {
    let mut bench = Bench::local();
    bench.client("EPSV", &["S> EPSV"]);
    bench.server("500-what", &[]);
    bench.client("NOOP", &["S> NOOP"]);
    bench.server("200 ok", &["S> PASV"]);
    bench.server("227 =10,0,0,9,156,64", &["! local 1 localhost:40000"]);
    bench.ready(
        1,
        "127.0.0.1:51213",
        &[
            "C< 229 Entering Extended Passive Mode (|||51213|)",
            "C< 200 ok",
        ],
    );
}

#[test]
fn an_epsv_asked_again_is_not_given_up_when_the_client_sends_on() {
    let mut bench = Bench::local();
    bench.client("EPSV", &["S> EPSV"]);
    bench.client("NOOP", &["S> NOOP"]);
    bench.server("500 what", &["S> PASV"]);
    bench.server("200 ok", &[]);
    bench.client("SYST", &["S> SYST"]);
    bench.server("227 =10,0,0,9,156,64", &["! local 1 localhost:40000"]);
    bench.ready(
        1,
        "127.0.0.1:51213",
        &[
            "C< 229 Entering Extended Passive Mode (|||51213|)",
            "C< 200 ok",
        ],
    );
    bench.server("215 UNIX", &["C< 215 UNIX"]);
}

#[test]
fn q67_rein_leaves_a_port_that_waits_its_forward() {
    let mut bench = Bench::local();
    bench.client("REIN", &["S> REIN"]);
    bench.client(
        "PORT 127,0,0,1,200,13",
        &["! remote 1 127.0.0.1 to 127.0.0.1:51213"],
    );
    bench.server("220 again", &["C< 220 again"]);
    bench.ready(1, "127.0.0.1:40000", &["S> PORT 127,0,0,1,156,64"]);
}

#[test]
fn replies_that_pile_up_behind_one_that_is_not_read_end_the_session() {
    let mut bench = Bench::local();
    bench.client("EPSV", &["S> EPSV"]);
    bench.client("STAT", &["S> STAT"]);
    bench.server("500 what", &["S> PASV"]);
    bench.server("213-status", &[]);
    while bench.control.wants_server() && bench.control.poll_output().is_none() {
        let line = super::bench::frame(&"x".repeat(4096));
        bench.control.server(bench.now, line);
    }
    assert!(bench.control.is_over());
}

#[test]
fn replies_that_pile_up_behind_a_command_that_waits_for_one_end_the_session() {
    let mut bench = Bench::greeted(Settings {
        active: ActiveMode::Passive,
        ..settings()
    });
    bench.client("PORT 127,0,0,1,200,13", &["S> EPSV"]);
    // It goes out after the answer, which is not read as long as the unasked lines before it fill the queue.
    bench.client("NOOP", &[]);
    while bench.control.wants_server() && bench.control.poll_output().is_none() {
        let line = super::bench::frame(&"x".repeat(4096));
        bench.control.server(bench.now, line);
    }
    assert!(bench.control.is_over());
}
