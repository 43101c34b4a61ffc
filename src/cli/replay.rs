//! `ferryline replay`: recorded sessions as tests.

use std::{fmt, fs, io::Write, path::PathBuf};

use clap::Args;

use super::Failure;
use crate::{
    paint,
    transcript::{
        CutOff, Event, Incomplete, LEGEND, Replayed, parse, replay, rewrite, show, show_all,
    },
};

/// The arguments of `ferryline replay`.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Recorded sessions; a folder stands for every *.session in it
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Write the present output into the files, in place of what was expected
    #[arg(long, conflicts_with = "show")]
    accept: bool,
    /// Print the sessions as they go now: each line of a peer once, and marked where ferryline changed, added
    /// or withheld something
    #[arg(long)]
    show: bool,
    /// Like --show, with every event, in the form of the file
    #[arg(long, conflicts_with = "accept")]
    all: bool,
}

/// Replays every file; fails if anything differs anywhere.
pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let files = files(&arguments.files)?;
    let mut different = 0;
    for file in &files {
        let name = file.display();
        let text = fs::read_to_string(file)
            .map_err(|error| Failure::Failed(format!("cannot read {name}: {error}")))?;
        let lines = parse(&text).map_err(|error| Failure::Failed(format!("{name}: {error}")))?;
        if lines.iter().all(|line| line.event == Event::Torn) {
            return Err(Failure::Failed(format!(
                "{name}: it has no whole line of a session, so there is nothing to replay"
            )));
        }
        let replayed = replay(&lines);
        if let Some(end) = replayed.cut_off {
            say(format_args!("{name}:{}: {}", end.line, cut_off(end)));
        }
        if arguments.show || arguments.all {
            let colour = paint::is_wanted_on(&std::io::stdout());
            say(format_args!("# {name}"));
            let text = match arguments.all {
                true => show_all(&replayed.events, colour),
                false => format!("{LEGEND}{}", show(&replayed.events, colour)),
            };
            say(format_args!("{}", text.trim_end_matches('\n')));
        }
        if replayed.differences.is_empty() {
            continue;
        }
        if arguments.accept {
            fs::write(file, rewrite(&text, &replayed))
                .map_err(|error| Failure::Failed(format!("cannot write {name}: {error}")))?;
            say(format_args!(
                "{name}: {} accepted",
                counted(replayed.differences.len(), "line")
            ));
        } else {
            different += 1;
            tell(&name.to_string(), &replayed);
        }
    }
    match different {
        0 => {
            say(format_args!(
                "{} replayed without a difference",
                sessions(files.len())
            ));
            Ok(())
        }
        _ => Err(Failure::Failed(format!(
            "{different} of {} {} ('--accept' takes over the new lines)",
            sessions(files.len()),
            if different == 1 { "differs" } else { "differ" }
        ))),
    }
}

/// The notice about a recording that ends before its session.
fn cut_off(end: CutOff) -> String {
    let why = match end.why {
        None => {
            return "the last line is torn (it has no line end): the recording was cut off in it, as by a full disk \
                or a crash, or is still being written; it is left out, and what stands before it is compared"
                .into();
        }
        Some(Incomplete::SizeLimit) => "it had reached its size limit (--record-limit)",
        Some(Incomplete::TooSlow) => "the file system did not keep up",
        Some(Incomplete::NotWritten) => "the file system took no more",
    };
    format!("the recording ends here, before its session: {why}; what stands before is compared")
}

fn sessions(number: usize) -> String {
    counted(number, "session")
}

/// `1 line`, `2 lines`.
fn counted(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

fn tell(name: &str, replayed: &Replayed) {
    for difference in &replayed.differences {
        let (expected, found) = (&difference.expected, &difference.found);
        say(format_args!("{name}:{}:", difference.line));
        say(format_args!(
            "  expected  {}",
            expected.as_deref().unwrap_or("nothing")
        ));
        say(format_args!(
            "  found     {}",
            found.as_deref().unwrap_or("nothing")
        ));
    }
}

/// Prints a line on standard output. If a pager has closed that, the exit code still has the result.
fn say(line: fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn files(named: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in named {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = fs::read_dir(path)
            .map_err(|error| Failure::Failed(format!("cannot read {}: {error}", path.display())))?;
        let mut found: Vec<PathBuf> = entries
            .filter_map(Result::ok)
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|end| end == "session"))
            .collect();
        found.sort();
        if found.is_empty() {
            return Err(Failure::Failed(format!(
                "no *.session in {}",
                path.display()
            )));
        }
        files.extend(found);
    }
    Ok(files)
}
