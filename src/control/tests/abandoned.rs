//! Clients that end their side of the control connection while a transfer is unanswered.

use super::bench::{Bench, settings};
use crate::control::{ActiveMode, Ending, ForwardEvent, Settings};

const SILENT: &str = "C< 421 ferryline: the FTP server has been silent for 60 s; the session ends";
const STILL: &str = "C< 421 ferryline: no data has moved for 300 s; the session ends";
const END: &str = "! end, abort";

fn left_in(transfer: &str) -> Bench {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client(transfer, &[&format!("S> {transfer}")]);
    bench.server("150 here", &["C< 150 here"]);
    if transfer.starts_with("RETR") {
        bench.client_ended(Ending::Eof, &["! finish server"]);
    } else {
        // An upload's final reply gets a minute in which nothing happens (Q111).
        bench.client_ended(Ending::Eof, &[]);
        bench.wait(60, &["! finish server"]);
        bench.event(1, ForwardEvent::Progress, &[]);
    }
    bench
}

#[test]
fn as_long_as_data_moves_the_transfer_goes_on() {
    for transfer in ["RETR f", "STOR f"] {
        let mut bench = left_in(transfer);
        for _ in 0..50 {
            bench.wait(299, &[]);
            bench.event(1, ForwardEvent::Progress, &[]);
        }
        bench.event(1, ForwardEvent::Drained, &[]);
        bench.event(1, ForwardEvent::Ended, &[]);
        bench.server("226 done", &["C< 226 done"]);
        // From here on the server has the usual time to close.
        bench.wait(29, &[]);
        bench.wait(1, &["! end"]);
    }
}

#[test]
fn data_that_stands_still_is_cut_in_the_end() {
    for transfer in ["RETR f", "STOR f"] {
        let mut bench = left_in(transfer);
        bench.wait(100, &[]);
        bench.event(1, ForwardEvent::Progress, &[]);
        bench.wait(299, &[]);
        bench.wait(1, &[STILL, "! end, abort, then close 1"]);
        assert_eq!(bench.control.poll_timeout(), None);
    }
}

#[test]
fn without_data_the_server_has_a_minute_for_each_word() {
    let mut bench = left_in("STOR f");
    bench.event(1, ForwardEvent::Drained, &[]);
    bench.wait(200, &[]);
    bench.event(1, ForwardEvent::Ended, &[]);
    for _ in 0..5 {
        bench.wait(59, &[]);
        bench.server("150 still storing it", &["C< 150 still storing it"]);
    }
    bench.wait(59, &[]);
    bench.wait(1, &[SILENT, END]);
}

#[test]
fn a_data_connection_that_never_came_is_none() {
    let mut bench = Bench::local();
    bench.client("RETR f", &["S> RETR f"]);
    bench.client_ended(Ending::Eof, &["! finish server"]);
    bench.wait(59, &[]);
    bench.wait(1, &[SILENT, END]);
}

#[test]
fn a_command_that_cannot_be_sent_is_waited_with_no_longer() {
    let mut bench = Bench::greeted(Settings {
        active: ActiveMode::Passive,
        ..settings()
    });
    bench.client("PORT 127,0,0,1,200,13", &["S> EPSV"]);
    bench.client("RETR f", &[]);
    bench.client_ended(Ending::Eof, &[]);
    bench.wait(10, &["S> PASV"]);
    bench.wait(49, &[]);
    bench.wait(1, &[SILENT, END]);
}

#[test]
fn with_the_client_there_nothing_of_this_counts() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 here", &["C< 150 here"]);
    bench.wait(100 * 3600, &[]);
    assert_eq!(bench.control.poll_timeout(), None);
    bench.event(1, ForwardEvent::Ended, &[]);
    bench.wait(100 * 3600, &[]);
    assert_eq!(bench.control.poll_timeout(), None);
    bench.server("226 done", &["C< 226 done"]);
}

#[test]
fn what_was_sent_behind_a_long_transfer_has_its_time_to_be_answered() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("RETR f", &["S> RETR f"]);
    bench.client("PWD", &["S> PWD"]);
    bench.server("150 here", &["C< 150 here"]);
    bench.client_ended(Ending::Eof, &["! finish server"]);
    bench.wait(200, &[]);
    bench.event(1, ForwardEvent::Drained, &[]);
    bench.event(1, ForwardEvent::Ended, &[]);
    bench.server("226 done", &["C< 226 done"]);
    bench.wait(29, &[]);
    bench.server("257 \"/\"", &["C< 257 \"/\""]);
    bench.wait(1, &["! end"]);
}

/// As many requests as may be under way, and further ones before the client's EOF.
#[test]
fn a_client_that_cannot_be_heard_any_more_may_have_left_all_the_same() {
    let mut bench = Bench::local();
    bench.client("RETR f", &["S> RETR f"]);
    while bench.control.wants_client() {
        bench.client("NOOP", &["S> NOOP"]);
    }
    bench.wait(3600, &[]);
    bench.control.client_left(bench.now);
    bench.wait(59, &[]);
    bench.control.client_left(bench.now);
    bench.wait(1, &[SILENT, END]);
}
