//! `SSH_ASKPASS`: a program that asks in place of a terminal (ssh(1), ENVIRONMENT).

use std::{
    ffi::OsString,
    io::Read,
    process::{Command, Stdio},
};

use zeroize::Zeroizing;

use super::secret::Secret;

/// The person or program that is asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Whom {
    /// No question can be asked: there is no terminal, and no program that may be used.
    Unavailable,
    /// This program.
    Program(OsString),
    /// The person at the terminal.
    Terminal,
}

/// Decides it as ssh does: the terminal where there is one. The program is asked where there is a display but
/// no terminal, or where `SSH_ASKPASS_REQUIRE` says `prefer` (with a display) or `force` (in any case); never
/// with `never`. Without `SSH_ASKPASS` there is no program: ferryline knows of no default one.
pub(super) fn whom(variable: impl Fn(&str) -> Option<OsString>, has_terminal: bool) -> Whom {
    let variable = |name| variable(name).filter(|value| !value.is_empty());
    let has_display = variable("DISPLAY").is_some() || variable("WAYLAND_DISPLAY").is_some();
    let require = variable("SSH_ASKPASS_REQUIRE").unwrap_or_default();
    let (allowed, first) = match require.to_ascii_lowercase().to_str() {
        Some("force") => (true, true),
        Some("never") => (false, false),
        Some("prefer") => (has_display, has_display),
        _ => (has_display, false),
    };
    match variable("SSH_ASKPASS") {
        Some(program) if allowed && (first || !has_terminal) => Whom::Program(program),
        // Forced and without a program: ssh asks nothing then.
        _ if first || !has_terminal => Whom::Unavailable,
        _ => Whom::Terminal,
    }
}

/// Runs the program with the question as its argument; what it prints is the answer. `None` where
/// it cannot be run, or says by its exit code that the person gave up.
pub(super) fn ask(program: &OsString, text: &str) -> Option<Secret> {
    let child = Command::new(program)
        .arg(text)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            tracing::warn!(program = %program.display(), %error, "cannot run SSH_ASKPASS");
            return None;
        }
    };
    let mut answer = Zeroizing::new(Vec::with_capacity(2 * MAX_ANSWER));
    let read = match child.stdout.take() {
        // Never more than fits, because a vector that grows leaves copies behind.
        Some(out) => out.take(MAX_ANSWER as u64).read_to_end(&mut answer),
        None => Ok(0),
    };
    let ended = child.wait();
    if read.is_err() || !ended.is_ok_and(|status| status.success()) {
        return None;
    }
    let line = answer.split(|&byte| matches!(byte, b'\r' | b'\n')).next()?;
    std::str::from_utf8(line).ok().map(Secret::new)
}

/// The longest answer that is taken, as in ssh.
const MAX_ANSWER: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(variables: &[(&str, &str)], has_terminal: bool) -> Whom {
        let lookup = |name: &str| {
            let found = variables.iter().find(|(n, _)| *n == name);
            found.map(|(_, value)| OsString::from(value))
        };
        whom(lookup, has_terminal)
    }

    #[test]
    fn the_table_of_ssh() {
        let program = || Whom::Program("/p".into());
        let p = ("SSH_ASKPASS", "/p");
        let display = ("DISPLAY", ":0");
        let wayland = ("WAYLAND_DISPLAY", "wayland-0");
        let force = ("SSH_ASKPASS_REQUIRE", "force");
        let prefer = ("SSH_ASKPASS_REQUIRE", "prefer");
        let never = ("SSH_ASKPASS_REQUIRE", "never");
        for (variables, with_terminal, without) in [
            (&[][..], Whom::Terminal, Whom::Unavailable),
            (&[p], Whom::Terminal, Whom::Unavailable),
            (&[p, display], Whom::Terminal, program()),
            (&[p, wayland], Whom::Terminal, program()),
            (&[display], Whom::Terminal, Whom::Unavailable),
            (&[p, prefer], Whom::Terminal, Whom::Unavailable),
            (&[p, prefer, display], program(), program()),
            (&[p, force], program(), program()),
            (&[force], Whom::Unavailable, Whom::Unavailable),
            (&[p, never, display], Whom::Terminal, Whom::Unavailable),
            (
                &[("SSH_ASKPASS", ""), display],
                Whom::Terminal,
                Whom::Unavailable,
            ),
        ] {
            assert_eq!(decided(variables, true), with_terminal, "{variables:?}");
            assert_eq!(decided(variables, false), without, "{variables:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_first_line_is_the_answer_and_a_failure_is_none() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let program = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
            path.into_os_string()
        };
        let said = |program: &OsString| ask(program, "Who?").map(|s| s.expose().to_owned());
        assert_eq!(
            said(&program("a", "echo \"$1 I\"; echo more")),
            Some("Who? I".into())
        );
        assert_eq!(said(&program("b", "echo no; exit 1")), None);
        assert_eq!(
            said(&program("c", "yes | tr -d '\\n'; true")).map(|s| s.len()),
            Some(1024)
        );
        assert_eq!(said(&dir.path().join("none").into_os_string()), None);
    }
}
