//! The path of a transfer's file.

use bytes::Bytes;
use ferryline_grammar::Verb;

use crate::control::{is_absolute, joined};

/// The path of the file or folder that a command moves, in the FTP server's words; `None`: it cannot be told. It is
/// relative to the directory of the log-in where it does not begin at the root.
pub(super) fn of(verb: Verb, argument: &[u8], directory: Option<&Bytes>) -> Option<Bytes> {
    let argument = argument.trim_ascii();
    let is_list = matches!(verb, Verb::List | Verb::Nlst | Verb::Mlsd);
    match argument {
        // The server chooses a name, and tells it in its reply.
        _ if verb == Verb::Stou => None,
        b"" if is_list => directory.cloned(),
        b"" => None,
        // Options of ls, as many servers read them.
        [b'-', ..] if is_list => None,
        path if is_absolute(path) => Some(Bytes::copy_from_slice(path)),
        name => {
            let directory = directory?;
            (is_posix(directory) && is_posix(name)).then(|| joined(directory, name))
        }
    }
}

/// Whether a path has nothing that another system than POSIX would read as a border between folders.
fn is_posix(path: &[u8]) -> bool {
    let begins_elsewhere = is_absolute(path) && path.first() != Some(&b'/');
    !begins_elsewhere && !path.contains(&b'\\') && path.first() != Some(&b'[')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_joined_where_both_parts_are_posixs() {
        for (verb, argument, directory, path) in [
            (Verb::Retr, "a", "", Some("a")),
            (Verb::Retr, "a", "/in", Some("/in/a")),
            (Verb::Stor, "a/b", "/in/", Some("/in/a/b")),
            (Verb::Retr, "/x/a", "/in", Some("/x/a")),
            (Verb::Retr, "C:\\a", "/in", Some("C:\\a")),
            (Verb::Retr, "a", "C:\\in", None),
            (Verb::Retr, "'USER.DATA'", "'OTHER.'", Some("'USER.DATA'")),
            (Verb::Retr, "DATA", "'USER.'", None),
            (Verb::Retr, "a.txt;1", "DISK:[ME]", None),
            (Verb::Retr, "..\\a", "/in", None),
            (Verb::List, "", "/in", Some("/in")),
            (Verb::List, "-la", "/in", None),
            (Verb::Nlst, "sub", "/in", Some("/in/sub")),
            (Verb::Stou, "a", "/in", None),
            (Verb::Retr, "", "/in", None),
        ] {
            let directory = Bytes::from(directory);
            let found = of(verb, argument.as_bytes(), Some(&directory));
            assert_eq!(
                found.as_deref(),
                path.map(str::as_bytes),
                "{verb:?} {argument}"
            );
        }
        assert_eq!(of(Verb::Retr, b"a", None), None);
        assert_eq!(of(Verb::Retr, b"/a", None).as_deref(), Some(&b"/a"[..]));
    }
}
