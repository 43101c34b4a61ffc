//! Recorded sessions: what is read is written and read again as the same, any session can be
//! replayed, and what came out can be taken over.

use std::time::Duration;

use ferryline::control::ForwardEvent;
use ferryline::transcript::{Event, parse, render, replay, rewrite};

type Said = (Option<usize>, Option<Duration>, Event);

/// The input is the text of a transcript.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(lines) = parse(text) else {
        return;
    };
    if !lines.iter().all(|line| has_reason(&line.event)) {
        return;
    }
    let said: Vec<Said> = lines
        .iter()
        .filter(|line| line.event != Event::Torn)
        .map(|line| (None, line.at.map(micros), line.event.clone()))
        .collect();
    assert_eq!(reread(&said), said);

    let replayed = replay(&lines);
    // What the machine made of it can itself be written and read, where the server's name is one.
    if !replayed.events.iter().all(has_plain_name) {
        return;
    }
    let told = reread(&replayed.events);
    assert!(told.len() <= replayed.events.len());
    if !replayed.peers_only && text.ends_with('\n') {
        let rewritten = rewrite(text, &replayed);
        let lines = parse(&rewritten).expect("what was rewritten is a transcript");
        assert_eq!(replay(&lines).differences, [], "{rewritten}");
    }
}

/// A forward never fails without one.
fn has_reason(event: &Event) -> bool {
    use ForwardEvent::{Failed, Unreachable};
    !matches!(event, Event::Forward(_, Failed(reason) | Unreachable(reason)) if reason.is_empty())
}

fn has_plain_name((_, _, event): &Said) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:%".contains(&byte);
    match event {
        Event::Header(header) => !header.server.is_empty() && header.server.bytes().all(plain),
        _ => true,
    }
}

/// A file has microseconds.
fn micros(at: Duration) -> Duration {
    Duration::new(at.as_secs(), at.subsec_micros() * 1000)
}

/// Writes and reads; what is said to the log only is in no file.
fn reread(events: &[Said]) -> Vec<Said> {
    let lines = events
        .iter()
        .filter_map(|(_, at, event)| render(*at, event));
    let text: String = lines.map(|line| line + "\n").collect();
    let lines = parse(&text).expect("what is written is read");
    lines
        .into_iter()
        .map(|line| (None, line.at, line.event))
        .collect()
}
