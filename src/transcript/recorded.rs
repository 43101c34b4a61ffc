//! Tests of what is written, and of file systems that do not accept it.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::mpsc,
    time::Duration,
};

use ferryline_grammar::{Frame, Line};
use tempfile::TempDir;

use super::{
    scribe::{Keep, Make, Paper},
    *,
};
use crate::control::Output;

const PATIENCE: Duration = Duration::from_secs(30);

/// Enough for all tests except those of the limit.
const LIMIT: u64 = 64 << 20;

type Fates = mpsc::Receiver<(u64, Fate)>;

fn scribe(limit: u64, make: Box<Make>) -> (Scribe, Fates) {
    let (tell, told) = mpsc::channel();
    let told_of = move |session, _: &Path, fate| {
        let _ = tell.send((session, fate));
    };
    let scribe = Scribe::start_with(limit, Keep::default(), told_of, make).unwrap();
    (scribe, told)
}

/// Writes to real files, with this many bytes of room in each.
fn disk(room: usize) -> Box<Make> {
    struct Disk(File, usize);
    impl Paper for Disk {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            let room = self.1.min(text.len());
            if room == 0 && !text.is_empty() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let written = Paper::write(&mut self.0, &text[..room])?;
            self.1 -= written;
            Ok(written)
        }
        fn shorten(&mut self, length: u64) -> io::Result<()> {
            let before = self.0.metadata()?.len();
            self.1 += usize::try_from(before - length).unwrap();
            Paper::shorten(&mut self.0, length)
        }
    }
    Box::new(move |path| {
        let mut options = File::options();
        let file = options.append(true).create_new(true).open(path)?;
        Ok(Box::new(Disk(file, room)))
    })
}

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("x.session")
}

fn said(text: &str) -> Frame {
    Frame::Line(Line::new(text.as_bytes().to_vec()))
}

fn heading_length() -> usize {
    record::heading(&Header::default()).len()
}

#[tokio::test]
async fn q88_no_password_reaches_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder);
    let (tell, told) = mpsc::channel();
    let scribe = Scribe::start(LIMIT, Keep::default(), move |_, _, fate| {
        tell.send(fate).unwrap()
    })
    .unwrap();
    let recorder = Recorder::begin(&scribe, 1, path.clone(), &Header::default());
    for command in ["pass hunter2", "SITE PSWD hunter2 hunter2"] {
        let frame = said(command);
        recorder.input(Duration::ZERO, &Input::Client(&frame));
        recorder.output(&Output::ToServer(format!("{command}\r\n").into()));
        let reply = format!("500 '{command}': command not understood.");
        let frame = said(&reply);
        recorder.input(Duration::ZERO, &Input::Server(&frame));
        recorder.output(&Output::ToClient(format!("{reply}\r\n").into()));
    }
    drop(recorder);
    assert!(scribe.finish(PATIENCE).await);
    let text = fs::read_to_string(&path).unwrap();
    assert!(!text.contains("hunter2"), "{text}");
    assert!(
        text.ends_with(
            "@0.000000 C> SITE PSWD ****\nS> SITE PSWD ****\n\
             @0.000000 S< 500 'SITE PSWD ****\nC< 500 'SITE PSWD ****\n"
        ),
        "{text}"
    );
    assert!(matches!(told.recv(), Ok(Fate::Begun)));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    // A file is never overwritten.
    drop(Recorder::begin(
        &scribe,
        2,
        path.clone(),
        &Header::default(),
    ));
    assert!(scribe.finish(PATIENCE).await);
    assert!(matches!(told.recv(), Ok(Fate::NotMade(_))));
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

/// The thread of the transcripts is blocked in its first write until the end of the test's first half.
#[tokio::test]
async fn a_file_system_that_stands_still_holds_nobody_up_and_ends_the_transcript() {
    struct Still(mpsc::Receiver<()>, mpsc::Sender<Vec<u8>>);
    impl Paper for Still {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.send(text.to_vec()).unwrap();
            Ok(text.len())
        }
        fn shorten(&mut self, _: u64) -> io::Result<()> {
            Ok(())
        }
    }
    let (thaw, frozen) = mpsc::channel();
    let (write, written) = mpsc::channel();
    let paper = std::sync::Mutex::new(Some(Still(frozen, write)));
    let make = move |_: &Path| -> io::Result<Box<dyn Paper>> {
        Ok(Box::new(paper.lock().unwrap().take().expect("one file")))
    };
    let (scribe, fates) = scribe(LIMIT, Box::new(make));
    let recorder = Recorder::begin(&scribe, 7, PathBuf::from("x"), &Header::default());
    let frame = said(&"x".repeat(1000));
    // 2 MiB wait at most, and the thread may have taken over as much before it was blocked.
    for _ in 0..5000 {
        recorder.input(Duration::ZERO, &Input::Client(&frame));
    }
    assert!(matches!(fates.try_recv(), Ok((7, Fate::TooSlow))));
    assert!(!scribe.finish(Duration::ZERO).await, "it still stands");
    drop(thaw);
    drop(recorder);
    assert!(scribe.finish(PATIENCE).await);
    let text = String::from_utf8(written.try_iter().flatten().collect()).unwrap();
    assert!(text.ends_with("x\n! recording-ended too-slow\n"));
    assert!(text.len() < 5 << 20, "{}", text.len());
    assert!(parse(&text).unwrap().len() > 1000);
}

#[tokio::test]
async fn a_transcript_has_a_limit_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let limit = 4096;
    let (scribe, fates) = scribe(limit, disk(1 << 20));
    let recorder = Recorder::begin(&scribe, 1, file(&folder), &Header::default());
    for _ in 0..1000 {
        recorder.input(Duration::ZERO, &Input::ClientLeft);
    }
    drop(recorder);
    assert!(scribe.finish(PATIENCE).await);
    let text = fs::read_to_string(file(&folder)).unwrap();
    assert!(text.ends_with("! client-left\n! recording-ended size-limit\n"));
    let size = u64::try_from(text.len()).unwrap();
    assert!((limit - 100..=limit).contains(&size), "{size}");
    let full = fates
        .try_iter()
        .any(|(_, fate)| matches!(fate, Fate::Full(bytes) if bytes == limit));
    assert!(full);
}

#[tokio::test]
async fn a_full_disk_leaves_whole_lines_or_no_file() {
    let event = "@0.000000 ! client-left\n".len();
    let last = "! recording-ended not-written\n".len();
    for room in 0..heading_length() + 6 * event {
        let folder = tempfile::tempdir().unwrap();
        let (scribe, fates) = scribe(LIMIT, disk(room));
        let recorder = Recorder::begin(&scribe, 1, file(&folder), &Header::default());
        for _ in 0..10 {
            recorder.input(Duration::ZERO, &Input::ClientLeft);
        }
        drop(recorder);
        assert!(scribe.finish(PATIENCE).await);
        let fates: Vec<Fate> = fates.try_iter().map(|(_, fate)| fate).collect();
        if room < heading_length() + event {
            assert!(!file(&folder).exists(), "{room}");
            assert!(matches!(fates.last(), Some(Fate::NotMade(_))), "{fates:?}");
            continue;
        }
        assert!(matches!(fates.last(), Some(Fate::Failed(_))), "{fates:?}");
        let text = fs::read_to_string(file(&folder)).unwrap();
        assert!(text.ends_with('\n'), "{text}");
        let events = (room - heading_length()) / event;
        let has_room = room - heading_length() - events * event >= last;
        let lines = parse(&text).unwrap();
        // Its heading, its events, and where there is room for it, the reason for its end.
        assert_eq!(lines.len(), 1 + events + usize::from(has_room), "{text}");
    }
}

#[tokio::test]
async fn the_oldest_transcripts_are_removed_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let length = heading_length() as u64;
    let own = std::process::id();
    let name = |process: u32, session: u64| {
        format!("20261129-13550{session}.000-me-host-{process}-00000{session}.session")
    };
    // Process 1 runs always; no process has the last number.
    let others = [
        name(1, 0),
        "0-notes.session".to_owned(),
        "00000000.txt".to_owned(),
    ];
    for (keep, left) in [
        (
            Keep {
                files: Some(4),
                bytes: None,
            },
            &[1, 4, 5][..],
        ),
        (
            Keep {
                files: None,
                bytes: Some(2 * length + 2),
            },
            &[1, 5],
        ),
        (Keep::default(), &[0, 1, 2, 3, 4, 5]),
    ] {
        for other in &others {
            fs::write(folder.path().join(other), "x").unwrap();
        }
        fs::write(folder.path().join(name(u32::MAX, 0)), "x").unwrap();
        fs::create_dir_all(folder.path().join(name(u32::MAX, 9))).unwrap();
        let scribe = Scribe::start(LIMIT, keep, |_, _, _| {}).unwrap();
        let begin = |session: u64| {
            let path = folder.path().join(name(own, session));
            Recorder::begin(&scribe, session, path, &Header::default())
        };
        let open = begin(1);
        for session in 2..=5 {
            drop(begin(session));
            assert!(scribe.finish(PATIENCE).await);
        }
        for other in &others {
            assert!(folder.path().join(other).exists(), "{other}");
        }
        assert!(folder.path().join(name(u32::MAX, 9)).is_dir());
        let process = |session| if session == 0 { u32::MAX } else { own };
        let found: Vec<u64> = (0..=5)
            .filter(|session| {
                folder
                    .path()
                    .join(name(process(*session), *session))
                    .exists()
            })
            .collect();
        assert_eq!(found, left);
        drop((open, scribe));
        for session in found {
            fs::remove_file(folder.path().join(name(process(session), session))).unwrap();
        }
    }
}
