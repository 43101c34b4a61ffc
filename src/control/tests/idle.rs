//! Sessions that are not used.

use std::time::Duration;

use super::bench::{Bench, settings};
use crate::control::{ForwardEvent, Limits, Settings};

const IDLE: &str = "C< 421 ferryline: idle for 600 s; the session ends";
const NO_LOGIN: &str = "C< 421 ferryline: not logged in within 60 s; the session ends";
const END: &str = "! end, abort";

fn bench() -> Bench {
    Bench::greeted(Settings {
        limits: Limits {
            idle: Some(Duration::from_secs(600)),
            login: Some(Duration::from_secs(60)),
            ..Limits::default()
        },
        ..settings()
    })
}

fn logged_in() -> Bench {
    let mut bench = bench();
    bench.client("USER a", &["S> USER a"]);
    bench.server("331 password", &["C< 331 password"]);
    bench.client("PASS b", &["S> PASS b"]);
    bench.server("230 in", &["C< 230 in"]);
    bench
}

#[test]
fn a_client_that_does_not_log_in_is_sent_away() {
    let mut bench = bench();
    bench.wait(59, &[]);
    bench.client("USER a", &["S> USER a"]);
    bench.server("331 password", &["C< 331 password"]);
    assert_eq!(bench.control.poll_timeout(), Some(Duration::from_secs(60)));
    bench.wait(1, &[NO_LOGIN, END]);
    assert_eq!(bench.control.poll_timeout(), None);
}

#[test]
fn a_refused_log_in_is_none() {
    let mut bench = bench();
    bench.client("PASS b", &["S> PASS b"]);
    bench.server("530 no", &["C< 530 no"]);
    bench.wait(60, &[NO_LOGIN, END]);
}

#[test]
fn a_server_that_asks_for_no_log_in_needs_none() {
    for first in ["230 welcome", "232 welcome"] {
        let mut bench = bench();
        bench.client("USER a", &["S> USER a"]);
        bench.server(first, &[&format!("C< {first}")]);
        bench.wait(60, &[]);
    }
    let mut bench = bench();
    bench.passive_connected(1);
    bench.client("RETR x", &["S> RETR x"]);
    bench.server("150 now", &["C< 150 now"]);
    bench.wait(60, &[]);
}

#[test]
fn an_idle_client_is_sent_away_and_any_command_counts() {
    let mut bench = logged_in();
    bench.wait(599, &[]);
    bench.client("NOOP", &["S> NOOP"]);
    bench.server("200 ok", &["C< 200 ok"]);
    bench.wait(599, &[]);
    // Lines that the server sends of itself do not count.
    bench.server("200 still here?", &["C< 200 still here?"]);
    bench.wait(1, &[IDLE, END]);
}

#[test]
fn with_a_transfer_running_it_is_not_idle() {
    let mut bench = logged_in();
    bench.passive_connected(1);
    bench.client("RETR x", &["S> RETR x"]);
    bench.server("150 now", &["C< 150 now"]);
    // Hours in which nothing happens that the control connection would see.
    bench.wait(10 * 3600, &[]);
    assert_eq!(bench.control.poll_timeout(), None);
    bench.event(1, ForwardEvent::Drained, &[]);
    bench.event(1, ForwardEvent::Ended, &[]);
    bench.server("226 done", &["C< 226 done"]);
    // From here on it is.
    bench.wait(599, &[]);
    bench.wait(1, &[IDLE, END]);
}

#[test]
fn a_data_connection_without_a_transfer_is_no_activity() {
    let mut bench = logged_in();
    bench.passive_connected(1);
    bench.wait(599, &[]);
    bench.wait(1, &[IDLE, "! end, abort, then close 1"]);
}

#[test]
fn a_client_that_takes_data_after_its_reply_is_not_idle() {
    let mut bench = logged_in();
    bench.passive_connected(1);
    bench.client("RETR x", &["S> RETR x"]);
    bench.server("150 now", &["C< 150 now"]);
    bench.server("226 done", &[]);
    // The reply does not wait without limit for a client that takes nothing.
    bench.event(1, ForwardEvent::Blocked, &[]);
    bench.wait(29, &["! ask 1"]);
    bench.wait(1, &["C< 226 done"]);
    bench.wait(599, &[]);
    bench.event(1, ForwardEvent::Progress, &[]);
    bench.wait(599, &[]);
    bench.wait(1, &[IDLE, "! end, abort, then close 1"]);
}

#[test]
fn without_limits_nothing_is_waited_for() {
    let bench = Bench::local();
    assert_eq!(bench.control.poll_timeout(), None);
}
