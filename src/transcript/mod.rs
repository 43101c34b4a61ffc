//! Recorded sessions: the inputs and outputs of one session's state machine, one event a line, in a text file
//! that a person can read, write and diff. `fixtures/README.md` documents the format.
//!
//! # Layout
//!
//! - `event`: what a line can stand for, [`Event`]
//! - `render`, `parse`: the two directions between events and lines, [`render()`], [`parse()`]
//! - `name`: what its file is called; `folder`: where it is
//! - `record`: what is written of a live session, [`Recorder`]; `scribe`: the thread that writes, [`Scribe`]
//! - `replay`: feeds a file to the state machine and compares, [`replay()`]
//! - `rewrite`: takes over the present outputs as expected, [`rewrite()`]
//! - `show`: a session in a form for people, [`show()`]

mod escape;
mod event;
mod folder;
mod name;
mod parse;
mod record;
mod render;
mod replay;
mod rewrite;
mod scribe;
mod show;

#[cfg(test)]
mod recorded;
#[cfg(test)]
mod tests;

pub(crate) use self::folder::make_private;
pub use self::{
    event::{Event, Header, Incomplete, Line},
    name::file_name,
    parse::{ParseError, parse},
    record::{Input, Recorder, recorded_input, recorded_output},
    render::render,
    replay::{CutOff, Difference, Replayed, replay},
    rewrite::rewrite,
    scribe::{Fate, Keep, Scribe, Told},
    show::{LEGEND, show, show_all},
};
