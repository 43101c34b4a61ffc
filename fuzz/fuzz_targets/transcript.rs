//! `cargo fuzz run transcript`; what is checked is in `bodies/transcript.rs`.

#![no_main]

#[path = "../bodies/mod.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::transcript::run(data));
