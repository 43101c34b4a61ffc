//! `ferryline top`: what runs, asked of the monitor of another process, and drawn on a terminal.
//!
//! - `reading`: asking, by HTTP
//! - `table`: what there is, as lines
//! - `rates`: how fast it goes, from two readings
//! - `terminal`: keys and the size of the terminal

mod rates;
mod reading;
mod table;
#[cfg(unix)]
mod terminal;

use std::{
    io::{self, Write},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use self::{
    rates::Rates,
    table::{Look, lines},
};
pub use self::{
    reading::{AskError, Place},
    table::Asking,
};
use crate::paint::{Paint, for_locale};

/// The time between two readings.
const STEP: Duration = Duration::from_secs(1);

/// Prints one reading.
///
/// # Errors
///
/// Nothing answers there, or the output is closed.
pub async fn once(place: &Place, out: &mut dyn Write) -> Result<(), AskError> {
    let first = place.read().await?;
    let mut rates = Rates::default();
    rates.note(&first);
    // A rate needs two readings, unless nothing runs.
    let now = match first
        .sessions
        .iter()
        .any(|session| session.transfer.is_some())
    {
        true => {
            tokio::time::sleep(STEP / 2).await;
            let second = place.read().await?;
            rates.note(&second);
            second
        }
        false => first,
    };
    let look = Look::plain(WIDE);
    for line in lines(&now, &rates, &look) {
        writeln!(out, "{}", for_locale(&line)).map_err(AskError::Output)?;
    }
    Ok(())
}

/// The width of plain lines.
const WIDE: usize = 120;

/// Whether this can be shown on the terminal that standard input and output are.
pub fn has_terminal() -> bool {
    cfg!(unix)
        && io::IsTerminal::is_terminal(&io::stdin())
        && io::IsTerminal::is_terminal(&io::stdout())
}

/// Shows what runs on the terminal, anew each second, until `q` or `stop`.
///
/// # Errors
///
/// Nothing answers there at the start, or the terminal cannot be used.
#[cfg(unix)]
pub async fn watch(place: &Place, paint: Paint, stop: &CancellationToken) -> Result<(), AskError> {
    use self::terminal::{Key, Terminal};

    let mut now = Ok(place.read().await?);
    let mut rates = Rates::default();
    let mut terminal = Terminal::start().map_err(AskError::Output)?;
    let mut state = State::default();
    let mut steps = tokio::time::interval(STEP);
    steps.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        if let Ok(now) = &now {
            rates.note(now);
            state.keep_to(now);
        }
        let (width, height) = terminal.size();
        let drawn = match &now {
            Ok(now) => {
                let look = Look {
                    paint,
                    width,
                    chosen: state.chosen,
                    asking: state.asking.clone(),
                    is_terminal: true,
                };
                lines(now, &rates, &look)
            }
            Err(error) => vec![format!("{error}"), String::new(), "q quits".to_owned()],
        };
        terminal.draw(&drawn, height).map_err(AskError::Output)?;
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            key = terminal.key() => match key {
                None => return Ok(()),
                Some(Key::Quit) if !state.is_asking() => return Ok(()),
                Some(key) => {
                    if let Ok(now) = &now
                        && let Some(number) = state.press(key, now)
                    {
                        state.asking = Some(match place.end(number).await {
                            Ok(said) => Asking::Said(said),
                            Err(error) => Asking::Said(error.to_string()),
                        });
                    }
                    continue;
                }
            },
            _ = steps.tick() => {}
        }
        now = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            read = place.read() => read,
        };
    }
}

/// What the person has chosen.
#[cfg(unix)]
#[derive(Debug, Default)]
struct State {
    /// The number of the session.
    chosen: Option<u64>,
    asking: Option<Asking>,
}

#[cfg(unix)]
impl State {
    /// Whether a question waits for its answer.
    fn is_asking(&self) -> bool {
        matches!(self.asking, Some(Asking::EndOf(_)))
    }

    /// Lets go of what is not there any more.
    fn keep_to(&mut self, now: &crate::monitor::Now) {
        let is_there = |number| now.sessions.iter().any(|session| session.number == number);
        self.chosen = self.chosen.filter(|number| is_there(*number));
        if let Some(Asking::EndOf(number)) = self.asking
            && !is_there(number)
        {
            self.asking = Some(Asking::Said(format!("session {number} has ended")));
        }
    }

    /// Takes a key. Returns the number of a session that is to be ended: it was asked for, and answered with yes.
    fn press(&mut self, key: terminal::Key, now: &crate::monitor::Now) -> Option<u64> {
        use terminal::Key;

        if let Some(Asking::EndOf(number)) = self.asking {
            self.asking = None;
            return (key == Key::Yes).then_some(number);
        }
        self.asking = None;
        let numbers: Vec<u64> = now.sessions.iter().map(|session| session.number).collect();
        let at = numbers
            .iter()
            .position(|number| Some(*number) == self.chosen);
        match key {
            Key::Down => {
                let next = at
                    .map_or(0, |at| at + 1)
                    .min(numbers.len().saturating_sub(1));
                self.chosen = numbers.get(next).copied();
            }
            Key::Up => self.chosen = numbers.get(at.unwrap_or(0).saturating_sub(1)).copied(),
            Key::End => {
                self.asking = Some(match self.chosen {
                    None => Asking::Said("choose a session first, with the arrow keys".to_owned()),
                    Some(_) if !now.may_end => Asking::Said(
                        "sessions can be ended over the Unix socket only (--metrics unix:/PATH)"
                            .to_owned(),
                    ),
                    Some(number) => Asking::EndOf(number),
                });
            }
            Key::Quit | Key::Yes | Key::Other => {}
        }
        None
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::{terminal::Key, *};
    use crate::monitor::{Now, Session};

    fn now(numbers: &[u64]) -> Now {
        let session = |number: &u64| Session {
            number: *number,
            tunnel: "erp".into(),
            client: "127.0.0.1:4000".parse().unwrap(),
            local_user: None,
            user: None,
            server: "ftp.internal:21".into(),
            age: 1.0,
            transfers: 0,
            transfer: None,
        };
        Now {
            may_end: true,
            sessions: numbers.iter().map(session).collect(),
            ..Now::default()
        }
    }

    #[test]
    fn a_session_is_ended_only_after_a_yes() {
        let two = now(&[3, 5]);
        let mut state = State::default();
        assert_eq!(state.press(Key::End, &two), None);
        assert!(matches!(state.asking, Some(Asking::Said(_))));
        for key in [Key::Down, Key::Down, Key::Down] {
            assert_eq!(state.press(key, &two), None);
        }
        assert_eq!(state.chosen, Some(5));
        assert_eq!(state.press(Key::End, &two), None);
        assert_eq!(state.asking, Some(Asking::EndOf(5)));
        assert_eq!(state.press(Key::Other, &two), None);
        assert_eq!(state.asking, None);
        assert_eq!(state.press(Key::Yes, &two), None);
        state.press(Key::End, &two);
        assert_eq!(state.press(Key::Yes, &two), Some(5));
        state.press(Key::Up, &two);
        assert_eq!(state.chosen, Some(3));
    }

    /// The question is for the session that was chosen, not for one that has come into its place.
    #[test]
    fn a_question_is_over_when_its_session_is() {
        let mut state = State::default();
        let two = now(&[3, 5]);
        state.press(Key::Down, &two);
        state.press(Key::End, &two);
        let one = now(&[5]);
        state.keep_to(&one);
        assert_eq!(state.press(Key::Yes, &one), None);
        assert_eq!(state.chosen, None);
    }

    #[test]
    fn nothing_is_ended_where_that_is_not_allowed() {
        let mut state = State::default();
        let only_shown = Now {
            may_end: false,
            ..now(&[3])
        };
        state.press(Key::Down, &only_shown);
        state.press(Key::End, &only_shown);
        assert!(matches!(state.asking, Some(Asking::Said(_))));
        assert_eq!(state.press(Key::Yes, &only_shown), None);
    }
}
