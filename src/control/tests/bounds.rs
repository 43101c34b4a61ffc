//! What a session may hold, and what its bookkeeping costs (Q129).

use std::time::Duration;

use super::bench::{Bench, settings};
use crate::control::{
    Limits, Settings,
    pending_lines::{LINE_COST, lines_looked_at},
};

/// A session in a download that the server has reported done too early: all its replies are held from now on.
fn holding(limits: Limits) -> Bench {
    let mut bench = Bench::greeted(Settings {
        limits,
        ..settings()
    });
    bench.passive_connected(1);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 here it comes", &["C< 150 here it comes"]);
    bench.server("226 done", &[]);
    bench.client("HELP", &["S> HELP"]);
    bench.server("214-help", &[]);
    bench
}

#[test]
fn q129_replies_of_bare_line_ends_are_bounded_by_what_they_cost() {
    let limits = Limits::default();
    let mut bench = holding(limits);
    let mut lines = 0;
    while bench.control.wants_server() {
        bench.server("\n", &[]);
        lines += 1;
        assert!(
            lines <= limits.held_bytes / LINE_COST,
            "{lines} lines are held"
        );
    }
    assert!(!bench.control.is_over());
}

#[test]
fn q129_the_bookkeeping_of_held_lines_is_linear_in_their_number() {
    let work = |lines: usize| {
        let mut bench = holding(Limits {
            held_bytes: usize::MAX,
            ..Limits::default()
        });
        lines_looked_at(|| {
            for _ in 0..lines {
                bench.server("\n", &[]);
            }
        })
    };
    let (once, twice) = (work(1000), work(2000));
    assert!(twice <= 2 * once + 10, "{once}, {twice}");
    assert!(twice <= 3 * 2000, "{twice}");
}

/// For few or many commands at once, what waits to be sent is bounded in bytes too.
#[test]
fn q129_long_commands_that_wait_are_bounded_in_bytes() {
    let mut bench = Bench::greeted(Settings {
        limits: Limits {
            requests: 1000,
            ..Limits::default()
        },
        ..settings()
    });
    bench.client(
        "PORT 127,0,0,1,200,13",
        &["! remote 1 127.0.0.1 to 127.0.0.1:51213"],
    );
    let most = Limits::default().held_bytes;
    let line = format!("CWD {}", "x".repeat(8000));
    let mut bytes = 0;
    while bench.control.wants_client() {
        bench.client(&line, &[]);
        bytes += line.len();
        assert!(bytes < most + line.len(), "{bytes} bytes wait");
    }
    bench.ready(1, "127.0.0.1:40001", &first_sent(&line, bytes / line.len()));
    assert!(bench.control.wants_client());
}

fn first_sent(line: &str, count: usize) -> Vec<&'static str> {
    let port = std::iter::once("S> PORT 127,0,0,1,156,65".to_owned());
    let lines = std::iter::repeat_n(format!("S> {line}"), count);
    port.chain(lines).map(|line| &*line.leak()).collect()
}

/// The greatest possible number does not wrap: the session goes on.
#[test]
fn q129_no_limit_wraps() {
    for requests in [usize::MAX, usize::MAX / 4 + 1, 1 << (usize::BITS - 2)] {
        let mut bench = Bench::greeted(Settings {
            limits: Limits {
                requests,
                unused_forward: Duration::MAX,
                stalled_data: Duration::MAX,
                quiet_data: Duration::MAX,
                quiet_far_data: Duration::MAX,
                missing_reply: Duration::MAX,
                silent_epsv: Duration::MAX,
                idle: Some(Duration::MAX),
                login: Some(Duration::MAX),
                ..Limits::default()
            },
            ..settings()
        });
        assert!(bench.control.wants_client() && bench.control.wants_server());
        bench.client("NOOP", &["S> NOOP"]);
        bench.server("200 ok", &["C< 200 ok"]);
        bench.passive_connected(1);
        bench.client("RETR f", &["S> RETR f"]);
        bench.server("226 done", &[]);
        bench.client("AUTH TLS", &[]);
        bench.wait(1_000_000, &[]);
        let deadline = bench.control.poll_timeout().unwrap();
        let centuries = Duration::from_secs(200 * 365 * 86_400);
        assert!(deadline < centuries, "{deadline:?}: no clock shows that");
    }
}
