//! Takes over the present outputs as the expected ones.

use super::{event::Event, parse::parse, render::render, replay::Replayed};

/// Returns the file with its outputs replaced by those of the replay. Inputs, comments and empty lines stay
/// where they are. A torn last line is left out.
pub fn rewrite(text: &str, replayed: &Replayed) -> String {
    let mut rewritten = String::new();
    let mut events = replayed.events.iter().peekable();
    let outputs = match parse(text) {
        Ok(lines) => lines
            .into_iter()
            .filter(|line| line.event.is_output() || line.event == Event::Torn)
            .map(|line| line.number)
            .collect(),
        Err(_) => Vec::new(),
    };
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        if outputs.contains(&number) {
            continue;
        }
        rewritten.push_str(line);
        rewritten.push('\n');
        if events.peek().is_none_or(|(of, _, _)| *of != Some(number)) {
            continue;
        }
        events.next();
        while let Some((_, _, event)) = events.next_if(|(of, _, _)| of.is_none()) {
            if matches!(event, Event::Output(_))
                && let Some(line) = render(None, event)
            {
                rewritten.push_str(&line);
                rewritten.push('\n');
            }
        }
    }
    rewritten
}
