//! The program: arguments, tracing, exit code; nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    ferryline::cli::main()
}
