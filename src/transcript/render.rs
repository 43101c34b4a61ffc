//! From events to lines.

use std::{fmt::Write, time::Duration};

use ferryline_grammar::{Frame, Negotiation};

use super::{
    escape,
    event::{Event, Header, Incomplete},
};
use crate::control::{
    ActiveMode, DataAtEnd, DataHost, Ending, ForwardEvent, LOWEST_DATA_PORT, Limits, Output, Target,
};

/// The line that stands for this event, without its end; `None` for a notice that only the log gets, and for
/// a torn line.
pub fn render(at: Option<Duration>, event: &Event) -> Option<String> {
    let text = match event {
        Event::Client(Frame::Line(line)) => format!("C> {}", escape::line(line)),
        Event::Client(Frame::Negotiation(asked)) => format!("! client-telnet {}", telnet(*asked)),
        Event::ClientEnded(how) => format!("! client-{}", ending(*how)),
        Event::ClientLeft => "! client-left".into(),
        Event::Forward(id, event) => forward(id.number(), event),
        Event::Header(facts) => header(facts),
        Event::Output(output) => self::output(output)?,
        Event::RecordingEnded(why) => format!("! recording-ended {}", incomplete(*why)),
        Event::Server(Frame::Line(line)) => format!("S< {}", escape::line(line)),
        Event::Server(Frame::Negotiation(asked)) => format!("! server-telnet {}", telnet(*asked)),
        Event::ServerEnded(how) => format!("! server-{}", ending(*how)),
        Event::Cut => "! cut-all".into(),
        Event::Stop => "! stop".into(),
        Event::Timeout => "! timeout".into(),
        Event::Torn => return None,
    };
    // Only the sign is left of an empty line; a blank at the end of any other is written out.
    let text = text.trim_end();
    Some(match at {
        Some(at) => format!("@{}.{:06} {text}", at.as_secs(), at.subsec_micros()),
        None => text.to_owned(),
    })
}

fn output(output: &Output) -> Option<String> {
    Some(match output {
        Output::Ask(id) => format!("! ask {id}"),
        Output::Close(id) => format!("! close {id}"),
        Output::Drain(id) => format!("! drain {id}"),
        Output::End {
            data,
            close_after_control,
        } => {
            let how = match data {
                DataAtEnd::Abort => "abort",
                DataAtEnd::Finish => "finish",
            };
            let closing = close_after_control.iter().map(|id| format!(" {id}"));
            format!("! end {how}{}", closing.collect::<String>())
        }
        Output::FinishServer => "! finish-server".into(),
        Output::Learned(_) | Output::Notice(_) | Output::Transferred(_) => return None,
        Output::Join(id) => format!("! join {id}"),
        Output::Settle(id) => format!("! settle {id}"),
        Output::OpenJoined {
            id,
            targets,
            deliver_to,
        } => format!("! joined-forward {id} {deliver_to}{}", list(targets)),
        Output::OpenLocal { id, targets } => format!("! local-forward {id}{}", list(targets)),
        Output::OpenRemote {
            id,
            bind,
            deliver_to,
        } => format!("! remote-forward {id} {bind} {deliver_to}"),
        Output::ToClient(bytes) => format!("C< {}", escape::written(bytes)),
        Output::ToServer(bytes) => format!("S> {}", escape::written(bytes)),
    })
}

fn list(targets: &[Target]) -> String {
    let mut text = String::new();
    for target in targets {
        // Writing to a String cannot fail.
        let _ = write!(text, " {target}");
    }
    text
}

fn forward(id: u32, event: &ForwardEvent) -> String {
    match event {
        ForwardEvent::AllReceived => format!("! all-received {id}"),
        ForwardEvent::AllSent => format!("! all-sent {id}"),
        ForwardEvent::Blocked => format!("! blocked {id}"),
        ForwardEvent::Broken => format!("! broken {id}"),
        ForwardEvent::Cut => format!("! cut {id}"),
        ForwardEvent::Claimed => format!("! claimed {id}"),
        ForwardEvent::Connected { target } => format!("! connected {id} {target}"),
        ForwardEvent::Doubtful => format!("! doubtful {id}"),
        ForwardEvent::Drained => format!("! drained {id}"),
        ForwardEvent::Ended => format!("! ended {id}"),
        ForwardEvent::Failed(reason) => {
            format!("! failed {id} {}", escape::text(reason.as_bytes()))
        }
        ForwardEvent::Progress => format!("! progress {id}"),
        ForwardEvent::Unreachable(reason) => {
            format!("! unreachable {id} {}", escape::text(reason.as_bytes()))
        }
        ForwardEvent::Ready(address) => format!("! ready {id} {address}"),
    }
}

fn header(header: &Header) -> String {
    let Header {
        client,
        local,
        server,
        addresses,
        data_host,
        lowest_data_port,
        active,
        on_ssh_host,
        remote_bind,
        routed,
        idle,
        login,
        requests,
        unused_forward,
        knowledge,
    } = header;
    let usual = Limits::default();
    let unusual = Some(unused_forward).filter(|wait| **wait != usual.unused_forward);
    let mut text = format!(
        "! session client={client} local={local} server={} data-host={} on-ssh-host={}",
        escape::word(server.as_bytes()),
        match data_host {
            DataHost::Auto => "auto",
            DataHost::Control => "control",
            DataHost::Reply => "reply",
        },
        yes_no(*on_ssh_host),
    );
    if *lowest_data_port != LOWEST_DATA_PORT {
        text.push_str(&format!(" lowest-data-port={lowest_data_port}"));
    }
    if !addresses.is_empty() {
        let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        text.push_str(&format!(" addresses={}", addresses.join(",")));
    }
    match active {
        ActiveMode::Auto => {}
        ActiveMode::Passive => text.push_str(" active=passive"),
        ActiveMode::Remote => text.push_str(" active=remote"),
    }
    if let Some(address) = remote_bind {
        text.push_str(&format!(" remote-bind={address}"));
    }
    if let Some(named) = routed {
        text.push_str(&format!(" routed={}", escape::word(named.as_bytes())));
    }
    for (name, limit) in [
        ("idle", idle.as_ref()),
        ("login", login.as_ref()),
        ("data-wait", unusual),
    ] {
        if let Some(limit) = limit {
            text.push_str(&format!(" {name}={}", seconds(*limit)));
        }
    }
    if *requests != usual.requests {
        text.push_str(&format!(" pipelined={requests}"));
    }
    for (known, word) in [
        (knowledge.no_epsv, "no-epsv"),
        (knowledge.no_eprt, "no-eprt"),
        (knowledge.active_over_ipv6, "active-over-ipv6"),
        (knowledge.active_as_passive, "active-as-passive"),
        (knowledge.reply_address_works, "reply-address-works"),
    ] {
        if known {
            text.push(' ');
            text.push_str(word);
        }
    }
    text
}

/// Whole seconds, or with their fraction up to microseconds.
fn seconds(time: Duration) -> String {
    match time.subsec_micros() {
        0 => time.as_secs().to_string(),
        micros => format!("{}.{micros:06}", time.as_secs()),
    }
}

fn incomplete(why: Incomplete) -> &'static str {
    match why {
        Incomplete::NotWritten => "not-written",
        Incomplete::SizeLimit => "size-limit",
        Incomplete::TooSlow => "too-slow",
    }
}

fn ending(ending: Ending) -> String {
    match ending {
        Ending::Eof => "eof".into(),
        Ending::Flood => "flood".into(),
        Ending::LineTooLong(limit) => format!("line-too-long {limit}"),
        Ending::Lost => "lost".into(),
        Ending::Nul => "nul".into(),
        Ending::Tls => "tls".into(),
        Ending::Silent => "silent".into(),
    }
}

fn telnet(asked: Negotiation) -> String {
    match asked {
        Negotiation::Do(option) => format!("do {option}"),
        Negotiation::Will(option) => format!("will {option}"),
    }
}

fn yes_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}
