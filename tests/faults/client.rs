//! Clients that break off: after chosen bytes of a transfer, and with their two connections in any order.
//! Half a file must never be taken for a whole one, and nothing may be left of such a client.

use std::fmt;
use std::sync::Mutex;
use std::thread;

use ferryline::demo::ftp_client::{FtpClient, Mode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::case::Job;
use crate::common::{PATIENCE, noise, reset};
use crate::ftp_server::StoredEnd;
use crate::sweep::runtime;
use crate::world::World;

/// The connections that a client resets. Its process may end, or it has changed its mind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Break {
    Data,
    Control,
    ControlThenData,
    DataThenControl,
    /// Its data connection ends in order, and then its control connection is reset, replies unread.
    EndedDataThenControl,
    /// Its data connection ends in order; then it sends QUIT and waits for nothing.
    EndedDataThenQuit,
}

impl Break {
    /// Whether nothing was broken off: what the client has sent is the whole file.
    fn is_whole(self) -> bool {
        matches!(self, Self::EndedDataThenControl | Self::EndedDataThenQuit)
    }
}

#[derive(Clone, Copy)]
struct Case {
    mode: Mode,
    job: Job,
    /// Number of bytes of the file that have passed the client before.
    at: usize,
    what: Break,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            mode,
            job,
            at,
            what,
        } = self;
        write!(
            f,
            "{job:?} by {mode}, {what:?} reset after {at} of {SIZE} B"
        )
    }
}

/// Runs all modes, up and down, with `lanes` lanes.
pub fn run(lanes: usize) {
    let cases = Mutex::new(cases().into_iter());
    let wrong = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| work(lanes, &cases, &wrong));
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for mode in Mode::ALL {
        for job in [Job::Download, Job::Upload] {
            for at in [0, 1, 3_000, 100_000, SIZE] {
                for what in [
                    Break::Data,
                    Break::Control,
                    Break::ControlThenData,
                    Break::DataThenControl,
                ] {
                    cases.push(Case {
                        mode,
                        job,
                        at,
                        what,
                    });
                }
                if job == Job::Upload {
                    for what in [Break::EndedDataThenControl, Break::EndedDataThenQuit] {
                        cases.push(Case {
                            mode,
                            job,
                            at,
                            what,
                        });
                    }
                }
            }
        }
    }
    cases
}

fn work(lanes: usize, cases: &Mutex<std::vec::IntoIter<Case>>, wrong: &Mutex<Vec<String>>) {
    let next = || cases.lock().unwrap().next();
    let runtime = runtime();
    let mut last = None;
    let ended = runtime.block_on(async {
        let mut world = World::with_lanes(lanes, None).await;
        while let Some(case) = next() {
            last = Some(case);
            let done = timeout(PATIENCE, broken_off(&world, &case)).await;
            done.map_err(|_| "it does not end".to_owned())??;
            world.at_rest().await?;
            whole_or_broken(&world, &case)?;
        }
        world.stop().await
    });
    if let (Err(error), Some(last)) = (ended, last) {
        wrong.lock().unwrap().push(format!("{last}: {error}"));
    }
    runtime.shutdown_background();
}

/// Runs one session, up to its break and what the client can still see after it.
async fn broken_off(world: &World, case: &Case) -> Result<(), String> {
    let said = |error: ferryline::demo::ftp_client::ClientError| error.to_string();
    let mut client = FtpClient::connect(world.proxy).await.map_err(said)?;
    client.login("demo", "x").await.map_err(said)?;
    let command = match case.job {
        Job::Download => format!("RETR {SIZE}"),
        Job::Upload => format!("STOR {STORED_AS}"),
    };
    let mut data = client.begin(case.mode, &command).await.map_err(said)?;
    let mut passed = noise(SIZE);
    passed.truncate(case.at);
    let moved = match case.job {
        Job::Download => data.read_exact(&mut passed).await.map(|_| ()),
        Job::Upload => data.write_all(&passed).await,
    };
    moved.map_err(|error| format!("before anything was broken: {error}"))?;
    match case.what {
        Break::Data => {
            reset(data);
            goes_on(client, case).await
        }
        Break::Control => {
            client.control().set_zero_linger().unwrap();
            drop(client);
            cut(data, case).await
        }
        Break::ControlThenData => {
            client.control().set_zero_linger().unwrap();
            drop(client);
            reset(data);
            Ok(())
        }
        Break::DataThenControl => {
            client.control().set_zero_linger().unwrap();
            reset(data);
            drop(client);
            Ok(())
        }
        Break::EndedDataThenControl => {
            drop(data);
            client.control().set_zero_linger().unwrap();
            drop(client);
            Ok(())
        }
        Break::EndedDataThenQuit => {
            drop(data);
            let quit = client.control().write_all(b"QUIT\r\n").await;
            quit.map_err(|error| error.to_string())?;
            drop(client);
            Ok(())
        }
    }
}

/// A client whose data connection was reset is not told that an upload was stored. After a download its
/// session works as before.
async fn goes_on(mut client: FtpClient, case: &Case) -> Result<(), String> {
    let told = client.reply().await;
    match case.job {
        Job::Upload => match told {
            Ok(reply) if reply.code.value() == 226 => {
                Err(format!("an upload that was reset got {}", reply.code))
            }
            _ => Ok(()),
        },
        Job::Download => {
            told.map_err(|error| format!("no reply: {error}"))?;
            let again = client.retrieve(case.mode, &SIZE.to_string()).await;
            match again {
                Ok(content) if content == noise(SIZE) => Ok(()),
                Ok(content) => Err(format!("then {} B come", content.len())),
                Err(error) => Err(format!("then: {error}")),
            }
        }
    }
}

/// The data connection of a session whose control connection was reset: it may go on to its end, or else it
/// breaks.
async fn cut(mut data: TcpStream, case: &Case) -> Result<(), String> {
    let mut rest = Vec::new();
    let read = data.read_to_end(&mut rest).await;
    let missing = SIZE - case.at;
    match case.job {
        Job::Download if read.is_ok() && rest.len() != missing => {
            Err(format!("an end of file, {} B early", missing - rest.len()))
        }
        _ => Ok(()),
    }
}

/// Checks that the FTP server does not take a part of an upload for the whole.
fn whole_or_broken(world: &World, case: &Case) -> Result<(), String> {
    match world.ftp_server.take_stored(STORED_AS) {
        Some(stored) if case.what.is_whole() => {
            let whole = stored.end == StoredEnd::Eof && stored.content == noise(SIZE)[..case.at];
            let found = || format!("{} B came, then {:?}", stored.content.len(), stored.end);
            whole.then_some(()).ok_or_else(found)
        }
        None if case.what.is_whole() => Err("nothing was stored".into()),
        Some(stored) if stored.end == StoredEnd::Eof && case.at < SIZE => Err(format!(
            "{} B were stored as if they were all",
            stored.content.len()
        )),
        _ => Ok(()),
    }
}

const SIZE: usize = 150_000;
const STORED_AS: &str = "broken-off";
const WORKERS: usize = 4;
