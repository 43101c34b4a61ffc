//! Colours for people: on a terminal, unless `NO_COLOR` says that they are not wanted.

use std::{
    env,
    io::{self, IsTerminal},
};

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

    /// Colours if standard output is a terminal and `NO_COLOR` is not set.
    pub fn for_stdout() -> Self {
        let unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self::new(io::stdout().is_terminal() && !unwanted)
    }

    pub(crate) fn good(self, text: &str) -> String {
        self.wrap(text, "32")
    }

    pub(crate) fn bad(self, text: &str) -> String {
        self.wrap(text, "31")
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
