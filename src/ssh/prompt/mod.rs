//! Asking a person: passwords, passphrases, and whether to trust a host key.
//!
//! - `secret`: an answer that is wiped from memory
//! - `patience`: time limits that do not run while a person is asked
//! - `askpass`: a program that asks in place of a terminal

mod askpass;
mod patience;
mod secret;

use std::io::{self, BufRead, Write};

use zeroize::Zeroizing;

use askpass::Whom;
pub(super) use patience::Patience;
pub use secret::Secret;

/// How passwords and passphrases are asked for. Called from a blocking thread, never concurrently
/// for one session.
pub trait Prompt: Send + Sync {
    /// Asks for something that must not be shown while it is typed. `None`: there is no person to ask, or the
    /// person gave up.
    fn secret(&self, text: &str) -> Option<Secret>;
    /// Asks for something that may be shown while it is typed: whether to trust a host key (the
    /// caller judges the answer), or a name or number that a server asks for. `None` as above.
    fn visible(&self, text: &str) -> Option<Secret> {
        self.secret(text)
    }
}

/// There is no person to ask.
#[derive(Clone, Copy, Debug)]
pub(super) struct NoPerson;

impl Prompt for NoPerson {
    fn secret(&self, _: &str) -> Option<Secret> {
        None
    }
}

/// Asks a person as ssh does: on the controlling terminal, or through the program that
/// `SSH_ASKPASS` names, where there is no terminal but a display, or where `SSH_ASKPASS_REQUIRE`
/// says so. Standard input is never read: where there is neither, as in a service, there is no
/// answer, and none is waited for.
#[derive(Clone, Copy, Debug, Default)]
pub struct TerminalPrompt;

impl Prompt for TerminalPrompt {
    fn secret(&self, text: &str) -> Option<Secret> {
        match askpass::whom(|name| std::env::var_os(name), has_terminal()) {
            Whom::Unavailable => None,
            Whom::Program(program) => askpass::ask(&program, text),
            Whom::Terminal => rpassword::prompt_password(text).ok().map(Secret::new),
        }
    }

    fn visible(&self, text: &str) -> Option<Secret> {
        match askpass::whom(|name| std::env::var_os(name), has_terminal()) {
            Whom::Unavailable => None,
            Whom::Program(program) => askpass::ask(&program, text),
            Whom::Terminal => ask_in_clear(text).ok(),
        }
    }
}

/// Whether there is a controlling terminal; a service has none.
#[cfg(unix)]
fn has_terminal() -> bool {
    terminal().is_ok()
}

#[cfg(unix)]
fn terminal() -> io::Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true).open("/dev/tty")
}

/// Whether both ends are at a console, on systems without controlling terminals.
#[cfg(not(unix))]
fn has_terminal() -> bool {
    use std::io::IsTerminal;
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// One line from the terminal.
#[cfg(unix)]
fn ask_in_clear(text: &str) -> io::Result<Secret> {
    let mut tty = terminal()?;
    tty.write_all(text.as_bytes())?;
    tty.flush()?;
    one_line(io::BufReader::new(tty))
}

#[cfg(not(unix))]
fn ask_in_clear(text: &str) -> io::Result<Secret> {
    let mut stderr = io::stderr();
    stderr.write_all(text.as_bytes())?;
    stderr.flush()?;
    one_line(io::stdin().lock())
}

/// Reads one line as a secret: what is typed in clear may still be one, such as a one-time password.
fn one_line(mut from: impl BufRead) -> io::Result<Secret> {
    let mut answer = Zeroizing::new(String::new());
    if from.read_line(&mut answer)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(Secret::new(answer.trim_end_matches(['\r', '\n'])))
}
