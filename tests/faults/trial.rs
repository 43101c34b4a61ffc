//! Runs a case and judges its result.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use ferryline::demo::ftp_client::{ClientError, FtpClient, Problem};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::case::{Aim, Case, Job};
use crate::common::{noise, upload};
use crate::ftp_server::{Stored, StoredEnd};
use crate::relay::{Harm, Ordered};
use crate::world::World;

/// The result of a case in which no peer was deceived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The client knows that the transfer failed.
    Failed,
    /// The transfer ended before the harm was due.
    Spared,
    /// The file is whole on the far side in spite of the harm, and the client was told so.
    Whole,
}

/// Runs one case. Afterwards the world is at rest again.
///
/// # Errors
///
/// Which peer was deceived, and by what; or what was left behind.
pub async fn run(world: &mut World, case: &Case) -> Result<Verdict, String> {
    let ordered = order(world, case).await?;
    let seen = {
        let mut work = pin!(timeout(LIMIT, transfer(world.proxy, case)));
        let seen = tokio::select! {
            seen = &mut work => seen,
            done = go_on_later(world, case, &ordered) => {
                done?;
                work.await
            }
        };
        seen.map_err(|_| "the client waits for ever".to_owned())?
    };
    let reached = ordered.reached.is_cancelled();
    ordered.go_on.cancel();
    world.relay.bury();
    world
        .at_rest()
        .await
        .map_err(|left| format!("{left}; the client saw {seen:?}"))?;
    let stored = world.ftp_server.take_stored(STORED_AS);
    let whole = judge(case, &seen, stored.as_ref())?;
    match (reached, whole) {
        (false, true) => Ok(Verdict::Spared),
        (true, true) => Ok(Verdict::Whole),
        (true, false) if !case.is_harmless() => Ok(Verdict::Failed),
        _ => Err(format!("the transfer failed without need: {seen:?}")),
    }
}

/// Has the relay do the harm of this case in the next session.
async fn order(world: &World, case: &Case) -> Result<Ordered, String> {
    let link = match case.aim {
        Aim::Control => world.control(),
        Aim::Lane => world.lane(),
        Aim::NewLane => {
            world.relay.cut(world.lane());
            let gone = async {
                while world.session.stats().lanes_open > 0 {
                    sleep(Duration::from_millis(1)).await;
                }
            };
            let gone = timeout(LIMIT, gone).await;
            gone.map_err(|_| "a lost lane counts as open")?;
            return Ok(world.relay.order_next(case.way, case.at, case.harm));
        }
    };
    Ok(world.relay.order(link, case.way, case.at, case.harm))
}

/// Ends a stall. Where the data is stalled, it first serves another client.
async fn go_on_later(world: &World, case: &Case, ordered: &Ordered) -> Result<(), String> {
    ordered.reached.cancelled().await;
    if case.harm != Harm::Stall {
        return Ok(());
    }
    if case.aim == Aim::Control {
        // Long enough for peers that would not wait. There is no event to wait for.
        sleep(Duration::from_millis(3)).await;
    } else {
        let served = async {
            let mut other = FtpClient::connect(world.proxy).await?;
            other.login("other", "x").await?;
            other.quit().await
        };
        let served = served.await;
        served.map_err(|error| format!("a stalled lane stalls another client: {error}"))?;
    }
    ordered.go_on.cancel();
    Ok(())
}

/// What the client saw.
#[derive(Debug)]
struct Seen {
    data: Data,
    last: Last,
}

/// What the client saw of its data connection.
#[derive(Debug)]
enum Data {
    /// It broke, for this reason.
    Broken(#[expect(dead_code, reason = "shown with a case that went wrong")] String),
    /// All was sent, and the end of file.
    Sent,
    /// All that came up to an end of file.
    Received(Vec<u8>),
    /// There was none.
    None,
}

/// How the client was told the result of its transfer.
#[derive(Debug, PartialEq, Eq)]
enum Last {
    /// By the final reply, with this code.
    Code(u16),
    /// The control connection ended, or the session never got so far.
    Lost(String),
}

impl From<ClientError> for Last {
    fn from(error: ClientError) -> Self {
        match error.problem {
            Problem::Answer(reply) => Self::Code(reply.code.value()),
            _ => Self::Lost(error.to_string()),
        }
    }
}

/// Runs a whole session, up to its first failure. Whatever the data connection does, the final reply is read.
async fn transfer(address: SocketAddr, case: &Case) -> Seen {
    let lost = |error: ClientError| Seen {
        data: Data::None,
        last: error.into(),
    };
    let mut client = match FtpClient::connect(address).await {
        Ok(client) => client,
        Err(error) => return lost(error),
    };
    if let Err(error) = client.login("demo", "x").await {
        return lost(error);
    }
    let command = match case.job {
        Job::Download => format!("RETR {}", case.size),
        Job::Upload => format!("STOR {STORED_AS}"),
    };
    let data = match client.begin(case.mode, &command).await {
        Ok(stream) => move_data(stream, case).await,
        Err(error) if matches!(error.problem, Problem::Data { .. }) => {
            // It could not be made, so no transfer was asked for.
            return Seen {
                data: Data::Broken(error.to_string()),
                last: Last::Lost("no transfer was begun".into()),
            };
        }
        Err(error) => return lost(error),
    };
    let last = match client.reply().await {
        Ok(reply) => Last::Code(reply.code.value()),
        Err(error) => error.into(),
    };
    // After a failure the server may still wait for data that does not come.
    if last == Last::Code(226) {
        let _ = client.quit().await;
    }
    Seen { data, last }
}

async fn move_data(mut stream: TcpStream, case: &Case) -> Data {
    match case.job {
        Job::Download => {
            let mut content = Vec::new();
            match stream.read_to_end(&mut content).await {
                Ok(_) => Data::Received(content),
                Err(error) => Data::Broken(error.to_string()),
            }
        }
        Job::Upload => match upload(stream, &noise(case.size)).await {
            Ok(()) => Data::Sent,
            Err(error) => Data::Broken(error.to_string()),
        },
    }
}

/// Whether the transfer succeeded, and all peers know; false where it failed, and the client knows.
fn judge(case: &Case, seen: &Seen, stored: Option<&Stored>) -> Result<bool, String> {
    let good = seen.last == Last::Code(226);
    match (case.job, &seen.data) {
        (Job::Download, Data::Received(content)) => {
            if *content == noise(case.size) {
                return Ok(good);
            }
            let have = format!("{} of {} B, {:?}", content.len(), case.size, seen.last);
            if good {
                return Err(format!("an incomplete download looks complete: {have}"));
            }
            // The FTP server also ends a data connection in order when it loses its control connection. Harm
            // to the lane never makes it do so.
            if case.aim != Aim::Control {
                return Err(format!("a cut download has an end of file: {have}"));
            }
            Ok(false)
        }
        (Job::Download, _) if good => Err(format!("226 without a file: {:?}", seen.data)),
        (Job::Upload, _) if good => match stored {
            Some(stored) if stored.end == StoredEnd::Eof && stored.content == noise(case.size) => {
                Ok(true)
            }
            Some(stored) => Err(format!(
                "226 for an upload of which the FTP server has {} of {} B, {:?}; {:?}",
                stored.content.len(),
                case.size,
                stored.end,
                seen.data
            )),
            None => Err("226 for an upload that never came".into()),
        },
        _ => Ok(false),
    }
}

const STORED_AS: &str = "upload";
/// Limit of one session: more than ferryline itself ever waits here.
const LIMIT: Duration = Duration::from_secs(20);
