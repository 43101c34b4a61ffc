//! A file whose whole lines stay whole. Lines are appended, and nothing that is in the file is overwritten. A line of
//! which only a part was written is taken back; where that is impossible, it is closed off by a newline, and the next
//! line says so.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use super::{
    chain::Chain,
    line::{LONGEST, Line, may_begin},
    record::Unfinished,
    text::digits,
};

/// The end of a file that is looked at for its last whole line: a line of the greatest length, and an unfinished one.
const TAIL: usize = 2 * LONGEST;

/// Why a file cannot be the audit record.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The operating system does not open or read it.
    #[error("cannot write the audit record {}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Another process writes it.
    #[error(
        "the audit record {} is written by another ferryline: stop that one, or give each a file of its own",
        path.display()
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It has something else in it.
    #[error(
        "{} does not end like an audit record that this version of ferryline writes, and is left alone: move it away, \
         or name another file",
        path.display()
    )]
    NotARecord {
        /// The file.
        path: PathBuf,
    },
    /// There is no thread for its writer.
    #[error("cannot start: no thread for the audit record: {0}")]
    Thread(io::Error),
}

/// What lines are appended to.
pub(super) trait Disk {
    /// Appends some of the bytes; returns how many.
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Takes the last bytes away again.
    fn take_back(&mut self, bytes: u64) -> io::Result<()>;

    /// Returns when all that was appended would survive a loss of power.
    fn settle(&mut self) -> io::Result<()>;
}

impl Disk for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write(bytes)
    }

    fn take_back(&mut self, bytes: u64) -> io::Result<()> {
        let metadata = self.metadata()?;
        if !metadata.is_file() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        self.set_len(metadata.len().saturating_sub(bytes))
    }

    fn settle(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// A file of lines.
pub(super) struct Lines<D> {
    disk: D,
    /// It ends with a newline, or is empty.
    ends: bool,
    /// What stands behind the last whole line and is no whole line, without the newline behind it.
    torn: Option<Torn>,
}

/// The hash and the length of what is no whole line.
#[derive(Clone, Default)]
struct Torn {
    hash: Sha256,
    bytes: u64,
}

impl Torn {
    fn add(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
    }
}

impl<D: Disk> Lines<D> {
    /// What is no whole line, and which the next line has to name.
    pub(super) fn unfinished(&self) -> Option<Unfinished> {
        self.torn.as_ref().map(|torn| Unfinished {
            bytes: torn.bytes,
            sha256: digits(&torn.hash.clone().finalize().into()),
        })
    }

    /// Appends a line, and its newline.
    ///
    /// # Errors
    ///
    /// The line is not in the file, or only as a part that [`unfinished`](Self::unfinished) tells of.
    pub(super) fn append(&mut self, line: &[u8]) -> io::Result<()> {
        let closed_off = !std::mem::replace(&mut self.ends, true);
        if closed_off && let Err(error) = self.write(b"\n").map_err(|(_, error)| error) {
            self.ends = false;
            return Err(error);
        }
        let whole = [line, b"\n"].concat();
        let Err((written, error)) = self.write(&whole) else {
            self.torn = None;
            return Ok(());
        };
        if written == 0 {
            return Err(error);
        }
        if written == line.len() {
            // All but the newline: the line is there, and the newline comes with the next one.
            self.ends = false;
            self.torn = None;
            return Ok(());
        }
        if self.disk.take_back(written as u64).is_err() {
            let again = self.torn.is_some();
            let torn = self.torn.get_or_insert_default();
            if again {
                torn.add(b"\n");
            }
            torn.add(whole.get(..written).unwrap_or(&whole));
            self.ends = false;
        }
        Err(error)
    }

    /// Returns when all lines would survive a loss of power.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        self.disk.settle()
    }

    /// Writes all of it; an error has the number of bytes that were written.
    fn write(&mut self, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
        let mut written = 0;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            match self.disk.append(rest) {
                Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
                Ok(more) => written += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err((written, error)),
            }
        }
        Ok(())
    }
}

/// Opens a file to continue it; makes it for its owner and readable for its group, if it is not there. Its folder has
/// to be there. Also returns the end of its chain; `None`: it is empty.
///
/// # Errors
///
/// See [`OpenError`].
pub(super) fn open(path: &Path) -> Result<(Lines<File>, Option<Chain>), OpenError> {
    let failed = |error| OpenError::Io {
        path: path.to_owned(),
        error,
    };
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
    let mut file = options.open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        // A device or a pipe: nothing can be read back.
        let lines = Lines {
            disk: file,
            ends: true,
            torn: None,
        };
        return Ok((lines, None));
    }
    // A file system without locks is no reason to write nothing.
    if let Err(TryLockError::WouldBlock) = file.try_lock() {
        let path = path.to_owned();
        return Err(OpenError::InUse { path });
    }
    let start = metadata.len().saturating_sub(TAIL as u64);
    file.seek(SeekFrom::Start(start)).map_err(failed)?;
    let mut tail = Vec::new();
    (&file)
        .take(TAIL as u64)
        .read_to_end(&mut tail)
        .map_err(failed)?;
    let Some((chain, torn)) = last_line(&tail, start == 0) else {
        let path = path.to_owned();
        return Err(OpenError::NotARecord { path });
    };
    let ends = tail.last().is_none_or(|byte| *byte == b'\n');
    let torn = torn.strip_suffix(b"\n").unwrap_or(torn);
    let lines = Lines {
        disk: file,
        ends,
        torn: (!torn.is_empty()).then(|| {
            let mut whole = Torn::default();
            whole.add(torn);
            whole
        }),
    };
    Ok((lines, chain))
}

/// The chain at the end of a file, and what stands behind its last whole line. `None`: it is no audit record. `tail`:
/// the end of the file, or, where `is_all`, all of it.
fn last_line(tail: &[u8], is_all: bool) -> Option<(Option<Chain>, &[u8])> {
    let mut end = tail.len();
    let mut rest = tail.strip_suffix(b"\n").unwrap_or(tail);
    loop {
        let start = rest.iter().rposition(|byte| *byte == b'\n');
        let line = rest.get(start.map_or(0, |start| start + 1)..)?;
        if let Some(parsed) = Line::parse(line) {
            let chain = Chain::after(line, parsed.seq);
            return Some((Some(chain), tail.get(end..).unwrap_or_default()));
        }
        let Some(start) = start else {
            // No line is whole. The first one may have been under way.
            let begun = is_all && may_begin(tail);
            return begun.then_some((None, tail));
        };
        end = start + 1;
        rest = rest.get(..start)?;
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::{
        collections::VecDeque,
        sync::{Arc, Condvar, Mutex, MutexGuard},
        time::SystemTime,
    };

    use super::*;

    /// A disk in memory, whose writes may fail.
    #[derive(Clone, Default)]
    pub(in crate::audit) struct Memory {
        inner: Arc<Mutex<Inner>>,
        /// Held while it stands still.
        still: Arc<Mutex<()>>,
        /// Notified before and after each write.
        asked: Arc<Condvar>,
    }

    #[derive(Default)]
    struct Inner {
        content: Vec<u8>,
        /// The number of bytes that each of the next writes takes; it fails after that.
        takes: VecDeque<usize>,
        failing: bool,
        only_appends: bool,
        full: bool,
        asked: bool,
    }

    impl Memory {
        pub(in crate::audit) fn content(&self) -> Vec<u8> {
            self.inner.lock().unwrap().content.clone()
        }

        pub(in crate::audit) fn takes(&self, bytes: &[usize]) {
            self.inner.lock().unwrap().takes.extend(bytes);
        }

        pub(in crate::audit) fn fill(&self) {
            self.inner.lock().unwrap().full = true;
        }

        /// Stands still until the result is dropped.
        pub(in crate::audit) fn stand(&self) -> MutexGuard<'_, ()> {
            self.still.lock().unwrap()
        }

        /// Waits until something should be written.
        pub(in crate::audit) fn asked(&self) {
            let inner = self.inner.lock().unwrap();
            drop(self.asked.wait_while(inner, |inner| !inner.asked).unwrap());
        }

        /// Waits until this number of lines has been written.
        pub(in crate::audit) fn written(&self, lines: usize) {
            let inner = self.inner.lock().unwrap();
            let ends = |content: &[u8]| content.iter().filter(|byte| **byte == b'\n').count();
            let waited = self
                .asked
                .wait_while(inner, |inner| ends(&inner.content) < lines);
            drop(waited.unwrap());
        }

        pub(in crate::audit) fn only_appends(&self) {
            self.inner.lock().unwrap().only_appends = true;
        }

        pub(in crate::audit) fn lines(&self) -> Lines<Self> {
            Lines {
                disk: self.clone(),
                ends: true,
                torn: None,
            }
        }
    }

    impl Disk for Memory {
        fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.inner.lock().unwrap().asked = true;
            self.asked.notify_all();
            let _still = self.still.lock().unwrap();
            let mut inner = self.inner.lock().unwrap();
            if inner.full {
                return Err(io::ErrorKind::StorageFull.into());
            }
            if std::mem::take(&mut inner.failing) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let takes = inner.takes.pop_front();
            let taken = takes.unwrap_or(bytes.len()).min(bytes.len());
            inner.failing = takes.is_some() && taken < bytes.len();
            if taken == 0 {
                inner.failing = false;
                return Err(io::ErrorKind::StorageFull.into());
            }
            inner.content.extend_from_slice(&bytes[..taken]);
            self.asked.notify_all();
            Ok(taken)
        }

        fn take_back(&mut self, bytes: u64) -> io::Result<()> {
            let mut inner = self.inner.lock().unwrap();
            if inner.only_appends {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            let left = inner.content.len() - usize::try_from(bytes).unwrap();
            inner.content.truncate(left);
            Ok(())
        }

        fn settle(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_part_of_a_line_is_taken_back() {
        let disk = Memory::default();
        let mut lines = disk.lines();
        lines.append(b"first").unwrap();
        disk.takes(&[3]);
        lines.append(b"second").unwrap_err();
        assert_eq!(disk.content(), b"first\n");
        assert!(lines.unfinished().is_none());
        lines.append(b"third").unwrap();
        assert_eq!(disk.content(), b"first\nthird\n");
    }

    #[test]
    fn a_part_that_cannot_be_taken_back_is_closed_off_and_told() {
        let disk = Memory::default();
        disk.only_appends();
        let mut lines = disk.lines();
        disk.takes(&[3]);
        lines.append(b"second").unwrap_err();
        // The newline, and a part of the next line.
        disk.takes(&[1, 2]);
        lines.append(b"third").unwrap_err();
        assert_eq!(disk.content(), b"sec\nth");
        let unfinished = lines.unfinished().unwrap();
        assert_eq!(unfinished.bytes, 6);
        assert_eq!(
            unfinished.sha256,
            digits(&super::super::chain::hash(b"sec\nth"))
        );
        lines.append(b"fourth").unwrap();
        assert_eq!(disk.content(), b"sec\nth\nfourth\n");
        assert!(lines.unfinished().is_none());
    }

    #[test]
    fn a_line_without_its_newline_is_a_line() {
        let disk = Memory::default();
        disk.only_appends();
        let mut lines = disk.lines();
        disk.takes(&[5]);
        lines.append(b"first").unwrap();
        assert!(lines.unfinished().is_none());
        lines.append(b"second").unwrap();
        assert_eq!(disk.content(), b"first\nsecond\n");
    }

    fn text_of(seq: u64) -> String {
        Line::text(seq, None, SystemTime::UNIX_EPOCH, "{\"event\":\"begin\"}")
    }

    #[test]
    fn the_last_whole_line_of_a_file_is_found_behind_any_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let (first, second) = (text_of(1), text_of(2));
        let after = |text: &str, seq| Some(Chain::after(text.as_bytes(), seq));
        let torn = second.get(..20).unwrap();
        for (content, chain, unfinished, ends) in [
            (String::new(), None, 0, true),
            (format!("{first}\n"), after(&first, 1), 0, true),
            (format!("{first}\n{second}\n"), after(&second, 2), 0, true),
            // Killed in the middle of a line, before its newline, and before another start could say so.
            (format!("{first}\n{torn}"), after(&first, 1), 20, false),
            (format!("{first}\n{second}"), after(&second, 2), 0, false),
            (format!("{first}\n{torn}\n"), after(&first, 1), 20, true),
            (
                format!("{first}\n{torn}\n{torn}"),
                after(&first, 1),
                41,
                false,
            ),
            (torn.to_owned(), None, 20, false),
            ("{\"v".to_owned(), None, 3, false),
        ] {
            std::fs::write(&path, &content).unwrap();
            let (lines, found) = open(&path).unwrap();
            assert_eq!(found, chain, "{content}");
            let bytes = lines.unfinished().map_or(0, |unfinished| unfinished.bytes);
            assert_eq!((bytes, lines.ends), (unfinished, ends), "{content}");
        }
    }

    #[test]
    fn a_file_that_is_something_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("other");
        for content in ["text", "text\n", "{\"a\":1}\n", "\n\n"] {
            std::fs::write(&path, content).unwrap();
            assert!(matches!(open(&path), Err(OpenError::NotARecord { .. })));
            assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
        }
        let junk = format!("{}\n{}", text_of(1), "x".repeat(TAIL));
        std::fs::write(&path, junk).unwrap();
        assert!(matches!(open(&path), Err(OpenError::NotARecord { .. })));
        let missing = folder.path().join("none/audit.jsonl");
        assert!(matches!(open(&missing), Err(OpenError::Io { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn a_new_file_is_its_owners_and_no_second_process_writes_it() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let (first, _) = open(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        // The umask of the tests may take the group's right away.
        assert_eq!(mode & 0o777 | 0o040, 0o640);
        assert!(matches!(open(&path), Err(OpenError::InUse { .. })));
        drop(first);
        open(&path).unwrap();
    }
}
