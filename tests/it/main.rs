//! Black-box tests of the whole, in one binary: they need sockets, the real program or an SSH server.
//!
//! `cargo test --test it proxy::rewrite` runs one module. A test that needs a process of its own is in another binary,
//! whose first lines say why: `faults`, `hostile`, `refusals`, and `house`, which needs no ferryline at all.

// Helpers are outside #[test], where clippy's exemption for tests does not reach.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking, and nobody imports a test"
)]

#[cfg(feature = "demo")]
mod check;
#[cfg(feature = "demo")]
mod cli;
#[cfg(feature = "demo")]
mod common;
#[cfg(feature = "demo")]
mod demo_ftp;
#[cfg(all(feature = "demo", target_os = "linux"))]
mod docs;
mod fuzz_corpus;
#[cfg(feature = "demo")]
mod monitor;
#[cfg(feature = "demo")]
mod proxy;
mod replay;
#[cfg(feature = "demo")]
mod security;
#[cfg(all(feature = "demo", target_os = "linux"))]
mod serve;
#[cfg(feature = "demo")]
mod ssh;
