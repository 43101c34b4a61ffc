//! `ferryline man` and `ferryline completions`: made from the definitions of the command line.

use std::io::{self, Write};

use clap::{Args, Command};
use clap_complete::Shell;

use super::Failure;

/// The arguments of `ferryline man`.
#[derive(Args, Debug)]
pub(super) struct ManArguments {
    /// The subcommand whose page is wanted; without one, the page of ferryline itself
    #[arg(value_name = "SUBCOMMAND")]
    subcommand: Vec<String>,
}

/// The arguments of `ferryline completions`.
#[derive(Args, Debug)]
pub(super) struct CompletionsArguments {
    /// The shell that is to complete
    shell: Shell,
}

/// Prints a man page, in roff.
pub(super) fn man(mut command: Command, arguments: &ManArguments) -> Result<(), Failure> {
    command.build();
    for name in &arguments.subcommand {
        let found = command.find_subcommand(name).cloned();
        command = found.ok_or_else(|| {
            let names: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
            Failure::Usage(match names.is_empty() {
                true => format!("there is no man page for '{name}'"),
                false => format!(
                    "there is no man page for '{name}'; there is one for each of {}",
                    names.join(", ")
                ),
            })
        })?;
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command)
        .render(&mut page)
        .map_err(Failure::failed)?;
    print(&page)
}

/// Prints the completions for a shell.
pub(super) fn completions(
    mut command: Command,
    arguments: &CompletionsArguments,
) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "ferryline", &mut script);
    print(&script)
}

/// Prints it whole: a pager that was closed is no failure, a full disk is one.
fn print(text: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Failed(format!(
            "cannot write standard output: {error}"
        ))),
        _ => Ok(()),
    }
}
