//! Replies: their lines, where they begin and end, and the endpoint in a passive one.

use ferryline_grammar::{
    HostPort, PassiveEndpoint, Place, ReplyCode, ReplyFraming, ReplyLine, parse_passive_reply,
    render_227, render_229,
};

/// The input is a stream of reply lines; each byte below 0x20 that ends none of them stands for
/// itself, but 0x1e, which says that a command went out.
pub fn run(data: &[u8]) {
    let mut framing = ReplyFraming::default();
    for line in data.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.contains(&0x1e) {
            framing.command_sent();
        }
        let before = framing.open();
        let place = framing.place(line);
        placed(line, before, place, framing.open());
    }
    for value in [227, 229, 200] {
        passive(ReplyCode::new(value).unwrap(), data);
    }
}

fn placed(line: &[u8], before: Option<ReplyCode>, place: Place, after: Option<ReplyCode>) {
    let alone = ReplyLine::parse(line);
    match place {
        Place::First(code) => {
            let first = matches!(alone, ReplyLine::First(_) | ReplyLine::OddFirst(_));
            assert!(first && alone.code() == Some(code) && after == Some(code));
            assert_ne!(
                before,
                Some(code),
                "no reply begins inside one of its own code"
            );
        }
        Place::Last(code) => {
            assert!(is_single(alone, code) && before == Some(code) && after.is_none());
        }
        Place::Middle(code) => assert_eq!((before, after), (Some(code), Some(code))),
        Place::Only(code) => assert!(is_single(alone, code) && after.is_none()),
        Place::Stray => assert_eq!((alone, before, after), (ReplyLine::Other, None, None)),
    }
}

fn is_single(line: ReplyLine, code: ReplyCode) -> bool {
    matches!(line, ReplyLine::Single(own) | ReplyLine::OddSingle(own) if own == code)
}

fn passive(code: ReplyCode, data: &[u8]) {
    let lines = data.split(|byte| *byte == b'\n');
    let Ok(endpoint) = parse_passive_reply(code, lines) else {
        return;
    };
    assert_ne!(endpoint.port, 0);
    let text = match endpoint.address {
        Some(std::net::IpAddr::V4(address)) => render_227(HostPort {
            address,
            port: endpoint.port,
        }),
        _ => render_229(endpoint.port),
    };
    let code = ReplyCode::from_digits(&text.as_bytes()[..3]).unwrap();
    let again = parse_passive_reply(code, [text.as_bytes()].into_iter());
    let address = endpoint.address.filter(std::net::IpAddr::is_ipv4);
    let port = endpoint.port;
    assert_eq!(again, Ok(PassiveEndpoint { address, port }));
}
