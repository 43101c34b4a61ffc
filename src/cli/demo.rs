//! `ferryline demo`.

use clap::Args;

use super::Failure;

/// The arguments of `ferryline demo`.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Exit after the transfers, non-zero if anything differs
    #[arg(long)]
    once: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let _ = arguments.once;
    Ok(())
}
