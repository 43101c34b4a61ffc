//! PORT and EPRT.

use super::bench::{Bench, settings};
use crate::control::{ActiveMode, ForwardEvent, Settings};

#[test]
fn a_port_waits_for_its_remote_forward() {
    let mut bench = Bench::local();
    bench.client(
        "PORT 127,0,0,1,200,13",
        &["! remote 1 127.0.0.1 to 127.0.0.1:51213"],
    );
    bench.ready(1, "127.0.0.1:40000", &["S> PORT 127,0,0,1,156,64"]);
    bench.server("200 PORT ok", &["C< 200 PORT ok"]);
}

#[test]
fn q49_an_eprt_waits_for_its_remote_forward() {
    let mut bench = Bench::local();
    bench.client(
        "EPRT |1|127.0.0.1|51213|",
        &["! remote 1 127.0.0.1 to 127.0.0.1:51213"],
    );
    bench.ready(1, "127.0.0.1:40000", &["S> EPRT |1|127.0.0.1|40000|"]);
    bench.server("200 EPRT ok", &["C< 200 EPRT ok"]);
}

#[test]
fn q54_what_is_pipelined_behind_waits() {
    let mut bench = Bench::local();
    bench.client(
        "PORT 127,0,0,1,200,13",
        &["! remote 1 127.0.0.1 to 127.0.0.1:51213"],
    );
    bench.client("LIST", &[]);
    bench.client("NOOP", &[]);
    bench.ready(
        1,
        "127.0.0.1:40000",
        &["S> PORT 127,0,0,1,156,64", "S> LIST", "S> NOOP"],
    );
    bench.server("200 PORT ok", &["C< 200 PORT ok"]);
    bench.server("150 here", &["C< 150 here"]);
}

#[test]
fn q90_a_remote_forward_that_is_refused_is_a_425() {
    let mut bench = Bench::remote_only();
    bench.client(
        "PORT 127,0,0,1,200,13",
        &["! remote 1 127.0.0.1 to 127.0.0.1:51213"],
    );
    bench.client("LIST", &[]);
    bench.failed(
        1,
        "the SSH server refused the remote forward",
        &[
            "S> LIST",
            "C< 425 ferryline: the SSH server refused the remote forward",
        ],
    );
    bench.server("425 Use PORT first", &["C< 425 Use PORT first"]);
}

#[test]
fn q70_q77_a_port_that_names_another_host_is_refused() {
    let mut bench = Bench::local();
    for (line, reason) in [
        (
            "PORT 10,0,0,9,200,13",
            "10.0.0.9 is not the address of this control connection (127.0.0.1)",
        ),
        (
            "PORT 127,0,0,1,0,25",
            "port 25: ports below 1024 are refused",
        ),
        (
            "EPRT |1|10.0.0.9|51213|",
            "10.0.0.9 is not the address of this control connection (127.0.0.1)",
        ),
    ] {
        bench.client(line, &[&format!("C< 501 ferryline: {reason}")]);
    }
    for line in ["PORT 1,2,3", "PORT 1,2,3,4,5,256", "EPRT |1|127.0.0.1|"] {
        bench.control.client(bench.now, super::bench::frame(line));
        let shown = super::bench::show(&bench.control.poll_output().unwrap());
        assert!(shown.starts_with("C< 501 ferryline: "), "{line}: {shown}");
        assert_eq!(bench.control.poll_output(), None, "{line}");
    }
}

#[test]
fn q50_any_address_of_the_clients_own_is_delivered_to_the_control_connections() {
    for named in ["127,0,0,1", "127,3,2,1", "0,0,0,0"] {
        let mut bench = Bench::local();
        bench.client(
            &format!("PORT {named},200,13"),
            &["! remote 1 127.0.0.1 to 127.0.0.1:51213"],
        );
    }
}

#[test]
fn a_family_that_is_not_the_clients() {
    let mut bench = Bench::local();
    bench.client(
        "EPRT |2|::1|51213|",
        &["C< 522 ferryline: network protocol not supported here, use (1)"],
    );
    bench.client(
        "EPRT |9|x|51213|",
        &["C< 522 ferryline: network protocol not supported here, use (1)"],
    );
}

#[test]
fn a_client_on_ipv6_and_a_server_that_knows_port() {
    let mut bench = Bench::greeted(Settings {
        client_peer: "[::1]:50000".parse().unwrap(),
        client_local: "[::1]:2121".parse().unwrap(),
        ..settings()
    });
    bench.client(
        "EPRT |2|::1|51213|",
        &["! remote 1 127.0.0.1 to [::1]:51213"],
    );
    bench.ready(1, "127.0.0.1:40000", &["S> EPRT |1|127.0.0.1|40000|"]);
    bench.server("502 EPRT not implemented", &["S> PORT 127,0,0,1,156,64"]);
    bench.server("200 ok", &["C< 200 ok"]);
    bench.client(
        "EPRT |2|::1|51214|",
        &["! remote 2 127.0.0.1 to [::1]:51214"],
    );
    bench.ready(2, "127.0.0.1:40001", &["S> PORT 127,0,0,1,156,65"]);
}

#[test]
fn q51_a_server_reached_over_ipv6_is_told_the_ipv6_loopback() {
    let mut bench = Bench::local();
    bench.client(
        "PORT 127,0,0,1,200,13",
        &["! remote 1 127.0.0.1 to 127.0.0.1:51213"],
    );
    bench.ready(1, "127.0.0.1:40000", &["S> PORT 127,0,0,1,156,64"]);
    bench.client("LIST", &["S> LIST"]);
    bench.server(
        "500 Illegal PORT command.",
        &["! close 1", "! remote 2 ::1 to 127.0.0.1:51213"],
    );
    bench.server("425 Use PORT or PASV first.", &[]);
    bench.ready(2, "[::1]:40001", &["S> EPRT |2|::1|40001|"]);
    bench.server(
        "200 EPRT command successful.",
        &[
            "C< 200 EPRT command successful.",
            "C< 425 Use PORT or PASV first.",
        ],
    );
    // From now on the server is asked in this form at once.
    bench.client(
        "PORT 127,0,0,1,200,14",
        &["! remote 3 ::1 to 127.0.0.1:51214"],
    );
}

#[test]
fn a_server_that_takes_no_form_is_heard() {
    let mut bench = Bench::remote_only();
    bench.client(
        "PORT 127,0,0,1,200,13",
        &["! remote 1 127.0.0.1 to 127.0.0.1:51213"],
    );
    bench.ready(1, "127.0.0.1:40000", &["S> PORT 127,0,0,1,156,64"]);
    bench.server(
        "500 no PORT",
        &["! close 1", "! remote 2 ::1 to 127.0.0.1:51213"],
    );
    bench.failed(2, "no IPv6 there", &["C< 500 no PORT"]);

    bench.client(
        "PORT 127,0,0,1,200,13",
        &["! remote 3 127.0.0.1 to 127.0.0.1:51213"],
    );
    bench.ready(3, "127.0.0.1:40000", &["S> PORT 127,0,0,1,156,64"]);
    bench.server(
        "500 no PORT",
        &["! close 3", "! remote 4 ::1 to 127.0.0.1:51213"],
    );
    bench.ready(4, "[::1]:40000", &["S> EPRT |2|::1|40000|"]);
    bench.server(
        "500 no EPRT either",
        &["! close 4", "C< 500 no EPRT either"],
    );
}

#[test]
fn a_new_port_replaces_an_unused_one() {
    let mut bench = Bench::local();
    bench.client(
        "PORT 127,0,0,1,200,13",
        &["! remote 1 127.0.0.1 to 127.0.0.1:51213"],
    );
    bench.ready(1, "127.0.0.1:40000", &["S> PORT 127,0,0,1,156,64"]);
    bench.server("200 ok", &["C< 200 ok"]);
    bench.client(
        "PORT 127,0,0,1,200,14",
        &["! remote 2 127.0.0.1 to 127.0.0.1:51214"],
    );
    bench.ready(2, "127.0.0.1:40001", &["S> PORT 127,0,0,1,156,65"]);
    bench.server("200 ok", &["! close 1", "C< 200 ok"]);
}

#[test]
fn a_port_the_server_refuses_for_good_leaves_nothing_open() {
    let mut bench = Bench::local();
    bench.client(
        "PORT 127,0,0,1,200,13",
        &["! remote 1 127.0.0.1 to 127.0.0.1:51213"],
    );
    bench.ready(1, "127.0.0.1:40000", &["S> PORT 127,0,0,1,156,64"]);
    bench.server("530 log in first", &["! close 1", "C< 530 log in first"]);
}

#[test]
fn q60_abor_goes_past_a_port_that_waits() {
    let mut bench = Bench::local();
    bench.client(
        "PORT 127,0,0,1,200,13",
        &["! remote 1 127.0.0.1 to 127.0.0.1:51213"],
    );
    bench.client("ABOR", &["S> ABOR"]);
    bench.server("225 nothing to abort", &[]);
    bench.ready(1, "127.0.0.1:40000", &["S> PORT 127,0,0,1,156,64"]);
    bench.server("200 ok", &["C< 200 ok", "C< 225 nothing to abort"]);
}

#[test]
fn a_226_that_overtakes_the_servers_connection_waits_for_it() {
    let mut bench = Bench::local();
    bench.client(
        "PORT 127,0,0,1,200,13",
        &["! remote 1 127.0.0.1 to 127.0.0.1:51213"],
    );
    bench.ready(1, "127.0.0.1:40000", &["S> PORT 127,0,0,1,156,64"]);
    bench.server("200 ok", &["C< 200 ok"]);
    bench.client("RETR tiny", &["S> RETR tiny"]);
    bench.server("150 here it comes", &["C< 150 here it comes"]);
    bench.server("226 done", &[]);
    bench.connected(1);
    bench.event(1, ForwardEvent::Drained, &["C< 226 done"]);
    bench.event(1, ForwardEvent::Ended, &[]);
}

#[test]
fn active_mode_to_a_third_host_by_remote_forward_is_refused_with_the_reason() {
    let mut bench = Bench::greeted(Settings {
        active: ActiveMode::Remote,
        ..third_host()
    });
    bench.client(
        "PORT 127,0,0,1,200,13",
        &["C< 425 ferryline: active mode by a remote forward needs the FTP server on the SSH server's host, or \
           --remote-bind; use passive mode, or --active auto"],
    );
}

/// PORT answered, with the server asked for a passive data connection.
fn carried(bench: &mut Bench, number: u32) {
    bench.client("PORT 127,0,0,1,200,13", &["S> EPSV"]);
    let open = format!("! joined {number} ftp.example:40000 to 127.0.0.1:51213");
    bench.server("229 ok (|||40000|)", &[&open]);
    bench.ready(
        number,
        "127.0.0.1:51213",
        &["C< 200 ferryline: active mode, carried as passive"],
    );
}

#[test]
fn active_mode_to_a_third_host_is_carried_as_passive() {
    let mut bench = Bench::greeted(third_host());
    carried(&mut bench, 1);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 here it comes", &["! join 1", "C< 150 here it comes"]);
    bench.event(1, ForwardEvent::Claimed, &[]);
    bench.event(1, ForwardEvent::Connected { target: 0 }, &[]);
    bench.server("226 done", &[]);
    bench.event(1, ForwardEvent::Drained, &["C< 226 done"]);
    bench.event(1, ForwardEvent::Ended, &[]);
}

#[test]
fn carried_as_passive_a_failed_transfer_shows_the_client_no_connection() {
    let mut bench = Bench::greeted(third_host());
    carried(&mut bench, 1);
    bench.client("RETR nofile", &["S> RETR nofile"]);
    bench.server("550 no such file", &["C< 550 no such file"]);
    // The data connection still stands, for the next try or until the next PORT.
    bench.client("EPRT |1|127.0.0.1|51214|", &["S> EPSV"]);
    bench.server(
        "229 ok (|||40001|)",
        &["! joined 2 ftp.example:40001 to 127.0.0.1:51214"],
    );
    bench.ready(
        2,
        "127.0.0.1:51214",
        &[
            "! close 1",
            "C< 200 ferryline: active mode, carried as passive",
        ],
    );
}

#[test]
fn carried_as_passive_what_is_pipelined_waits_for_the_data_connection() {
    let mut bench = Bench::greeted(third_host());
    bench.client("PORT 127,0,0,1,200,13", &["S> EPSV"]);
    bench.client("REST 5", &[]);
    bench.client("RETR f", &[]);
    bench.server("500 no EPSV", &["S> PASV"]);
    bench.server(
        "227 =10,0,0,9,156,64",
        &["! joined 1 ftp.example:40000 to 127.0.0.1:51213"],
    );
    bench.ready(
        1,
        "127.0.0.1:51213",
        &[
            "S> REST 5",
            "S> RETR f",
            "C< 200 ferryline: active mode, carried as passive",
        ],
    );
}

#[test]
fn carried_as_passive_errors_between_change_nothing() {
    let mut bench = Bench::greeted(third_host());
    carried(&mut bench, 1);
    bench.client("REST x", &["S> REST x"]);
    bench.server("501 what?", &["C< 501 what?"]);
    bench.client("CWD nowhere", &["S> CWD nowhere"]);
    bench.server("550 no", &["C< 550 no"]);
    bench.client("REST 5", &["S> REST 5"]);
    bench.server("350 go on", &["C< 350 go on"]);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 here", &["! join 1", "C< 150 here"]);
    bench.event(1, ForwardEvent::Claimed, &[]);
    bench.event(1, ForwardEvent::Connected { target: 0 }, &[]);
    bench.event(1, ForwardEvent::Drained, &[]);
    bench.server("226 done", &["C< 226 done"]);
}

#[test]
fn a_remote_forward_that_is_refused_is_carried_as_passive_from_then_on() {
    let mut bench = Bench::local();
    bench.client(
        "PORT 127,0,0,1,200,13",
        &["! remote 1 127.0.0.1 to 127.0.0.1:51213"],
    );
    bench.client("LIST", &[]);
    bench.failed(1, "the SSH server refused the remote forward", &["S> EPSV"]);
    bench.server(
        "229 ok (|||40000|)",
        &["! joined 2 localhost:40000 to 127.0.0.1:51213"],
    );
    bench.ready(
        2,
        "127.0.0.1:51213",
        &[
            "S> LIST",
            "C< 200 ferryline: active mode, carried as passive",
        ],
    );
    bench.server("150 here", &["! join 2", "C< 150 here"]);
    bench.client("PORT 127,0,0,1,200,14", &["S> EPSV"]);
}

#[test]
fn an_address_that_the_server_refuses_in_every_form_is_carried_as_passive() {
    let mut bench = Bench::local();
    bench.client(
        "PORT 127,0,0,1,200,13",
        &["! remote 1 127.0.0.1 to 127.0.0.1:51213"],
    );
    bench.ready(1, "127.0.0.1:40000", &["S> PORT 127,0,0,1,156,64"]);
    bench.server(
        "500 no PORT",
        &["! close 1", "! remote 2 ::1 to 127.0.0.1:51213"],
    );
    bench.ready(2, "[::1]:40000", &["S> EPRT |2|::1|40000|"]);
    bench.server("500 no EPRT either", &["! close 2", "S> EPSV"]);
    bench.server(
        "229 ok (|||40001|)",
        &["! joined 3 localhost:40001 to 127.0.0.1:51213"],
    );
    bench.failed(
        3,
        "the SSH server could not connect",
        &["C< 425 ferryline: the SSH server could not connect"],
    );
}

#[test]
fn carried_as_passive_a_server_that_offers_nothing_is_no_success() {
    let mut bench = Bench::greeted(third_host());
    bench.client("PORT 127,0,0,1,200,13", &["S> EPSV"]);
    bench.server("500 no EPSV", &["S> PASV"]);
    bench.server(
        "202 no PASV",
        &["C< 425 ferryline: the FTP server offers no passive data connection"],
    );
    bench.client("PORT 127,0,0,1,200,13", &["S> EPSV"]);
    bench.server("202 no EPSV", &["S> PASV"]);
    bench.server("502 no PASV", &["C< 502 no PASV"]);
}

pub(super) fn third_host() -> Settings {
    Settings {
        server_host: "ftp.example".into(),
        server_on_ssh_host: false,
        ..settings()
    }
}
