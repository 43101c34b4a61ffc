//! The parts of ferryline that are fuzzed, without SSH and the rest that only slows the fuzzer down:
//! the very same sources, under the same names.

#[path = "../../src/control/mod.rs"]
pub mod control;
#[path = "../../src/lock.rs"]
mod lock;
#[path = "../../src/printable.rs"]
mod printable;
#[path = "../../src/transcript/mod.rs"]
pub mod transcript;
