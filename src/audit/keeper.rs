//! [`Audit`]: takes what sessions and SSH connections do, and has it written.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use super::{
    budget::Budget,
    file::{self, OpenError},
    record::{ClientRefused, End, Ended, LogIn, LogInRefused, Record, SshLost, SshUp, Transfer},
    writer::{Book, Limits, Writer},
};
use crate::{
    lock::lock,
    proxy::{Books, Entry, Outcome},
    ssh::{ServerFacts, Watcher},
};

/// Where the record is, and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The file. Its folder has to be there.
    pub file: PathBuf,
    /// Whether transfers have the SHA-256 of what was carried, which costs processor time for every byte.
    pub sha256: bool,
}

/// An audit record that is written. A handle that is cheap to clone.
#[derive(Clone, Debug)]
pub struct Audit(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    writer: Writer,
    sha256: bool,
    strangers: Mutex<Budget>,
}

impl Audit {
    /// Opens the record and goes on with it.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]. A disk that is full is none: the lines wait.
    pub fn start(settings: Settings) -> Result<Self, OpenError> {
        let Settings { file: path, sha256 } = settings;
        let (lines, chain) = file::open(&path)?;
        let mut held = identity(&path);
        let again = path.clone();
        let open = Box::new(move || {
            if held.is_some() && identity(&again) == held {
                return Ok(None);
            }
            let opened = file::open(&again)?;
            held = identity(&again);
            Ok(Some(opened))
        });
        let book = Book::new(lines, chain, open);
        let writer = Writer::start(path, book, Limits::default()).map_err(OpenError::Thread)?;
        Ok(Self(Arc::new(Inner {
            writer,
            sha256,
            strangers: Mutex::default(),
        })))
    }

    /// Number of lines that were lost so far, because the disk did not take them.
    pub fn lost_lines(&self) -> u64 {
        self.0.writer.lost()
    }

    /// Has the file opened anew, because it was moved away (logrotate). Returns at once; what fails is logged, and the
    /// record goes on where it was.
    pub fn reopen(&self) {
        self.0.writer.reopen();
    }

    /// Writes what is left, and that the record is closed, for `patience` at most. Further events are not recorded.
    pub async fn close(&self, patience: Duration) {
        let left_out = lock(&self.0.strangers).take_left_out();
        let end = Record::End(End { left_out }).said();
        self.0.writer.close(patience, end).await;
    }

    fn push(&self, record: &Record) {
        self.0.writer.push(SystemTime::now(), record.said());
    }

    /// Records what a stranger has caused, unless strangers have caused too much. `record` gets the number of lines
    /// that were left out before.
    fn push_of_stranger(&self, record: impl FnOnce(u64) -> Record) {
        let taken = lock(&self.0.strangers).take(Instant::now());
        if let Some(left_out) = taken {
            self.push(&record(left_out));
        }
    }
}

impl Books for Audit {
    fn enter(&self, entry: &Entry<'_>) {
        match *entry {
            Entry::SessionBegan(_) => {}
            Entry::LoggedIn { session, user } => {
                self.push(&Record::LogIn(LogIn::new(session, user)));
            }
            Entry::LogInRefused {
                session,
                user,
                reply,
            } => self.push_of_stranger(|left_out| {
                Record::LogInRefused(LogInRefused::new(session, user, reply, left_out))
            }),
            Entry::Transferred { session, transfer } => {
                let record = |left_out| {
                    Record::Transfer(Box::new(Transfer::new(session, transfer, left_out)))
                };
                // Nothing was moved: some servers serve clients that never log in.
                match !transfer.logged_in && transfer.outcome == Outcome::Refused {
                    true => self.push_of_stranger(record),
                    false => self.push(&record(0)),
                }
            }
            Entry::SessionEnded { session, end } => {
                let record =
                    |left_out| Record::SessionEnd(Box::new(Ended::new(session, end, left_out)));
                match end.logged_in || end.moved.bytes() > 0 {
                    true => self.push(&record(0)),
                    false => self.push_of_stranger(record),
                }
            }
            Entry::ClientRefused {
                tunnel,
                peer,
                reason,
            } => self.push_of_stranger(|left_out| {
                Record::ClientRefused(ClientRefused::new(tunnel, peer, reason, left_out))
            }),
        }
    }

    fn wants_hashes(&self) -> bool {
        self.0.sha256
    }
}

impl Watcher for Audit {
    fn up(&self, server: &ServerFacts) {
        self.push(&Record::SshUp(SshUp::new(server)));
    }

    fn lost(&self, server: &ServerFacts, reason: &str) {
        self.push(&Record::SshLost(SshLost::new(server, reason)));
    }
}

/// What tells the file at a path from another one that had the path before; `None`: there is none, or the operating
/// system does not tell.
#[cfg(unix)]
fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;

    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn identity(_: &Path) -> Option<(u64, u64)> {
    None
}

#[cfg(test)]
mod tests {
    use super::super::{Summary, Verifier};
    use super::*;

    fn verified(files: &[&Path]) -> Summary {
        let mut verifier = Verifier::default();
        for file in files {
            let text = std::fs::read(file).unwrap();
            let checked = verifier.file(&file.display().to_string(), text.as_slice());
            checked.unwrap().unwrap();
        }
        verifier.finish()
    }

    fn start(file: &Path) -> Audit {
        let file = file.to_owned();
        Audit::start(Settings { file, sha256: true }).unwrap()
    }

    const PATIENCE: Duration = Duration::from_secs(60);

    fn refuse(audit: &Audit) {
        audit.enter(&Entry::ClientRefused {
            tunnel: &"erp".into(),
            peer: "192.0.2.1:4000".parse().unwrap(),
            reason: "too many",
        });
    }

    #[tokio::test]
    async fn a_record_goes_on_at_the_next_start_and_in_the_file_that_comes_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let (file, moved) = (
            folder.path().join("a.jsonl"),
            folder.path().join("a.jsonl.1"),
        );
        let audit = start(&file);
        refuse(&audit);
        audit.close(PATIENCE).await;
        let first = verified(&[&file]);
        assert_eq!((first.lines, first.closed), (3, true));

        let audit = start(&file);
        refuse(&audit);
        std::fs::rename(&file, &moved).unwrap();
        // As logrotate's `create` has it.
        std::fs::write(&file, "").unwrap();
        audit.reopen();
        refuse(&audit);
        // It is the same file by now.
        audit.reopen();
        audit.close(PATIENCE).await;
        let all = verified(&[&moved, &file]);
        assert_eq!((all.first, all.last), (Some(1), Some(8)));
        assert_eq!(all.not_closed, 0);
        let second = std::fs::read_to_string(&file).unwrap();
        let first = second.lines().next().unwrap();
        assert!(
            first.contains("\"event\":\"begin\",\"why\":\"reopened\""),
            "{first}"
        );
    }

    #[tokio::test]
    async fn strangers_cannot_fill_the_disk_and_what_was_left_out_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.jsonl");
        let audit = start(&file);
        for _ in 0..1000 {
            refuse(&audit);
        }
        audit.close(PATIENCE).await;
        let summary = verified(&[&file]);
        assert_eq!(summary.lines - 2 + summary.left_out, 1000);
        assert!(summary.left_out > 500, "{summary:?}");
    }
}
