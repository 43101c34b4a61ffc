//! What the log is told while a client waits.

use std::time::Duration;

use ferryline_grammar::Verb;

use super::bench::{Bench, id, settings};
use crate::control::{ActiveMode, ForwardEvent, Notice, Output, Settings, Stalled};

const LIMIT: Duration = Duration::from_secs(30);

/// Lets this time pass, with each deadline on the way. Returns what the log is told.
fn told(bench: &mut Bench, seconds: u64) -> Vec<Notice> {
    let until = bench.now + Duration::from_secs(seconds);
    let mut told = Vec::new();
    while let Some(at) = bench.control.poll_timeout().filter(|at| *at <= until) {
        bench.now = at;
        bench.control.timeout(at);
        for output in std::iter::from_fn(|| bench.control.poll_output()) {
            if let Output::Notice(notice) = output {
                told.push(notice);
            }
        }
    }
    bench.now = until;
    told
}

fn still(verb: Verb, stalled: Stalled) -> Notice {
    Notice::StalledData {
        id: id(1),
        verb,
        time: LIMIT,
        stalled,
    }
}

#[test]
fn a_server_that_does_not_greet_is_told_once() {
    let mut bench = Bench::new(settings());
    assert_eq!(told(&mut bench, 29), []);
    assert_eq!(told(&mut bench, 1), [Notice::NoGreeting(LIMIT)]);
    assert_eq!(told(&mut bench, 600), []);
    bench.server("220 ready", &["C< 220 ready"]);
    assert_eq!(told(&mut bench, 600), [], "nothing is asked");
}

#[test]
fn a_command_without_an_answer_is_told_by_its_verb() {
    let mut bench = Bench::local();
    bench.wait(100, &[]);
    bench.client("CWD /a/b", &["S> CWD /a/b"]);
    assert_eq!(told(&mut bench, 29), []);
    assert_eq!(told(&mut bench, 1), [Notice::Unanswered(Verb::Cwd, LIMIT)]);
    bench.client("PWD", &["S> PWD"]);
    assert_eq!(told(&mut bench, 300), [], "it is the same wait");
    bench.server("250 ok", &["C< 250 ok"]);
    assert_eq!(told(&mut bench, 30), [Notice::Unanswered(Verb::Pwd, LIMIT)]);
}

#[test]
fn a_reply_that_comes_line_by_line_is_no_silence() {
    let mut bench = Bench::local();
    bench.client("STAT /", &["S> STAT /"]);
    bench.server("213-first", &["C< 213-first"]);
    for _ in 0..4 {
        assert_eq!(told(&mut bench, 25), []);
        bench.server(" more", &["C<  more"]);
    }
    assert_eq!(
        told(&mut bench, 30),
        [Notice::Unanswered(Verb::Stat, LIMIT)]
    );
}

/// A person may type a password in a wrong place.
#[test]
fn a_command_of_no_known_verb_is_not_shown() {
    let mut bench = Bench::local();
    bench.client("s3cret", &["S> s3cret"]);
    let told = told(&mut bench, 30);
    let text = told[0].to_string();
    assert!(
        text.contains("a command that ferryline does not know"),
        "{text}"
    );
    assert!(!text.contains("s3cret"), "{text}");
}

#[test]
fn a_transfer_that_moves_is_not_told_and_one_that_stalls_is() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 here", &["C< 150 here"]);
    for _ in 0..10 {
        bench.event(1, ForwardEvent::Progress, &[]);
        // A client that keeps its control connection in use does not hide what stalls.
        assert_eq!(told(&mut bench, 20), []);
    }
    let stalled = [still(Verb::Retr, Stalled::ServerSendsNothing)];
    assert_eq!(told(&mut bench, 10), stalled);
    assert_eq!(told(&mut bench, 600), [], "once");
    bench.event(1, ForwardEvent::Progress, &[]);
    assert_eq!(told(&mut bench, 30), stalled, "it is another time");
}

#[test]
fn commands_that_are_answered_do_not_hide_a_transfer_that_stalls() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 here", &["C< 150 here"]);
    assert_eq!(told(&mut bench, 20), []);
    bench.client("STAT", &["S> STAT"]);
    bench.server("211 it runs", &["C< 211 it runs"]);
    assert_eq!(
        told(&mut bench, 10),
        [still(Verb::Retr, Stalled::ServerSendsNothing)]
    );
}

#[test]
fn the_log_says_who_is_waited_for() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("STOR f", &["S> STOR f"]);
    assert_eq!(
        told(&mut bench, 30),
        [Notice::Unanswered(Verb::Stor, LIMIT)]
    );
    bench.server("150 here", &["C< 150 here"]);
    bench.event(1, ForwardEvent::Progress, &[]);
    assert_eq!(told(&mut bench, 30), [still(Verb::Stor, Stalled::Upload)]);

    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 here", &["C< 150 here"]);
    bench.event(1, ForwardEvent::Blocked, &[]);
    assert_eq!(
        told(&mut bench, 30),
        [still(Verb::Retr, Stalled::ClientTakesNothing)]
    );
}

#[test]
fn a_data_connection_that_does_not_come_is_told() {
    let mut bench = Bench::local();
    bench.client("PASV", &["S> PASV"]);
    bench.server("227 =10,0,0,9,156,64", &["! local 1 localhost:40000"]);
    let ready = "C< 227 Entering Passive Mode (127,0,0,1,200,13).";
    bench.ready(1, "127.0.0.1:51213", &[ready]);
    bench.client("LIST", &["S> LIST"]);
    bench.server("150 here", &["C< 150 here"]);
    assert_eq!(
        told(&mut bench, 30),
        [still(Verb::List, Stalled::ClientConnection)]
    );
    bench.event(1, ForwardEvent::Claimed, &[]);
    assert_eq!(
        told(&mut bench, 30),
        [still(Verb::List, Stalled::WayToServer)]
    );
}

#[test]
fn after_the_data_the_final_reply_is_waited_for() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 here", &["C< 150 here"]);
    bench.event(1, ForwardEvent::Drained, &[]);
    bench.event(1, ForwardEvent::Ended, &[]);
    assert_eq!(
        told(&mut bench, 30),
        [Notice::Unanswered(Verb::Retr, LIMIT)]
    );
}

#[test]
fn a_client_that_has_left_waits_for_nothing() {
    let mut bench = Bench::local();
    bench.client("NOOP", &["S> NOOP"]);
    bench.control.client_left(bench.now);
    assert_eq!(told(&mut bench, 59), []);
}

#[test]
fn an_active_request_that_waits_for_the_servers_data_port_is_told() {
    let mut bench = Bench::greeted(Settings {
        active: ActiveMode::Passive,
        ..settings()
    });
    bench.client("PORT 127,0,0,1,200,13", &["S> EPSV"]);
    bench.server(
        "229 (|||40000|)",
        &["! joined 1 localhost:40000 to 127.0.0.1:51213"],
    );
    assert_eq!(told(&mut bench, 29), []);
    assert_eq!(
        told(&mut bench, 1),
        [still(Verb::Port, Stalled::WayToServer)]
    );
}
