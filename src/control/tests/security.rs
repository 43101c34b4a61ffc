//! Attacks on the control connection, by their names. Other attacks are tested beside what they attack.

use std::time::Duration;

use super::bench::{Bench, settings};
use crate::control::{DataHost, Knowledge, Output, Settings};

const REFUSED: [&str; 14] = [
    // Its own host, as the SSH server sees it, in every notation.
    "227 =127,0,0,1,156,64",
    "227 =127,255,255,254,156,64",
    "229 ok (|1|127.0.0.1|40000|)",
    "229 ok (|2|::1|40000|)",
    "229 ok (|2|::ffff:127.0.0.1|40000|)",
    // Its links, among them the metadata service of clouds.
    "227 =169,254,169,254,156,64",
    "229 ok (|2|fe80::1|40000|)",
    "229 ok (|2|::ffff:169.254.169.254|40000|)",
    // More than one host.
    "227 =224,0,0,1,156,64",
    "227 =255,255,255,255,156,64",
    "229 ok (|2|ff02::1|40000|)",
    "229 ok (|2|::ffff:224.0.0.1|40000|)",
    // No host at all.
    "227 =0,0,0,1,156,64",
    "229 ok (|2|::ffff:0.0.0.1|40000|)",
];

/// All that the SSH server would be asked to connect to after a passive reply.
fn targets(data_host: DataHost, reply: &str) -> Vec<String> {
    let mut bench = Bench::greeted(Settings {
        server_host: "ftp.example".into(),
        server_on_ssh_host: false,
        data_host,
        ..settings()
    });
    bench.client("EPSV", &["S> EPSV"]);
    let line = super::bench::frame(reply);
    bench.control.server(Duration::ZERO, line);
    let mut found = Vec::new();
    while let Some(output) = bench.control.poll_output() {
        match output {
            Output::OpenLocal { targets, .. } => {
                found.extend(targets.iter().map(ToString::to_string));
            }
            Output::ToClient(line) => assert!(line.starts_with(b"425 ferryline: "), "{line:?}"),
            _ => {}
        }
    }
    found
}

#[test]
fn q78_no_policy_lets_a_reply_point_into_the_ssh_servers_host_or_links() {
    for reply in REFUSED {
        assert_eq!(targets(DataHost::Control, reply), ["ftp.example:40000"]);
        assert_eq!(targets(DataHost::Auto, reply), ["ftp.example:40000"]);
        assert!(targets(DataHost::Reply, reply).is_empty(), "{reply}");
    }
    // The counterpart: an address that may be followed is followed.
    let reply = "227 =10,0,0,9,156,64";
    assert_eq!(targets(DataHost::Reply, reply), ["10.0.0.9:40000"]);
    let both = ["ftp.example:40000", "10.0.0.9:40000"];
    assert_eq!(targets(DataHost::Auto, reply), both);
}

#[test]
fn q78_no_policy_takes_a_port_below_1024() {
    for reply in [
        "227 =10,0,0,9,0,22",
        "227 =10,0,0,9,3,255",
        "227 =10,0,0,9,0,0",
        "229 ok (|||25|)",
        "229 ok (|1|10.0.0.9|1023|)",
    ] {
        for data_host in [DataHost::Auto, DataHost::Control, DataHost::Reply] {
            assert!(targets(data_host, reply).is_empty(), "{reply}");
        }
    }
}

#[test]
fn q103_only_the_operator_lets_lower_ports_through_and_no_further_than_said() {
    for (port, expected) in [(899, None), (900, Some(900)), (1023, Some(1023))] {
        let mut bench = Bench::greeted(Settings {
            lowest_data_port: 900,
            ..settings()
        });
        bench.client("EPSV", &["S> EPSV"]);
        let frame = super::bench::frame(&format!("229 ok (|||{port}|)"));
        bench.control.server(bench.now, frame);
        let asked =
            std::iter::from_fn(|| bench.control.poll_output()).find_map(|output| match output {
                Output::OpenLocal { targets, .. } => Some(targets[0].port),
                _ => None,
            });
        assert_eq!(asked, expected);
        // The client's own ports are another matter (RFC 2577 section 3).
        bench.client(
            "PORT 127,0,0,1,3,255",
            match expected {
                Some(_) => &[],
                None => &["C< 501 ferryline: port 1023: ports below 1024 are refused"],
            },
        );
    }
}

#[test]
fn q86_numbers_that_wrap_around_are_no_ports_and_no_addresses() {
    for reply in [
        "227 =10,0,0,9,256,64",
        "227 =266,0,0,9,156,64",
        "227 =10,0,0,9,1,65600",
        "227 =10,0,0,9,4294967297,64",
        "229 ok (|||105536|)",
        "229 ok (|||4295007296|)",
        "229 ok (|||18446744073709591616|)",
        "229 ok (|||-25536|)",
    ] {
        for data_host in [DataHost::Auto, DataHost::Control, DataHost::Reply] {
            assert!(targets(data_host, reply).is_empty(), "{reply}");
        }
    }
    let mut bench = Bench::local();
    for command in [
        "PORT 127,0,0,1,256,13",
        "PORT 383,0,0,1,200,13",
        "PORT 127,0,0,1,200,65549",
        "PORT 127,0,0,1,4294967496,13",
        "EPRT |1|127.0.0.1|116749|",
        "EPRT |1|127.0.0.1|4295018509|",
        "EPRT |1|127.0.0.1|-14323|",
    ] {
        bench
            .control
            .client(Duration::ZERO, super::bench::frame(command));
        let Some(Output::ToClient(line)) = bench.control.poll_output() else {
            panic!("{command}");
        };
        assert!(line.starts_with(b"501 "), "{command}: {line:?}");
        assert_eq!(bench.control.poll_output(), None, "{command}");
    }
}

/// TLS never begins here, so no line separates plain text from text under TLS. Commands behind AUTH are the
/// client's own, each with its answer, and none reaches the server as if it had been sent inside TLS.
#[test]
fn q84_commands_behind_auth_are_answered_one_by_one() {
    let mut bench = Bench::local();
    bench.client("USER a", &["S> USER a"]);
    bench.client("AUTH TLS", &[]);
    bench.client("PASS b", &["S> PASS b"]);
    bench.server(
        "331 password",
        &[
            "C< 331 password",
            "C< 502 ferryline: AUTH is refused: this connection is inside SSH already; turn TLS off in the client",
        ],
    );
    bench.server("230 in", &["C< 230 in"]);
    // A server that says yes without having been asked begins no TLS either.
    bench.server("234 go ahead", &["C< 234 go ahead"]);
    bench.client("NOOP", &["S> NOOP"]);
}

#[test]
fn q85_only_the_last_of_many_ports_stays() {
    let mut bench = Bench::local();
    for number in 1..=500 {
        let at = 10_000 + number;
        bench.client(
            &format!("PORT 127,0,0,1,{},{}", at >> 8, at & 0xff),
            &[&format!("! remote {number} 127.0.0.1 to 127.0.0.1:{at}")],
        );
        bench.ready(
            number,
            &format!("127.0.0.1:{}", 40_000 + number),
            &[&format!(
                "S> PORT 127,0,0,1,{},{}",
                (40_000 + number) >> 8,
                (40_000 + number) & 0xff
            )],
        );
        let before = format!("! close {}", number - 1);
        let expected = ["C< 200 ok", before.as_str()];
        let expected = if number == 1 {
            &expected[..1]
        } else {
            &expected[..]
        };
        bench
            .control
            .server(bench.now, super::bench::frame("200 ok"));
        let mut found = Vec::new();
        while let Some(output) = bench.control.poll_output() {
            found.push(super::bench::show(&output));
        }
        found.sort_by_key(|line| line.starts_with('!'));
        assert_eq!(found, expected);
        assert_eq!(bench.control.forwards(), 1);
    }
}

/// A server that answers each passive request several times opens nothing more by that.
#[test]
fn q79_q85_one_passive_request_is_one_forward() {
    let mut bench = Bench::knowing(settings(), Knowledge::default());
    bench.server("220 ready", &["C< 220 ready"]);
    bench.client("PASV", &["S> PASV"]);
    bench.server("227 =10,0,0,9,156,64", &["! local 1 localhost:40000"]);
    for _ in 0..100 {
        bench
            .control
            .server(bench.now, super::bench::frame("227 =10,0,0,9,156,65"));
    }
    while let Some(output) = bench.control.poll_output() {
        assert!(
            !matches!(output, Output::OpenLocal { .. } | Output::ToServer(_)),
            "{output:?}"
        );
        if let Output::ToClient(line) = output {
            assert!(!line.windows(6).any(|w| w == b"156,65"), "{line:?}");
        }
    }
    assert_eq!(bench.control.forwards(), 1);
}

/// Commands are taken as fast as they are answered; further ones wait in the client's socket.
#[test]
fn q85_pipelined_commands_are_bounded() {
    let mut bench = Bench::local();
    let mut taken = 0;
    while bench.control.wants_client() {
        bench.control.client(bench.now, super::bench::frame("NOOP"));
        while bench.control.poll_output().is_some() {}
        taken += 1;
        assert!(taken <= 64);
    }
    assert_eq!(taken, 64);
    bench.server("200 ok", &["C< 200 ok"]);
    assert!(bench.control.wants_client());
}

/// A client and a server that both keep their ends open do not accumulate data connections.
#[test]
fn q85_an_idle_data_connection_goes_with_the_next_request() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
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
    // A data connection with a transfer stays.
    bench.connected(2);
    bench.client("RETR f", &["S> RETR f"]);
    bench.passive_connected(3);
    assert_eq!(bench.control.forwards(), 2);
}

#[test]
fn q85_data_connections_are_bounded() {
    let mut bench = Bench::local();
    for number in 1..=8 {
        bench.passive_connected(number);
        bench.client("RETR f", &["S> RETR f"]);
    }
    for command in [
        "PASV",
        "EPSV",
        "PORT 127,0,0,1,200,13",
        "EPRT |1|127.0.0.1|51213|",
    ] {
        // Its answer comes after those of the transfers.
        bench.client(command, &[]);
    }
    assert_eq!(bench.control.forwards(), 8);
    bench.event(1, crate::control::ForwardEvent::Ended, &[]);
    bench.client("PASV", &["S> PASV"]);
}

/// A server that drops Telnet, strips what is not printable, or removes an X, reads a PORT there.
#[test]
fn q77_a_port_in_disguise_is_not_passed_on() {
    let mut bench = Bench::local();
    let verb = "C< 500 ferryline: a verb is made of letters";
    for line in [
        &b"\x01PORT 10,0,0,9,4,1"[..],
        b"PO\xffZRT 10,0,0,9,4,1",
        b"PORT\x7f 10,0,0,9,4,1",
        b"\xffMPORT 10,0,0,9,4,1",
        b"EP\x1fRT |1|10.0.0.9|1025|",
        b"\xc3\xa9PASV",
    ] {
        let line = ferryline_grammar::Line::new(line);
        bench.client_frame(ferryline_grammar::Frame::Line(line), &[verb]);
    }
    let foreign =
        "C< 501 ferryline: 10.0.0.9 is not the address of this control connection (127.0.0.1)";
    bench.client("XPORT 10,0,0,9,4,1", &[foreign]);
    bench.client("xeprt |1|10.0.0.9|1025|", &[foreign]);
    let inside = "is refused: this connection is inside SSH already; turn TLS off in the client";
    bench.client("XAUTH TLS", &[&format!("C< 502 ferryline: AUTH {inside}")]);
    // A well-formed line passes as it was typed.
    bench.client("XPWD", &["S> XPWD"]);
    bench.client("xCRC f", &["S> xCRC f"]);
}

#[test]
fn q82_a_bare_cr_hides_no_verb_in_disguise() {
    let mut bench = Bench::local();
    let hidden = "C< 500 ferryline: a bare carriage return hides a second command";
    for behind in [
        "XPORT 10,0,0,9,4,1",
        "\u{1}PORT 10,0,0,9,4,1",
        "\0 PASV",
        "xauth TLS",
    ] {
        bench.client(&format!("NOOP\r{behind}"), &[hidden]);
    }
    bench.client("STOR a\rb", &["S> STOR a\rb"]);
}

/// CVE-2008-4247: a server reads a line that does not fit its buffer as two.
#[test]
fn q63_q82_a_long_line_holds_no_second_command() {
    let refused = "C< 500 ferryline: a long line with a PORT or EPRT in it is not passed on";
    for buffer in [256, 511, 512, 1024, 2048, 4096] {
        let mut bench = Bench::local();
        for behind in [
            "PORT 10,0,0,9,4,1",
            "port 10,0,0,9,4,1",
            "XPORT 10,0,0,9,4,1",
            "EPRT |1|10.0.0.9|1025|",
            "LPRT 4,4,10,0,0,9,2,4,1",
        ] {
            let line = format!("{:a<buffer$}{behind}", "NOOP ");
            bench.client(&line, &[refused]);
        }
        let line = format!("STOR {}/SEAPORT 1,2,3.csv", "d/".repeat(buffer / 2));
        bench.client(&line, &[&format!("S> {line}")]);
    }
}

/// GridFTP's ways to name data connections: an address of the client would go to the server unchanged.
#[test]
fn q95_addresses_in_gridftps_commands_are_not_passed_on() {
    let mut bench = Bench::local();
    let get = "names the data connection in a way that is not carried; use PASV or EPSV, and RETR or \
               STOR";
    for (line, refused) in [
        (
            "SPOR 127,0,0,1,200,13",
            "SPOR is not carried; use PORT or EPRT".to_owned(),
        ),
        (
            "spor 127,0,0,1,200,13 127,0,0,1,200,14",
            "SPOR is not carried; use PORT or EPRT".into(),
        ),
        ("SPAS", "SPAS is not carried; use PASV or EPSV".into()),
        (
            "GET path=/a;port=127,0,0,1,200,13;mode=s;",
            format!("GET {get}"),
        ),
        ("PUT path=/a;pasv;", format!("PUT {get}")),
    ] {
        bench.client(line, &[&format!("C< 502 ferryline: {refused}")]);
    }
    let hidden = "C< 500 ferryline: a bare carriage return hides a second command";
    bench.client("NOOP\rSPOR 127,0,0,1,200,13", &[hidden]);
    // A server may know a verb for an address that ferryline does not know.
    let unknown = "C< 502 ferryline: an address in a command that ferryline does not know is not \
                   passed on; use PORT or EPRT";
    for line in [
        "MPRT 127,0,0,1,200,13",
        "MPRT  127, 0,0,1,200,13 ",
        "XMPRT 127,0,0,1,200,13 127,0,0,1,200,14",
        "EPRX |1|127.0.0.1|51213|",
    ] {
        bench.client(line, &[unknown]);
    }
    for line in [
        "XCRC 1,2,3,4,5,6.csv",
        "RETR 1,2,3,4,5,6",
        "SITE CHMOD 1,2,3,4,5,6",
    ] {
        bench.client(line, &[&format!("S> {line}")]);
    }
}
