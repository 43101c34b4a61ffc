//! Recorded sessions: what is read is written and read again as the same, any session can be
//! replayed, and what came out can be taken over.

use std::time::Duration;

use ferryline::transcript::{Event, parse, replay, rewrite, show};

type Said = (Option<usize>, Option<Duration>, Event);

/// The input is the text of a transcript.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(lines) = parse(text) else {
        return;
    };
    let said: Vec<Said> = lines
        .iter()
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

/// Writes and reads; `show` indents for the eye.
fn reread(events: &[Said]) -> Vec<Said> {
    let shown = show(events, false);
    let text: String = shown
        .lines()
        .map(|line| format!("{}\n", line.trim_start()))
        .collect();
    let lines = parse(&text).expect("what is written is read");
    lines
        .into_iter()
        .map(|line| (None, line.at, line.event))
        .collect()
}
