//! Final replies that come before their data: what lets them pass, and what does not.

use std::time::Duration;

use super::{
    bench::{Bench, id, settings},
    cuts::port_sent,
};
use crate::control::{ForwardEvent, Notice, Output, Settings};

const CUT: &str = "C< 426 ferryline: the data connection was cut on its way through SSH; not all of the data has come";

/// A session with a transfer that the server has answered by 226, and whose data connection has not ended.
fn answered(mut bench: Bench, verb: &str) -> Bench {
    bench.passive_connected(1);
    bench.client(verb, &[&format!("S> {verb}")]);
    bench.server("150 now", &["C< 150 now"]);
    bench.server("226 done", &[]);
    bench
}

fn downloading() -> Bench {
    answered(Bench::local(), "RETR f")
}

fn uploading() -> Bench {
    answered(Bench::local(), "STOR f")
}

/// The server has handed all of it to the SSH server, and the SSH server sends nothing more.
#[test]
fn a_226_is_held_as_long_as_the_way_of_its_data_is_silent() {
    let mut bench = downloading();
    bench.wait(1, &["! ask 1"]);
    bench.wait(600, &[]);
    bench.event(1, ForwardEvent::Cut, &[CUT]);
    bench.client("NOOP", &["S> NOOP"]);
    bench.server("200 ok", &["C< 200 ok"]);
}

#[test]
fn the_log_says_once_that_it_is_the_ssh_connection_that_is_silent() {
    let mut bench = downloading();
    bench.wait(1, &["! ask 1"]);
    let mut said = Vec::new();
    for _ in 0..4 {
        bench.now += Duration::from_secs(30);
        bench.control.timeout(bench.now);
        said.extend(std::iter::from_fn(|| bench.control.poll_output()));
    }
    let silent = Notice::SilentWay(id(1));
    assert_eq!(said, [Output::Notice(silent.clone())]);
    assert!(silent.to_string().contains("the SSH connection"));
}

#[test]
fn a_reply_is_not_lost_with_a_client_that_takes_nothing() {
    let mut bench = downloading();
    bench.wait(1, &["! ask 1"]);
    bench.event(1, ForwardEvent::Blocked, &[]);
    bench.wait(29, &[]);
    bench.event(1, ForwardEvent::Progress, &[]);
    // The client takes all that comes.
    bench.wait(60, &[]);
    bench.event(1, ForwardEvent::Blocked, &[]);
    bench.wait(29, &[]);
    bench.wait(1, &["C< 226 done"]);
}

#[test]
fn a_client_that_takes_nothing_is_waited_for_from_the_226_on() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 now", &["C< 150 now"]);
    bench.event(1, ForwardEvent::Blocked, &[]);
    bench.wait(60, &[]);
    bench.server("226 done", &[]);
    bench.wait(29, &["! ask 1"]);
    bench.wait(1, &["C< 226 done"]);
}

#[test]
fn q115_a_download_whose_server_leaves_the_data_connection_open_is_answered() {
    let mut bench = downloading();
    bench.wait(1, &["! ask 1"]);
    bench.event(1, ForwardEvent::AllReceived, &["C< 226 done"]);
    bench.passive_connected(2);
    // The server ends it with the next command.
    bench.event(1, ForwardEvent::Drained, &[]);
    bench.event(1, ForwardEvent::Ended, &[]);
    bench.client("RETR g", &["S> RETR g"]);
    bench.server("150 now", &["C< 150 now"]);
    bench.event(2, ForwardEvent::Drained, &[]);
    bench.server("226 done", &["C< 226 done"]);
}

#[test]
fn q115_a_reply_of_several_lines_passes_whole() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 now", &["C< 150 now"]);
    bench.server("226-done", &[]);
    bench.wait(1, &["! ask 1"]);
    bench.event(1, ForwardEvent::AllReceived, &["C< 226-done"]);
    bench.server("226 all of it", &["C< 226 all of it"]);
    bench.client("NOOP", &["S> NOOP"]);
    bench.server("200 ok", &["C< 200 ok"]);
}

/// Data that TCP retransmits on the way to the SSH host is late.
#[test]
fn q115_a_server_on_another_host_has_longer_for_the_rest_of_its_data() {
    let mut bench = answered(Bench::greeted(far()), "RETR f");
    bench.wait(9, &[]);
    bench.wait(1, &["! ask 1"]);
    // The SSH server has all of an upload before that host has any of it.
    let mut bench = answered(Bench::greeted(far()), "STOR f");
    bench.wait(1, &["! ask 1"]);
}

fn far() -> Settings {
    Settings {
        server_on_ssh_host: false,
        ..settings()
    }
}

#[test]
fn q116_an_upload_whose_server_leaves_the_data_connection_open_is_answered() {
    let mut bench = uploading();
    bench.wait(1, &["! ask 1"]);
    // The server sends no data: that says nothing about an upload.
    bench.event(1, ForwardEvent::AllReceived, &[]);
    bench.wait(28, &[]);
    bench.event(1, ForwardEvent::AllSent, &["C< 226 done"]);
    bench.client("NOOP", &["S> NOOP"]);
    bench.server("200 ok", &["C< 200 ok"]);
}

#[test]
fn q116_a_download_is_not_whole_because_its_client_has_ended_its_side() {
    let mut bench = downloading();
    bench.wait(1, &["! ask 1"]);
    bench.event(1, ForwardEvent::AllSent, &[]);
    bench.event(1, ForwardEvent::Cut, &[CUT]);
}

/// Eight of them at most may stand at once; those that are over do not count.
#[test]
fn q116_data_connections_that_are_left_open_keep_no_place() {
    let mut bench = Bench::local();
    for number in 1..=20 {
        bench.client("PASV", &["S> PASV"]);
        let open = format!("! local {number} localhost:40000");
        bench.server("227 =10,0,0,9,156,64", &[&open]);
        let close = format!("! close {}", number.max(9) - 8);
        let answer = "C< 227 Entering Passive Mode (127,0,0,1,200,13).";
        let expected = [close.as_str(), answer];
        bench.ready(
            number,
            "127.0.0.1:51213",
            &expected[usize::from(number < 9)..],
        );
        bench.connected(number);
        bench.client("STOR f", &["S> STOR f"]);
        bench.server("150 now", &["C< 150 now"]);
        bench.server("226 done", &[]);
        bench.wait(1, &[&format!("! ask {number}")]);
        bench.event(number, ForwardEvent::AllSent, &["C< 226 done"]);
    }
}

/// Its data connection is there: the reply waits for it as for any other.
#[test]
fn a_226_ahead_of_an_active_data_connection_waits_for_the_data_when_that_comes() {
    let mut bench = port_sent();
    bench.server("200 ok", &["C< 200 ok"]);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 now", &["C< 150 now"]);
    bench.server("226 done", &[]);
    bench.wait(29, &[]);
    bench.connected(1);
    bench.wait(1, &["! ask 1"]);
    bench.wait(60, &[]);
    bench.event(1, ForwardEvent::Drained, &["C< 226 done"]);
}

/// The data in the channel before the FTP server's final reply may not be all.
#[test]
fn q115_nothing_has_arrived_before_the_server_has_said_so() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 now", &["C< 150 now"]);
    bench.event(1, ForwardEvent::AllReceived, &[]);
    bench.server("226 done", &[]);
}
