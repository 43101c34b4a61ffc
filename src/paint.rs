//! Colours for people: on a terminal, unless `NO_COLOR` says that they are not wanted. Arrows and marks: in
//! UTF-8 where the locale has it, else in ASCII.

use std::{
    borrow::Cow,
    env,
    io::{self, IsTerminal, Write},
    sync::OnceLock,
};

/// Whether colours are wanted on this output: it is a terminal, and `NO_COLOR` is not set, or empty
/// (<https://no-color.org>).
pub fn is_wanted_on(output: &impl IsTerminal) -> bool {
    let unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    output.is_terminal() && !unwanted
}

/// Colours, or none.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    colour: bool,
}

impl Paint {
    /// With colours or without.
    pub fn new(colour: bool) -> Self {
        Self { colour }
    }

    /// Colours if they are wanted on standard output.
    pub fn for_stdout() -> Self {
        Self::new(is_wanted_on(&io::stdout()))
    }

    pub(crate) fn good(self, text: &str) -> String {
        self.wrap(text, "32")
    }

    pub(crate) fn bad(self, text: &str) -> String {
        self.wrap(text, "31")
    }

    pub(crate) fn doubtful(self, text: &str) -> String {
        self.wrap(text, "33")
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.wrap(text, "1")
    }

    pub(crate) fn faint(self, text: &str) -> String {
        self.wrap(text, "2")
    }

    /// The text in the colour of this code (ECMA-48, SGR).
    pub(crate) fn wrap(self, text: &str, code: &str) -> String {
        match self.colour && !text.is_empty() {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }
}

/// Output in which ferryline's own arrows and marks become ASCII where the locale is not UTF-8. Each write has
/// whole characters.
#[derive(Debug)]
pub(crate) struct ForLocale<W>(pub(crate) W);

impl<W: Write> Write for ForLocale<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.0.write_all(for_locale(text).as_bytes())?,
            Err(_) => self.0.write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// The text with its arrows and marks in ASCII, where the locale is not UTF-8.
pub(crate) fn for_locale(text: &str) -> Cow<'_, str> {
    static UTF8: OnceLock<bool> = OnceLock::new();
    match UTF8.get_or_init(|| is_utf8(|name| env::var(name).ok())) {
        true => Cow::Borrowed(text),
        false => ascii(text),
    }
}

/// Whether the environment says so, as setlocale(3) reads it.
fn is_utf8(variable: impl Fn(&str) -> Option<String>) -> bool {
    // Elsewhere the locale is not in the environment.
    if !cfg!(unix) {
        return true;
    }
    let set = |name| variable(name).filter(|value| !value.is_empty());
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

fn ascii(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let marks = [
        ("→", "->"),
        ("←", "<-"),
        ("✓", "+"),
        ("✗", "x"),
        ("–", "-"),
        ("…", "..."),
    ];
    let translated = marks
        .into_iter()
        .fold(text.to_owned(), |text, (mark, plain)| {
            text.replace(mark, plain)
        });
    Cow::Owned(translated)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn the_first_variable_that_is_set_decides() {
        let utf8 = |set: &[(&str, &str)]| {
            is_utf8(|name| {
                let found = set.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        assert!(utf8(&[("LANG", "de_DE.UTF-8")]));
        assert!(utf8(&[("LANG", "C"), ("LC_CTYPE", "C.utf8")]));
        assert!(utf8(&[("LC_ALL", ""), ("LANG", "en_US.UTF-8")]));
        assert!(!utf8(&[("LC_ALL", "C"), ("LANG", "en_US.UTF-8")]));
        assert!(!utf8(&[("LANG", "de_DE@euro")]));
        assert!(!utf8(&[]));
    }

    #[test]
    fn what_is_not_ferrylines_own_is_left_alone() {
        assert_eq!(ascii("✓ a → b, ✗ c – …"), "+ a -> b, x c - ...");
        assert_eq!(ascii("größe → x"), "größe -> x");
    }
}
