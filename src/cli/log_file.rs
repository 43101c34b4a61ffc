//! The file of `-E`.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// A file to whose end the log is written. A program that keeps logs may move it away, or remove it: then a new one
/// is begun at the same place.
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
}

impl LogFile {
    /// Opens the file, or makes one that is its owner's alone.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        // The program may change its folder, and the name must mean the same then.
        let path = std::path::absolute(path)?;
        let file = opened(&path)?;
        Ok(Self { path, file })
    }
}

impl Write for LogFile {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        if !is_at(&self.file, &self.path)
            && let Ok(file) = opened(&self.path)
        {
            self.file = file;
        }
        self.file.write(text)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn opened(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Whether this file is the one that stands there.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;

    let id = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata().map(id), std::fs::metadata(path).map(id)) {
        (Ok(own), Ok(there)) => own == there,
        _ => false,
    }
}

/// Other systems do not let an open file be removed.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> bool {
    true
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn it_goes_on_at_the_end_and_is_its_owners() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        for line in ["one\n", "two\n"] {
            LogFile::open(&path)
                .unwrap()
                .write_all(line.as_bytes())
                .unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(LogFile::open(&folder.path().join("none/log")).is_err());
    }

    #[test]
    fn where_it_was_moved_away_or_its_folder_is_gone_writing_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("sub/log"), folder.path().join("old"));
        fs::create_dir(folder.path().join("sub")).unwrap();
        let mut log = LogFile::open(&path).unwrap();
        log.write_all(b"one\n").unwrap();
        fs::rename(&path, &old).unwrap();
        log.write_all(b"two\n").unwrap();
        assert_eq!(fs::read_to_string(&old).unwrap(), "one\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), "two\n");
        fs::remove_dir_all(folder.path().join("sub")).unwrap();
        log.write_all(b"three\n").unwrap();
        fs::create_dir(folder.path().join("sub")).unwrap();
        log.write_all(b"four\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "four\n");
    }
}
