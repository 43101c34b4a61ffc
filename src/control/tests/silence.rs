//! A server that does not answer EPSV, or answers it too late.

use super::bench::{Bench, settings};
use crate::control::{Knowledge, Output, Settings};

const OPENED: &[&str] = &["! local 1 localhost:40000"];

fn ready_as_229(bench: &mut Bench) {
    bench.ready(
        1,
        "127.0.0.1:51213",
        &["C< 229 Entering Extended Passive Mode (|||51213|)"],
    );
}

#[test]
fn an_epsv_that_is_never_answered_is_asked_again_as_pasv() {
    let mut bench = Bench::local();
    bench.client("EPSV", &["S> EPSV"]);
    bench.wait(9, &[]);
    bench.wait(1, &["S> PASV"]);
    bench.server("227 (10,0,0,9,156,64)", OPENED);
    ready_as_229(&mut bench);
}

#[test]
fn it_is_remembered_for_the_server() {
    let mut bench = Bench::local();
    bench.client("EPSV", &["S> EPSV"]);
    bench.wait(10, &["S> PASV"]);
    bench
        .control
        .server(bench.now, super::bench::frame("227 (10,0,0,9,156,64)"));
    let learned: Vec<Output> = std::iter::from_fn(|| bench.control.poll_output())
        .filter(|output| matches!(output, Output::Learned(_)))
        .collect();
    let known = Knowledge {
        no_epsv: true,
        ..Knowledge::default()
    };
    assert_eq!(learned, [Output::Learned(known)]);
    ready_as_229(&mut bench);
    bench.client("EPSV", &["S> PASV"]);

    let mut next = Bench::knowing(settings(), known);
    next.server("220 ready", &["C< 220 ready"]);
    next.client("EPSV", &["S> PASV"]);
}

#[test]
fn a_late_229_is_for_nobody_before_the_227_and_after_it() {
    let mut bench = Bench::local();
    bench.client("EPSV", &["S> EPSV"]);
    bench.wait(10, &["S> PASV"]);
    bench.server("229 late (|||39999|)", &[]);
    bench.server("227 (10,0,0,9,156,64)", OPENED);
    ready_as_229(&mut bench);
    bench.client("NOOP", &["S> NOOP"]);
    bench.server("200 ok", &["C< 200 ok"]);

    let mut bench = Bench::local();
    bench.client("EPSV", &["S> EPSV"]);
    bench.wait(10, &["S> PASV"]);
    bench.server("227 (10,0,0,9,156,64)", OPENED);
    ready_as_229(&mut bench);
    bench.server("229 late (|||39999|)", &[]);
    bench.client("NOOP", &["S> NOOP"]);
    bench.server("200 ok", &["C< 200 ok"]);
    // Once: a second one answers no request.
    bench.server(
        "229 (|||39998|)",
        &["C< 229 ferryline: a passive reply that nobody asked for, withheld"],
    );
}

#[test]
fn a_late_229_is_not_taken_for_the_next_request() {
    let mut bench = Bench::local();
    bench.client("EPSV", &["S> EPSV"]);
    bench.wait(10, &["S> PASV"]);
    bench.server("227 (10,0,0,9,156,64)", OPENED);
    ready_as_229(&mut bench);
    bench.client("PASV", &["S> PASV"]);
    bench.server("229 late (|||39999|)", &[]);
    bench.server("227 (10,0,0,9,156,65)", &["! local 2 localhost:40001"]);
}

#[test]
fn a_late_refusal_is_swallowed_and_the_pasv_counts() {
    let mut bench = Bench::local();
    bench.client("EPSV", &["S> EPSV"]);
    bench.wait(10, &["S> PASV"]);
    bench.server("500-late", &[]);
    bench.server("500 EPSV not understood", &[]);
    bench.server("227 (10,0,0,9,156,64)", OPENED);
    ready_as_229(&mut bench);
}

#[test]
fn where_only_one_refusal_ever_comes_the_client_gets_it() {
    let mut bench = Bench::local();
    bench.client("EPSV", &["S> EPSV"]);
    bench.wait(10, &["S> PASV"]);
    bench.server("502 no passive mode here", &[]);
    bench.wait(9, &[]);
    bench.wait(1, &["C< 502 no passive mode here"]);
    bench.client("NOOP", &["S> NOOP"]);
    bench.server("200 ok", &["C< 200 ok"]);
}

#[test]
fn each_has_its_own_time_where_only_one_refusal_ever_comes_for_any() {
    let mut bench = Bench::local();
    bench.client("EPSV", &["S> EPSV"]);
    bench.client("EPSV", &["S> EPSV"]);
    bench.wait(10, &["S> PASV"]);
    bench.server("500 no", &[]);
    bench.wait(10, &["S> PASV"]);
    bench.server("500 no, either", &[]);
    bench.wait(9, &[]);
    bench.wait(1, &["C< 500 no"]);
    bench.wait(9, &[]);
    bench.wait(1, &["C< 500 no, either"]);
}

#[test]
fn where_only_a_late_229_ever_comes_the_client_is_told() {
    let mut bench = Bench::local();
    bench.client("EPSV", &["S> EPSV"]);
    bench.wait(10, &["S> PASV"]);
    bench.server("229 late (|||39999|)", &[]);
    bench.wait(
        10,
        &["C< 425 ferryline: the FTP server answers neither EPSV nor PASV"],
    );
}

#[test]
fn what_was_sent_behind_it_is_answered_in_its_place() {
    let mut bench = Bench::local();
    bench.client("EPSV", &["S> EPSV"]);
    bench.client("TYPE I", &["S> TYPE I"]);
    bench.wait(10, &["S> PASV"]);
    bench.server("500 late", &[]);
    bench.server("200 type", &[]);
    bench.server("227 (10,0,0,9,156,64)", OPENED);
    bench.ready(
        1,
        "127.0.0.1:51213",
        &[
            "C< 229 Entering Extended Passive Mode (|||51213|)",
            "C< 200 type",
        ],
    );
}

#[test]
fn a_server_that_is_busy_with_something_before_it_is_not_silent() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 here", &["C< 150 here"]);
    bench.client("EPSV", &["S> EPSV"]);
    bench.wait(60, &[]);
    bench.event(1, crate::control::ForwardEvent::Drained, &[]);
    bench.server("226 done", &["C< 226 done"]);
    // From here on the server has nothing else to answer.
    bench.wait(9, &[]);
    bench.wait(1, &["S> PASV"]);
}

#[test]
fn after_epsv_all_nothing_else_is_asked() {
    let mut bench = Bench::local();
    bench.client("EPSV ALL", &["S> EPSV ALL"]);
    bench.server("200 ok", &["C< 200 ok"]);
    bench.client("EPSV", &["S> EPSV"]);
    bench.wait(60, &[]);
    bench.server("229 (|||40000|)", OPENED);
}

#[test]
fn a_reply_that_is_coming_in_is_no_silence() {
    let mut bench = Bench::local();
    bench.client("EPSV", &["S> EPSV"]);
    bench.server("229-slowly", &[]);
    bench.wait(60, &[]);
    bench.server("229 (|||40000|)", OPENED);
    ready_as_229(&mut bench);
}

#[test]
fn active_carried_as_passive_goes_the_same_way() {
    let mut bench = Bench::greeted(Settings {
        active: crate::control::ActiveMode::Passive,
        ..settings()
    });
    bench.client("PORT 127,0,0,1,200,13", &["S> EPSV"]);
    bench.wait(10, &["S> PASV"]);
    bench.server(
        "227 (10,0,0,9,156,64)",
        &["! joined 1 localhost:40000 to 127.0.0.1:51213"],
    );
}
