//! `cargo fuzz run session`; what is checked is in `bodies/session.rs`.

#![no_main]

#[path = "../bodies/mod.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::session::run(data));
