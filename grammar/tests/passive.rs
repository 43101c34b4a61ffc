//! Passive replies as servers really word them, quirk by quirk.

// What these tests build themselves may be unwrapped and indexed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use ferryline_grammar::{
    HostPort, PassiveEndpoint, PassiveReplyError, ReplyLine, parse_passive_reply, render_227,
    render_229,
};

/// Reads a reply given as its lines, by the code it starts with.
fn read(lines: &[&str]) -> Result<PassiveEndpoint, PassiveReplyError> {
    let code = ReplyLine::parse(lines[0].as_bytes()).code().unwrap();
    parse_passive_reply(code, lines.iter().map(|line| line.as_bytes()))
}

/// `address` empty: blank.
fn endpoint(address: &str, port: u16) -> PassiveEndpoint {
    PassiveEndpoint {
        address: (!address.is_empty()).then(|| address.parse().unwrap()),
        port,
    }
}

fn assert_reads(replies: &[&str], address: &str, port: u16) {
    for reply in replies {
        assert_eq!(read(&[reply]), Ok(endpoint(address, port)), "{reply}");
    }
}

fn assert_refuses(replies: &[&str], error: PassiveReplyError) {
    for reply in replies {
        assert_eq!(read(&[reply]), Err(error), "{reply}");
    }
}

#[test]
fn q01_no_parentheses() {
    assert_reads(
        &[
            "227 127,0,0,1,4,51",
            "227 Entering passive mode. 127,0,0,1,4,51",
            "227 Entering Passive Mode. 127,0,0,1,4,51",
            "227 Data transfer will passively listen to 127,0,0,1,4,51",
            "227-127,0,0,1,4,51",
        ],
        "127.0.0.1",
        1075,
    );
}

#[test]
fn q02_equals_form_is_read_and_the_canonical_one_written() {
    assert_reads(&["227 =127,0,0,1,4,51"], "127.0.0.1", 1075);
    let host_port = HostPort::parse(b"127,0,0,1,4,51").unwrap();
    assert_eq!(
        render_227(host_port),
        "227 Entering Passive Mode (127,0,0,1,4,51)."
    );
    assert_eq!(
        render_229(50006),
        "229 Entering Extended Passive Mode (|||50006|)"
    );
}

#[test]
fn q03_spaces_round_commas() {
    assert_reads(
        &[
            "227 Entering Passive Mode( 127, 0, 0, 1, 4,51)",
            "227 Entering Passive Mode (127 , 0 ,0\t,1 ,4 , 51 )",
        ],
        "127.0.0.1",
        1075,
    );
}

#[test]
fn q04_digits_before_the_address() {
    assert_reads(
        &[
            "227 Entering Passive Mode 2 (127,0,0,1,4,51)",
            "227 (ftp1) 127,0,0,1,4,51",
            "227 1,2,3 and 4,5: 127,0,0,1,4,51",
            "227 h300,1,2,3,4: 127,0,0,1,4,51",
            "227 999,1,2,3,4,5 127,0,0,1,4,51",
            "227 1,999 127,0,0,1,4,51",
        ],
        "127.0.0.1",
        1075,
    );
}

#[test]
fn q04_no_number_is_begun_in_the_middle() {
    // curl's test 237.
    assert_refuses(
        &["227 Entering Passiv Mode (1216,256,2,127,127,127)"],
        PassiveReplyError::Address,
    );
    assert_refuses(
        &["227 (256,2,127,127,127,1)", "227 (1,2,3,4,5,256)"],
        PassiveReplyError::Address,
    );
    assert_refuses(&["227 (1216,2,3,4,5)"], PassiveReplyError::NoEndpoint);
}

#[test]
fn q05_leading_zeros_are_decimal() {
    assert_reads(
        &["227 Entering Passive Mode (127,000,000,001,004,051)"],
        "127.0.0.1",
        1075,
    );
    assert_reads(&["227 (010,0,0,010,010,010)"], "10.0.0.10", 2570);
}

#[test]
fn q06_any_tail() {
    assert_reads(
        &[
            "227 (127,0,0,1,4,51).",
            "227 (127,0,0,1,4,51) ",
            "227 (127,0,0,1,4,51.",
            "227 127,0,0,1,4,51x",
        ],
        "127.0.0.1",
        1075,
    );
    assert_reads(
        &[
            "229 Entering Extended Passive Mode (|||50006|).",
            "229 (|||50006| Oh",
        ],
        "",
        50006,
    );
}

#[test]
fn q07_any_wording() {
    assert_reads(
        &[
            "229 Extended Passive mode OK (|||50006|)",
            "229 \u{e4}\u{6f22}(|||50006|)",
        ],
        "",
        50006,
    );
    assert_reads(
        &[
            "227 Passiver Modus: (127,0,0,1,4,51)",
            "227 \u{e4}127,0,0,1,4,51\u{6f22}",
        ],
        "127.0.0.1",
        1075,
    );
}

#[test]
fn q08_multiline_227() {
    for lines in [
        ["227-listen socket created", "227-x", "227 (127,0,0,1,4,51)"],
        ["227-socket created", "227-(127,0,0,1,4,51)", "227 End"],
        ["227-socket created", " (127,0,0,1,4,51)", "227 End"],
        ["227-socket created", "127,0,0,1,4,51", "227"],
        ["227-(127,0,0,1,4,51)", "", "227 End"],
        // The code is no number of the address, whichever line it stands on.
        ["227-x", "227-1,2,3,4,5", "227 127,0,0,1,4,51"],
    ] {
        assert_eq!(read(&lines), Ok(endpoint("127.0.0.1", 1075)), "{lines:?}");
    }
    let lines = [
        "229-Entering",
        " Extended Passive Mode (|||50006|)",
        "229 End",
    ];
    assert_eq!(read(&lines), Ok(endpoint("", 50006)));
    // An address is not put together from two lines.
    let lines = ["227-127,0,0,", "227 1,4,51"];
    assert_eq!(read(&lines), Err(PassiveReplyError::NoEndpoint));
}

#[test]
fn q10_all_zero_host_is_read_as_it_is() {
    assert_reads(
        &["227 Entering Passive Mode (0,0,0,0,4,51)."],
        "0.0.0.0",
        1075,
    );
}

#[test]
fn q11_port_0_is_refused() {
    assert_refuses(
        &[
            "227 (127,0,0,1,0,0)",
            "227 (0,0,0,0,0,0)",
            "229 (|||0|)",
            "229 (|||00000|)",
            "229 (||0|)",
        ],
        PassiveReplyError::Port,
    );
    // Below 1024 is for a policy to judge.
    assert_reads(&["227 (127,0,0,1,0,22)"], "127.0.0.1", 22);
    assert_reads(&["229 (|||1|)"], "", 1);
}

#[test]
fn q12_no_address() {
    let long = format!("227 {}", "A".repeat(4096));
    assert_refuses(
        &[
            "227 Entering Passive Mode (",
            "227 Response to PASV command",
            "227 Fake response PASV",
            "227",
            "227 ",
            "227 (127,0,0,1,4)",
            "227 127.0.0.1:1075",
            "227 (,,,,,)",
            "227 (-,-,-,-,-,-)",
            "229 Entering Extended Passive Mode",
            "229 (|||)",
            "229 (||||)",
            "229",
            &long,
        ],
        PassiveReplyError::NoEndpoint,
    );
}

#[test]
fn q13_and_q14_either_form_under_either_code() {
    assert_reads(
        &["229 Entering Passive Mode (127,0,0,1,4,51)."],
        "127.0.0.1",
        1075,
    );
    assert_reads(
        &["227 Entering Extended Passive Mode (|||50006|)"],
        "",
        50006,
    );
    // Where both are there, the code says which.
    assert_reads(&["229 127,0,0,1,4,51 (|||50006|)"], "", 50006);
    assert_reads(&["227 (|||50006|) 127,0,0,1,4,51"], "127.0.0.1", 1075);
}

#[test]
fn q15_any_delimiter() {
    assert_reads(
        &[
            "229 Entering Extended Passive Mode (!!!50006!)",
            "229 (###50006#)",
            "229 (   |||50006|)",
            "229 (---50006-)",
            "229 Extended Passive Mode !!!50006!",
        ],
        "",
        50006,
    );
    assert_refuses(
        &[
            "229 (|||50006!)",
            "229 (!|!50006!)",
            "229 (11150006 1)",
            "229 (aaa50006a)",
        ],
        PassiveReplyError::NoEndpoint,
    );
}

#[test]
fn q16_a_delimiter_missing() {
    assert_reads(
        &[
            "229 (||50006|)",
            "229 ok ||50006|",
            "229 (|||50006)",
            "229 (!!50006!)",
        ],
        "",
        50006,
    );
}

#[test]
fn q17_no_parentheses_in_229() {
    assert_reads(
        &[
            "229 |||50006|",
            "229 ###50006#",
            "229 Entering Extended Passive Mode |||50006|",
            "229 (EPSV) |||50006|",
            "229 mode| a |b|c |||50006|",
        ],
        "",
        50006,
    );
    // Decoration and prose are no fields.
    assert_refuses(
        &["229 wait ***21*** ok", "229 wait...21. ok", "229 a--21-"],
        PassiveReplyError::NoEndpoint,
    );
}

#[test]
fn q18_protocol_and_address_filled_in() {
    assert_reads(
        &[
            "229 Entering (|1|1.2.3.4|5000|)",
            "229 (||1.2.3.4|5000|)",
            "229 |1|1.2.3.4|5000|",
            "229 ok !1!001.2.3.4!5000!",
        ],
        "1.2.3.4",
        5000,
    );
    assert_reads(
        &[
            "229 (|2|::1|5000|)",
            "229 (||::1|5000|)",
            "229 (|2|::1%lo|5000|)",
        ],
        "::1",
        5000,
    );
    assert_reads(&["229 (|1||5000|)", "229 (|2||5000|)"], "", 5000);
    assert_refuses(
        &[
            "229 (|1|::1|5000|)",
            "229 (|2|1.2.3.4|5000|)",
            "229 (|3|1.2.3.4|5000|)",
            "229 (|1|ftp.example|5000|)",
        ],
        PassiveReplyError::Address,
    );
}

#[test]
fn q19_port_bounds_of_229() {
    assert_reads(&["229 (|||65535|)", "229 (|||0065535|)"], "", 65535);
    // The first is curl's test 238.
    assert_refuses(
        &[
            "229 Entering Passiv Mode (|||1000000|)",
            "229 (|||65536|)",
            "229 (||65536|)",
        ],
        PassiveReplyError::Port,
    );
    assert_refuses(
        &["229 (|||-1|)", "229 (|||50x|)", "229 (||| 50|)"],
        PassiveReplyError::NoEndpoint,
    );
}

#[test]
fn q20_a_2xx_without_port_is_no_endpoint() {
    assert_refuses(
        &["200 EPSV ALL ok", "220 Ok.", "202 OK"],
        PassiveReplyError::NoEndpoint,
    );
}

#[test]
fn q25_the_address_in_a_150_is_no_host_port() {
    let reply = "150 Opening BINARY mode data connection for f (127.0.0.1,37445) (0 bytes)";
    assert_refuses(&[reply], PassiveReplyError::NoEndpoint);
}

#[test]
fn q86_numbers_never_wrap() {
    for big in ["257", "65537", "4294967297", "18446744073709551617"] {
        assert_refuses(
            &[
                &format!("227 ({big},2,3,4,5,6)"),
                &format!("227 (1,2,3,4,5,{big})"),
            ],
            PassiveReplyError::Address,
        );
    }
    for big in [
        "65537",
        "4294967297",
        "18446744073709551617",
        &"9".repeat(5000),
    ] {
        assert_refuses(&[&format!("229 (|||{big}|)")], PassiveReplyError::Port);
    }
}

#[test]
fn q91_the_code_runs_into_the_address() {
    assert_reads(
        &[
            "227: Entering Passive Mode (127,0,0,1,4,51)",
            "227Entering Passive Mode (127,0,0,1,4,51)",
            "227\tEntering Passive Mode (127,0,0,1,4,51)",
            "227=127,0,0,1,4,51",
            "227(127,0,0,1,4,51)",
            "227,127,0,0,1,4,51",
            " 227 127,0,0,1,4,51",
        ],
        "127.0.0.1",
        1075,
    );
    assert_reads(
        &["229(|||50006|)", "229|||50006|", "229: (|||50006|)"],
        "",
        50006,
    );
}

#[test]
fn q92_signed_bytes() {
    assert_reads(
        &["227 ok (127,0,0,1,-76,12)", "227 =127,0,0,1,-76,12"],
        "127.0.0.1",
        46092,
    );
    assert_reads(
        &["227 ok (-64,-88,-1,-128,-1,-1)"],
        "192.168.255.128",
        65535,
    );
    assert_refuses(
        &["227 ok (127,0,0,1,-129,12)", "227 ok (-200,0,0,1,4,51)"],
        PassiveReplyError::Address,
    );
    assert_refuses(
        &["227 ok (127,0,0,1,--76,12)", "227 ok (127,0,0,1,- 76,12)"],
        PassiveReplyError::NoEndpoint,
    );
    assert_refuses(&["227 ok (127,0,0,1,-0,0)"], PassiveReplyError::Port);
    // Elsewhere a minus before the first number is a dash.
    assert_reads(
        &["227 Passive-127,0,0,1,4,51", "227 -127,0,0,1,4,51"],
        "127.0.0.1",
        1075,
    );
    assert_eq!(HostPort::parse(b"127,0,0,1,-76,12"), None);
}
