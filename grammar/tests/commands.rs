//! Command lines and the addresses in them, quirk by quirk.

// What these tests build themselves may be unwrapped and indexed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::net::{IpAddr, SocketAddr};

use ferryline_grammar::{
    Command, EpsvArgument, ExtendedAddress, ExtendedAddressError, HostPort, Verb, behind_signal,
};

#[test]
fn q52_port_syntax_slack() {
    for argument in [
        "127,0,0,1,200,1",
        "127, 0, 0, 1, 200, 1",
        "127 ,0 , 0\t,1,200,1",
        "127,000,000,001,200,001",
        " 127,0,0,1,200,1 \t\r",
        "0000127,0,0,1,200,1",
    ] {
        let read = HostPort::parse(argument.as_bytes()).expect(argument);
        assert_eq!(
            SocketAddr::from(read),
            "127.0.0.1:51201".parse().unwrap(),
            "{argument}"
        );
        assert_eq!(read.to_string(), "127,0,0,1,200,1");
    }
    // Zeros lead nowhere octal.
    assert_eq!(
        HostPort::parse(b"010,0,0,010,0,010").unwrap().to_string(),
        "10,0,0,10,0,10"
    );
    for argument in [
        "",
        " ",
        "114,115",
        "127,0,0,1,200",
        "127,0,0,1,200,1,1",
        "127,0,0,1,200,1 1",
        "127,0,0,1,200,1x",
        "127,0,0,1,200,",
        "127,,0,1,200,1",
        "127.0.0.1,200,1",
        "256,0,0,1,200,1",
        "127,0,0,1,256,1",
        "-1,0,0,1,200,1",
        "+1,0,0,1,200,1",
        "(127,0,0,1,200,1)",
        "|1|127.0.0.1|51201|",
    ] {
        assert_eq!(HostPort::parse(argument.as_bytes()), None, "{argument}");
    }
}

#[test]
fn q52_eprt_syntax_slack() {
    for (argument, canonical) in [
        ("|1|127.0.0.1|48333|", "|1|127.0.0.1|48333|"),
        ("|2|::1|48333|", "|2|::1|48333|"),
        ("!1!127.0.0.1!48333!", "|1|127.0.0.1|48333|"),
        (
            "~2~2001:DB8::8:800:200C:417A~5282~",
            "|2|2001:db8::8:800:200c:417a|5282|",
        ),
        ("|01|127.000.000.001|048333|", "|1|127.0.0.1|48333|"),
        (" |1|127.0.0.1|48333| \r", "|1|127.0.0.1|48333|"),
        ("|2|fe80::1%eth0|6000|", "|2|fe80::1|6000|"),
        ("|2|::ffff:127.0.0.1|6000|", "|2|::ffff:127.0.0.1|6000|"),
        ("|1|127.0.0.1|0|", "|1|127.0.0.1|0|"),
    ] {
        let read = ExtendedAddress::parse(argument.as_bytes()).expect(argument);
        assert_eq!(read.to_string(), canonical, "{argument}");
        assert_eq!(ExtendedAddress::from(SocketAddr::from(read)), read);
    }
    let mapped = ExtendedAddress::parse(b"|2|::ffff:127.0.0.1|6000|").unwrap();
    assert!(matches!(mapped.address, IpAddr::V6(_)));
}

#[test]
fn q52_eprt_that_is_none() {
    for argument in [
        "",
        "|",
        "|||48333|",
        "|1|127.0.0.1|48333",
        "|1|127.0.0.1|48333|x",
        "|1|127.0.0.1|48333||",
        "|1|127.0.0.1!48333|",
        "|1|127.0.0.1|65536|",
        "|1|127.0.0.1|-1|",
        "|1|127.0.0.1||",
        "|1||48333|",
        "|1|127.0.0.256|48333|",
        "|1|127.0.0|48333|",
        "|1|localhost|48333|",
        "|1|::1|48333|",
        "|2|127.0.0.1|48333|",
        "|2|[::1]|48333|",
        "|2|::1\u{e4}|48333|",
        "|x|127.0.0.1|48333|",
        "1|127.0.0.1|48333",
        "\u{7f}1\u{7f}127.0.0.1\u{7f}48333\u{7f}",
        "127,0,0,1,200,1",
    ] {
        let read = ExtendedAddress::parse(argument.as_bytes());
        assert_eq!(read, Err(ExtendedAddressError::Syntax), "{argument}");
    }
    for (argument, family) in [
        ("|0|x|1|", 0),
        ("|3|1.2.3.4|5|", 3),
        ("|99999999999|x|1|", u32::MAX),
    ] {
        let read = ExtendedAddress::parse(argument.as_bytes());
        assert_eq!(
            read,
            Err(ExtendedAddressError::Family(family)),
            "{argument}"
        );
    }
}

#[test]
fn q53_case_and_white_space() {
    for (text, keyword, argument) in [
        (&b"PASV"[..], &b"PASV"[..], &b""[..]),
        (b"pasv", b"pasv", b""),
        (b"PasV \t", b"PasV", b"\t"),
        (b"PASV\r", b"PASV", b""),
        (b"PASV\t", b"PASV", b""),
        (b" \tPASV", b"PASV", b""),
        (b"PASV foo bar", b"PASV", b"foo bar"),
        (b"PASV\tfoo", b"PASV", b"foo"),
        (b"PASV\r\x00", b"PASV", b""),
        (b"\xffPASV", b"PASV", b""),
    ] {
        let command = Command::parse(text).unwrap();
        let expected = Command {
            verb: Verb::Pasv,
            keyword,
            argument,
        };
        assert_eq!(command, expected, "{}", text.escape_ascii());
    }
}

#[test]
fn q53_a_carriage_return_divides_together_with_its_nul() {
    let command = Command::parse(b"PORT\r\x00127,0,0,1,200,1").unwrap();
    assert_eq!(
        (command.verb, command.argument),
        (Verb::Port, &b"127,0,0,1,200,1"[..])
    );
    // A CR by itself divides too; what follows it is the argument as it stands.
    assert_eq!(Command::parse(b"MODE\rS").unwrap().argument, b"S");
    assert_eq!(Command::parse(b"MODE\r\0").unwrap().argument, b"");
    assert_eq!(Command::parse(b"MODE \r\0S").unwrap().argument, b"\r\0S");
}

#[test]
fn q52_a_zone_is_of_printable_characters() {
    for zone in ["", "eth0", "12", "vlan@if2", "eth0:1", "%", "a%b"] {
        let argument = format!("|2|fe80::1%{zone}|6000|");
        let read = ExtendedAddress::parse(argument.as_bytes()).expect(zone);
        assert_eq!(read.to_string(), "|2|fe80::1|6000|");
    }
    for zone in ["a b", "\t", "\x01", "\u{e9}"] {
        let argument = format!("|2|fe80::1%{zone}|6000|");
        let read = ExtendedAddress::parse(argument.as_bytes());
        assert_eq!(read, Err(ExtendedAddressError::Syntax), "{zone:?}");
    }
}

#[test]
fn q53_a_blank_line_is_no_command() {
    for text in [&b""[..], b" ", b"\t \r", b"\r\x00"] {
        assert_eq!(Command::parse(text), None, "{}", text.escape_ascii());
    }
}

#[test]
fn q27_every_passive_verb() {
    for (text, verb) in [
        ("PASV", Verb::Pasv),
        ("EPSV", Verb::Epsv),
        ("LPSV", Verb::Lpsv),
        ("SPSV", Verb::Spsv),
        ("CPSV", Verb::Cpsv),
        ("P@SW", Verb::Paw),
    ] {
        assert_eq!(Command::parse(text.as_bytes()).unwrap().verb, verb);
    }
}

#[test]
fn q62_names_are_bytes_and_keep_their_spaces() {
    // RFC 2640 §3.1: one space divides, further ones belong to the name.
    let command = Command::parse(b"STOR  \xe4\xff\xff \r").unwrap();
    assert_eq!(
        (command.verb, command.argument),
        (Verb::Stor, &b" \xe4\xff\xff \r"[..])
    );
}

#[test]
fn q64_epsv_arguments() {
    for (argument, read) in [
        ("", EpsvArgument::None),
        (" \t\r", EpsvArgument::None),
        ("ALL", EpsvArgument::All),
        (" all ", EpsvArgument::All),
        ("1", EpsvArgument::Family(1)),
        (" 2", EpsvArgument::Family(2)),
        ("02\r", EpsvArgument::Family(2)),
        ("0", EpsvArgument::Family(0)),
        ("255", EpsvArgument::Family(255)),
        ("256", EpsvArgument::Other),
        ("4294967297", EpsvArgument::Other),
        ("ALL 1", EpsvArgument::Other),
        ("1 2", EpsvArgument::Other),
        ("-1", EpsvArgument::Other),
        ("foo", EpsvArgument::Other),
    ] {
        assert_eq!(
            EpsvArgument::parse(argument.as_bytes()),
            read,
            "{argument:?}"
        );
    }
}

#[test]
fn q86_numbers_never_wrap() {
    // Each would be a small number if it wrapped at 8, 16, 32 or 64 bits.
    for big in [
        "257",
        "65537",
        "4294967297",
        "18446744073709551617",
        &"9".repeat(5000),
    ] {
        assert_eq!(
            HostPort::parse(format!("{big},0,0,1,200,1").as_bytes()),
            None
        );
        assert_eq!(
            HostPort::parse(format!("127,0,0,1,200,{big}").as_bytes()),
            None
        );
        let ipv4 = format!("|1|{big}.0.0.1|2000|");
        assert_eq!(
            ExtendedAddress::parse(ipv4.as_bytes()),
            Err(ExtendedAddressError::Syntax)
        );
    }
    for big in ["65536", "65537", "4294967297", "18446744073709551617"] {
        let port = format!("|1|127.0.0.1|{big}|");
        assert_eq!(
            ExtendedAddress::parse(port.as_bytes()),
            Err(ExtendedAddressError::Syntax)
        );
    }
}

#[test]
fn q88_debug_hides_secrets() {
    for text in [
        "PASS hunter2",
        "pass hunter2",
        "ACCT hunter2",
        "ADAT hunter2",
    ] {
        let shown = format!("{:?}", Command::parse(text.as_bytes()).unwrap());
        assert!(
            shown.contains("****") && !shown.contains("hunter2"),
            "{shown}"
        );
    }
    let shown = format!("{:?}", Command::parse(b"CWD \xe4\n").unwrap());
    assert_eq!(
        shown,
        r#"Command { verb: Cwd, keyword: "CWD", argument: "\xe4\n" }"#
    );
}

#[test]
fn q98_what_is_left_of_a_telnet_signal() {
    for (text, plain) in [
        (&b"\xf4\xffabor"[..], &b"abor"[..]),
        (b"\xf2ABOR", b"ABOR"),
        (b"\xf4\xff\xf2ABOR", b"ABOR"),
        (b"\xffABOR", b"ABOR"),
        (b"\xff\x01 \x19QUIT", b"QUIT"),
        (b"\xf2STAT a b", b"STAT a b"),
    ] {
        assert_eq!(behind_signal(text), Some(plain), "{}", text.escape_ascii());
    }
    for text in [
        &b"ABOR"[..],
        b" ABOR",
        b"\tABOR",
        b"\xf2PORT 1,2,3,4,5,6",
        b"\xf2STOR x",
        b"\xf2ABORT",
        b"xABOR",
        b"\xf2",
        b"",
    ] {
        assert_eq!(behind_signal(text), None, "{}", text.escape_ascii());
    }
}

#[test]
fn q99_a_byte_order_mark_is_no_part_of_the_verb() {
    for text in [
        &b"\xef\xbb\xbfPORT 1"[..],
        b" \xef\xbb\xbf\xef\xbb\xbfPORT 1",
        b"\xff\xef\xbb\xbf port 1",
    ] {
        let command = Command::parse(text).unwrap();
        assert_eq!((command.verb, command.argument), (Verb::Port, &b"1"[..]));
    }
    assert_eq!(Command::parse(b"\xef\xbb\xbf"), None);
    let half = Command::parse(b"\xef\xbbPORT 1").unwrap();
    assert_eq!(
        (half.verb, half.keyword),
        (Verb::Other, &b"\xef\xbbPORT"[..])
    );
}
