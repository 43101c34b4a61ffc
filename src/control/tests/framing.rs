//! Bytes that pass unchanged.

use ferryline_grammar::{Frame, Line, LineEnd, Negotiation};

use super::bench::Bench;

#[test]
fn q34_q53_line_ends_and_odd_spelling_pass_as_they_are() {
    let mut bench = Bench::local();
    bench.client("noop\n", &["S> noop\\n"]);
    bench.server("200 ok\n", &["C< 200 ok\\n"]);
    bench.client("Cwd  two  spaces ", &["S> Cwd  two  spaces "]);
}

#[test]
fn q34_a_rewritten_line_ends_as_it_should() {
    let mut bench = Bench::local();
    bench.client("pasv\n", &["S> pasv\\n"]);
    bench.server("227 =10,0,0,9,156,64\n", &["! local 1 localhost:40000"]);
    bench.ready(
        1,
        "127.0.0.1:51213",
        &["C< 227 Entering Passive Mode (127,0,0,1,200,13)."],
    );
}

#[test]
fn a_last_line_without_an_end_is_a_line() {
    let mut bench = Bench::local();
    bench.client_frame(
        Frame::Line(Line::with_end("QUIT", LineEnd::None)),
        &["S> QUIT"],
    );
}

#[test]
fn telnet_options_are_refused_towards_whoever_asked() {
    let mut bench = Bench::local();
    bench
        .control
        .client(bench.now, Frame::Negotiation(Negotiation::Do(1)));
    let Some(crate::control::Output::ToClient(bytes)) = bench.control.poll_output() else {
        panic!("no refusal");
    };
    assert_eq!(bytes.as_ref(), [0xff, 0xfc, 0x01]);
    bench
        .control
        .server(bench.now, Frame::Negotiation(Negotiation::Will(3)));
    let Some(crate::control::Output::ToServer(bytes)) = bench.control.poll_output() else {
        panic!("no refusal");
    };
    assert_eq!(bytes.as_ref(), [0xff, 0xfe, 0x03]);
}

#[test]
fn q82_a_bare_cr_cannot_hide_a_port() {
    let mut bench = Bench::local();
    for line in [
        "PWD\rPORT 10,0,0,1,0,25",
        "STOR x\r\0EPRT |1|10.0.0.1|25|",
        "A\rB\r pasv",
    ] {
        bench.client(
            line,
            &["C< 500 ferryline: a bare carriage return hides a second command"],
        );
    }
    bench.client("MKD odd\rname", &["S> MKD odd\rname"]);
}

#[test]
fn q98_what_interrupts_goes_plain_whatever_is_left_of_its_telnet_signal() {
    for (line, plain) in [
        (&b"\xffABOR"[..], "S> ABOR"),
        (b"\xf4\xffabor", "S> abor"),
        (b"\xf2ABOR", "S> ABOR"),
        (b"\xf4\xff\xf2STAT x", "S> STAT x"),
        (b"\x19\xf2QUIT", "S> QUIT"),
    ] {
        let mut bench = Bench::local();
        bench.client_frame(Frame::Line(Line::new(line)), &[plain]);
    }
    // It overtakes a line that waits, as every ABOR does.
    let mut bench = Bench::local();
    bench.client(
        "PORT 127,0,0,1,200,13",
        &["! remote 1 127.0.0.1 to 127.0.0.1:51213"],
    );
    let abort = Frame::Line(Line::new(&b"\xf4\xffabor"[..]));
    bench.client_frame(abort, &["S> abor"]);
}

/// The server may do what it likes with a byte order mark, but no address hides behind one.
#[test]
fn q99_a_byte_order_mark_passes_and_hides_nothing() {
    let mut bench = Bench::local();
    let marked = |text: &str| Frame::Line(Line::new(format!("\u{feff}{text}")));
    bench.client_frame(marked("USER me"), &["S> \u{feff}USER me"]);
    bench.server("331 password", &["C< 331 password"]);
    bench.client_frame(
        marked("PORT 127,0,0,1,200,13"),
        &["! remote 1 127.0.0.1 to 127.0.0.1:51213"],
    );
    bench.ready(1, "127.0.0.1:40001", &["S> PORT 127,0,0,1,156,65"]);
    bench.server("200 ok", &["C< 200 ok"]);
    let foreign =
        "C< 501 ferryline: 10.0.0.9 is not the address of this control connection (127.0.0.1)";
    bench.client_frame(marked("PORT 10,0,0,9,4,1"), &[foreign]);
    let hidden = "C< 500 ferryline: a bare carriage return hides a second command";
    bench.client_frame(marked("NOOP\r\u{feff}PORT 10,0,0,9,4,1"), &[hidden]);
}

/// Bytes of Telnet commands are letters of a name behind a verb, and no part of a verb.
#[test]
fn q97_an_iac_behind_text_is_a_letter_and_hides_nothing() {
    let mut bench = Bench::local();
    let name = Line::new(&b"CWD \xff\xfa"[..]);
    bench.client_frame(Frame::Line(name), &["S> CWD \u{fffd}\u{fffd}"]);
    bench.server("250 ok", &["C< 250 ok"]);
    let verb = "C< 500 ferryline: a verb is made of letters";
    for line in [
        &b"PO\xff\xfbXRT 10,0,0,9,4,1"[..],
        b"PO\xff\xfaX\xff\xf0RT 10,0,0,9,4,1",
        b"PORT\xff\xf1 10,0,0,9,4,1",
    ] {
        bench.client_frame(Frame::Line(Line::new(line)), &[verb]);
    }
    let hidden = "C< 500 ferryline: a bare carriage return hides a second command";
    for line in [
        &b"NOOP\rPO\xff\xfbXRT 10,0,0,9,4,1"[..],
        b"NOOP\r\xff\xfbXPORT 10,0,0,9,4,1",
        b"NOOP\rP\xff\xfaX\xff\xf0ASV",
    ] {
        bench.client_frame(Frame::Line(Line::new(line)), &[hidden]);
    }
    // A server that drops Telnet and reads 512 bytes at a time would begin a command there.
    let mut long = vec![b'a'; 600];
    long[..5].copy_from_slice(b"NOOP ");
    long.extend(b"PO\xff\xfbXRT 10,0,0,9,4,1");
    let refused = "C< 500 ferryline: a long line with a PORT or EPRT in it is not passed on";
    bench.client_frame(Frame::Line(Line::new(long)), &[refused]);
}
