//! Reads files of unknown size: a path may name a device, a pipe, or a file that grows.

use std::{fs::File, io, io::Read, path::Path};

/// Most bytes read of one key, certificate or password: OpenSSH accepts no longer one.
pub(crate) const KEY_LIMIT: u64 = 1 << 20;

/// Most bytes read of one configuration file.
pub(crate) const CONFIG_LIMIT: u64 = 4 << 20;

/// Most bytes read of one known_hosts file: some 100,000 hosts.
pub(crate) const KNOWN_HOSTS_LIMIT: u64 = 64 << 20;

/// Returns the content of a file.
///
/// # Errors
///
/// If the system reports one, or if the file holds more than `limit` bytes.
pub(crate) fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?
        .take(limit + 1)
        .read_to_end(&mut content)?;
    if content.len() as u64 > limit {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!(
                "it is larger than {limit} bytes, which is the most that is read of such a file"
            ),
        ));
    }
    Ok(content)
}

/// Returns the content of a text file; as [`read`].
pub(crate) fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    String::from_utf8(read(path, limit)?)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q129_a_file_is_read_up_to_its_bound() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "12345").unwrap();
        assert_eq!(read_text(&file, 5).unwrap(), "12345");
        let error = read(&file, 4).unwrap_err().to_string();
        assert!(error.starts_with("it is larger than 4 bytes"), "{error}");
        let missing = read(&folder.path().join("none"), 4).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }

    /// It never ends, and is not read without limit.
    #[cfg(unix)]
    #[test]
    fn q129_a_device_is_read_up_to_the_bound() {
        let error = read(Path::new("/dev/zero"), 4096).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }
}
