//! Remote forwards for an FTP server on another host than the SSH server's.

use super::{
    active::third_host,
    bench::{Bench, settings},
};
use crate::control::{ActiveMode, ForwardEvent, Settings};

fn bound(address: &str) -> Settings {
    Settings {
        remote_bind: Some(address.parse().unwrap()),
        ..third_host()
    }
}

#[test]
fn the_server_is_told_the_address_of_the_ssh_host() {
    let mut bench = Bench::greeted(bound("10.0.0.1"));
    bench.client(
        "PORT 127,0,0,1,200,13",
        &["! remote 1 10.0.0.1 to 127.0.0.1:51213"],
    );
    bench.ready(1, "10.0.0.1:42000", &["S> PORT 10,0,0,1,164,16"]);
    bench.server("200 ok", &["C< 200 ok"]);

    bench.client(
        "EPRT |1|127.0.0.1|51214|",
        &["! remote 2 10.0.0.1 to 127.0.0.1:51214"],
    );
    bench.ready(2, "10.0.0.1:42001", &["S> EPRT |1|10.0.0.1|42001|"]);
    // The same address in the other form, and then no other form.
    bench.server("500 no EPRT", &["S> PORT 10,0,0,1,164,17"]);
    bench.server("500 no PORT", &["! close 2", "S> EPSV"]);
}

#[test]
fn over_ipv6_it_is_told_so_at_once() {
    let mut bench = Bench::greeted(bound("2001:db8::1"));
    bench.client(
        "PORT 127,0,0,1,200,13",
        &["! remote 1 2001:db8::1 to 127.0.0.1:51213"],
    );
    bench.ready(1, "[2001:db8::1]:42000", &["S> EPRT |2|2001:db8::1|42000|"]);
    bench.server("522 use (1)", &["! close 1", "S> EPSV"]);
}

#[test]
fn a_refused_forward_is_carried_as_passive_from_then_on() {
    let mut bench = Bench::greeted(bound("10.0.0.1"));
    bench.client(
        "PORT 127,0,0,1,200,13",
        &["! remote 1 10.0.0.1 to 127.0.0.1:51213"],
    );
    bench.failed(1, "the SSH server refused", &["S> EPSV"]);
    bench.server(
        "229 (|||40000|)",
        &["! joined 2 ftp.example:40000 to 127.0.0.1:51213"],
    );
    bench.ready(
        2,
        "127.0.0.1:51213",
        &["C< 200 ferryline: active mode, carried as passive"],
    );
    bench.client("PORT 127,0,0,1,200,14", &["S> EPSV"]);
}

/// sshd with `GatewayPorts no` grants the forward, and listens on its loopback.
#[test]
fn a_forward_that_the_server_does_not_reach_is_the_last() {
    let mut bench = Bench::greeted(bound("10.0.0.1"));
    bench.client(
        "PORT 127,0,0,1,200,13",
        &["! remote 1 10.0.0.1 to 127.0.0.1:51213"],
    );
    bench.ready(1, "10.0.0.1:42000", &["S> PORT 10,0,0,1,164,16"]);
    bench.server("200 ok", &["C< 200 ok"]);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server(
        "425 cannot connect",
        &["! close 1", "C< 425 cannot connect"],
    );
    bench.client("PORT 127,0,0,1,200,14", &["S> EPSV"]);
}

#[test]
fn a_transfer_that_fails_otherwise_changes_nothing() {
    let mut bench = Bench::greeted(bound("10.0.0.1"));
    bench.client(
        "PORT 127,0,0,1,200,13",
        &["! remote 1 10.0.0.1 to 127.0.0.1:51213"],
    );
    bench.ready(1, "10.0.0.1:42000", &["S> PORT 10,0,0,1,164,16"]);
    bench.server("200 ok", &["C< 200 ok"]);
    bench.client("RETR f", &["S> RETR f"]);
    bench.event(1, ForwardEvent::Claimed, &[]);
    bench.event(1, ForwardEvent::Connected { target: 0 }, &[]);
    bench.server("426 aborted", &["C< 426 aborted"]);
    bench.event(1, ForwardEvent::Ended, &[]);
    bench.client(
        "PORT 127,0,0,1,200,14",
        &["! remote 2 10.0.0.1 to 127.0.0.1:51214"],
    );
}

#[test]
fn a_server_on_the_ssh_host_is_still_reached_on_loopback() {
    let mut bench = Bench::greeted(Settings {
        remote_bind: Some("10.0.0.1".parse().unwrap()),
        ..settings()
    });
    bench.client(
        "PORT 127,0,0,1,200,13",
        &["! remote 1 127.0.0.1 to 127.0.0.1:51213"],
    );
}

/// Active mode is served, in one way or another.
#[test]
fn eprt_is_offered_also_for_a_server_on_a_third_host() {
    let mut bench = Bench::greeted(third_host());
    bench.client("FEAT", &["S> FEAT"]);
    bench.server("211-Features:", &["C< 211-Features:"]);
    bench.server(" EPSV", &["C<  EPSV"]);
    bench.server("211 End", &["C<  EPRT", "C< 211 End"]);
}

#[test]
fn it_makes_remote_only_possible() {
    let mut bench = Bench::greeted(Settings {
        active: ActiveMode::Remote,
        ..bound("10.0.0.1")
    });
    bench.client(
        "PORT 127,0,0,1,200,13",
        &["! remote 1 10.0.0.1 to 127.0.0.1:51213"],
    );
    bench.failed(1, "no", &["C< 425 ferryline: no"]);
}
