//! What a file of a transfer depends on besides its name: directory, TYPE, MODE, STRU and restart point, as far as
//! the FTP server's answers have set them (RFC 959 §4.1, §5.3.1).

use bytes::{BufMut, Bytes, BytesMut};
use ferryline_grammar::{Command, Verb, quoted_directory};

/// What the file of a transfer depends on besides its name, when the FTP server began to answer the transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileParameters {
    /// The directory. A path that does not begin at the root is relative to the one of the log-in, of which the
    /// FTP server has not told. `None` where it is not known.
    pub directory: Option<Bytes>,
    /// The argument of the last TYPE that was accepted: its first letter, a capital. `A` is the default.
    pub representation: u8,
    /// The restart point of a REST right before, in bytes; 0: from the beginning.
    pub offset: u64,
    /// The data connection has the bytes of the file and no others, as far as MODE and STRU go: `MODE S` and
    /// `STRU F`, the defaults. A RANG right before, which leaves out the end of the file, makes it false.
    pub plain: bool,
}

/// The directory and the transfer parameters of a session.
#[derive(Debug)]
pub(super) struct Parameters {
    now: FileParameters,
    /// The MODE that was accepted last, and the STRU: capitals.
    mode: u8,
    structure: u8,
    /// A RANG was accepted, and no transfer has begun since.
    part: bool,
}

/// What a command sets if the FTP server accepts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Setting {
    /// CWD with this path.
    Directory(Bytes),
    /// CDUP.
    Parent,
    /// PWD: the answer names the directory.
    ToldDirectory,
    /// REST.
    Offset(u64),
    /// TYPE.
    Representation(u8),
    /// MODE.
    Mode(u8),
    /// STRU.
    Structure(u8),
    /// RANG, which some servers know: the next transfer is of a part.
    Range,
}

impl Setting {
    /// What this command sets.
    pub(super) fn of(command: &Command<'_>) -> Option<Self> {
        let argument = command.argument;
        match command.verb {
            Verb::Cwd => Some(Self::Directory(Bytes::copy_from_slice(argument))),
            Verb::Cdup => Some(Self::Parent),
            Verb::Pwd => Some(Self::ToldDirectory),
            Verb::Rest => {
                let digits = std::str::from_utf8(argument.trim_ascii()).ok()?;
                Some(Self::Offset(digits.parse().ok()?))
            }
            Verb::Type => letter(argument).map(Self::Representation),
            Verb::Mode => letter(argument).map(Self::Mode),
            Verb::Stru => letter(argument).map(Self::Structure),
            Verb::Other if command.keyword.eq_ignore_ascii_case(b"RANG") => Some(Self::Range),
            _ => None,
        }
    }
}

impl Parameters {
    pub(super) fn new() -> Self {
        Self {
            now: LOG_IN,
            mode: b'S',
            structure: b'F',
            part: false,
        }
    }

    /// Notes the beginning of the answer to a command that sets this.
    pub(super) fn answered(&mut self, setting: &Setting, code: u16, line: &[u8]) {
        match setting {
            Setting::Directory(path) if is_success(code) => self.go_to(path),
            Setting::Parent if is_success(code) => self.go_to(b".."),
            Setting::ToldDirectory if code == 257 => {
                if let Some(path) = quoted_directory(line) {
                    self.now.directory = bounded(Bytes::from(path));
                }
            }
            Setting::Offset(offset) if matches!(code, 300..=399) => self.now.offset = *offset,
            Setting::Representation(letter) if is_success(code) => {
                self.now.representation = *letter;
            }
            Setting::Mode(letter) if is_success(code) => self.mode = *letter,
            Setting::Structure(letter) if is_success(code) => self.structure = *letter,
            Setting::Range if matches!(code, 200..=399) => self.part = true,
            _ => {}
        }
    }

    /// Notes that the client is logged in: its directory is that of its user.
    pub(super) fn logged_in(&mut self) {
        self.now.directory = LOG_IN.directory;
    }

    /// Notes that REIN was accepted.
    pub(super) fn reset(&mut self) {
        *self = Self::new();
    }

    /// Takes those of a transfer that the FTP server begins to answer. The restart point is for this one only
    /// (RFC 3659 §5.3).
    pub(super) fn take_for_transfer(&mut self) -> FileParameters {
        let mut taken = self.now.clone();
        self.now.offset = 0;
        let part = std::mem::take(&mut self.part);
        taken.plain = !part && (self.mode, self.structure) == (b'S', b'F');
        taken
    }

    /// Goes to this path. `..` stays in the path: it may be behind a symbolic link.
    fn go_to(&mut self, path: &[u8]) {
        self.now.directory = match &self.now.directory {
            _ if is_absolute(path) => bounded(Bytes::copy_from_slice(path)),
            Some(before) if before.is_empty() => bounded(Bytes::copy_from_slice(path)),
            Some(before) => bounded(joined(before, path)),
            None => None,
        };
    }
}

/// Right behind the log-in.
const LOG_IN: FileParameters = FileParameters {
    directory: Some(Bytes::new()),
    representation: b'A',
    offset: 0,
    plain: true,
};

/// Greatest length of a directory that is kept, in bytes.
const LONGEST: usize = 4096;

/// The first letter of an argument, as a capital.
fn letter(argument: &[u8]) -> Option<u8> {
    let letter = argument.trim_ascii().first()?;
    Some(letter.to_ascii_uppercase())
}

fn is_success(code: u16) -> bool {
    matches!(code, 200..=299)
}

fn bounded(path: Bytes) -> Option<Bytes> {
    (path.len() <= LONGEST).then_some(path)
}

/// Whether a path does not depend on the directory: POSIX, a drive of Windows, a device of VMS, a data set of
/// MVS.
pub(crate) fn is_absolute(path: &[u8]) -> bool {
    match path {
        [b'/' | b'\\' | b'\'', ..] => true,
        [drive, b':', ..] => drive.is_ascii_alphabetic(),
        _ => path.windows(2).any(|pair| pair == b":["),
    }
}

/// The path of `name` in `directory`.
pub(crate) fn joined(directory: &[u8], name: &[u8]) -> Bytes {
    let mut path = BytesMut::with_capacity(directory.len() + 1 + name.len());
    path.put_slice(directory);
    if !directory.is_empty() && !directory.ends_with(b"/") {
        path.put_u8(b'/');
    }
    path.put_slice(name);
    path.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(steps: &[(&str, u16, &str)]) -> FileParameters {
        let mut parameters = Parameters::new();
        for (line, code, answer) in steps {
            let command = Command::parse(line.as_bytes()).unwrap();
            if let Some(setting) = Setting::of(&command) {
                parameters.answered(&setting, *code, answer.as_bytes());
            }
        }
        parameters.take_for_transfer()
    }

    #[test]
    fn the_directory_follows_what_the_server_has_accepted() {
        for (steps, directory) in [
            (&[][..], ""),
            (&[("CWD in", 250, "")], "in"),
            (&[("PWD", 257, "257 \"/home/me\"")], "/home/me"),
            (
                &[("PWD", 257, "257 \"/home/me\""), ("CWD in", 250, "")],
                "/home/me/in",
            ),
            (
                &[("CWD /a", 250, ""), ("CWD b/", 250, ""), ("CWD c", 250, "")],
                "/a/b/c",
            ),
            (&[("CWD /a", 250, ""), ("CDUP", 200, "")], "/a/.."),
            (&[("CWD /a", 250, ""), ("XCWD /b", 550, "")], "/a"),
            (&[("CWD /a", 250, ""), ("CWD C:\\x", 250, "")], "C:\\x"),
            (&[("CWD /", 250, ""), ("CWD a", 250, "")], "/a"),
        ] {
            assert_eq!(after(steps).directory.unwrap(), directory, "{steps:?}");
        }
    }

    #[test]
    fn a_directory_that_is_too_long_is_not_known_until_it_is_named_again() {
        let deep = format!("CWD {}", "x".repeat(3000));
        let lost = [(deep.as_str(), 250, ""), (deep.as_str(), 250, "")];
        assert_eq!(after(&lost).directory, None);
        let found = [lost[0], lost[1], ("CWD a", 250, ""), ("CWD /b", 250, "")];
        assert_eq!(after(&found).directory.unwrap(), "/b");
    }

    #[test]
    fn a_restart_point_is_for_one_transfer() {
        let mut parameters = Parameters::new();
        let rest = Setting::of(&Command::parse(b"REST 1000").unwrap()).unwrap();
        parameters.answered(&rest, 502, b"");
        assert_eq!(parameters.take_for_transfer().offset, 0);
        parameters.answered(&rest, 350, b"");
        assert_eq!(parameters.take_for_transfer().offset, 1000);
        assert_eq!(parameters.take_for_transfer().offset, 0);
    }

    #[test]
    fn the_type_is_that_of_the_last_type_that_was_accepted() {
        assert_eq!(after(&[]).representation, b'A');
        assert_eq!(after(&[("TYPE i", 200, "")]).representation, b'I');
        let refused = [("TYPE I", 200, ""), ("TYPE E", 504, "")];
        assert_eq!(after(&refused).representation, b'I');
    }

    #[test]
    fn only_a_stream_of_a_whole_file_is_plain() {
        for (steps, plain) in [
            (&[][..], true),
            (&[("MODE B", 200, "")], false),
            (&[("MODE Z", 504, "")], true),
            (&[("MODE Z", 200, ""), ("MODE S", 200, "")], true),
            (&[("STRU R", 250, "")], false),
            (&[("STRU F", 200, "")], true),
            (&[("RANG 1 5", 350, "")], false),
            (&[("RANG 1 5", 500, "")], true),
        ] {
            assert_eq!(after(steps).plain, plain, "{steps:?}");
        }
        let mut parameters = Parameters::new();
        let range = Setting::of(&Command::parse(b"rang 1 5").unwrap()).unwrap();
        parameters.answered(&range, 350, b"");
        assert!(!parameters.take_for_transfer().plain);
        assert!(parameters.take_for_transfer().plain);
    }
}
