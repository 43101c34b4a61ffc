//! The program: arguments, tracing, exit code; nothing else.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    ferryline::cli::run(ferryline::cli::Cli::parse())
}
