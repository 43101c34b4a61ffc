//! Answers in order: ferryline's own among the server's.

use super::bench::Bench;

const AUTH: &str = "C< 502 ferryline: AUTH is refused: this connection is already inside SSH";

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
                "C< 502 ferryline: {verb} is refused: this connection is already inside SSH"
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
    let mut bench = Bench::new(super::bench::settings());
    bench.client("USER u", &["S> USER u"]);
    bench.client("AUTH TLS", &[]);
    bench.server("220-hello", &["C< 220-hello"]);
    bench.server("220 ready", &["C< 220 ready"]);
    bench.server("331 password", &["C< 331 password", AUTH]);
}

#[test]
fn q40_a_delayed_greeting() {
    let mut bench = Bench::new(super::bench::settings());
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
