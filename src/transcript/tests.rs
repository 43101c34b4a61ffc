//! Transcripts there and back, and replayed.

use std::time::Duration;

use ferryline_grammar::{Frame, LineEnd, Negotiation};
use proptest::prelude::*;

use super::*;
use crate::control::{
    ActiveMode, DataAtEnd, DataHost, Ending, ForwardEvent, ForwardId, Knowledge, Output, Target,
};

/// The example of `fixtures/README.md`.
const CLASSIC: &str = "\
# ferryline session 1
! session client=127.0.0.1:50000 local=127.0.0.1:2121 server=ftp.example data-host=reply on-ssh-host=no
S< 220 ready
C< 220 ready
@0.5 C> PASV
S> PASV
S< 227 Entering Passive Mode (10,1,60,99,6,12).
! local-forward 1 10.1.60.99:1548
! ready 1 127.0.0.1:51213
C< 227 Entering Passive Mode (127,0,0,1,200,13).
";

#[test]
fn a_session_replays_without_a_difference() {
    let lines = parse(CLASSIC).unwrap();
    let replayed = replay(&lines);
    assert_eq!(replayed.differences, []);
    assert!(!replayed.peers_only);
}

#[test]
fn every_kind_of_difference_is_shown_with_its_line() {
    let changed = CLASSIC.replace("(127,0,0,1,200,13)", "(127,0,0,1,200,14)");
    let replayed = replay(&parse(&changed).unwrap());
    assert_eq!(
        replayed.differences,
        [Difference {
            line: 10,
            expected: Some("C< 227 Entering Passive Mode (127,0,0,1,200,14).".into()),
            found: Some("C< 227 Entering Passive Mode (127,0,0,1,200,13).".into()),
        }]
    );

    let missing = CLASSIC.replace("S> PASV\n", "");
    let replayed = replay(&parse(&missing).unwrap());
    assert_eq!(
        replayed.differences,
        [Difference {
            line: 5,
            expected: None,
            found: Some("S> PASV".into()),
        }]
    );

    let more = format!("{CLASSIC}! close 1\n");
    let replayed = replay(&parse(&more).unwrap());
    assert_eq!(
        replayed.differences,
        [Difference {
            line: 11,
            expected: Some("! close 1".into()),
            found: None,
        }]
    );
}

#[test]
fn a_file_of_the_peers_lines_gets_invented_forwards() {
    let lines = parse(
        "S< 220 hi\nC> PASV\nS< 227 =10,0,0,9,156,64\nC> LIST\nS< 150 x\nS< 226 x\nC> PORT 127,0,0,1,200,13\nS< 200 ok\n",
    )
    .unwrap();
    let replayed = replay(&lines);
    assert!(replayed.peers_only);
    assert_eq!(replayed.differences, []);
    let shown = show_all(&replayed.events, false);
    for line in [
        "! local-forward 1 localhost:40000",
        "C< 227 Entering Passive Mode (127,0,0,1,156,65).",
        "C< 226 x",
        "! remote-forward 2 127.0.0.1 127.0.0.1:51213",
        "S> PORT 127,0,0,1,156,66",
        "C< 200 ok",
    ] {
        assert!(shown.contains(line), "{line} is missing in:\n{shown}");
    }
}

#[test]
fn what_comes_out_now_can_be_taken_over() {
    let changed = CLASSIC
        .replace("(127,0,0,1,200,13)", "(127,0,0,1,200,14)")
        .replace("S> PASV\n", "S> NOOP\n! close 7\n");
    let replayed = replay(&parse(&changed).unwrap());
    assert_eq!(replayed.differences.len(), 3);
    assert_eq!(rewrite(&changed, &replayed), CLASSIC);
}

#[test]
fn a_torn_last_line_is_left_out_and_named() {
    // It would be no line of a session, or another one than was sent.
    for torn in ["S< 226 comp\\x", "C> QUI", "! rea"] {
        let text = format!("{CLASSIC}{torn}");
        let lines = parse(&text).unwrap();
        assert_eq!(lines.last().unwrap().event, Event::Torn, "{torn}");
        let replayed = replay(&lines);
        assert_eq!(replayed.differences, [], "{torn}");
        let cut_off = CutOff {
            line: 11,
            why: None,
        };
        assert_eq!(replayed.cut_off, Some(cut_off));
        assert_eq!(rewrite(&text, &replayed), CLASSIC);
    }
    assert_eq!(replay(&parse(CLASSIC).unwrap()).cut_off, None);
}

#[test]
fn a_recording_that_ends_before_its_session_lacks_nothing() {
    // Cut between an input and the outputs that followed.
    let cut = CLASSIC.split_inclusive('\n').take(5).collect::<String>();
    for (why, word) in [
        (Incomplete::NotWritten, "not-written"),
        (Incomplete::SizeLimit, "size-limit"),
        (Incomplete::TooSlow, "too-slow"),
    ] {
        let replayed = replay(&parse(&format!("{cut}! recording-ended {word}\n")).unwrap());
        assert_eq!(replayed.differences, []);
        let cut_off = CutOff {
            line: 6,
            why: Some(why),
        };
        assert_eq!(replayed.cut_off, Some(cut_off));
    }
    // Without such a line something is missing.
    assert_eq!(replay(&parse(&cut).unwrap()).differences.len(), 1);
}

#[test]
fn what_is_no_line_of_a_session_is_named() {
    let error = parse("S< 220 hi\nhello\n").unwrap_err();
    assert_eq!(error.to_string(), "line 2: not a line of a session: hello");
    for bad in [
        "C> \\q",
        "C> caf\u{e9}",
        "! ready 1 nowhere",
        "! claimed x",
        "@x C> A",
        "X> A",
    ] {
        assert!(parse(&format!("{bad}\n")).is_err(), "{bad}");
    }
}

#[test]
fn line_ends_and_odd_bytes_are_written_out() {
    for (frame, text) in [
        (line(b"NOOP", LineEnd::Lf), "C> NOOP\\x0a"),
        (line(b"QUIT", LineEnd::None), "C> QUIT\\"),
        (line(b"CWD x ", LineEnd::CrLf), "C> CWD x\\x20"),
        (line(b"CWD x ", LineEnd::None), "C> CWD x \\"),
        (
            line(b"CWD \\\xe9\r", LineEnd::CrLf),
            "C> CWD \\\\\\xe9\\x0d",
        ),
        (line(b"", LineEnd::CrLf), "C>"),
    ] {
        assert_eq!(render(None, &Event::Client(frame.clone())).unwrap(), text);
        let parsed = parse(&format!("{text}\n")).unwrap();
        assert_eq!(parsed[0].event, Event::Client(frame), "{text}");
    }
}

fn line(text: &[u8], end: LineEnd) -> Frame {
    Frame::Line(ferryline_grammar::Line::with_end(text.to_vec(), end))
}

fn any_frame() -> impl Strategy<Value = Frame> {
    let end = prop_oneof![Just(LineEnd::CrLf), Just(LineEnd::Lf), Just(LineEnd::None)];
    prop_oneof![
        (
            prop::collection::vec(any::<u8>().prop_filter("one line", |b| *b != b'\n'), 0..40),
            end
        )
            // A line that ends in CR would be taken for another line's end.
            .prop_filter("no CR at the end", |(text, _)| text.last() != Some(&b'\r'))
            .prop_map(|(text, end)| line(&text, end)),
        any::<u8>().prop_map(|option| Frame::Negotiation(Negotiation::Do(option))),
        any::<u8>().prop_map(|option| Frame::Negotiation(Negotiation::Will(option))),
    ]
}

fn any_event() -> impl Strategy<Value = Event> {
    let id = (1..9999u32).prop_map(ForwardId::from_number);
    let ending = prop_oneof![
        Just(Ending::Eof),
        Just(Ending::Lost),
        Just(Ending::Nul),
        Just(Ending::Tls),
        Just(Ending::Silent),
        any::<usize>().prop_map(Ending::LineTooLong),
    ];
    let what = prop_oneof![
        Just(ForwardEvent::AllReceived),
        Just(ForwardEvent::AllSent),
        Just(ForwardEvent::Blocked),
        Just(ForwardEvent::Broken),
        Just(ForwardEvent::Cut),
        Just(ForwardEvent::Claimed),
        any::<usize>().prop_map(|target| ForwardEvent::Connected { target }),
        Just(ForwardEvent::Drained),
        Just(ForwardEvent::Ended),
        "[ -~]{1,30}".prop_map(ForwardEvent::Failed),
        Just(ForwardEvent::Progress),
        "[ -~]{1,30}".prop_map(ForwardEvent::Unreachable),
        any::<std::net::SocketAddr>()
            .prop_filter("no flow label", |a| a.is_ipv4())
            .prop_map(ForwardEvent::Ready),
    ];
    let target = ("[a-z0-9.]{1,12}|[0-9a-f]{1,4}::[0-9a-f]{1,4}", any::<u16>())
        .prop_map(|(host, port)| Target { host, port });
    let output = prop_oneof![
        id.clone().prop_map(Output::Ask),
        id.clone().prop_map(Output::Close),
        id.clone().prop_map(Output::Drain),
        (any::<bool>(), prop::collection::vec(id.clone(), 0..3)).prop_map(
            |(finish, close_after_control)| Output::End {
                data: match finish {
                    true => DataAtEnd::Finish,
                    false => DataAtEnd::Abort,
                },
                close_after_control,
            }
        ),
        Just(Output::FinishServer),
        id.clone().prop_map(Output::Join),
        (id.clone(), prop::collection::vec(target.clone(), 1..3)).prop_map(|(id, targets)| {
            Output::OpenJoined {
                id,
                targets,
                deliver_to: ([127, 0, 0, 1], 5000).into(),
            }
        }),
        (id.clone(), prop::collection::vec(target, 1..3))
            .prop_map(|(id, targets)| Output::OpenLocal { id, targets }),
        prop::collection::vec(any::<u8>(), 0..30).prop_map(|bytes| Output::ToClient(bytes.into())),
    ];
    prop_oneof![
        any_frame().prop_map(Event::Client),
        any_frame().prop_map(Event::Server),
        ending.clone().prop_map(Event::ClientEnded),
        ending.prop_map(Event::ServerEnded),
        (id, what).prop_map(|(id, what)| Event::Forward(id, what)),
        output.prop_map(Event::Output),
        prop_oneof![
            Just(Incomplete::NotWritten),
            Just(Incomplete::SizeLimit),
            Just(Incomplete::TooSlow),
        ]
        .prop_map(Event::RecordingEnded),
        Just(Event::ClientLeft),
        Just(Event::Cut),
        Just(Event::Stop),
        Just(Event::Timeout),
        any::<(bool, bool, bool)>().prop_map(|(a, b, c)| Event::Header(Header {
            lowest_data_port: if c { 900 } else { 1024 },
            data_host: if a { DataHost::Reply } else { DataHost::Auto },
            active: if c {
                ActiveMode::Remote
            } else {
                ActiveMode::Auto
            },
            on_ssh_host: b,
            idle: a.then_some(Duration::from_secs(86_400)),
            login: c.then_some(Duration::from_millis(1500)),
            server: "odd host\\".into(),
            addresses: match c {
                true => vec!["192.0.2.7".parse().unwrap(), "2001:db8::7".parse().unwrap()],
                false => Vec::new(),
            },
            requests: if b { 3 } else { 64 },
            unused_forward: Duration::from_secs(if b { 7 } else { 60 }),
            remote_bind: a.then(|| "192.0.2.7".parse().unwrap()),
            routed: c.then(|| "ftp.example:2100".into()),
            knowledge: Knowledge {
                no_epsv: a,
                no_eprt: b,
                active_over_ipv6: c,
                active_as_passive: b,
                reply_address_works: a
            },
            ..Header::default()
        })),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read(events in prop::collection::vec((any::<Option<u32>>(), any_event()), 0..8)) {
        let mut text = String::new();
        for (at, event) in &events {
            let at = at.map(|millis| Duration::from_millis(millis.into()));
            text += &render(at, event).unwrap();
            text.push('\n');
        }
        prop_assert!(text.bytes().all(|b| b == b'\n' || (b' '..=b'~').contains(&b)));
        let lines = parse(&text).unwrap();
        let read: Vec<_> = lines.iter().map(|line| line.event.clone()).collect();
        let written: Vec<_> = events.iter().map(|(_, event)| event.clone()).collect();
        prop_assert_eq!(read, written);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC*|([CS@!<> .x0-9a-z\\\\-]|\n)*") {
        let _ = parse(&text).map(|lines| replay(&lines));
    }
}
