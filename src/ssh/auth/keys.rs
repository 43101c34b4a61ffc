//! Key files: reading them, and decrypting them with a passphrase.
//!
//! All that OpenSSH writes can be read: its own format, PEM (`BEGIN RSA PRIVATE KEY`) and PKCS#8,
//! with one exception: of encrypted keys in the old PEM form only RSA ones with AES-128-CBC.
//!
//! The text of a file and the passphrase are wiped from memory after use. The key itself is wiped
//! when it is dropped, which is when the session ends, for further connections need it. What the
//! parsers underneath copy on their way is not all wiped.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use russh::keys::{
    self, Algorithm, PrivateKey, PublicKey, decode_secret_key, parse_public_key_base64,
};
use zeroize::Zeroizing;

use crate::{
    bounded_file::{KEY_LIMIT, read_text},
    shell_word::quoted,
    ssh::prompt::Secret,
};

/// What is in a key file.
pub(super) enum KeyFile {
    /// The handle of a key that never leaves its security key (`sk-ssh-ed25519@openssh.com`).
    Hardware(PublicKey),
    /// A key that needs a passphrase.
    Locked(Arc<LockedKey>),
    /// A key ready to use.
    Open(Arc<PrivateKey>),
}

/// Why a key file cannot be used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Unusable {
    /// What is wrong, for the list of what was tried.
    pub(super) cause: String,
    /// The cause again, and what mends it, in a sentence of their own.
    pub(super) remedy: Option<String>,
    /// There is no such file.
    pub(super) is_missing: bool,
}

impl Unusable {
    fn with_remedy(cause: &str, remedy: String) -> Self {
        Self {
            cause: cause.to_owned(),
            remedy: Some(remedy),
            is_missing: false,
        }
    }
}

impl From<io::Error> for Unusable {
    fn from(error: io::Error) -> Self {
        Self {
            cause: error.to_string(),
            remedy: None,
            is_missing: error.kind() == io::ErrorKind::NotFound,
        }
    }
}

/// An encrypted key.
pub(super) struct LockedKey {
    path: PathBuf,
    text: Zeroizing<String>,
    public: Option<PublicKey>,
    /// The result of asking for the passphrase; an inner `None`: it was not given.
    unlocked: OnceLock<Option<Arc<PrivateKey>>>,
}

impl KeyFile {
    /// Reads and parses a key file.
    ///
    /// # Errors
    ///
    /// It cannot be read, others may read it (ssh refuses such a key, too), or it is not a private key.
    pub(super) fn read(path: &Path) -> Result<Self, Unusable> {
        check_permissions(path)?;
        let text = Zeroizing::new(read_text(path, KEY_LIMIT)?);
        // OpenSSH's own format has the public half in clear, also when it is encrypted.
        if let Ok(key) = PrivateKey::from_openssh(text.as_bytes()) {
            let public = key.public_key().clone();
            return Ok(match public.algorithm() {
                Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256 => Self::Hardware(public),
                _ if key.is_encrypted() => Self::locked(path, text, Some(public)),
                _ => Self::Open(Arc::new(key)),
            });
        }
        match decode_secret_key(&text, None) {
            Ok(key) => Ok(Self::Open(Arc::new(key))),
            Err(_) if is_foreign(&text) => Err(foreign(path)),
            Err(keys::Error::KeyIsEncrypted) => Ok(Self::locked(path, text, None)),
            Err(_) if text.contains("ENCRYPTED") => Ok(Self::locked(path, text, None)),
            Err(_) if !text.contains("PRIVATE KEY") => Err(Unusable::with_remedy(
                "it is no private key",
                format!(
                    "{} is no private key: name the file with the private key with -i",
                    path.display()
                ),
            )),
            Err(error) => Err(io::Error::other(error).into()),
        }
    }

    /// The public half, where it is known without a passphrase.
    pub(super) fn public_key(&self) -> Option<&PublicKey> {
        match self {
            Self::Hardware(public) => Some(public),
            Self::Locked(key) => key.public.as_ref(),
            Self::Open(key) => Some(key.public_key()),
        }
    }

    fn locked(path: &Path, text: Zeroizing<String>, public: Option<PublicKey>) -> Self {
        Self::Locked(Arc::new(LockedKey {
            path: path.to_owned(),
            text,
            public: public.or_else(|| public_half_of(path)),
            unlocked: OnceLock::new(),
        }))
    }
}

impl LockedKey {
    /// The public half, where it is known without the passphrase.
    pub(super) fn public_key(&self) -> Option<&PublicKey> {
        self.public.as_ref()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What to do where the passphrase is not given.
    pub(super) fn remedy(&self) -> String {
        let path = self.path.display();
        let word = quoted(&self.path.to_string_lossy());
        format!(
            "the key {path} needs a passphrase, and nobody was asked for it: add the key to an agent with ssh-add {word}"
        )
    }

    /// The result of asking for the passphrase, once that was done.
    pub(super) fn unlocked(&self) -> Option<&Option<Arc<PrivateKey>>> {
        self.unlocked.get()
    }

    /// Stores the result, so that no person is asked again.
    pub(super) fn settle(&self, key: Option<Arc<PrivateKey>>) {
        let _ = self.unlocked.set(key);
    }

    /// Decrypts it; `None` where the passphrase is wrong. Slow on purpose (bcrypt), so it belongs on a
    /// blocking thread.
    pub(super) fn unlock(&self, passphrase: &Secret) -> Option<Arc<PrivateKey>> {
        let key = decode_secret_key(&self.text, Some(passphrase.expose()));
        key.ok().map(Arc::new)
    }
}

/// The public half of a key, from the `.pub` file beside it, or from the named file itself where that is a
/// public key. The agent has the private half then.
pub(super) fn public_half_of(path: &Path) -> Option<PublicKey> {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    read_public(Path::new(&name)).or_else(|| read_public(path))
}

/// Reads the first line that is no comment: `ALGORITHM BASE64 [COMMENT]`, or the BASE64 by itself.
fn read_public(path: &Path) -> Option<PublicKey> {
    let text = read_text(path, KEY_LIMIT).ok()?;
    let mut lines = text.lines().map(str::trim);
    let line = lines.find(|line| !line.is_empty() && !line.starts_with('#'))?;
    let mut words = line.splitn(3, char::is_whitespace);
    match (words.next()?, words.next(), words.next()) {
        (key, None, _) => parse_public_key_base64(key).ok(),
        (_, Some(key), comment) => {
            let mut key = parse_public_key_base64(key).ok()?;
            key.set_comment(comment.unwrap_or_default().trim_start());
            Some(key)
        }
    }
}

/// Whether the key is encrypted in the old PEM form, and not in the kind of it that can be decrypted.
fn is_foreign(text: &str) -> bool {
    let is_known = text.contains("BEGIN RSA PRIVATE KEY") && text.contains("DEK-Info: AES-128-CBC");
    text.contains("DEK-Info:") && !is_known
}

fn foreign(path: &Path) -> Unusable {
    let word = quoted(&path.to_string_lossy());
    Unusable::with_remedy(
        "it is encrypted in an old way",
        format!(
            "the key {} is encrypted in an old way: write it anew with ssh-keygen -p -f {word}",
            path.display()
        ),
    )
}

/// Checks that others may not read a key of this user's: such a key counts as given away. A file of another
/// user's, as a rule a service's key that belongs to root and is readable by a group, is not judged. Nor is the
/// group of a credential, which systemd lets the service read by an access list that the mode shows as the
/// group's rights: only the service can enter that folder.
#[cfg(unix)]
fn check_permissions(path: &Path) -> Result<(), Unusable> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(path)?;
    let mode = metadata.mode() & 0o777;
    let is_own = metadata.uid() == nix::unistd::getuid().as_raw();
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY");
    let others = match is_inside(path, credentials.as_deref().map(Path::new)) {
        true => 0o037,
        false => 0o077,
    };
    if !is_own || mode & others == 0 {
        return Ok(());
    }
    let word = quoted(&path.to_string_lossy());
    let remedy = format!(
        "others may read the private key {} (mode {mode:04o}), so it is not used: chmod 600 {word}",
        path.display()
    );
    tracing::warn!("{remedy}");
    let cause = format!("others may read it (mode {mode:04o})");
    Err(Unusable::with_remedy(&cause, remedy))
}

/// Whether the file stands in this folder, by its path.
#[cfg(unix)]
fn is_inside(path: &Path, folder: Option<&Path>) -> bool {
    folder.is_some_and(|folder| folder.is_absolute() && path.parent() == Some(folder))
}

#[cfg(not(unix))]
fn check_permissions(_: &Path) -> Result<(), Unusable> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_in_the_folder_of_credentials_is_one() {
        let folder = Some(Path::new("/run/credentials/ferryline.service"));
        for (path, inside) in [
            ("/run/credentials/ferryline.service/key", true),
            ("/run/credentials/ferryline.service/../other/key", false),
            ("/run/credentials/ferryline.service", false),
            ("/etc/ferryline/key", false),
            ("key", false),
        ] {
            assert_eq!(is_inside(Path::new(path), folder), inside, "{path}");
        }
        assert!(!is_inside(Path::new("/etc/ferryline/key"), None));
        assert!(!is_inside(Path::new("key"), Some(Path::new(""))));
    }
}
