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
    let page = page(command).map_err(Failure::failed)?;
    print(ascii(&String::from_utf8_lossy(&page)).as_bytes())
}

/// The page in ASCII: not every roff reads UTF-8, and each knows these names of characters.
fn ascii(page: &str) -> String {
    let mut out = String::with_capacity(page.len());
    for c in page.chars() {
        match c.is_ascii() {
            true => out.push(c),
            false => out.push_str(&format!("\\[u{:04X}]", u32::from(c))),
        }
    }
    out
}

/// The page, with a synopsis and examples as the help has them: clap_mangen's synopsis has no values, and its
/// examples would run into one another.
fn page(command: Command) -> io::Result<Vec<u8>> {
    // It would leave out the description of those.
    let mut command = command.mut_args(|argument| argument.hide_short_help(false));
    let usage = command.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").to_owned();
    let has_subcommands = command.has_subcommands();
    let examples = command
        .get_after_long_help()
        .or_else(|| command.get_after_help());
    let examples = examples.map(ToString::to_string);
    let source = format!("ferryline {}", env!("CARGO_PKG_VERSION"));
    let man = clap_mangen::Man::new(command).source(source);
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    section(&mut page, "SYNOPSIS", &usage)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if has_subcommands {
        man.render_subcommands_section(&mut page)?;
    }
    if let Some(examples) = examples {
        let examples = examples.trim_start_matches("Examples:\n");
        section(&mut page, "EXAMPLES", examples)?;
    }
    Ok(page)
}

/// A section whose lines stay as they are.
fn section(page: &mut Vec<u8>, title: &str, text: &str) -> io::Result<()> {
    writeln!(page, ".SH {title}\n.nf")?;
    for line in text.lines() {
        // A point or a quote at the beginning would be a request.
        let line = line
            .replace('\\', "\\e")
            .replace('-', "\\-")
            .replace('\'', "\\(aq");
        writeln!(page, "\\&{line}")?;
    }
    writeln!(page, ".fi")
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
pub(super) fn print(text: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Failed(format!(
            "cannot write standard output: {error}"
        ))),
        _ => Ok(()),
    }
}
