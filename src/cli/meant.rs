//! What was probably meant by a command line that the argument parser cannot read.

use std::ffi::OsString;

use clap::{
    Command, Error,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::{proxy::ForwardSpec, shell_word::quoted};

/// The command line that was probably meant, in a sentence; `None`: the parser's own words are better.
pub(super) fn meant(command: &Command, arguments: &[OsString], error: &Error) -> Option<String> {
    let words: Vec<_> = arguments
        .iter()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    mistyped(&words, error)
        .or_else(|| without_subcommand(command, &words, error))
        .or_else(|| without_letter(&words, error))
        .or_else(|| counted(&words, error))
}

/// `ferryline foward …`
fn mistyped(words: &[String], error: &Error) -> Option<String> {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return None;
    }
    let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidSubcommand) else {
        return None;
    };
    let right = match error.get(ContextKind::SuggestedSubcommand)? {
        ContextValue::String(right) => right,
        ContextValue::Strings(all) => all.first()?,
        _ => return None,
    };
    let mut line = words.to_vec();
    let place = line.iter().position(|word| word == typed)?;
    line.get_mut(place)?.clone_from(right);
    let line = on_one_line(&line);
    Some(format!(
        "'{typed}' is no subcommand: did you mean 'ferryline {line}'?"
    ))
}

/// A line of ssh's, which names no subcommand.
fn without_subcommand(command: &Command, words: &[String], error: &Error) -> Option<String> {
    let of_line = matches!(
        error.kind(),
        ErrorKind::InvalidSubcommand | ErrorKind::MissingSubcommand | ErrorKind::UnknownArgument
    );
    let forwards = words.iter().any(|word| word.starts_with("-L"));
    let named = words
        .iter()
        .any(|word| command.find_subcommand(word).is_some());
    if !of_line || !forwards || named {
        return None;
    }
    let line = on_one_line(words);
    Some(format!(
        "-L belongs to a subcommand: did you mean 'ferryline forward {line}'?"
    ))
}

/// `ferryline forward 2121:localhost:21 me@ssh.example`
fn without_letter(words: &[String], error: &Error) -> Option<String> {
    let takes_forwards = words
        .iter()
        .any(|word| word == "forward" || word == "check");
    if !takes_forwards
        || !matches!(
            error.kind(),
            ErrorKind::UnknownArgument | ErrorKind::MissingRequiredArgument
        )
        || words.iter().any(|word| word.starts_with("-L"))
    {
        return None;
    }
    let place = words
        .iter()
        .position(|word| word.matches(':').count() >= 2 && word.parse::<ForwardSpec>().is_ok())?;
    let mut line = words.to_vec();
    line.insert(place, "-L".to_owned());
    let line = on_one_line(&line);
    Some(format!(
        "a forward stands behind -L: did you mean 'ferryline {line}'?"
    ))
}

/// `--verbose=2`
fn counted(words: &[String], error: &Error) -> Option<String> {
    if error.kind() != ErrorKind::TooManyValues {
        return None;
    }
    let typed = words.iter().find(|word| word.starts_with("--verbose="))?;
    let (_, value) = typed.split_once('=')?;
    let letters = match value.parse::<usize>() {
        Ok(times @ 1..=3) => "v".repeat(times),
        Ok(_) => "vvv".to_owned(),
        Err(_) => "v".to_owned(),
    };
    Some(format!(
        "--verbose takes no value, it is repeated to log more: write -{letters} in place of {typed}"
    ))
}

/// The words as a shell reads them.
fn on_one_line(words: &[String]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| quoted(word)).collect();
    quoted.join(" ")
}
