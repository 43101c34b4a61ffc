//! A table of the file, as the words of a command line: what the command line can say, a table can, and clap
//! checks both.

use std::error::Error;

use clap::{
    Arg, ArgAction, Command,
    error::{ContextKind, ContextValue, ErrorKind},
};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{credential, problem::Problems};

/// A table whose keys are the options of a command.
pub(super) struct Keys {
    command: Command,
    /// The name of the table, as problems have it.
    table: String,
}

/// The words of one key, and its place in the file.
pub(super) struct Said {
    pub(super) key: String,
    pub(super) at: usize,
    pub(super) words: Vec<String>,
}

impl Keys {
    pub(super) fn new(command: Command, table: impl Into<String>) -> Self {
        Self {
            command,
            table: table.into(),
        }
    }

    /// The options that are keys.
    pub(super) fn arguments(&self) -> impl Iterator<Item = &Arg> {
        // ssh's letters that ferryline does not have are hidden, and named like themselves.
        let is_key = |argument: &&Arg| !argument.get_id().as_str().starts_with('-');
        self.command.get_arguments().filter(is_key)
    }

    fn argument(&self, key: &str) -> Option<&Arg> {
        self.arguments().find(|argument| name(argument) == key)
    }

    /// The words for what a table says. What is wrong with a key alone goes to the problems. `own`: the keys
    /// that are the caller's.
    pub(super) fn words(
        &self,
        table: &DeTable<'_>,
        own: &[&str],
        problems: &mut Problems<'_>,
    ) -> Vec<Said> {
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let mut all = Vec::new();
        let mut needed = Vec::new();
        for (key, value) in entries {
            let (at, key) = (key.span().start, key.get_ref().as_ref());
            if own.contains(&key) {
                continue;
            }
            let Some(argument) = self.argument(key) else {
                problems.add(at, &self.table, self.unknown(key, own));
                continue;
            };
            for text in strings(value.get_ref()) {
                if let Some(text) = credential::lacks_folder(text) {
                    problems.lacking(at, &self.place(key), text);
                }
            }
            let said = match (key, value.get_ref()) {
                ("option", DeValue::Table(options)) => options_of(options),
                ("option", other) => Err(expected("a table: option = { Keyword = VALUE }", other)),
                (_, value) => of_value(argument, value).map(|words| vec![(at, words)]),
            };
            let said = match said {
                Ok(said) => said,
                Err(text) => {
                    problems.add(at, &self.place(key), text);
                    continue;
                }
            };
            for (at, words) in said {
                match self.check(&words) {
                    Ok(needs) => {
                        needed.extend(needs.into_iter().map(|other| (at, key.to_owned(), other)));
                        all.push(Said {
                            key: key.to_owned(),
                            at,
                            words,
                        });
                    }
                    Err(text) => problems.add(at, &self.place(key), text),
                }
            }
        }
        for (at, key, other) in needed {
            let is_there = |(key, _): (&Spanned<_>, _)| *key.get_ref() == other.as_str();
            if !table.iter().any(is_there) {
                let text = format!("it has no effect without {other}, which is missing");
                problems.add(at, &self.place(&key), text);
            }
        }
        all
    }

    /// How problems name a key of this table.
    pub(super) fn place(&self, key: &str) -> String {
        format!("{} {key}", self.table)
    }

    /// How problems name this table.
    pub(super) fn table(&self) -> &str {
        &self.table
    }

    /// Checks one key by itself. Returns the keys without which it has no effect.
    fn check(&self, words: &[String]) -> Result<Vec<String>, String> {
        let command = self
            .command
            .clone()
            .mut_args(|argument| argument.required(false));
        match command.try_get_matches_from(words) {
            Ok(_) => Ok(Vec::new()),
            Err(error) if error.kind() == ErrorKind::MissingRequiredArgument => {
                let missing = match error.get(ContextKind::InvalidArg) {
                    Some(ContextValue::Strings(missing)) => missing.as_slice(),
                    _ => &[],
                };
                let option = |text: &String| text.split(' ').next().unwrap_or_default().to_owned();
                Ok(missing
                    .iter()
                    .map(|text| self.in_keys(&option(text)))
                    .collect())
            }
            Err(error) => Err(self.in_keys(&reason(&error))),
        }
    }

    /// What is said of a key that there is not.
    fn unknown(&self, key: &str, own: &[&str]) -> String {
        let names: Vec<String> = self
            .arguments()
            .map(name)
            .chain(own.iter().map(|&own| own.to_owned()))
            .collect();
        match nearest(key, &names) {
            Some(near) => format!("there is no key '{key}'; did you mean '{near}'?"),
            None => format!("there is no key '{key}'; there are {}", names.join(", ")),
        }
    }

    /// A text about options, as one about keys.
    pub(super) fn in_keys(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('-') {
            let (before, dashes) = rest.split_at(at);
            out.push_str(before);
            let is_word_start = out
                .chars()
                .last()
                .is_none_or(|c| c.is_whitespace() || "(',;".contains(c));
            let end = dashes
                .char_indices()
                .find(|(at, c)| *at > 0 && !c.is_ascii_alphanumeric() && *c != '-')
                .map_or(dashes.len(), |(at, _)| at);
            let (word, after) = dashes.split_at(end);
            let named = is_word_start.then(|| self.named_by(word)).flatten();
            out.push_str(named.as_deref().unwrap_or(word));
            rest = after;
        }
        out.push_str(rest);
        out
    }

    /// The key for an option as the command line spells it.
    fn named_by(&self, word: &str) -> Option<String> {
        let is_it = |argument: &&Arg| match word.strip_prefix("--") {
            Some(long) => argument.get_long() == Some(long),
            None => {
                let mut letters = word.chars().skip(1);
                let letter = letters.next();
                letters.next().is_none() && letter.is_some() && argument.get_short() == letter
            }
        };
        self.arguments().find(is_it).map(name)
    }

    /// The first of these keys that a text about options names.
    pub(super) fn blamed<'a>(&self, text: &str, said: &'a [Said]) -> Option<&'a Said> {
        let text = self.in_keys(text);
        let place = |said: &&'a Said| {
            if said.key == "option" {
                let mut keywords = said.words.iter().filter_map(|word| word.split('=').nth(1));
                return keywords.find_map(|keyword| text.find(keyword));
            }
            let word = |c: char| c.is_ascii_alphanumeric() || c == '-';
            let found = text.match_indices(said.key.as_str()).find(|(at, key)| {
                let (before, after) = (text.get(..*at), text.get(at + key.len()..));
                !before.is_some_and(|before| before.ends_with(word))
                    && !after.is_some_and(|after| after.starts_with(word))
            });
            found.map(|(at, _)| at)
        };
        let found = said.iter().filter_map(|said| Some((place(&said)?, said)));
        found.min_by_key(|(at, _)| *at).map(|(_, said)| said)
    }
}

/// The name of an option as a key: its long form, else its word.
pub(super) fn name(argument: &Arg) -> String {
    match argument.get_long() {
        Some(long) => long.to_owned(),
        None => argument.get_id().as_str().replace('_', "-"),
    }
}

/// The key whose list is one value of the command line.
pub(super) const JUMP: &str = "jump";

/// The words for a value.
fn of_value(argument: &Arg, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    if !argument.get_action().takes_values() {
        return match value {
            DeValue::Boolean(true) => Ok(vec![option(argument)]),
            DeValue::Boolean(false) => Ok(Vec::new()),
            other => Err(expected("true or false", other)),
        };
    }
    let word = |text: String| {
        let text = credential::path(&text)?;
        Ok(match argument.is_positional() {
            true => vec!["--".to_owned(), text],
            false => vec![format!("{}={text}", option(argument))],
        })
    };
    let is_list = matches!(argument.get_action(), ArgAction::Append);
    match value {
        DeValue::Array(values) if name(argument) == JUMP => {
            let hops = values.iter().map(|value| scalar(value.get_ref()));
            match hops.collect::<Option<Vec<String>>>() {
                Some(hops) => word(hops.join(",")),
                None => Err("expected a string or a list of strings".to_owned()),
            }
        }
        DeValue::Array(values) if is_list => {
            let mut all = Vec::new();
            for value in values.iter() {
                let text = scalar(value.get_ref())
                    .ok_or_else(|| expected("a list of strings", value.get_ref()))?;
                all.extend(word(text)?);
            }
            Ok(all)
        }
        value => match scalar(value) {
            Some(text) => word(text),
            None if is_list => Err(expected("a string or a list of strings", value)),
            None => Err(expected("a string or a number", value)),
        },
    }
}

/// The option as the command line spells it.
fn option(argument: &Arg) -> String {
    match (argument.get_long(), argument.get_short()) {
        (Some(long), _) => format!("--{long}"),
        (None, Some(short)) => format!("-{short}"),
        (None, None) => String::new(),
    }
}

/// The words for each entry of `option`, with its place.
fn options_of(options: &DeTable<'_>) -> Result<Vec<(usize, Vec<String>)>, String> {
    let mut entries: Vec<_> = options.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let words = entries.into_iter().map(|(keyword, value)| {
        let values = ssh_values(keyword.get_ref().as_ref(), value)?;
        let keyword_at = keyword.span().start;
        let words = values
            .into_iter()
            .map(|value| format!("-o={}={value}", keyword.get_ref()));
        Ok((keyword_at, words.collect()))
    });
    words.collect()
}

/// The values of one keyword of ssh's. Most keywords have one; a list of it is written as ssh writes it.
fn ssh_values(keyword: &str, value: &Spanned<DeValue<'_>>) -> Result<Vec<String>, String> {
    let one = |value: &DeValue<'_>| match value {
        DeValue::Boolean(true) => Ok("yes".to_owned()),
        DeValue::Boolean(false) => Ok("no".to_owned()),
        value => scalar(value)
            .ok_or_else(|| {
                format!(
                    "{keyword}: {}",
                    expected(
                        "a string, a number, true, false, or a list of strings",
                        value
                    )
                )
            })
            .and_then(|text| credential::path(&text)),
    };
    let DeValue::Array(values) = value.get_ref() else {
        return Ok(vec![one(value.get_ref())?]);
    };
    let values = values
        .iter()
        .map(|value| one(value.get_ref()))
        .collect::<Result<Vec<String>, _>>()?;
    let lower = keyword.to_ascii_lowercase();
    Ok(match lower.as_str() {
        "identityfile" | "certificatefile" => values,
        lower if lower.ends_with("knownhostsfile") => {
            let quoted: Vec<String> = values.iter().map(|path| format!("\"{path}\"")).collect();
            vec![quoted.join(" ")]
        }
        _ => vec![values.join(",")],
    })
}

/// The strings in a value.
fn strings<'a>(value: &'a DeValue<'_>) -> Vec<&'a str> {
    match value {
        DeValue::String(text) => vec![text.as_ref()],
        DeValue::Array(values) => {
            let inside = values.iter().map(Spanned::get_ref);
            inside.flat_map(strings).collect()
        }
        DeValue::Table(table) => {
            let inside = table.iter().map(|(_, value)| value.get_ref());
            inside.flat_map(strings).collect()
        }
        _ => Vec::new(),
    }
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .ok()
            .map(|number| number.to_string()),
        _ => None,
    }
}

fn expected(what: &str, found: &DeValue<'_>) -> String {
    let found = match found {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    format!("expected {what}, found {found}")
}

/// What clap says, without what it says of the command line.
pub(super) fn reason(error: &clap::Error) -> String {
    let texts = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        _ => Vec::new(),
    };
    let value = texts(ContextKind::InvalidValue).join(", ");
    if let Some(source) = error.source() {
        return format!("'{value}': {source}");
    }
    let allowed = texts(ContextKind::ValidValue);
    if error.kind() == ErrorKind::InvalidValue && !allowed.is_empty() {
        return format!("'{value}' is none of {}", allowed.join(", "));
    }
    if error.kind() == ErrorKind::ArgumentConflict {
        return "given more than once".to_owned();
    }
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    first.trim_start_matches("error: ").to_owned()
}

/// The name that is most like this one, if one is.
pub(super) fn nearest<'a>(wanted: &str, names: &'a [String]) -> Option<&'a str> {
    let plain = |name: &str| name.to_ascii_lowercase().replace('_', "-");
    let wanted = plain(wanted);
    let near = names
        .iter()
        .map(|name| (distance(&wanted, &plain(name)), name.as_str()))
        .min()?;
    let enough = 1 + wanted.len() / 4;
    (near.0 <= enough).then_some(near.1)
}

/// The number of letters to add, take away or change (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, letter) in one.chars().enumerate() {
        let mut diagonal = line;
        let mut left = line + 1;
        for (cell, wanted) in row.iter_mut().skip(1).zip(&other) {
            let changed = diagonal + usize::from(letter != *wanted);
            diagonal = *cell;
            left = changed.min(diagonal + 1).min(left + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = line + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_letters() {
        for (one, other, letters) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("allow-form", "allow-from", 2),
            ("record", "records", 1),
        ] {
            assert_eq!(distance(one, other), letters, "{one} {other}");
        }
    }

    #[test]
    fn only_what_is_alike_is_suggested() {
        let names = ["max-sessions", "idle", "record"].map(str::to_owned);
        assert_eq!(nearest("max_session", &names), Some("max-sessions"));
        assert_eq!(nearest("Idle", &names), Some("idle"));
        assert_eq!(nearest("shadow", &names), None);
    }
}
