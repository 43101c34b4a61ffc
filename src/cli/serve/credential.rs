//! `credential:NAME`: a file that the service manager has handed to the service (systemd's `LoadCredential=`).

use std::path::{Path, PathBuf};

const PREFIX: &str = "credential:";

/// The path that a value stands for, where it names a credential; else the value.
///
/// # Errors
///
/// The name is none, or there are no credentials.
pub(super) fn path(value: &str) -> Result<String, String> {
    let folder = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    path_in(value, folder.as_deref())
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
    let folder = folder.ok_or_else(|| {
        format!(
            "'{value}': there are no credentials, because the environment has no CREDENTIALS_DIRECTORY; systemd sets \
             it where the unit has LoadCredential={name}:FILE"
        )
    })?;
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
            ("credential:key", None, "no CREDENTIALS_DIRECTORY"),
        ] {
            let error = path_in(value, folder).unwrap_err();
            assert!(error.contains(says), "{value}: {error}");
        }
    }
}
