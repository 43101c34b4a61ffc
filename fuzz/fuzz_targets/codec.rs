//! `cargo fuzz run codec`; what is checked is in `bodies/codec.rs`.

#![no_main]

#[path = "../bodies/mod.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::codec::run(data));
