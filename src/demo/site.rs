//! Temporary folders of the tour: the files to carry, and the keys to log in with.

#[cfg(unix)]
use std::os::unix::fs::OpenOptionsExt;
use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::PathBuf,
};

use tempfile::TempDir;

/// The temporary folders, which are removed when this is dropped.
pub(super) struct Site {
    _folder: TempDir,
    /// Folder that the FTP server serves.
    pub(super) files: PathBuf,
    /// Keys and known hosts.
    private: PathBuf,
    /// Content of the file to fetch.
    pub(super) cargo: Vec<u8>,
}

impl Site {
    pub(super) fn new() -> io::Result<Self> {
        // Made for this user alone, with everything in it.
        let folder = tempfile::Builder::new()
            .prefix("ferryline-demo-")
            .tempdir()?;
        let files = folder.path().join("files");
        let private = folder.path().join("private");
        fs::create_dir(&files)?;
        fs::create_dir(&private)?;
        let cargo = noise(CARGO_BYTES);
        fs::write(files.join(GREETING_FILE), GREETING)?;
        fs::write(files.join(CARGO_FILE), &cargo)?;
        Ok(Self {
            _folder: folder,
            files,
            private,
            cargo,
        })
    }

    /// Writes what is needed to log in: the key file and the known_hosts file.
    pub(super) fn write_credentials(
        &self,
        key: &str,
        known_hosts: &str,
    ) -> io::Result<(PathBuf, PathBuf)> {
        let identity = self.private.join("id_ed25519");
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        options.mode(0o600);
        options.open(&identity)?.write_all(key.as_bytes())?;
        let known_hosts_file = self.private.join("known_hosts");
        fs::write(&known_hosts_file, known_hosts)?;
        Ok((identity, known_hosts_file))
    }
}

/// Bytes of every value without a pattern, the same each time.
fn noise(len: usize) -> Vec<u8> {
    let mut state: u32 = 0x2545_f491;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        let [byte, ..] = state.to_be_bytes();
        byte
    };
    (0..len).map(|_| next()).collect()
}

pub(super) const GREETING_FILE: &str = "hello.txt";
const GREETING: &str = "This file came to you by FTP, through SSH.\n";
pub(super) const CARGO_FILE: &str = "cargo.bin";
const CARGO_BYTES: usize = 1024 * 1024 + 17;
