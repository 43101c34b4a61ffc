//! A data connection that the SSH server could not make: who answers the client.

use super::bench::{Bench, show};
use crate::control::{Ending, ForwardEvent, Notice, Output};

const REASON: &str = "localhost:40000: the SSH server could not connect (Connection refused)";
const OWN: &str =
    "C< 425 ferryline: localhost:40000: the SSH server could not connect (Connection refused)";

/// A session with a listener that the client knows of, and a transfer that it has asked for.
fn asked(verb: &str) -> Bench {
    let mut bench = Bench::local();
    bench.client("PASV", &["S> PASV"]);
    bench.server("227 =10,0,0,9,156,64", &["! local 1 localhost:40000"]);
    bench.ready(
        1,
        "127.0.0.1:51213",
        &["C< 227 Entering Passive Mode (127,0,0,1,200,13)."],
    );
    bench.client(verb, &[&format!("S> {verb}")]);
    bench
}

fn unreachable(bench: &mut Bench) {
    bench.event(1, ForwardEvent::Claimed, &[]);
    bench.event(1, ForwardEvent::Unreachable(REASON.into()), &[]);
}

/// All outputs, including notices.
fn drain(bench: &mut Bench) -> Vec<String> {
    std::iter::from_fn(|| bench.control.poll_output())
        .filter(|output| !matches!(output, Output::Learned(_) | Output::Transferred(_)))
        .map(|output| show(&output))
        .collect()
}

#[test]
fn q100_the_servers_refusal_goes_before_the_missing_data_connection() {
    for refusal in [
        "550 nothing.here: No such file or directory",
        "450 busy",
        "451 local error",
        "425 Failed to establish connection.",
    ] {
        for verb in ["RETR nothing.here", "STOR f", "LIST"] {
            let mut bench = asked(verb);
            unreachable(&mut bench);
            bench.server(refusal, &[&format!("C< {refusal}")]);
            bench.wait(10, &[]);
            bench.passive_connected(2);
        }
    }
}

#[test]
fn q100_a_refusal_of_several_lines_is_the_servers_too() {
    let mut bench = asked("RETR f");
    unreachable(&mut bench);
    bench.server("150-opening", &[]);
    bench.server("150 now", &[]);
    bench.server("425-Failed", &["C< 425-Failed"]);
    // It has begun to answer in time.
    bench.wait(5, &[]);
    bench.server(
        "425 to establish connection.",
        &["C< 425 to establish connection."],
    );
}

#[test]
fn q100_a_server_that_says_nothing_is_spoken_for() {
    let mut bench = asked("RETR f");
    unreachable(&mut bench);
    bench.wait(1, &[OWN]);
    bench.client("PASV", &["S> PASV"]);
    // The server has noticed; the client knows already.
    bench.server("150-opening", &[]);
    bench.server("150 now", &[]);
    bench.server("425-Failed", &[]);
    bench.server("425 to establish connection.", &[]);
    bench.server("227 =10,0,0,9,156,65", &["! local 2 localhost:40001"]);
}

#[test]
fn q100_what_the_server_says_of_a_later_request_comes_behind() {
    for (command, reply) in [("NOOP", "200 ok"), ("QUIT", "221 bye")] {
        let mut bench = asked("RETR f");
        unreachable(&mut bench);
        bench.server("150 soon", &[]);
        bench.client(command, &[&format!("S> {command}")]);
        bench.server(reply, &[OWN, &format!("C< {reply}")]);
    }
    let mut bench = asked("RETR f");
    unreachable(&mut bench);
    bench.client("PASV", &["S> PASV"]);
    bench.server("227 =10,0,0,9,156,65", &["! local 2 localhost:40001", OWN]);
    bench.ready(
        2,
        "127.0.0.1:51214",
        &["C< 227 Entering Passive Mode (127,0,0,1,200,14)."],
    );
    // Late, and about the first transfer.
    bench.server("425 nobody came", &[]);
    bench.client("NOOP", &["S> NOOP"]);
    bench.server("200 ok", &["C< 200 ok"]);
}

#[test]
fn q100_a_success_over_a_data_connection_that_was_not_made_is_none() {
    for (verb, begun) in [("RETR f", true), ("STOR f", true), ("STOR f", false)] {
        let mut bench = asked(verb);
        unreachable(&mut bench);
        if begun {
            bench.server("150 now", &[]);
        }
        bench.server("226 done", &[OWN]);
        bench.client("NOOP", &["S> NOOP"]);
        bench.server("200 ok", &["C< 200 ok"]);
    }
}

#[test]
fn q100_a_server_that_goes_away_leaves_the_client_with_an_answer() {
    let mut bench = asked("RETR f");
    unreachable(&mut bench);
    bench.server_ended(Ending::Eof, &[OWN, "! end"]);
}

/// The warning is for the person who has to open a firewall; a refusal needs none.
#[test]
fn q100_only_what_ferryline_says_itself_is_in_the_log() {
    let warns = |log: &[String]| log.iter().any(|line| line.contains(REASON));
    let event = |bench: &mut Bench| {
        let unreachable = ForwardEvent::Unreachable(REASON.into());
        bench
            .control
            .forward(bench.now, super::bench::id(1), unreachable);
        drain(bench)
    };

    let mut bench = asked("RETR f");
    bench.event(1, ForwardEvent::Claimed, &[]);
    assert_eq!(event(&mut bench), Vec::<String>::new());
    bench.now += std::time::Duration::from_secs(1);
    bench.control.timeout(bench.now);
    let notice = Notice::Unreachable(super::bench::id(1), REASON.into());
    assert_eq!(drain(&mut bench), [&format!("! notice {notice}"), OWN]);

    // The refusal came first.
    let mut bench = asked("RETR f");
    bench.event(1, ForwardEvent::Claimed, &[]);
    bench.server("550 no such file", &["C< 550 no such file"]);
    assert!(!warns(&event(&mut bench)));

    // The client has connected before it asks for anything.
    let mut bench = Bench::local();
    bench.client("PASV", &["S> PASV"]);
    bench.server("227 =10,0,0,9,156,64", &["! local 1 localhost:40000"]);
    let told = "C< 227 Entering Passive Mode (127,0,0,1,200,13).";
    bench.ready(1, "127.0.0.1:51213", &[told]);
    bench.event(1, ForwardEvent::Claimed, &[]);
    assert!(warns(&event(&mut bench)));
}

#[test]
fn q101_a_success_without_a_beginning_needs_no_data_connection() {
    for verb in ["LIST", "NLST", "RETR empty"] {
        let mut bench = asked(verb);
        unreachable(&mut bench);
        bench.server("226 nothing to list", &["C< 226 nothing to list"]);
        bench.passive_connected(2);

        // The other way round.
        let mut bench = asked(verb);
        bench.event(1, ForwardEvent::Claimed, &[]);
        bench.server("226 nothing to list", &[]);
        bench.event(
            1,
            ForwardEvent::Unreachable(REASON.into()),
            &["C< 226 nothing to list"],
        );
        bench.passive_connected(2);
    }
}

/// A 200 in the place of a 150 begins a transfer (Q42).
#[test]
fn q101_a_success_behind_a_beginning_needs_its_data_connection() {
    let mut bench = asked("LIST");
    bench.server("200 here it comes", &["C< 200 here it comes"]);
    unreachable(&mut bench);
    bench.server("226 done", &[OWN]);
}
