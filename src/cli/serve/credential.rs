//! `credential:NAME`: a file that the service manager has handed to the service (systemd's `LoadCredential=`).

use std::path::{Path, PathBuf};

const PREFIX: &str = "credential:";

/// The path that a value stands for, where it names a credential; else the value.
///
/// # Errors
///
/// The name is none, or there is no such credential.
pub(super) fn path(value: &str) -> Result<String, String> {
    path_in(value, folder().as_deref())
}

/// Says that a value names a credential, and this process has none.
pub(super) fn lacks_folder(value: &str) -> Option<String> {
    let name = value.strip_prefix(PREFIX)?;
    folder().is_none().then(|| {
        format!(
            "'{value}': there are no credentials, because the environment has no CREDENTIALS_DIRECTORY; systemd sets \
             it where the unit has LoadCredential={name}:FILE"
        )
    })
}

fn folder() -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from)
}

fn path_in(value: &str, folder: Option<&Path>) -> Result<String, String> {
    let Some(name) = value.strip_prefix(PREFIX) else {
        return Ok(value.to_owned());
    };
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return Err(format!(
            "'{value}': expected the name of a credential, such as {PREFIX}key"
        ));
    }
    // Reported by itself: it is no mistake of the file.
    let Some(folder) = folder else {
        return Ok(format!("/run/credentials/{name}"));
    };
    let path = folder.join(name);
    if !path.is_file() {
        return Err(format!(
            "'{value}': there is no {}; the unit needs LoadCredential={name}:FILE",
            path.display()
        ));
    }
    match path.to_str() {
        Some(path) => Ok(path.to_owned()),
        None => Err(format!(
            "'{value}': its path {} is not UTF-8",
            path.display()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_a_file_of_that_folder() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key"), "").unwrap();
        let there = Some(folder.path());
        assert_eq!(path_in("/etc/key", None).unwrap(), "/etc/key");
        let key = folder.path().join("key");
        assert_eq!(
            path_in("credential:key", there).unwrap(),
            key.to_str().unwrap()
        );
        for (value, folder, says) in [
            ("credential:", there, "expected the name"),
            ("credential:../key", there, "expected the name"),
            ("credential:..", there, "expected the name"),
            ("credential:other", there, "LoadCredential=other:FILE"),
        ] {
            let error = path_in(value, folder).unwrap_err();
            assert!(error.contains(says), "{value}: {error}");
        }
    }
}
