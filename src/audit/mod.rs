//! The audit record: a file with a line for each transfer, and for each log-in, refused client and SSH connection.
//!
//! A line is a JSON object. Each has the SHA-256 of the line before it, so that a line that was changed, removed or
//! put in is found. `docs/audit.md` describes the lines and says what that proves and what it does not.
//!
//! # Layout
//!
//! Dependencies point up in this list.
//!
//! - `text`: bytes of peers as text, and back
//! - `stamp`: times as text
//! - `path`: the path of a transfer's file
//! - `record`: what a line says, by kind of event
//! - `line`: a whole line: its number, the hash of the line before it, its time and what it says
//! - `chain`: how each line follows on the one before it
//! - `file`: a file whose whole lines stay whole: opened, continued, appended to
//! - `budget`: how many lines strangers may cause
//! - `writer`: the thread that writes, and the queue in front of it
//! - `keeper`: [`Audit`], which takes what sessions and SSH connections do
//! - `verify`: [`Verifier`]: whether a record is whole

mod budget;
mod chain;
mod file;
mod keeper;
mod line;
mod path;
mod record;
mod stamp;
mod text;
mod verify;
mod writer;

pub use self::{
    file::OpenError,
    keeper::{Audit, Settings},
    verify::{Break, Summary, Verifier},
};
