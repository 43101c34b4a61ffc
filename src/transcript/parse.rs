//! From lines to events.

use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr,
    time::Duration,
};

use bytes::Bytes;
use ferryline_grammar::{Frame, Negotiation};
use nom::{
    IResult, Parser,
    branch::alt,
    bytes::complete::{tag, take_till1, take_while1},
    character::complete::{char, digit1, space1},
    combinator::{all_consuming, map, map_opt, map_res, opt, rest, value},
    multi::{many0, many1},
    sequence::{delimited, preceded, terminated},
};

use super::{
    escape,
    event::{Event, Header, Incomplete, Line},
};
use crate::control::{
    ActiveMode, DataAtEnd, DataHost, Ending, ForwardEvent, ForwardId, Knowledge, LOWEST_DATA_PORT,
    Limits, Output, Target,
};

/// A line that stands for nothing in a transcript.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {number}: not a line of a session: {text}")]
pub struct ParseError {
    /// Its number in the file, from 1.
    pub number: usize,
    /// Its text.
    pub text: String,
}

/// Reads a transcript. Empty lines and comments mean nothing. A last line without an end means nothing
/// either: the recording was cut off in it ([`Event::Torn`]).
///
/// # Errors
///
/// The first line that stands for no event.
pub fn parse(text: &str) -> Result<Vec<Line>, ParseError> {
    let mut lines = Vec::new();
    for (index, whole) in text.split_inclusive('\n').enumerate() {
        let line = whole.trim_end_matches(['\n', '\r']);
        if line.trim_start().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        if !whole.ends_with('\n') {
            lines.push(Line {
                number: index + 1,
                at: None,
                event: Event::Torn,
            });
            break;
        }
        match all_consuming(timed).parse(line) {
            Ok((_, (at, event))) => lines.push(Line {
                number: index + 1,
                at,
                event,
            }),
            Err(_) => {
                return Err(ParseError {
                    number: index + 1,
                    text: line.to_owned(),
                });
            }
        }
    }
    Ok(lines)
}

type Parsed<'a, T> = IResult<&'a str, T>;

fn timed(input: &str) -> Parsed<'_, (Option<Duration>, Event)> {
    (opt(terminated(time, space1)), event).parse(input)
}

/// `@seconds`, with up to nanoseconds after the point.
fn time(input: &str) -> Parsed<'_, Duration> {
    preceded(char('@'), seconds).parse(input)
}

fn seconds(input: &str) -> Parsed<'_, Duration> {
    let fraction = preceded(char('.'), digit1);
    map_opt((number::<u64>, opt(fraction)), |(seconds, fraction)| {
        let fraction: &str = fraction.unwrap_or("0");
        let nanos: u32 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
        Some(Duration::new(seconds, nanos))
    })
    .parse(input)
}

fn event(input: &str) -> Parsed<'_, Event> {
    alt((
        map(spoken("C> "), |line| Event::Client(Frame::Line(line))),
        map(spoken("S< "), |line| Event::Server(Frame::Line(line))),
        map(spoken("C< "), |line| {
            Event::Output(Output::ToClient(line.into_bytes()))
        }),
        map(spoken("S> "), |line| {
            Event::Output(Output::ToServer(line.into_bytes()))
        }),
        preceded((char('!'), space1), action),
    ))
    .parse(input)
}

/// A line of a peer, or to a peer; a line without text may have lost its blank.
fn spoken<'a>(
    prefix: &'static str,
) -> impl Parser<&'a str, Output = ferryline_grammar::Line, Error = nom::error::Error<&'a str>> {
    map_opt(
        alt((
            preceded(tag(prefix), rest),
            all_consuming(value("", tag(prefix.trim_end()))),
        )),
        escape::unescape,
    )
}

fn action(input: &str) -> Parsed<'_, Event> {
    alt((forward_event, output, side, header)).parse(input)
}

fn forward_event(input: &str) -> Parsed<'_, Event> {
    let event = alt((
        map(named("all-received"), |id| (id, ForwardEvent::AllReceived)),
        map(named("all-sent"), |id| (id, ForwardEvent::AllSent)),
        map(named("blocked"), |id| (id, ForwardEvent::Blocked)),
        map(named("broken"), |id| (id, ForwardEvent::Broken)),
        map(named("cut"), |id| (id, ForwardEvent::Cut)),
        map(named("claimed"), |id| (id, ForwardEvent::Claimed)),
        map(
            (named("connected"), preceded(space1, number)),
            |(id, target)| (id, ForwardEvent::Connected { target }),
        ),
        map(named("doubtful"), |id| (id, ForwardEvent::Doubtful)),
        map(named("drained"), |id| (id, ForwardEvent::Drained)),
        map(named("ended"), |id| (id, ForwardEvent::Ended)),
        map((named("failed"), said), |(id, reason)| {
            (id, ForwardEvent::Failed(reason))
        }),
        map(named("progress"), |id| (id, ForwardEvent::Progress)),
        map((named("unreachable"), said), |(id, reason)| {
            (id, ForwardEvent::Unreachable(reason))
        }),
        map(
            (named("ready"), preceded(space1, word::<SocketAddr>)),
            |(id, address)| (id, ForwardEvent::Ready(address)),
        ),
    ));
    map(event, |(id, event)| Event::Forward(id, event)).parse(input)
}

fn end(input: &str) -> Parsed<'_, DataAtEnd> {
    alt((
        value(DataAtEnd::Abort, tag("end abort")),
        value(DataAtEnd::Finish, tag("end finish")),
    ))
    .parse(input)
}

fn output(input: &str) -> Parsed<'_, Event> {
    let output = alt((
        map(named("ask"), Output::Ask),
        map(named("close"), Output::Close),
        map(named("drain"), Output::Drain),
        map(
            (
                end,
                many0(preceded(space1, map(number, ForwardId::from_number))),
            ),
            |(data, close_after_control)| Output::End {
                data,
                close_after_control,
            },
        ),
        value(Output::FinishServer, tag("finish-server")),
        map(named("join"), Output::Join),
        map(named("settle"), Output::Settle),
        map(
            (
                named("joined-forward"),
                preceded(space1, word::<SocketAddr>),
                many1(preceded(space1, target)),
            ),
            |(id, deliver_to, targets)| Output::OpenJoined {
                id,
                targets,
                deliver_to,
            },
        ),
        map(
            (named("local-forward"), many1(preceded(space1, target))),
            |(id, targets)| Output::OpenLocal { id, targets },
        ),
        map(
            (
                named("remote-forward"),
                preceded(space1, word::<IpAddr>),
                preceded(space1, word::<SocketAddr>),
            ),
            |(id, bind, deliver_to)| Output::OpenRemote {
                id,
                bind,
                deliver_to,
            },
        ),
    ));
    map(output, Event::Output).parse(input)
}

fn side(input: &str) -> Parsed<'_, Event> {
    alt((
        map(preceded(tag("client-telnet "), telnet), |asked| {
            Event::Client(Frame::Negotiation(asked))
        }),
        map(preceded(tag("server-telnet "), telnet), |asked| {
            Event::Server(Frame::Negotiation(asked))
        }),
        value(Event::ClientLeft, tag("client-left")),
        map(preceded(tag("client-"), ending), Event::ClientEnded),
        map(preceded(tag("server-"), ending), Event::ServerEnded),
        value(Event::Cut, tag("cut-all")),
        map(
            preceded(tag("recording-ended "), incomplete),
            Event::RecordingEnded,
        ),
        value(Event::Stop, tag("stop")),
        value(Event::Timeout, tag("timeout")),
    ))
    .parse(input)
}

fn incomplete(input: &str) -> Parsed<'_, Incomplete> {
    alt((
        value(Incomplete::NotWritten, tag("not-written")),
        value(Incomplete::SizeLimit, tag("size-limit")),
        value(Incomplete::TooSlow, tag("too-slow")),
    ))
    .parse(input)
}

fn telnet(input: &str) -> Parsed<'_, Negotiation> {
    alt((
        map(preceded(tag("do "), number), Negotiation::Do),
        map(preceded(tag("will "), number), Negotiation::Will),
    ))
    .parse(input)
}

fn ending(input: &str) -> Parsed<'_, Ending> {
    alt((
        value(Ending::Eof, tag("eof")),
        value(Ending::Flood, tag("flood")),
        map(preceded(tag("line-too-long "), number), Ending::LineTooLong),
        value(Ending::Lost, tag("lost")),
        value(Ending::Nul, tag("nul")),
        value(Ending::Tls, tag("tls")),
        value(Ending::Silent, tag("silent")),
    ))
    .parse(input)
}

fn header(input: &str) -> Parsed<'_, Event> {
    let data_host = alt((
        value(DataHost::Auto, tag("auto")),
        value(DataHost::Control, tag("control")),
        value(DataHost::Reply, tag("reply")),
    ));
    let active = alt((
        value(ActiveMode::Passive, tag("passive")),
        value(ActiveMode::Remote, tag("remote")),
    ));
    let yes_no = alt((value(true, tag("yes")), value(false, tag("no"))));
    let fact = |name| (space1, tag(name), char('='));
    let usual = Limits::default();
    let known = |name| map(opt((space1, tag(name))), |found| found.is_some());
    map(
        (
            tag("session"),
            preceded(fact("client"), word::<SocketAddr>),
            preceded(fact("local"), word::<SocketAddr>),
            preceded(fact("server"), escaped_word),
            preceded(fact("data-host"), data_host),
            preceded(fact("on-ssh-host"), yes_no),
            opt(preceded(fact("lowest-data-port"), number)),
            opt(preceded(fact("addresses"), addresses)),
            opt(preceded(fact("active"), active)),
            opt(preceded(fact("remote-bind"), word::<IpAddr>)),
            opt(preceded(fact("routed"), escaped_word)),
            opt(preceded(fact("idle"), seconds)),
            opt(preceded(fact("login"), seconds)),
            opt(preceded(fact("data-wait"), seconds)),
            opt(preceded(fact("pipelined"), number)),
            (
                known("no-epsv"),
                known("no-eprt"),
                known("active-over-ipv6"),
                known("active-as-passive"),
                known("reply-address-works"),
            ),
        ),
        |(
            _,
            client,
            local,
            server,
            data_host,
            on_ssh_host,
            lowest_data_port,
            addresses,
            active,
            remote_bind,
            routed,
            idle,
            login,
            unused_forward,
            requests,
            known,
        )| {
            Event::Header(Header {
                client,
                local,
                server,
                addresses: addresses.unwrap_or_default(),
                data_host,
                lowest_data_port: lowest_data_port.unwrap_or(LOWEST_DATA_PORT),
                active: active.unwrap_or_default(),
                on_ssh_host,
                remote_bind,
                routed,
                idle,
                login,
                requests: requests.unwrap_or(usual.requests),
                unused_forward: unused_forward.unwrap_or(usual.unused_forward),
                knowledge: Knowledge {
                    no_epsv: known.0,
                    no_eprt: known.1,
                    active_over_ipv6: known.2,
                    active_as_passive: known.3,
                    reply_address_works: known.4,
                },
            })
        },
    )
    .parse(input)
}

/// Addresses with commas between them.
fn addresses(input: &str) -> Parsed<'_, Vec<IpAddr>> {
    map_res(take_till1(char::is_whitespace), |list: &str| {
        list.split(',').map(str::parse).collect::<Result<_, _>>()
    })
    .parse(input)
}

/// A verb and the forward that it is about.
fn named<'a>(
    verb: &'static str,
) -> impl Parser<&'a str, Output = ForwardId, Error = nom::error::Error<&'a str>> {
    map(
        preceded((tag(verb), space1), number),
        ForwardId::from_number,
    )
}

/// `host:port`, or `[host]:port` where the host holds colons.
fn target(input: &str) -> Parsed<'_, Target> {
    let bracketed = delimited(char('['), take_while1(|c| c != ']'), char(']'));
    let plain = take_while1(|c: char| c != ':' && !c.is_whitespace());
    map(
        (alt((bracketed, plain)), preceded(char(':'), number)),
        |(host, port): (&str, u16)| Target {
            host: host.to_owned(),
            port,
        },
    )
    .parse(input)
}

/// A reason after one blank (its own may follow); none where it is empty.
fn said(input: &str) -> Parsed<'_, String> {
    map(opt(preceded(char(' '), reason)), Option::unwrap_or_default).parse(input)
}

fn reason(input: &str) -> Parsed<'_, String> {
    map_opt(rest, as_text).parse(input)
}

fn escaped_word(input: &str) -> Parsed<'_, String> {
    map_opt(take_till1(char::is_whitespace), as_text).parse(input)
}

fn as_text(escaped: &str) -> Option<String> {
    let bytes: Bytes = Bytes::copy_from_slice(escape::unescape(escaped)?.text());
    String::from_utf8(bytes.to_vec()).ok()
}

fn word<T: FromStr>(input: &str) -> Parsed<'_, T> {
    map_res(take_till1(char::is_whitespace), str::parse).parse(input)
}

fn number<T: FromStr>(input: &str) -> Parsed<'_, T> {
    map_res(digit1, str::parse).parse(input)
}
