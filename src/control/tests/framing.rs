//! Bytes pass as they come.

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
fn q59_an_abor_with_the_rest_of_a_telnet_signal_in_front_goes_plain() {
    let mut bench = Bench::local();
    bench.client_frame(Frame::Line(Line::new(&b"\xffABOR"[..])), &["S> ABOR"]);
}
