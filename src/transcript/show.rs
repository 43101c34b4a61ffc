//! A session in a form for people.

use std::time::Duration;

use super::{event::Event, render::render};

/// One line of text for an event, with the rewritten ones set off. `colour`: with terminal colours.
pub fn show(events: &[(Option<usize>, Option<Duration>, Event)], colour: bool) -> String {
    let mut text = String::new();
    for (_, at, event) in events {
        let Some(line) = render(*at, event) else {
            continue;
        };
        let (indent, paint) = match event {
            Event::Client(_) | Event::ClientEnded(_) => ("", "36"),
            Event::Server(_) | Event::ServerEnded(_) => ("", "33"),
            Event::Output(crate::control::Output::ToClient(_)) => ("    ", "1;36"),
            Event::Output(crate::control::Output::ToServer(_)) => ("    ", "1;33"),
            Event::Output(_) => ("    ", "35"),
            _ => ("    ", "2"),
        };
        if colour {
            text.push_str(&format!("{indent}\u{1b}[{paint}m{line}\u{1b}[0m\n"));
        } else {
            text.push_str(&format!("{indent}{line}\n"));
        }
    }
    text
}
