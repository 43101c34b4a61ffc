//! Key files: reading them, and decrypting them with a passphrase.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::keys::{self, PrivateKey, PublicKey, decode_secret_key, load_public_key};
use zeroize::Zeroizing;

use super::prompt::Secret;

/// What is in a key file.
pub(super) enum KeyFile {
    /// A key ready to use.
    Open(Arc<PrivateKey>),
    /// A key that needs a passphrase.
    Locked(LockedKey),
}

/// An encrypted key.
pub(super) struct LockedKey {
    path: PathBuf,
    text: Arc<Zeroizing<String>>,
    public: Option<PublicKey>,
}

impl KeyFile {
    /// Reads and parses a key file.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is not a private key.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let text = Zeroizing::new(std::fs::read_to_string(path)?);
        warn_of_open_permissions(path);
        // OpenSSH's own format has the public half in clear, also when it is encrypted.
        if let Ok(key) = PrivateKey::from_openssh(text.as_bytes()) {
            if !key.is_encrypted() {
                return Ok(Self::Open(Arc::new(key)));
            }
            let public = Some(key.public_key().clone());
            return Ok(Self::locked(path, text, public));
        }
        match decode_secret_key(&text, None) {
            Ok(key) => Ok(Self::Open(Arc::new(key))),
            Err(keys::Error::KeyIsEncrypted) => Ok(Self::locked(path, text, None)),
            Err(_) if text.contains("ENCRYPTED") => Ok(Self::locked(path, text, None)),
            Err(error) => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                error.to_string(),
            )),
        }
    }

    /// The public half, where it is known without a passphrase.
    pub(super) fn public_key(&self) -> Option<&PublicKey> {
        match self {
            Self::Open(key) => Some(key.public_key()),
            Self::Locked(key) => key.public.as_ref(),
        }
    }

    fn locked(path: &Path, text: Zeroizing<String>, public: Option<PublicKey>) -> Self {
        Self::Locked(LockedKey {
            path: path.to_owned(),
            text: Arc::new(text),
            public: public.or_else(|| public_half(path)),
        })
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

    /// Decrypts it; `None` where the passphrase is wrong. Slow on purpose (bcrypt), so it runs on a
    /// blocking thread.
    pub(super) async fn unlock(&self, passphrase: &Secret) -> Option<Arc<PrivateKey>> {
        let text = Arc::clone(&self.text);
        let passphrase = passphrase.clone();
        let unlocked = tokio::task::spawn_blocking(move || {
            decode_secret_key(&text, Some(passphrase.expose())).ok()
        });
        unlocked.await.ok().flatten().map(Arc::new)
    }
}

/// The public half of a key file: from itself or from the `.pub` file beside it.
pub(super) fn public_half_of(path: &Path) -> Option<PublicKey> {
    public_half(path).or_else(|| KeyFile::read(path).ok()?.public_key().cloned())
}

fn public_half(path: &Path) -> Option<PublicKey> {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    load_public_key(PathBuf::from(name)).ok()
}

#[cfg(unix)]
fn warn_of_open_permissions(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let Ok(metadata) = std::fs::metadata(path) else {
        return;
    };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        tracing::warn!(key = %path.display(), "others may read this private key (mode {mode:04o}): chmod 600");
    }
}

#[cfg(not(unix))]
fn warn_of_open_permissions(_: &Path) {}
