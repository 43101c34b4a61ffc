//! Data connections that were closed before ferryline could see whose they were.

use std::time::Duration;

use super::bench::Bench;
use crate::control::ForwardEvent;

const TOLD: &str = "C< 425 ferryline: the data connection was closed before it could be seen whose it was, and is refused; ask for the transfer again, and close the data connection only when the FTP server has said 150";

fn listening() -> Bench {
    let mut bench = Bench::local();
    bench.client("PASV", &["S> PASV"]);
    bench.server("227 =10,0,0,9,156,64", &["! local 1 localhost:40000"]);
    bench.ready(
        1,
        "127.0.0.1:51213",
        &["C< 227 Entering Passive Mode (127,0,0,1,200,13)."],
    );
    bench
}

/// Some servers answer the transfer and the ABOR, others answer both at once.
#[test]
fn q114_a_client_that_may_have_been_refused_is_answered_at_once() {
    for replies in [
        &["425 nobody came", "226 aborted"][..],
        &["150 go on", "225 closed"],
        &["150 go on", "426 aborted", "226 aborted"],
        &["225 closed"],
        &["226 aborted"],
        &["425 nobody came", "502 no ABOR"],
    ] {
        let mut bench = listening();
        bench.event(1, ForwardEvent::Doubtful, &[]);
        bench.client("STOR f", &["S> STOR f"]);
        bench.wait(1, &["! close 1", "S> ABOR", TOLD]);
        for reply in replies {
            bench.server(reply, &[]);
        }
        bench.passive_connected(2);
        bench.client("STOR f", &["S> STOR f"]);
        bench.server("150 go on", &["C< 150 go on"]);
        bench.event(2, ForwardEvent::Drained, &[]);
        bench.event(2, ForwardEvent::Ended, &[]);
        bench.server("226 stored", &["C< 226 stored"]);
    }
}

/// Here it was a stranger.
#[test]
fn q114_a_client_that_comes_all_the_same_is_served() {
    let mut bench = listening();
    bench.event(1, ForwardEvent::Doubtful, &[]);
    bench.wait(30, &[]);
    bench.client("STOR f", &["S> STOR f"]);
    bench.connected(1);
    bench.wait(30, &[]);
    bench.server("150 go on", &["C< 150 go on"]);
}

#[test]
fn q114_a_server_that_refuses_the_transfer_speaks_for_itself() {
    let mut bench = listening();
    bench.client("STOR f", &["S> STOR f"]);
    bench.event(1, ForwardEvent::Doubtful, &[]);
    bench.server("553 no", &["C< 553 no"]);
    bench.wait(10, &[]);
}

/// The server would abort the transfer before.
#[test]
fn q114_no_other_transfer_is_aborted() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 here it comes", &["C< 150 here it comes"]);
    bench.client("PASV", &["S> PASV"]);
    bench.server("227 =10,0,0,9,156,65", &["! local 2 localhost:40001"]);
    bench.ready(
        2,
        "127.0.0.1:51214",
        &["C< 227 Entering Passive Mode (127,0,0,1,200,14)."],
    );
    bench.client("STOR g", &["S> STOR g"]);
    bench.event(2, ForwardEvent::Doubtful, &[]);
    bench.wait(1, &["! close 2", TOLD]);
}

/// The outcome of another command meanwhile gives the client no more time.
#[test]
fn q114_the_client_has_one_second_whatever_else_comes() {
    let mut bench = listening();
    bench.event(1, ForwardEvent::Doubtful, &[]);
    bench.client("STOR f", &["S> STOR f"]);
    bench.now += Duration::from_millis(600);
    bench.client("NOOP", &[]);
    bench.now += Duration::from_millis(400);
    bench.control.timeout(bench.now);
    bench.client(
        "STAT",
        &["! close 1", "S> ABOR", "S> NOOP", TOLD, "S> STAT"],
    );
}

/// The replies to ferryline's own ABOR answer no command of the client.
#[test]
fn q114_what_the_client_asks_behind_the_abort_has_its_own_answer() {
    for replies in [&["425 nobody came", "226 aborted"][..], &["226 aborted"]] {
        for ahead in [0, replies.len() - 1] {
            let mut bench = listening();
            bench.event(1, ForwardEvent::Doubtful, &[]);
            bench.client("STOR f", &["S> STOR f"]);
            bench.wait(1, &["! close 1", "S> ABOR", TOLD]);
            let (before, behind) = replies.split_at(ahead);
            for reply in before {
                bench.server(reply, &[]);
            }
            bench.client("NOOP", &["S> NOOP"]);
            for reply in behind {
                bench.server(reply, &[]);
            }
            bench.server("200 ok", &["C< 200 ok"]);
        }
    }
}

#[test]
fn q114_a_server_that_goes_at_the_abort_is_heard() {
    let mut bench = listening();
    bench.event(1, ForwardEvent::Doubtful, &[]);
    bench.client("STOR f", &["S> STOR f"]);
    bench.wait(1, &["! close 1", "S> ABOR", TOLD]);
    bench.server("425 nobody came", &[]);
    bench.server("421 good bye", &["C< 421 good bye"]);
}
