//! Replies in which only lax clients see an address, and what they get instead.

use super::bench::{Bench, settings};
use crate::control::{ForwardEvent, Output, Settings};
use ferryline_grammar::{Frame, Line, LineEnd};

const WITHHELD: &str = "ferryline: an address that nobody asked for, withheld";
const NOBODY: &str = "ferryline: a passive reply that nobody asked for, withheld";

/// Gives each line of the server, and compares what the client gets for it.
#[track_caller]
fn seen(bench: &mut Bench, lines: &[(&str, &str)]) {
    for (line, seen) in lines {
        bench.server(line, &[&format!("C< {seen}")]);
    }
}

/// BSD's clients look at three digits and not at what follows, and drop an IAC with the byte behind it.
#[test]
fn q79_a_code_that_runs_into_its_text() {
    let mut bench = Bench::local();
    seen(
        &mut bench,
        &[
            ("227.Entering (10,0,0,9,200,13)", &format!("227 {NOBODY}")),
            ("229=(|||22|)", &format!("229 {NOBODY}")),
        ],
    );
    bench.client("PASV", &["S> PASV"]);
    let line = Line::new(&b"2\xffZ27 (10,0,0,9,200,13)"[..]);
    bench.control.server(bench.now, Frame::Line(line));
    match bench.control.poll_output() {
        Some(Output::ToClient(line)) => assert_eq!(line, format!("227 {NOBODY}\r\n")),
        other => panic!("{other:?}"),
    }
    bench.server("227 =10,0,0,9,156,64", &["! local 1 localhost:40000"]);
}

/// Most clients ignore such a line, so its replacement must be a line that they ignore too.
#[test]
fn q36_a_number_that_begins_as_a_code_is_none() {
    let mut bench = Bench::local();
    bench.client("NOOP", &["S> NOOP"]);
    let with_address = "2279 at 10,0,0,9,200,13";
    seen(
        &mut bench,
        &[
            ("2274 users since Monday", " 2274 users since Monday"),
            (with_address, &format!(" {WITHHELD}")),
            ("200 ok", "200 ok"),
        ],
    );
}

/// An answered NOOP in mid-transfer may put a client out of step, but a name is still a name.
#[test]
fn q79_names_that_begin_with_exclamation_marks_pass() {
    let mut bench = Bench::local();
    bench.passive_connected(1);
    bench.client("RETR f", &["S> RETR f"]);
    bench.server("150 here it comes", &["C< 150 here it comes"]);
    bench.client("NOOP", &["S> NOOP"]);
    bench.server("200 ok", &["C< 200 ok"]);
    bench.event(1, ForwardEvent::Drained, &[]);
    bench.server("226 done", &["C< 226 done"]);
    bench.client("PWD", &["S> PWD"]);
    let path = "257 \"/!!!1 Inbox\" is the current directory";
    let address = "257 \"/\" (!!!22!)";
    seen(&mut bench, &[(path, path)]);
    bench.client("PWD", &["S> PWD"]);
    seen(&mut bench, &[(address, &format!("257 {WITHHELD}"))]);
}

/// wget, lftp and FileZilla take the address from any 2xx that answers PASV.
#[test]
fn q79_another_code_in_answer_to_pasv() {
    for (line, seen) in [
        ("200 ok (10,0,0,9,200,13)", format!("200 {WITHHELD}")),
        ("250 ok (10,0,0,9,200,13)", format!("250 {WITHHELD}")),
        ("257 ok (10,0,0,9,200,13)", format!("257 {WITHHELD}")),
        ("350 ok 10, 0,0,9,200,13", format!("350 {WITHHELD}")),
        ("200 Type set to I", "200 Type set to I".into()),
        ("425 not (10,0,0,9,200,13)", String::new()),
    ] {
        let mut bench = Bench::local();
        bench.client("PASV", &["S> PASV"]);
        if seen.is_empty() {
            bench.server(line, &["S> EPSV"]);
        } else {
            bench.server(line, &[&format!("C< {seen}")]);
        }
    }
}

#[test]
fn q79_a_reply_of_several_lines_in_answer_to_pasv() {
    let mut bench = Bench::local();
    bench.client("PASV", &["S> PASV"]);
    seen(
        &mut bench,
        &[
            ("200-ok (10,0,0,9,200,13)", &format!("200-{WITHHELD}")),
            (" =10,0,0,9,200,13", &format!(" {WITHHELD}")),
            ("227 (10,0,0,9,200,13)", &format!(" {WITHHELD}")),
            ("227 nowhere", " 227 nowhere"),
            ("200 done (|||22|)", &format!("200 {WITHHELD}")),
        ],
    );
}

/// curl and wget end a reply at any code: the next line is the answer to their next command. A refusal inside
/// a success is a part of the success.
#[test]
fn q79_a_refusal_in_the_midst_of_a_success() {
    let mut bench = Bench::local();
    bench.client("PASV", &["S> PASV"]);
    seen(
        &mut bench,
        &[
            ("200-x", "200-x"),
            ("550 (10,0,0,9,200,13)", &format!(" {WITHHELD}")),
            ("200 ok", "200 ok"),
        ],
    );
}

#[test]
fn q79_an_answer_in_the_midst_of_another() {
    let mut bench = Bench::local();
    bench.client("PWD", &["S> PWD"]);
    seen(
        &mut bench,
        &[
            ("257-x", "257-x"),
            ("250 y", "250 y"),
            ("229 Extended (|||22|)", &format!(" {WITHHELD}")),
            ("226 (10,0,0,9,200,13)", &format!(" {WITHHELD}")),
            ("257 z (10,0,0,9,200,13)", &format!("257 {WITHHELD}")),
        ],
    );
    // From here on such a client may take any answer for another one.
    bench.client("SIZE f", &["S> SIZE f"]);
    bench.server("213 (10,0,0,9,200,13)", &[&format!("C< 213 {WITHHELD}")]);
    bench.client("PWD", &["S> PWD"]);
    bench.server("257 \"/1,2,3,4,5,6\"", &[&format!("C< 257 {WITHHELD}")]);
}

#[test]
fn q79_one_reply_too_many_holds_no_address() {
    let mut bench = Bench::local();
    bench.client("TYPE I", &["S> TYPE I"]);
    seen(
        &mut bench,
        &[
            ("200 ok", "200 ok"),
            ("226 x (10,0,0,9,200,13)", &format!("226 {WITHHELD}")),
        ],
    );
    bench.client("SIZE f", &["S> SIZE f"]);
    bench.server("213 10,0,0,9,200,13", &[&format!("C< 213 {WITHHELD}")]);
}

/// Replies that clients count differently.
#[test]
fn q42_q44_replies_that_may_be_one_more_or_one_less() {
    for (command, replies) in [
        ("PWD", &["150 wait", "257 x"][..]),
        ("RETR f", &["150 here", "150 there", "226 done"]),
        ("RETR f", &["200 ok", "150 here", "226 done"]),
        ("ABOR", &["226 aborted"]),
        ("NOOP", &["200 ok", "200 ok"]),
        ("NOOP", &["200.ok", "200 ok"]),
        ("NOOP", &["200-ok", "200x", "200 ok"]),
    ] {
        let mut bench = Bench::local();
        bench.client(command, &[&format!("S> {command}")]);
        for line in replies {
            bench.server(line, &[&format!("C< {line}")]);
        }
        bench.client("SIZE f", &["S> SIZE f"]);
        bench.server("213 10,0,0,9,200,13", &[&format!("C< 213 {WITHHELD}")]);
    }
}

/// Where all is in order, names pass unchanged.
#[test]
fn q25_q47_what_is_made_of_numbers_passes() {
    let mut bench = Bench::new(settings());
    for line in ["220-227 is a code, and so is (1,2,3,4,5,6)", "220 ready"] {
        bench.server(line, &[&format!("C< {line}")]);
    }
    bench.client("PWD", &["S> PWD"]);
    let line = "257 \"/1,2,3,4,5,6\" is the directory";
    bench.server(line, &[&format!("C< {line}")]);
    bench.client("STAT -l", &["S> STAT -l"]);
    for line in ["213-status", "-rw-r--r-- 1,2,3,4,5,6.csv", "213 end"] {
        bench.server(line, &[&format!("C< {line}")]);
    }
    bench.client("RETR 1,2,3,4,5,6", &["S> RETR 1,2,3,4,5,6"]);
    for line in ["150 1,2,3,4,5,6 comes", "226 done (1,2,3,4,5,6)"] {
        bench.server(line, &[&format!("C< {line}")]);
    }
    bench.client("RETR 1,2,3,4,5,6", &["S> RETR 1,2,3,4,5,6"]);
    let line = "550 1,2,3,4,5,6: no such file";
    bench.server(line, &[&format!("C< {line}")]);
}

/// The server's connection ends in the middle of a line, and ferryline still has something to send.
#[test]
fn an_answer_begins_a_line_of_its_own() {
    let mut bench = Bench::local();
    bench.client("PASV", &["S> PASV"]);
    bench.client("NOOP", &["S> NOOP"]);
    bench.server("227 =10,0,0,9,156,64", &["! local 1 localhost:40000"]);
    let cut = Line::with_end("200 o", LineEnd::None);
    bench.control.server(bench.now, Frame::Line(cut));
    bench.client("PASV", &["S> PASV"]);
    bench.server("227 =10,0,0,9,156,65", &["! local 2 localhost:40001"]);
    bench.ready(
        1,
        "127.0.0.1:51213",
        &[
            "C< 227 Entering Passive Mode (127,0,0,1,200,13).",
            "C< 200 o",
        ],
    );
    bench.ready(
        2,
        "127.0.0.1:51214",
        &[
            "! close 1",
            "C< ",
            "C< 227 Entering Passive Mode (127,0,0,1,200,14).",
        ],
    );
}

/// GridFTP names the server's data port in a preliminary reply.
#[test]
fn q95_a_127_names_no_address() {
    for (command, line) in [
        ("RETR f", "127 PORT (10,0,0,9,200,13)"),
        ("NOOP", "127 PORT (10,0,0,9,200,13)"),
        ("SITE x", "127-PORT (10,0,0,9,200,13)"),
    ] {
        let mut bench = Bench::local();
        bench.client(command, &[&format!("S> {command}")]);
        let code = line.get(..4).unwrap_or_default();
        let seen = format!("C< {code}{WITHHELD}");
        bench.server(line, &[&seen]);
    }
    let mut bench = Bench::local();
    bench.client("NOOP", &["S> NOOP"]);
    bench.server("127 soon", &["C< 127 soon"]);
}

/// Clients that look at three digits, or that skip blanks, take these for replies, and so does ferryline.
#[test]
fn q91_q93_odd_replies_are_replies() {
    for line in [
        "227: Entering Passive Mode (10,0,0,9,156,64)",
        "227Entering Passive Mode (10,0,0,9,156,64)",
        "227\tEntering Passive Mode (10,0,0,9,156,64)",
        "227=10,0,0,9,156,64",
        " 227 Entering Passive Mode (10,0,0,9,156,64)",
        "227 Entering Passive Mode (10,0,0,9,-100,64)",
    ] {
        let mut bench = Bench::new(settings());
        bench.server("220: ready", &["C< 220: ready"]);
        bench.client("USER me", &["S> USER me"]);
        bench.server(" 331 password", &["C<  331 password"]);
        bench.client("PASV", &["S> PASV"]);
        bench.server(line, &["! local 1 localhost:40000"]);
        let told = "C< 227 Entering Passive Mode (127,0,0,1,200,13).";
        bench.ready(1, "127.0.0.1:51213", &[told]);
        bench.connected(1);
        bench.client("RETR f", &["S> RETR f"]);
        bench.server("150: here", &["C< 150: here"]);
        bench.event(1, ForwardEvent::Drained, &[]);
        bench.server("226Done", &["C< 226Done"]);
        // Active mode, too, depends on recognising a reply.
        bench.event(1, ForwardEvent::Ended, &[]);
        bench.client(
            "PORT 127,0,0,1,200,13",
            &["! remote 2 127.0.0.1 to 127.0.0.1:51213"],
        );
        bench.ready(2, "127.0.0.1:40001", &["S> PORT 127,0,0,1,156,65"]);
        bench.server(
            "500: no PORT",
            &["! close 2", "! remote 3 ::1 to 127.0.0.1:51213"],
        );
    }
}

/// The replacement of a line is no reply for those clients for which the line was none.
#[test]
fn q93_what_is_withheld_keeps_the_blank_in_front() {
    let mut bench = Bench::local();
    bench.client("PASV", &["S> PASV"]);
    let line = " 200 ok (10,0,0,9,200,13)";
    bench.server(line, &[&format!("C<  200 {WITHHELD}")]);
}

/// A client that skips blanks ends a reply of several lines there.
#[test]
fn q79_q93_a_blank_in_front_hides_no_end() {
    let mut bench = Bench::local();
    bench.client("STAT", &["S> STAT"]);
    let lines = [
        "213-status",
        " 227 x (1,2,3,4,5,6)",
        " 550 1,2,3,4,5,6",
        "213 end",
    ];
    for line in lines {
        bench.server(line, &[&format!("C< {line}")]);
    }
    bench.client("PWD", &["S> PWD"]);
    let line = "257 \"/1,2,3,4,5,6\"";
    bench.server(line, &[&format!("C< {line}")]);
    bench.client("STAT", &["S> STAT"]);
    for line in ["213-status", " 213 x", "213 end"] {
        bench.server(line, &[&format!("C< {line}")]);
    }
    bench.client("PWD", &["S> PWD"]);
    bench.server(line, &[&format!("C< 257 {WITHHELD}")]);
}

/// The server refuses in place of its greeting. A client that ferryline has greeted takes that for the answer
/// to USER, and each later reply for the answer to its next command.
#[test]
fn q79_a_refusal_in_place_of_a_greeting_is_one_reply_too_many() {
    let mut bench = Bench::new(Settings {
        routed: Some("ftp.example:2100".into()),
        ..settings()
    });
    bench.client("USER me@ftp.example:2100", &[]);
    bench.server("530 go away", &["S> USER me", "C< 530 go away"]);
    bench.server("331 password", &["C< 331 password"]);
    bench.client("SIZE f", &["S> SIZE f"]);
    bench.server("213 10,0,0,9,200,13", &[&format!("C< 213 {WITHHELD}")]);
}

/// A client that has counted differently once counts differently from then on.
#[test]
fn q79_a_reply_in_order_sets_nothing_right() {
    for first in [
        ("226 again", "226 again".to_owned()),
        ("227 =10,0,0,9,200,13", format!("227 {NOBODY}")),
    ] {
        let mut bench = Bench::local();
        seen(&mut bench, &[(first.0, &first.1)]);
        bench.client("STAT", &["S> STAT"]);
        seen(
            &mut bench,
            &[("213-status", "213-status"), ("213 end", "213 end")],
        );
        bench.client("SIZE f", &["S> SIZE f"]);
        bench.server("213 10,0,0,9,200,13", &[&format!("C< 213 {WITHHELD}")]);
    }
}

/// A client that ends a reply of several lines at any code sees a success here, with an address in it.
#[test]
fn q79_an_address_in_the_first_line_of_what_may_end_as_a_success() {
    let mut bench = Bench::local();
    seen(
        &mut bench,
        &[
            ("550-no (10,0,0,9,200,13)", &format!("550-{WITHHELD}")),
            ("226 done", "226 done"),
            ("550 no (10,0,0,9,200,13)", "550 no (10,0,0,9,200,13)"),
        ],
    );
}

/// A client that knows no code behind a blank has had no greeting yet, and takes the next reply for it.
#[test]
fn q79_a_reply_that_begins_with_a_blank_is_none_for_some() {
    let mut bench = Bench::new(settings());
    bench.server(" 220 hi", &["C<  220 hi"]);
    bench.client("PASV", &["S> PASV"]);
    bench.client("STOR f", &["S> STOR f"]);
    bench.server("227 =10,0,0,9,156,64", &["! local 1 localhost:40000"]);
    bench.ready(
        1,
        "127.0.0.1:51213",
        &["C< 227 Entering Passive Mode (127,0,0,1,200,13)."],
    );
    seen(
        &mut bench,
        &[("226-ok (10,0,0,9,200,13)", &format!("226-{WITHHELD}"))],
    );
}

/// Where a blank in front hides the end of a reply from a client, the next lines are the rest of it.
#[test]
fn q79_q93_an_end_with_a_blank_in_front_puts_out_of_step() {
    let mut bench = Bench::new(settings());
    bench.server("220: hi", &["C< 220: hi"]);
    bench.client("STAT", &["S> STAT"]);
    seen(&mut bench, &[("213-x", "213-x"), (" 213", " 213")]);
    bench.client("PWD", &["S> PWD"]);
    let address = "257 \"/\" (10,0,0,9,200,13)";
    seen(&mut bench, &[(address, &format!("257 {WITHHELD}"))]);
}

/// A client that looks at the first column only takes a code with blanks in front for a part of the text.
#[test]
fn q79_a_padded_refusal_in_a_reply_that_a_success_ends() {
    let mut bench = Bench::local();
    bench.client("PASV", &["S> PASV"]);
    seen(
        &mut bench,
        &[
            ("125-go", "125-go"),
            ("   113Entering =10,0,0,9,200,13", &format!(" {WITHHELD}")),
        ],
    );
}
