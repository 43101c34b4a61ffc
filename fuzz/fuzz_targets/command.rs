//! `cargo fuzz run command`; what is checked is in `bodies/command.rs`.

#![no_main]

#[path = "../bodies/mod.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::command::run(data));
