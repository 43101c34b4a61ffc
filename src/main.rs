//! Arguments, tracing, exit code; nothing else.

fn main() {}
