//! A server that insists on TLS: the client gets the server's reply, and the log says what to do.

use super::bench::{Bench, frame};
use crate::control::{Notice, Output};

/// Notices that follow a line of the server.
fn notices(bench: &mut Bench, line: &str) -> Vec<String> {
    bench.control.server(bench.now, frame(line));
    std::iter::from_fn(|| bench.control.poll_output())
        .filter_map(|output| match output {
            Output::Notice(notice @ Notice::TlsRequired(_)) => Some(notice.to_string()),
            _ => None,
        })
        .collect()
}

#[test]
fn the_log_says_what_to_do_once() {
    let mut bench = Bench::local();
    bench.client("USER me", &["S> USER me"]);
    let said = notices(&mut bench, "530 must use encryption.\u{7}");
    assert_eq!(said.len(), 1);
    for part in [
        "insists on TLS",
        "530 must use encryption.\\x07",
        "allow plain FTP",
    ] {
        assert!(said[0].contains(part), "{said:?}");
    }
    bench.client("USER me", &["S> USER me"]);
    assert_eq!(notices(&mut bench, "530 must use encryption."), [""; 0]);
}

#[test]
fn the_client_gets_the_servers_own_word() {
    let mut bench = Bench::local();
    bench.client(
        "AUTH TLS",
        &["C< 502 ferryline: AUTH is refused: this connection is inside SSH already; turn TLS off in the client"],
    );
    bench.client("USER me", &["S> USER me"]);
    bench.server("331 password", &["C< 331 password"]);
    bench.client("PASS x", &["S> PASS x"]);
    bench.server("530 TLS required", &["C< 530 TLS required"]);
}

#[test]
fn a_wrong_password_and_a_file_by_that_name_are_no_such_thing() {
    let mut bench = Bench::local();
    bench.client("USER me", &["S> USER me"]);
    assert_eq!(notices(&mut bench, "530 Login incorrect."), [""; 0]);
    bench.client("DELE tls", &["S> DELE tls"]);
    assert_eq!(notices(&mut bench, "550 tls: no such file"), [""; 0]);
}
