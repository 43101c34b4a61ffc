//! Reading and extending known_hosts files (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).
//!
//! russh's own reader knows neither `@revoked` nor wildcards, negation or several files, so the
//! matching is done here, on the line parser of `ssh_key`.

use std::{
    fs,
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use hmac::{Hmac, KeyInit, Mac};
use russh::keys::{
    PublicKey,
    ssh_key::known_hosts::{Entry, HostPatterns, Marker},
};
use sha1::Sha1;

use crate::{
    bounded_file::{self, KNOWN_HOSTS_LIMIT},
    ssh::glob::glob,
};

/// A line of a known_hosts file that concerns the host that was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) file: PathBuf,
    /// Line number, from 1.
    pub(crate) line: usize,
    pub(crate) mark: Mark,
    pub(crate) key: PublicKey,
}

/// What a line says about its key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mark {
    /// `@cert-authority`: certificates that it signed are good for the host.
    Authority,
    /// No marker: it is a key of the host.
    Host,
    /// `@revoked`: it must not be accepted, neither as the host's nor as an authority's.
    Revoked,
}

/// The lines of `files` for `name`, in order. Lines and files that cannot be read are skipped with a
/// warning; a file that does not exist is simply empty.
pub(crate) fn lookup<'a>(files: impl IntoIterator<Item = &'a PathBuf>, name: &str) -> Vec<Found> {
    let mut found = Vec::new();
    for file in files {
        match read(file) {
            Ok(text) => lookup_in(file, &text, name, &mut found),
            Err(error) => tracing::warn!(file = %file.display(), %error, "cannot read known hosts"),
        }
    }
    found
}

/// The name under which a host is looked up and stored: with the port where it is not 22.
pub(crate) fn lookup_name(host: &str, port: u16) -> String {
    let host = host.to_ascii_lowercase();
    match port {
        22 => host,
        port => format!("[{host}]:{port}"),
    }
}

/// Adds a line for `name` at the end of `file`. Makes the file (mode 0600, its directory 0700) where there is
/// none.
///
/// # Errors
///
/// What the system says.
pub(crate) fn store(file: &Path, name: &str, key: &PublicKey) -> io::Result<()> {
    if let Some(parent) = file.parent().filter(|p| !p.as_os_str().is_empty()) {
        make_private_dir(parent)?;
    }
    let mut options = fs::OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(file)?;
    let mut line = String::new();
    if file.seek(SeekFrom::End(0))? > 0 {
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            line.push('\n');
        }
    }
    let mut bare = key.clone();
    bare.set_comment("");
    let text = bare.to_openssh().map_err(io::Error::other)?;
    line.push_str(&format!("{name} {}\n", text.trim_end()));
    // One write, so that lines of several processes do not mix.
    file.write_all(line.as_bytes())
}

/// The content of a file; a file that does not exist is empty.
fn read(file: &Path) -> io::Result<Vec<u8>> {
    match bounded_file::read(file, KNOWN_HOSTS_LIMIT) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        read => read,
    }
}

fn lookup_in(file: &Path, text: &[u8], name: &str, found: &mut Vec<Found>) {
    for (index, line) in text.split(|b| *b == b'\n').enumerate() {
        let number = index + 1;
        match parse(line) {
            Ok(Some(entry)) => {
                let mark = match entry.marker() {
                    None => Mark::Host,
                    Some(Marker::Revoked) => Mark::Revoked,
                    Some(Marker::CertAuthority) => Mark::Authority,
                };
                if matches(entry.host_patterns(), name) {
                    found.push(Found {
                        file: file.to_owned(),
                        line: number,
                        mark,
                        key: entry.public_key().clone(),
                    });
                }
            }
            Ok(None) => {}
            Err(reason) => {
                tracing::warn!(file = %file.display(), line = number, reason, "known hosts: a line is not understood, skipped");
            }
        }
    }
}

/// `None`: a blank line or a comment.
fn parse(line: &[u8]) -> Result<Option<Entry>, &'static str> {
    let line = std::str::from_utf8(line).map_err(|_| "not UTF-8")?;
    // The parser underneath takes single spaces only; files have tabs and more of them.
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    match fields.first() {
        None => return Ok(None),
        Some(first) if first.starts_with('#') => return Ok(None),
        Some(_) => {}
    }
    let entry = fields.join(" ").parse().map_err(|_| "no known form")?;
    Ok(Some(entry))
}

/// Whether a line's names include `name`, which is in lower case.
fn matches(patterns: &HostPatterns, name: &str) -> bool {
    match patterns {
        HostPatterns::HashedName { salt, hash } => {
            let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(salt) else {
                return false;
            };
            mac.update(name.as_bytes());
            mac.verify_slice(hash).is_ok()
        }
        HostPatterns::Patterns(patterns) => {
            let mut any = false;
            for pattern in patterns {
                let pattern = pattern.to_ascii_lowercase();
                match pattern.strip_prefix('!') {
                    // One negated match rules the whole line out.
                    Some(not) if glob(not, name) => return false,
                    Some(_) => {}
                    None => any |= glob(&pattern, name),
                }
            }
            any
        }
    }
}

fn make_private_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9dG4kjRhQTtWTVzd2t27+t0DEHBPW7iOD23TUiYLio";

    fn lines(text: &str, name: &str) -> Vec<usize> {
        let mut found = Vec::new();
        lookup_in(Path::new("/k"), text.as_bytes(), name, &mut found);
        found.into_iter().map(|f| f.line).collect()
    }

    #[test]
    fn names_and_ports() {
        assert_eq!(lookup_name("Example.ORG", 22), "example.org");
        assert_eq!(lookup_name("example.org", 2222), "[example.org]:2222");
        assert_eq!(lookup_name("::1", 2222), "[::1]:2222");
        let text = format!("example.org {KEY}\n[example.org]:2222 {KEY}\n");
        assert_eq!(lines(&text, "example.org"), [1]);
        assert_eq!(lines(&text, "[example.org]:2222"), [2]);
    }

    #[test]
    fn wildcards_and_negation() {
        let text = format!("*.example.org,!ftp?.example.org,10.0.0.* {KEY} a comment\n");
        assert_eq!(lines(&text, "a.example.org"), [1]);
        assert_eq!(lines(&text, "10.0.0.77"), [1]);
        assert!(lines(&text, "ftp1.example.org").is_empty());
        assert_eq!(lines(&text, "ftp.example.org"), [1]);
        assert!(lines(&text, "example.org").is_empty());
        let with_port = format!("[*.example.org]:999 {KEY}");
        assert_eq!(lines(&with_port, "[a.example.org]:999"), [1]);
        assert!(lines(&with_port, "a.example.org").is_empty());
    }

    #[test]
    fn hashed_names() {
        let plain = hashed("localhost");
        let text = format!("{plain} {KEY}\n{} {KEY}\n", hashed("[localhost]:2222"));
        assert_eq!(lines(&text, "localhost"), [1]);
        assert_eq!(lines(&text, "[localhost]:2222"), [2]);
        assert!(lines(&text, "localhos").is_empty());
    }

    #[test]
    fn a_hash_of_openssh_matches() {
        // ssh-keygen -H -f FILE with the name ftp.example.org.
        let text = format!("|1|WWI00w97uXb+uggmxvqJ3ZGMQl4=|Zn967czz6RymcyX10GBcUylA9Dg= {KEY}");
        assert_eq!(lines(&text, "ftp.example.org"), [1]);
        assert!(lines(&text, "ftp.example.com").is_empty());
    }

    #[test]
    fn markers_tabs_blank_and_bad_lines() {
        let text = format!(
            "# comment\n\n \t\r\n@revoked\t*\t{KEY}\r\n@cert-authority * {KEY}\nnonsense\n\u{fffd}\nh  {KEY}"
        );
        let mut found = Vec::new();
        lookup_in(Path::new("/k"), text.as_bytes(), "h", &mut found);
        let seen: Vec<_> = found.iter().map(|f| (f.line, f.mark)).collect();
        assert_eq!(
            seen,
            [(4, Mark::Revoked), (5, Mark::Authority), (8, Mark::Host)]
        );
        lookup_in(Path::new("/k"), b"\xff\xfe\nh", "h", &mut found);
        assert_eq!(found.len(), 3);
        // A comment is skipped silently.
        assert!(matches!(parse(b" # h"), Ok(None)));
    }

    #[test]
    fn stored_lines_are_found_again_and_end_what_came_before() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("new/known_hosts");
        let key: PublicKey = format!("{KEY} who@where").parse().unwrap();
        store(&file, "a", &key).unwrap();
        fs::OpenOptions::new()
            .append(true)
            .open(&file)
            .unwrap()
            .write_all(b"# no newline at the end")
            .unwrap();
        store(&file, "[b]:2", &key).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(
            text,
            format!("a {KEY}\n# no newline at the end\n[b]:2 {KEY}\n")
        );
        assert_eq!(lookup([&file], "[b]:2").len(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |p: &Path| fs::metadata(p).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(&file), 0o600);
            assert_eq!(mode(file.parent().unwrap()), 0o700);
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_empty_and_one_that_cannot_be_read_is_not() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(&dir.path().join("known_hosts")).unwrap(), b"");
        assert!(read(dir.path()).is_err());
    }

    fn hashed(name: &str) -> String {
        let salt = [7_u8; 20];
        let mut mac = Hmac::<Sha1>::new_from_slice(&salt).unwrap();
        mac.update(name.as_bytes());
        let hash = mac.finalize().into_bytes().into();
        HostPatterns::HashedName {
            salt: salt.to_vec(),
            hash,
        }
        .to_string()
    }
}
