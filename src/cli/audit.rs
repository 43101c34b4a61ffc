//! `ferryline audit`: the audit record, looked at; and the options of `forward` that have it written.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, Subcommand};

use super::Failure;
use crate::audit::{Audit, Settings, Summary, Verifier};

/// The arguments of `ferryline audit`.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check that no line of an audit record was changed, removed or put in
    #[command(
        long_about = "Checks that each line of an audit record follows on the line before it, by its number and by \
        the hash of that line, and says the first place where that is not so. Exit code 0: the record is whole; 1: it \
        is not, or a hash of --kept is of no line; 2: a file cannot be read.\n\n\
        Who can write the file can write all of it anew, and can remove lines at its end. Keep the hash of the last \
        line (--print-last) elsewhere from time to time: --kept finds both.",
        after_help = EXAMPLES
    )]
    Verify(VerifyArguments),
}

const EXAMPLES: &str = "\
Examples:
  ferryline audit verify audit.jsonl
  ferryline audit verify audit.jsonl.2 audit.jsonl.1 audit.jsonl
  zcat audit.jsonl.2.gz | ferryline audit verify - audit.jsonl.1 audit.jsonl";

#[derive(Args, Debug)]
struct VerifyArguments {
    /// The record: its files, in the order in which they were written; '-' is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print the number and the hash of the last line
    #[arg(long)]
    print_last: bool,
    /// A hash that was printed by --print-last and kept elsewhere: some line has to have it. Repeatable
    #[arg(long, value_name = "HASH", value_parser = hash)]
    kept: Vec<String>,
}

/// The options of `forward` for the audit record.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Log")]
pub(super) struct AuditArguments {
    /// Append a line to this file for each transfer, log-in, refused client and SSH connection
    ///
    /// Each is a JSON object with the hash of the line before it; 'ferryline audit verify' checks them.
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    audit: Option<PathBuf>,
    /// Leave the SHA-256 of what was carried out of the audit record
    #[arg(long, requires = "audit", hide_short_help = true)]
    audit_no_sha256: bool,
}

impl AuditArguments {
    /// Opens the record, if one is wanted.
    pub(super) fn start(&self) -> Result<Option<Audit>, Failure> {
        let settings = self.audit.as_ref().map(|file| Settings {
            file: file.clone(),
            sha256: !self.audit_no_sha256,
        });
        settings
            .map(Audit::start)
            .transpose()
            .map_err(Failure::failed)
    }
}

/// How long the end of the program waits for the last lines of the record.
pub(super) const LAST_LINES: Duration = Duration::from_secs(3);

/// Runs the subcommand; the result decides the exit code.
pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    let Command::Verify(arguments) = arguments.command;
    verify(arguments)
}

fn verify(arguments: VerifyArguments) -> Result<(), Failure> {
    let mut verifier = Verifier::new(arguments.kept);
    for path in &arguments.files {
        let name = path.display().to_string();
        let read = match open(path) {
            Ok(from) => verifier.file(&name, from),
            Err(error) => Err(error),
        };
        // Not the exit code of a record that is not whole.
        let checked =
            read.map_err(|error| Failure::Usage(format!("cannot read {name}: {error}")))?;
        checked.map_err(Failure::failed)?;
    }
    let summary = verifier.finish();
    if let Some(missing) = summary.missing.first() {
        return Err(Failure::Failed(format!(
            "no line has the hash {missing}: lines were removed or changed, or the hash is another record's"
        )));
    }
    let mut text = told(&summary);
    if arguments.print_last
        && let (Some(last), Some(hash)) = (summary.last, &summary.last_hash)
    {
        text.push_str(&format!("{last} {hash}\n"));
    }
    // If it is not read, the exit code still has the result.
    let _ = io::stdout().write_all(text.as_bytes());
    Ok(())
}

fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    Ok(match path.as_os_str() == "-" {
        true => Box::new(io::stdin().lock()),
        false => Box::new(BufReader::new(File::open(path)?)),
    })
}

/// What a whole record holds, and what a reader should know of it.
fn told(summary: &Summary) -> String {
    let counted = |number: u64, what: &str| {
        let plural = if number == 1 { "" } else { "s" };
        format!("{number} {what}{plural}")
    };
    let mut text = format!(
        "whole: {}, {}\n",
        counted(summary.lines, "line"),
        counted(summary.transfers, "transfer")
    );
    let mut note = |note: String| {
        text.push_str(&note);
        text.push('\n');
    };
    if let Some(first) = summary.first.filter(|first| *first > 1) {
        note(format!(
            "it begins with line {first}: what came before was not given"
        ));
    }
    for (number, what, why) in [
        (summary.lost, "line", "lost: the disk did not take them"),
        (
            summary.left_out,
            "line",
            "left out about clients that were not logged in: there were too many",
        ),
        (
            summary.unfinished,
            "line",
            "cut off, and closed off at the next start",
        ),
        (
            summary.not_closed,
            "start",
            "without an end before it: ferryline was killed, or lines were removed there before it went on",
        ),
    ] {
        if number > 0 {
            note(format!("{} {why}", counted(number, what)));
        }
    }
    if summary.lines > 0 && !summary.closed {
        note(
            "it has no end: ferryline writes it, or was killed, or lines were removed at its end (--kept tells)"
                .to_owned(),
        );
    }
    text
}

/// Parses a SHA-256.
fn hash(text: &str) -> Result<String, String> {
    let is_hash = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match is_hash {
        true => Ok(text.to_owned()),
        false => Err("expected the 64 hexadecimal digits that --print-last prints".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reader_should_know_is_said() {
        let whole = Summary {
            lines: 3,
            transfers: 1,
            first: Some(1),
            closed: true,
            ..Summary::default()
        };
        assert_eq!(told(&whole), "whole: 3 lines, 1 transfer\n");
        let odd = told(&Summary {
            first: Some(4),
            lost: 1,
            left_out: 2,
            unfinished: 1,
            not_closed: 1,
            closed: false,
            ..whole
        });
        for part in [
            "begins with line 4",
            "1 line lost",
            "2 lines left out",
            "1 line cut off",
            "1 start without an end",
            "it has no end",
        ] {
            assert!(odd.contains(part), "{part}: {odd}");
        }
    }

    #[test]
    fn a_hash_has_64_digits() {
        assert!(hash(&"aB34".repeat(16)).is_ok());
        for text in ["", "abc", &"g".repeat(64), &"a".repeat(65)] {
            assert!(hash(text).is_err(), "{text}");
        }
    }
}
