//! A session in a form for people.

use std::{collections::VecDeque, fmt::Write, time::Duration};

use ferryline_grammar::masked;

use super::{event::Event, render::render};
use crate::control::{ForwardEvent, Output};

/// An event of a replayed session: the number of its line in the file, its time, and the event.
type Shown = (Option<usize>, Option<Duration>, Event);

/// What the marks of [`show`] mean.
pub const LEGEND: &str = "\
# C> from the client   S< from the FTP server   (both pass unchanged, unless marked)
# -  not passed on     + added or changed by ferryline: C< to the client, S> to the FTP server
# !  what ferryline asks for, and what becomes of it
";

/// One line of text for each line of a peer, and for each that ferryline has changed, added or withheld.
/// `colour`: with terminal colours.
pub fn show(events: &[Shown], colour: bool) -> String {
    let passed = passed(events);
    let mut text = String::new();
    for (index, (_, at, event)) in events.iter().enumerate() {
        let passes = passed.get(index).copied().unwrap_or_default();
        let (mark, paint) = match event {
            Event::Client(_) | Event::Server(_) if !passes => ("- ", "2"),
            Event::Client(_) | Event::ClientEnded(_) => ("  ", "36"),
            Event::Server(_) | Event::ServerEnded(_) => ("  ", "33"),
            Event::Output(Output::ToClient(_) | Output::ToServer(_)) if passes => continue,
            Event::Output(Output::ToClient(_) | Output::ToServer(_)) => ("+ ", "1;32"),
            // Nothing that a reader could miss: data that comes and goes as it should.
            Event::Forward(
                _,
                ForwardEvent::Claimed
                | ForwardEvent::Connected { .. }
                | ForwardEvent::Drained
                | ForwardEvent::Progress,
            ) => continue,
            _ => ("  ", "35"),
        };
        line(&mut text, mark, paint, *at, event, colour);
    }
    text
}

/// All events, one line each, in the form of the file.
pub fn show_all(events: &[Shown], colour: bool) -> String {
    let mut text = String::new();
    for (_, at, event) in events {
        let (indent, paint) = match event {
            Event::Client(_) | Event::ClientEnded(_) => ("", "36"),
            Event::Server(_) | Event::ServerEnded(_) => ("", "33"),
            Event::Output(Output::ToClient(_)) => ("    ", "1;36"),
            Event::Output(Output::ToServer(_)) => ("    ", "1;33"),
            Event::Output(_) => ("    ", "35"),
            _ => ("    ", "2"),
        };
        line(&mut text, indent, paint, *at, event, colour);
    }
    text
}

fn line(
    text: &mut String,
    before: &str,
    paint: &str,
    at: Option<Duration>,
    event: &Event,
    colour: bool,
) {
    let Some(line) = render(at, event) else {
        return;
    };
    let line = match event {
        Event::Client(_) | Event::Output(Output::ToServer(_)) => without_secret(&line),
        _ => line,
    };
    // Writing to a String cannot fail.
    let _ = match colour {
        true => writeln!(text, "{before}\u{1b}[{paint}m{line}\u{1b}[0m"),
        false => writeln!(text, "{before}{line}"),
    };
}

/// A line of the client without the password in it: a file that was written by hand may have one.
fn without_secret(line: &str) -> String {
    let Some((before, command)) = line.split_once("> ") else {
        return line.to_owned();
    };
    let shown = masked(command.as_bytes());
    format!("{before}> {}", String::from_utf8_lossy(&shown))
}

/// For each event, whether it is a line of a peer that was passed on as it was, or the output that did that.
fn passed(events: &[Shown]) -> Vec<bool> {
    let mut passed = vec![false; events.len()];
    let (mut from_client, mut from_server) = (VecDeque::new(), VecDeque::new());
    for (index, (_, _, event)) in events.iter().enumerate() {
        let lines = match event {
            Event::Client(_) | Event::Output(Output::ToServer(_)) => &mut from_client,
            Event::Server(_) | Event::Output(Output::ToClient(_)) => &mut from_server,
            _ => continue,
        };
        let Some(text) = render(None, event).and_then(|line| line.get(2..).map(str::to_owned))
        else {
            continue;
        };
        if !matches!(event, Event::Output(_)) {
            lines.push_back((index, text));
            continue;
        }
        if let Some(found) = lines.iter().position(|(_, line)| *line == text) {
            let origin = lines.remove(found).map(|(origin, _)| origin);
            for index in [Some(index), origin].into_iter().flatten() {
                if let Some(passes) = passed.get_mut(index) {
                    *passes = true;
                }
            }
        }
    }
    passed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transcript::{parse, replay};

    #[test]
    fn what_ferryline_changed_is_marked_and_the_rest_stands_once() {
        let session = "S< 220 ready\nC> FEAT\nS< 211-features\nS<  AUTH TLS\nS<  EPSV\nS< 211 end\nC> EPSV\n\
                       S< 229 x (|||6446|)\nC> RETR f\nS< 150 here\nS< 226 done\nC> AUTH TLS\n";
        let events = replay(&parse(session).unwrap()).events;
        let shown = show(&events, false);
        let expected = [
            "  S< 220 ready",
            "  C> FEAT",
            "  S< 211-features",
            "- S<  AUTH TLS",
            "  S<  EPSV",
            "  S< 211 end",
            "+ C<  EPRT",
            "  C> EPSV",
            "- S< 229 x (|||6446|)",
            "  ! local-forward 1 localhost:6446",
            "  ! ready 1 127.0.0.1:40001",
            "+ C< 229 Entering Extended Passive Mode (|||40001|)",
            "  C> RETR f",
            "  S< 150 here",
            "  ! ended 1",
            "  S< 226 done",
            "- C> AUTH TLS",
            "+ C< 502 ferryline: ",
        ]
        .join("\n");
        assert!(shown.contains(&expected), "{shown}");
        assert!(!shown.contains("425"), "{shown}");
    }

    #[test]
    fn q88_a_password_of_a_file_written_by_hand_is_not_shown() {
        let session = "S< 220 ready\nC> USER me\nS< 331 password\nC> PASS s3cret\nS< 230 in\n";
        let events = replay(&parse(session).unwrap()).events;
        for shown in [show(&events, false), show_all(&events, true)] {
            assert!(!shown.contains("s3cret"), "{shown}");
            assert!(shown.contains("PASS ****"), "{shown}");
        }
    }
}
