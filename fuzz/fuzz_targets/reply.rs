//! `cargo fuzz run reply`; what is checked is in `bodies/reply.rs`.

#![no_main]

#[path = "../bodies/mod.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::reply::run(data));
