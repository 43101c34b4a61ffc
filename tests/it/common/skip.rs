//! Tests that cannot run on every machine.

use std::io::Write;

/// Says that the running test, or a part of it, cannot run here: it needs root, an address beyond
/// loopback, or a program that is not installed.
///
/// Where `FERRYLINE_NO_SKIPS` is set the test fails instead. So a machine that has everything (`.ci/run` sets
/// it) cannot pass with a promise untested.
pub fn skipped(why: &str) {
    assert!(
        std::env::var_os("FERRYLINE_NO_SKIPS").is_none(),
        "a test cannot run here, and FERRYLINE_NO_SKIPS is set: {why}"
    );
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    // Not `eprintln!`, whose output the test harness shows only for tests that fail.
    let _ = writeln!(std::io::stderr(), "skipped: {test}: {why}");
}
