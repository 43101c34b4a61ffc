//! `ferryline man` and `ferryline completions`: made from the definitions of the command line.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::{Args, Command};
use clap_complete::Shell;

use super::Failure;

/// The arguments of `ferryline man`.
#[derive(Args, Debug)]
pub(super) struct ManArguments {
    /// The subcommand whose page is wanted, or ferryline.toml; without one, the page of ferryline itself
    #[arg(value_name = "SUBCOMMAND")]
    subcommand: Vec<String>,
    /// Write all pages below this folder, in man1 and man5
    #[arg(long, value_name = "DIR", conflicts_with = "subcommand")]
    into: Option<PathBuf>,
}

/// The arguments of `ferryline completions`.
#[derive(Args, Debug)]
pub(super) struct CompletionsArguments {
    /// The shell that is to complete
    shell: Shell,
}

/// The page of a file, section 5.
pub(super) struct FilePage {
    pub(super) name: &'static str,
    /// In roff.
    pub(super) text: String,
}

/// Prints a man page, in roff, or writes all of them.
pub(super) fn man(
    command: Command,
    file: &FilePage,
    arguments: &ManArguments,
) -> Result<(), Failure> {
    // 'help' has no page, so no page names it.
    let mut command = command.disable_help_subcommand(true);
    command.build();
    if let Some(folder) = &arguments.into {
        return write_all(&command, file, folder);
    }
    if arguments.subcommand == [file.name] {
        return print(ascii(&file.text).as_bytes());
    }
    for name in &arguments.subcommand {
        let found = command.find_subcommand(name).cloned();
        command = found.ok_or_else(|| {
            let names: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
            Failure::Usage(match names.is_empty() {
                true => format!("there is no man page for '{name}'"),
                false => format!(
                    "there is no man page for '{name}'; there is one for each of {}, {}",
                    names.join(", "),
                    file.name
                ),
            })
        })?;
    }
    let page = page(command).map_err(Failure::failed)?;
    print(ascii(&String::from_utf8_lossy(&page)).as_bytes())
}

/// Writes the page of the command, of each of its subcommands, and of the file.
fn write_all(command: &Command, file: &FilePage, folder: &Path) -> Result<(), Failure> {
    write(folder, file.name, 5, &file.text)?;
    let mut left = vec![command.clone()];
    while let Some(command) = left.pop() {
        left.extend(command.get_subcommands().cloned());
        let name = command.get_display_name();
        let name = name.unwrap_or_else(|| command.get_name()).to_owned();
        let page = page(command).map_err(Failure::failed)?;
        write(folder, &name, 1, &String::from_utf8_lossy(&page))?;
    }
    Ok(())
}

/// Writes a page into the folder of its section.
fn write(folder: &Path, name: &str, section: u8, page: &str) -> Result<(), Failure> {
    let folder = folder.join(format!("man{section}"));
    let file = folder.join(format!("{name}.{section}"));
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&file, ascii(page)))
        .map_err(|error| Failure::Failed(format!("cannot write {}: {error}", file.display())))
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
        writeln!(page, "{}", line_of_text(line))?;
    }
    writeln!(page, ".fi")
}

/// A line of text, with nothing in it that roff would take for a request.
pub(super) fn line_of_text(line: &str) -> String {
    let line = line
        .replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('\'', "\\(aq");
    // A point at the beginning would be a request.
    format!("\\&{line}")
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
