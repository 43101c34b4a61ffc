//! PASV and EPSV.

use super::bench::{Bench, settings};
use crate::control::{DataHost, Ending, ForwardEvent, Knowledge, Output, Settings};

const OK: &str = "C< 227 Entering Passive Mode (127,0,0,1,200,13).";

#[test]
fn a_227_waits_for_its_forward() {
    let mut bench = Bench::local();
    bench.client("PASV", &["S> PASV"]);
    bench.server(
        "227 Entering Passive Mode (10,1,60,99,6,12)",
        &["! local 1 localhost:1548"],
    );
    bench.ready(1, "127.0.0.1:51213", &[OK]);
}

#[test]
fn a_229_waits_for_its_forward() {
    let mut bench = Bench::local();
    bench.client("EPSV", &["S> EPSV"]);
    bench.server(
        "229 Entering Extended Passive Mode (|||40000|)",
        &["! local 1 localhost:40000"],
    );
    bench.ready(
        1,
        "127.0.0.1:51213",
        &["C< 229 Entering Extended Passive Mode (|||51213|)"],
    );
}

#[test]
fn q08_the_address_in_any_line_of_the_reply() {
    let mut bench = Bench::local();
    bench.client("PASV", &["S> PASV"]);
    bench.server("227-listen socket created", &[]);
    bench.server("227 (127,0,0,1,154,21)", &["! local 1 localhost:39445"]);
    bench.ready(1, "127.0.0.1:51213", &[OK]);
}

#[test]
fn q13_epsv_answered_by_227() {
    let mut bench = Bench::local();
    bench.client("EPSV", &["S> EPSV"]);
    bench.server(
        "227 Entering Passive Mode (91,190,231,97,119,66).",
        &["! local 1 localhost:30530"],
    );
    bench.ready(
        1,
        "127.0.0.1:51213",
        &["C< 229 Entering Extended Passive Mode (|||51213|)"],
    );
}

#[test]
fn q14_pasv_answered_by_229() {
    let mut bench = Bench::local();
    bench.client("PASV", &["S> PASV"]);
    bench.server("229 ok (|||40000|)", &["! local 1 localhost:40000"]);
    bench.ready(1, "127.0.0.1:51213", &[OK]);
}

#[test]
fn q09_the_reply_names_another_host() {
    for (policy, open) in [
        (DataHost::Control, "! local 1 ftp.example:1548"),
        (DataHost::Reply, "! local 1 10.1.60.99:1548"),
        (
            DataHost::Auto,
            "! local 1 ftp.example:1548 or 10.1.60.99:1548",
        ),
    ] {
        let mut bench = Bench::greeted(Settings {
            data_host: policy,
            server_host: "ftp.example".into(),
            ..settings()
        });
        bench.client("PASV", &["S> PASV"]);
        bench.server("227 Entering Passive Mode (10,1,60,99,6,12)", &[open]);
        bench.ready(1, "127.0.0.1:51213", &[OK]);
    }
}

#[test]
fn auto_keeps_the_address_that_worked() {
    let mut bench = Bench::greeted(Settings {
        data_host: DataHost::Auto,
        server_host: "ftp.example".into(),
        ..settings()
    });
    bench.client("PASV", &["S> PASV"]);
    bench.server(
        "227 =10,1,60,99,6,12",
        &["! local 1 ftp.example:1548 or 10.1.60.99:1548"],
    );
    bench.ready(1, "127.0.0.1:51213", &[OK]);
    bench.event(1, ForwardEvent::Connected { target: 1 }, &[]);
    bench.event(1, ForwardEvent::Ended, &[]);
    bench.client("PASV", &["S> PASV"]);
    bench.server("227 =10,1,60,99,6,13", &["! local 2 10.1.60.99:1549"]);
}

#[test]
fn q10_unspecified_means_the_control_host() {
    for policy in [DataHost::Control, DataHost::Reply, DataHost::Auto] {
        let mut bench = Bench::greeted(Settings {
            data_host: policy,
            server_host: "ftp.example".into(),
            ..settings()
        });
        bench.client("PASV", &["S> PASV"]);
        bench.server("227 (0,0,0,0,6,12)", &["! local 1 ftp.example:1548"]);
    }
}

#[test]
fn q78_a_reply_cannot_point_into_the_ssh_server() {
    for named in ["127,0,0,1", "169,254,1,1", "224,0,0,1", "255,255,255,255"] {
        let mut bench = Bench::greeted(Settings {
            data_host: DataHost::Reply,
            server_host: "ftp.example".into(),
            ..settings()
        });
        bench.client("PASV", &["S> PASV"]);
        let address = named.replace(',', ".");
        bench.server(
            &format!("227 ({named},6,12)"),
            &[&format!(
                "C< 425 ferryline: the FTP server's passive reply names {address}, which is not an \
                 address that another host can have; use --data-host control"
            )],
        );
    }
}

#[test]
fn q123_of_the_servers_several_addresses_data_goes_to_the_one_that_the_reply_names() {
    for policy in [DataHost::Control, DataHost::Auto] {
        let mut bench = Bench::greeted(Settings {
            data_host: policy,
            server_host: "ftp.example".into(),
            server_addresses: ["192.0.2.1", "192.0.2.2", "127.0.0.1", "2001:db8::1"]
                .map(|address| address.parse().unwrap())
                .to_vec(),
            ..settings()
        });
        for (id, reply, target) in [
            (1, "227 =192,0,2,2,156,64", "192.0.2.2:40000"),
            (2, "229 ok (|2|2001:db8::1|40000|)", "[2001:db8::1]:40000"),
            // It names none.
            (3, "229 ok (|||40000|)", "ftp.example:40000"),
            // An address of the server here is the SSH server's own there (Q78).
            (4, "227 =127,0,0,1,156,64", "ftp.example:40000"),
        ] {
            bench.client("PASV", &["S> PASV"]);
            bench.server(reply, &[&format!("! local {id} {target}")]);
            bench.ready(id, "127.0.0.1:51213", &[OK]);
            bench.event(id, ForwardEvent::Ended, &[]);
        }
    }
}

#[test]
fn q11_q12_q19_a_reply_without_a_usable_endpoint() {
    for (reply, text) in [
        (
            "227 Entering Passive Mode (10,0,0,1,0,21)",
            "ports below 1024 are refused",
        ),
        (
            "227 Entering Passive Mode (10,0,0,1,0,0)",
            "names no port between 1 and 65535",
        ),
        (
            "227 Entering Passive Mode (",
            "names no address and port that can be understood",
        ),
        (
            "227 Entering Passive Mode (1216,256,2,127,127,127)",
            "names no address",
        ),
        (
            "229 Entering Extended Passive Mode (|||1000000|)",
            "names no",
        ),
    ] {
        let mut bench = Bench::local();
        bench.client("PASV", &["S> PASV"]);
        bench.control.server(bench.now, super::bench::frame(reply));
        let mut outputs = std::iter::from_fn(|| bench.control.poll_output())
            .filter(|output| !matches!(output, Output::Notice(_)));
        let shown = super::bench::show(&outputs.next().unwrap());
        assert!(
            shown.starts_with("C< 425 ferryline: ") && shown.contains(text),
            "{reply}: {shown}"
        );
        assert_eq!(outputs.next(), None);
    }
}

#[test]
fn q90_a_forward_that_cannot_be_made_is_a_425() {
    let mut bench = Bench::local();
    bench.client("PASV", &["S> PASV"]);
    bench.server("227 (10,1,60,99,6,12)", &["! local 1 localhost:1548"]);
    bench.failed(
        1,
        "no port could be bound: too many open files",
        &["C< 425 ferryline: no port could be bound: too many open files"],
    );
    bench.client("NOOP", &["S> NOOP"]);
    bench.server("200 ok", &["C< 200 ok"]);
}

#[test]
fn q20_epsv_that_is_not_served_is_asked_again_as_pasv() {
    for refusal in [
        "500 'EPSV': command not understood",
        "502 no",
        "522 no",
        "202 OK",
        "200 ok",
    ] {
        let mut bench = Bench::local();
        bench.client("EPSV", &["S> EPSV"]);
        bench.server(refusal, &["S> PASV"]);
        bench.server("227 (10,1,60,99,6,12)", &["! local 1 localhost:1548"]);
        bench.ready(
            1,
            "127.0.0.1:51213",
            &["C< 229 Entering Extended Passive Mode (|||51213|)"],
        );
        // From now on the server is asked PASV at once.
        bench.client("EPSV", &["S> PASV"]);
    }
}

#[test]
fn epsv_refused_for_want_of_a_login_stays_refused() {
    let mut bench = Bench::local();
    bench.client("EPSV", &["S> EPSV"]);
    bench.server("530 Please login.", &["C< 530 Please login."]);
}

#[test]
fn both_forms_refused_is_one_answer() {
    let mut bench = Bench::local();
    bench.client("EPSV", &["S> EPSV"]);
    bench.client("NOOP", &["S> NOOP"]);
    bench.server("500-what", &[]);
    bench.server("500 no EPSV", &["S> PASV"]);
    bench.server("200 NOOP ok", &[]);
    bench.server("502 no PASV", &["C< 502 no PASV", "C< 200 NOOP ok"]);
}

#[test]
fn knowledge_of_the_server_saves_the_round_trip() {
    let knowledge = Knowledge {
        no_epsv: true,
        ..Knowledge::default()
    };
    let mut bench = Bench::knowing(settings(), knowledge);
    bench.server("220 hi", &["C< 220 hi"]);
    bench.client("EPSV", &["S> PASV"]);
}

#[test]
fn epsv_for_the_clients_own_family_goes_on_bare() {
    let mut bench = Bench::local();
    bench.client("EPSV 1", &["S> EPSV"]);
    bench.server("229 (|||40000|)", &["! local 1 localhost:40000"]);
    bench.ready(
        1,
        "127.0.0.1:51213",
        &["C< 229 Entering Extended Passive Mode (|||51213|)"],
    );
    bench.client(
        "EPSV 2",
        &["C< 522 ferryline: network protocol not supported here, use (1)"],
    );
}

#[test]
fn q64_epsv_all_is_remembered() {
    let mut bench = Bench::local();
    bench.client("epsv all", &["S> epsv all"]);
    bench.server("200 EPSV ALL ok", &["C< 200 EPSV ALL ok"]);
    bench.client(
        "PASV",
        &["C< 501 ferryline: EPSV ALL is in force: only EPSV is taken"],
    );
    bench.client(
        "PORT 127,0,0,1,200,1",
        &["C< 501 ferryline: EPSV ALL is in force: only EPSV is taken"],
    );
    // And ferryline itself sends no PASV (RFC 2428 §4).
    bench.client("EPSV", &["S> EPSV"]);
    bench.server("500 no", &["C< 500 no"]);
}

#[test]
fn q55_the_last_of_several_wins() {
    let mut bench = Bench::local();
    for _ in 0..3 {
        bench.client("PASV", &["S> PASV"]);
    }
    bench.server("227 (1,2,3,4,100,1)", &["! local 1 localhost:25601"]);
    bench.server("227 (1,2,3,4,100,2)", &["! local 2 localhost:25602"]);
    bench.ready(1, "127.0.0.1:51213", &[OK]);
    bench.ready(2, "127.0.0.1:51213", &["! close 1", OK]);
    bench.server("227 (1,2,3,4,100,3)", &["! local 3 localhost:25603"]);
    bench.ready(3, "127.0.0.1:51213", &["! close 2", OK]);
}

#[test]
fn an_unused_listener_goes_after_a_minute() {
    let mut bench = Bench::local();
    bench.client("PASV", &["S> PASV"]);
    bench.server("227 (1,2,3,4,100,1)", &["! local 1 localhost:25601"]);
    bench.ready(1, "127.0.0.1:51213", &[OK]);
    bench.wait(59, &[]);
    bench.wait(1, &["! close 1"]);
}

#[test]
fn q66_a_passive_reply_that_nobody_asked_for() {
    let mut bench = Bench::local();
    for code in [227, 228, 229] {
        bench.server(
            &format!("{code} Entering Passive Mode (10,0,0,1,100,1)"),
            &[&format!(
                "C< {code} ferryline: a passive reply that nobody asked for, withheld"
            )],
        );
    }
    bench.server(
        "227-x",
        &["C< 227 ferryline: a passive reply that nobody asked for, withheld"],
    );
    bench.server("227 (10,0,0,1,100,1)", &[]);
    bench.client("NOOP", &["S> NOOP"]);
    bench.server("200 ok", &["C< 200 ok"]);
}

#[test]
fn q79_names_that_look_like_replies() {
    let mut bench = Bench::local();
    bench.client("PASV", &["S> PASV"]);
    bench.server("227 (1,2,3,4,100,1)", &["! local 1 localhost:25601"]);
    bench.ready(1, "127.0.0.1:51213", &[OK]);
    bench.client("STAT -l", &["S> STAT -l"]);
    // This is how a server should write such a line (RFC 959 §4.2): a client that ends a reply at any code
    // would take it for the next reply.
    for (line, seen) in [
        ("213-status of /", "213-status of /"),
        ("227 x (10,0,0,1,100,1)", " 227 x (10,0,0,1,100,1)"),
        ("229 x (|||40000|)", " 229 x (|||40000|)"),
        ("227-x", " 227-x"),
        (" 227 x (10,0,0,1,100,1)", " 227 x (10,0,0,1,100,1)"),
        ("550 miles.txt", "550 miles.txt"),
        ("213 end", "213 end"),
    ] {
        bench.server(line, &[&format!("C< {seen}")]);
    }
    bench.client("CWD 227 (1,2,3,4,5,6)", &["S> CWD 227 (1,2,3,4,5,6)"]);
    bench.server(
        "550 227 (1,2,3,4,5,6): no such folder",
        &["C< 550 227 (1,2,3,4,5,6): no such folder"],
    );
}

#[test]
fn q23_one_reply_too_many_before_the_227() {
    let mut bench = Bench::local();
    bench.client("CWD x", &["S> CWD x"]);
    bench.server("250 ok", &["C< 250 ok"]);
    bench.client("PASV", &["S> PASV"]);
    bench.server("250 Directory changed", &["C< 250 Directory changed"]);
    bench.server("227 (1,2,3,4,100,1)", &["! local 1 localhost:25601"]);
    bench.ready(1, "127.0.0.1:51213", &[OK]);
}

#[test]
fn q23_a_227_one_command_late() {
    let mut bench = Bench::local();
    bench.client("PASV", &["S> PASV"]);
    bench.server("200 Type set to I", &["C< 200 Type set to I"]);
    bench.client("NOOP", &["S> NOOP"]);
    bench.server("227 (1,2,3,4,100,1)", &["! local 1 localhost:25601"]);
    bench.ready(1, "127.0.0.1:51213", &[OK]);
    bench.server("200 NOOP ok", &["C< 200 NOOP ok"]);
}

#[test]
fn q26_long_passive_is_not_carried() {
    let mut bench = Bench::local();
    bench.client(
        "LPSV",
        &["C< 502 ferryline: LPSV is not carried; use PASV or EPSV"],
    );
    bench.client(
        "LPRT 4,4,127,0,0,1,2,200,1",
        &["C< 502 ferryline: LPRT is not carried; use PORT or EPRT"],
    );
}

#[test]
fn q27_other_verbs_that_ask_for_a_227() {
    for verb in ["CPSV", "SPSV", "P@SW"] {
        let mut bench = Bench::local();
        bench.client(verb, &[&format!("S> {verb}")]);
        bench.server("227 (1,2,3,4,100,1)", &["! local 1 localhost:25601"]);
        bench.ready(1, "127.0.0.1:51213", &[OK]);
    }
}

#[test]
fn pasv_over_ipv6_is_pointed_to_epsv() {
    let mut bench = Bench::greeted(Settings {
        client_peer: "[::1]:50000".parse().unwrap(),
        client_local: "[::1]:2121".parse().unwrap(),
        ..settings()
    });
    bench.client(
        "PASV",
        &["C< 425 ferryline: PASV cannot name an IPv6 address; use EPSV, or connect over IPv4"],
    );
    bench.client("EPSV 2", &["S> EPSV"]);
    bench.server("500 no EPSV here", &["S> PASV"]);
    bench.server("227 (1,2,3,4,100,1)", &["! local 1 localhost:25601"]);
    bench.ready(
        1,
        "[::1]:51213",
        &["C< 229 Entering Extended Passive Mode (|||51213|)"],
    );
}

#[test]
fn q21_522_in_any_wording_is_a_refusal_of_the_form() {
    for refusal in [
        "522 Network protocol not supported, use (1,2)",
        "522 Bad network protocol.",
    ] {
        let mut bench = Bench::local();
        bench.client("EPSV", &["S> EPSV"]);
        bench.server(refusal, &["S> PASV"]);
    }
    let mut bench = Bench::local();
    bench.client(
        "EPRT |1|127.0.0.1|51213|",
        &["! remote 1 127.0.0.1 to 127.0.0.1:51213"],
    );
    bench.ready(1, "127.0.0.1:40000", &["S> EPRT |1|127.0.0.1|40000|"]);
    bench.server("522 Bad network protocol.", &["S> PORT 127,0,0,1,156,64"]);
}

#[test]
fn q22_pasv_refused_by_a_server_reached_over_ipv6_is_asked_again_as_epsv() {
    for refusal in [
        "425 You cannot use PASV on IPv6 connections. Use EPSV instead.",
        "501 PASV not allowed on IPv6",
        "502 no",
    ] {
        let mut bench = Bench::local();
        bench.client("PASV", &["S> PASV"]);
        bench.server(refusal, &["S> EPSV"]);
        bench.server("229 ok (|||40000|)", &["! local 1 localhost:40000"]);
        bench.ready(1, "127.0.0.1:51213", &[OK]);
    }
    let mut bench = Bench::local();
    bench.client("PASV", &["S> PASV"]);
    bench.server("425 no port left", &["S> EPSV"]);
    bench.server("500 no EPSV here", &["C< 425 no port left"]);
    bench.client("PASV", &["S> PASV"]);
    bench.server("530 log in first", &["C< 530 log in first"]);
}

#[test]
fn q48_whichever_verb_a_client_asks_first_it_gets_its_own_kind_of_answer() {
    // curl and tnftp ask EPSV and then PASV, squid names the families, lftp and wget ask PASV.
    let mut bench = Bench::local();
    bench.client(
        "EPSV 2",
        &["C< 522 ferryline: network protocol not supported here, use (1)"],
    );
    bench.client("EPSV 1", &["S> EPSV"]);
    bench.server("500 no", &["S> PASV"]);
    bench.server("227 =10,0,0,9,156,64", &["! local 1 localhost:40000"]);
    bench.ready(
        1,
        "127.0.0.1:51213",
        &["C< 229 Entering Extended Passive Mode (|||51213|)"],
    );
    bench.client("PASV", &["S> PASV"]);
    bench.server("227 =10,0,0,9,156,65", &["! local 2 localhost:40001"]);
    bench.ready(
        2,
        "127.0.0.1:51214",
        &[
            "! close 1",
            "C< 227 Entering Passive Mode (127,0,0,1,200,14).",
        ],
    );
}

#[test]
fn q74_the_client_is_told_the_address_that_its_listener_has() {
    let mut bench = Bench::greeted(Settings {
        client_peer: "127.0.0.1:50000".parse().unwrap(),
        client_local: "127.0.0.5:2121".parse().unwrap(),
        ..settings()
    });
    bench.client("PASV", &["S> PASV"]);
    bench.server("227 =10,0,0,9,156,64", &["! local 1 localhost:40000"]);
    bench.ready(
        1,
        "127.0.0.5:51213",
        &["C< 227 Entering Passive Mode (127,0,0,5,200,13)."],
    );
}

/// The server says what is wrong with an argument.
#[test]
fn q96_arguments_that_name_no_address_are_the_servers_to_refuse() {
    for command in ["PORT", "EPRT", "port ", "EPRT\t"] {
        let mut bench = Bench::local();
        bench.client(command, &[&format!("S> {command}")]);
        bench.server("501 no address", &["C< 501 no address"]);
        bench.client("NOOP", &["S> NOOP"]);
    }
    let mut bench = Bench::local();
    bench.client("PASV x", &["S> PASV x"]);
    bench.server("501 PASV takes nothing", &["C< 501 PASV takes nothing"]);
    // The reply tells nothing about the server.
    bench.client("EPSV", &["S> EPSV"]);
    bench.server("229 ok (|||40000|)", &["! local 1 localhost:40000"]);
    // A server that ignores the argument serves it.
    bench.client("PASV x", &["S> PASV x"]);
    bench.server("227 =10,0,0,9,156,64", &["! local 2 localhost:40000"]);
}

/// The server leaves its second refusal open, or sends a 1xx first, and then ends the session: the request
/// still has one answer.
#[test]
fn a_request_that_is_refused_in_both_forms_is_answered_once() {
    const ENDED: &str = "C< 425 ferryline: the FTP server closed the control connection";
    for (second, refusal, rest) in [
        ("150-", None, Some(ENDED)),
        ("500-no", Some("C< 500 what"), None),
    ] {
        let mut bench = Bench::local();
        bench.client("PASV", &["S> PASV"]);
        bench.server("500 what", &["S> EPSV"]);
        bench.server(second, refusal.as_slice());
        let expected: Vec<_> = rest.into_iter().chain(["! end"]).collect();
        bench.server_ended(Ending::Eof, &expected);
    }
}
