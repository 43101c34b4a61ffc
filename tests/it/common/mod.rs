//! Scripted peers for black-box tests: an FTP server that follows a script, however odd, and a client that
//! sends and reads raw lines. Neither uses ferryline's own parsers, so both can judge them.
//!
//! Every wait is for an event, bounded by [`PATIENCE`]. A wait that runs out fails the test and shows the
//! conversation so far.

mod answer;
mod client;
mod data;
mod ferry;
mod ftp_client;
mod gate;
mod log;
mod program;
mod record;
mod script;
mod server;
mod session;
mod skip;
mod transcript;
#[cfg(target_os = "linux")]
mod users;

use std::time::Duration;

pub use answer::{Answer, answer, begins_file, sends_file, stores_file};
pub use client::ScriptedClient;
pub use data::{
    extended_address, extended_port, host_port, nobody, own_address, read_to_end, reset,
    six_numbers, upload,
};
pub use ferry::{Ferry, Plan, write_private};
pub use ftp_client::logged_in;
pub use gate::Gate;
pub use log::Log;
pub use program::{Ended, Running, Shore, run};
pub use record::Record;
pub use script::Script;
pub use server::ScriptedServer;
pub use skip::skipped;
pub use transcript::Transcript;
#[cfg(target_os = "linux")]
pub use users::as_nobody;

/// How long anything may take before the test fails. Generous: a test that passes never waits for all of it.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// `len` bytes that contain every value, without a pattern that could hide a wrong offset.
pub fn noise(len: usize) -> Vec<u8> {
    let mut state: u32 = 0x9e37_79b9;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 24) as u8
        })
        .collect()
}
