//! Moves the bytes of a data connection between the client's socket and an SSH channel.
//!
//! An end of file says that a file is complete, so it is passed on only where one was received. Every other
//! end of either side resets the client's socket, or closes the channel. The two directions do not wait for
//! each other, and each keeps its half-close.
//!
//! The far side's end of file says nothing about what it has received. It may come before the client has sent
//! anything: from an FTP server that ends its own direction first, or from an SSH server that times the
//! channel out. So what the client has sent counts as arrived only when the channel is closed after its own
//! end of file.
//!
//! # Time
//!
//! Nothing here limits how long a data connection stands still while its session lives: a client may pause a
//! download, and the FTP server decides how long to wait. A data connection that has outlived its session
//! ([`Watch::orphaned`]) has no peer that will end it, if the FTP server neither sends nor reads nor closes.
//! So it is cut once it has stood still for long. By then the FTP server has lost its control connection,
//! which is all that can tell it that an upload is not whole.
//!
//! # Memory
//!
//! A client or FTP server that does not read costs at most 8 MiB for each transfer, beyond what the kernel's
//! socket buffers hold. Towards the client: russh queues 100 messages for a channel (3.2 MiB of OpenSSH's
//! packets of 32 KiB, 6.4 MiB of the largest possible ones) and then stops reading its connection, whose read
//! buffer is 256 KiB. That is the bound, and not the channel's window, since russh grants more window as it
//! receives and not as it is read. Towards the FTP server: ten messages of [`CHUNK`] in the queue to the
//! session loop, and their packets. A lane on which all that has piled up carries nothing else until its
//! client reads on, so other transfers are given other lanes. Without lanes (`--lanes 0`, or a server that
//! refuses a second log-in) the connection that stops is the only one: the control connections of all
//! sessions stand still with it.

use std::{
    convert::Infallible,
    future::Future,
    io,
    pin::Pin,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{outcome::Outcome, rest::Rest};
use crate::{
    proxy::{
        io::socket,
        moved::{Moved, Tally},
    },
    ssh::{Channel, ChannelReader, ChannelWriter, LostReason, Probe, Received},
};

/// What is read from the client at once.
const CHUNK: usize = 256 * 1024;

/// How long the far side may take to close the channel, after an upload's end of file and then its own. It
/// has nothing to wait for, but some servers may wait until this side closes it.
const CLOSING: Duration = Duration::from_secs(2);

/// Time in which a client takes nothing of what waits for it, after which that is told.
const BLOCKED: Duration = Duration::from_secs(1);

/// Pause before an SSH server that had something more is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// The session's side of a running data connection: it is told what happens, and says what is to be done.
pub(crate) trait Watch {
    /// Where the bytes are counted.
    fn tally(&self) -> &Tally;
    /// Called when everything that the server sent, up to its end of file, was handed to the client.
    fn drained(&self);
    /// Called when bytes were handed on, at most once a second for each direction.
    fn progress(&self);
    /// Called when bytes wait to be handed to the client, which has taken none for [`BLOCKED`]. When it takes
    /// some again, `progress` is called at once.
    fn blocked(&self);
    /// Returns when the SSH server is to be asked whether all has arrived.
    fn asked(&self) -> impl Future<Output = ()> + Send;
    /// Called after a question to the SSH server, when nothing came between its keepalive replies, and all that
    /// came before was handed to the client.
    fn all_received(&self);
    /// Called after a question to the SSH server, when it has all that the client sent and the end of it, and
    /// the far side had not ended its own direction.
    fn all_sent(&self);
    /// Returns when the FTP server may be handed what the client sends.
    fn begun(&self) -> impl Future<Output = ()> + Send;
    /// Returns when the far side may be handed the client's end of file before it has ended itself.
    fn may_end(&self) -> impl Future<Output = ()> + Send;
    /// How long to wait for the client's own end of file after the server's, while nothing comes from the
    /// client; `None`: as long as the channel is open.
    fn last_word(&self) -> Option<Duration>;
    /// Returns when the client's side is to be cut.
    fn cut(&self) -> impl Future<Output = ()> + Send + 'static;
    /// Returns when the client's control connection is known to have broken. If the client has not ended its
    /// side of the data connection in order by then, and is not about to, it has broken it off.
    fn settle(&self) -> impl Future<Output = ()> + Send + 'static;
    /// Returns when the session is over, with how long the data connection may then stand still.
    fn orphaned(&self) -> impl Future<Output = Duration> + Send + 'static;
}

/// Runs a data connection to its end. `stream` must have been prepared by [`socket::data`]: dropping it at
/// any point resets it. `first` is what has been read from the channel already.
pub(crate) async fn run(
    mut stream: TcpStream,
    channel: Channel,
    first: Option<Received>,
    watch: &impl Watch,
) -> Outcome {
    let Channel { mut reader, writer } = channel;
    // Borrowed halves, because dropping an owned one would end the file in order.
    let (mut read, mut write) = stream.split();
    let counts = Counts::new(watch.tally());

    let (cut, orphaned) = (watch.cut(), watch.orphaned());
    let last_word = match watch.last_word() {
        Some(limit) => LastWord::Within(limit),
        None => LastWord::UntilClosed(reader.ended()),
    };
    let ends = {
        let probe = reader.probe();
        let down = to_client(first, &mut reader, &mut write, &counts, watch);
        let up = to_server(&mut read, writer, &counts, watch);
        let whole = both(down, up, &counts, last_word);
        tokio::select! {
            biased;
            () = cut => Err(Failure::Cut),
            () = stands_still(orphaned, &counts) => Err(Failure::Forsaken),
            ends = whole => ends,
            // After `whole`: what is in the channel's queue has been handed on before this looks.
            never = answer_questions(&probe, &counts, watch) => match never {},
        }
    };
    let ends = match ends {
        // The client may have had no way to learn that the channel is gone.
        Err(Failure::Silent) => Err(match reader.read_now().await {
            Some(Received::Closed) => Failure::Refused,
            Some(Received::Lost(reason)) => refused(reason),
            Some(Received::Data(_) | Received::Eof) | None => {
                let text =
                    "it sends nothing, and no end of file, where the server has ended its own side";
                Failure::Client(io::Error::new(io::ErrorKind::TimedOut, text))
            }
        }),
        other => other,
    };
    let moved = counts.moved();
    match ends {
        Ok(writer) => {
            socket::orderly(&stream);
            drop(stream);
            if let Some(writer) = writer {
                writer.close().await;
            }
            Outcome::Complete(moved)
        }
        Err(Failure::Cut) => {
            drop(stream);
            Outcome::Cut(moved, reader)
        }
        Err(failure) => {
            // Where the client has had its file and the end of it, that must not be cut. Where it has sent
            // some bytes and received none, it was in the middle of sending.
            if moved.is_upload() {
                socket::abortive(&stream);
            }
            drop(stream);
            match failure {
                Failure::Client(error) => Outcome::ClientLost(moved, error, reader),
                Failure::Cut | Failure::Refused | Failure::Silent => Outcome::ServerClosed(moved),
                Failure::Forsaken => Outcome::Forsaken(moved),
                Failure::Server(reason) => Outcome::ServerLost(moved, reason),
            }
        }
    }
}

/// Runs both directions, each to its end. A channel that is returned is to be closed in order.
async fn both(
    down: impl Future<Output = Result<(), Failure>>,
    up: impl Future<Output = Result<ChannelWriter, Failure>>,
    counts: &Counts<'_>,
    limit: LastWord<impl Future<Output = LostReason>>,
) -> Result<Option<ChannelWriter>, Failure> {
    tokio::pin!(down, up);
    let (writer, early) = tokio::select! {
        down = &mut down => {
            down?;
            let word = match limit {
                LastWord::Within(limit) => last_word(up, counts, limit).await?,
                LastWord::UntilClosed(closed) => word_until(up, counts, closed).await?,
            };
            match word {
                Some(writer) => (writer, true),
                None => return Ok(None),
            }
        }
        up = &mut up => match up {
            Ok(writer) => match down.await {
                Ok(()) => (writer, false),
                // Some servers close it without an end of file of their own once they have had ours.
                Err(Failure::Server(LostReason::Closed)) if counts.moved().is_upload() => {
                    (writer, false)
                }
                Err(failure) => return Err(failure),
            },
            Err(Failure::Client(error)) => return Err(Failure::Client(error)),
            // What the server sent before may still be on its way to the client.
            Err(failure) => {
                down.await?;
                return match counts.moved().to_client {
                    0 => Err(failure),
                    _ => Ok(None),
                };
            }
        },
    };
    if counts.moved().is_upload() {
        arrived(&writer, early).await?;
    }
    Ok(Some(writer))
}

/// Waits for the client's own end of file, as long as it sends or `limit` has not passed. The far side has
/// ended its direction, and that was handed to the client.
async fn last_word(
    mut up: Pin<&mut impl Future<Output = Result<ChannelWriter, Failure>>>,
    counts: &Counts<'_>,
    limit: Duration,
) -> Result<Option<ChannelWriter>, Failure> {
    loop {
        let before = counts.moved();
        let word = tokio::time::timeout(limit, &mut up).await.ok();
        let now = counts.moved();
        match word {
            Some(Ok(writer)) => return Ok(Some(writer)),
            // The client has its file, however it closes, and whether it does.
            Some(Err(Failure::Client(_))) if now.is_download() => return Ok(None),
            None if now.is_download() => return Ok(None),
            Some(Err(failure)) => return Err(failure),
            None if now == before && counts.client_is_awaited() => return Err(Failure::Silent),
            None => {}
        }
    }
}

/// As above, but for as long as the far side may still take something.
async fn word_until(
    up: Pin<&mut impl Future<Output = Result<ChannelWriter, Failure>>>,
    counts: &Counts<'_>,
    closed: impl Future<Output = LostReason>,
) -> Result<Option<ChannelWriter>, Failure> {
    let word = tokio::select! {
        biased;
        word = up => word,
        reason = closed => Err(refused(reason)),
    };
    match word {
        Ok(writer) => Ok(Some(writer)),
        Err(_) if counts.moved().is_download() => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Waits until the far side has all of an upload that has been sent, with both ends of file. Only the close
/// of the channel says so: much may still be queued here, and the connection may be lost before it goes. A
/// far side that waits until this side closes the channel is believed when it has been handed everything. It
/// is not believed where its own end of file came `early`, which proves nothing.
async fn arrived(writer: &ChannelWriter, early: bool) -> Result<(), Failure> {
    let handed_over = async {
        if early {
            return std::future::pending().await;
        }
        tokio::time::sleep(CLOSING).await;
        writer.taken().await;
    };
    tokio::select! {
        biased;
        reason = writer.ended() => match reason {
            LostReason::Closed | LostReason::Local => Ok(()),
            lost @ (LostReason::Connection(_) | LostReason::GivenUp) => Err(Failure::Server(lost)),
        },
        () = handed_over => Ok(()),
    }
}

/// Asks the SSH server whether all has arrived, whenever the session wants to know.
async fn answer_questions(probe: &Probe, counts: &Counts<'_>, watch: &impl Watch) -> Infallible {
    loop {
        watch.asked().await;
        while !nothing_comes(probe, counts).await {
            tokio::time::sleep(ASK_AGAIN).await;
        }
        watch.all_received();
        counts.finished.cancelled().await;
        if signs_of_life(probe).await && !counts.far_finished.is_cancelled() {
            watch.all_sent();
        }
    }
}

/// Whether all that came was handed to the client, and the far side has nothing more.
async fn nothing_comes(probe: &Probe, counts: &Counts<'_>) -> bool {
    let before = counts.moved().to_client;
    if counts.handing_over.load(Ordering::Relaxed) || !signs_of_life(probe).await {
        return false;
    }
    // What came before the last answer is in the channel's queue, and is taken from there before this goes
    // on.
    tokio::task::yield_now().await;
    !counts.handing_over.load(Ordering::Relaxed) && counts.moved().to_client == before
}

/// Whether the SSH server answers twice while the channel is open. An SSH server answers with what it has read
/// from its own sockets before. OpenSSH's sshd, which does one thing after another, may have read something
/// and answer before it sends that on. Between two answers it has looked at all of its sockets and sent on
/// what there was.
async fn signs_of_life(probe: &Probe) -> bool {
    probe.answered().await && probe.answered().await
}

/// Returns when the session is over and nothing has moved for as long as `orphaned` says.
async fn stands_still(orphaned: impl Future<Output = Duration>, counts: &Counts<'_>) {
    let patience = orphaned.await;
    let (mut before, mut since) = (counts.moved(), Instant::now());
    while since.elapsed() < patience {
        tokio::time::sleep(patience / 8).await;
        let now = counts.moved();
        if now != before {
            (before, since) = (now, Instant::now());
        }
    }
}

/// How long to wait for the client's end of file after the server's.
enum LastWord<F> {
    /// For this time without anything from the client.
    Within(Duration),
    /// Until the channel is closed.
    UntilClosed(F),
}

struct Counts<'a> {
    tally: &'a Tally,
    /// Whether the client's last bytes have not been handed on yet: the wait is not for the client.
    handing_on: AtomicBool,
    /// Whether something that came for the client has not been handed to it yet.
    handing_over: AtomicBool,
    /// The far side has ended its direction.
    far_finished: CancellationToken,
    /// The client has ended its side, and its end of file was passed on.
    finished: CancellationToken,
}

impl<'a> Counts<'a> {
    fn new(tally: &'a Tally) -> Self {
        Self {
            tally,
            handing_on: AtomicBool::default(),
            handing_over: AtomicBool::default(),
            far_finished: CancellationToken::new(),
            finished: CancellationToken::new(),
        }
    }

    fn client_is_awaited(&self) -> bool {
        !self.handing_on.load(Ordering::Relaxed)
    }

    fn moved(&self) -> Moved {
        self.tally.moved()
    }
}

/// Why a direction broke.
enum Failure {
    Client(io::Error),
    /// The session cut it.
    Cut,
    /// Its session is over, and it stood still.
    Forsaken,
    /// The channel was closed in order while the client was still sending.
    Refused,
    Server(LostReason),
    /// The server has ended its direction, and nothing comes from the client any more.
    Silent,
}

async fn to_client(
    mut first: Option<Received>,
    reader: &mut ChannelReader,
    write: &mut WriteHalf<'_>,
    counts: &Counts<'_>,
    watch: &impl Watch,
) -> Result<(), Failure> {
    let mut told = Instant::now();
    loop {
        let received = match first.take() {
            Some(received) => received,
            None => reader.read().await,
        };
        match received {
            Received::Data(data) => {
                let mut rest = data;
                counts.handing_over.store(true, Ordering::Relaxed);
                // Handed over piece by piece: a slow client moves, too.
                while !rest.is_empty() {
                    let (count, blocked) = hand_over(write, &rest, watch).await?;
                    // No more is written than there was.
                    counts.tally.to_client(rest.get(..count).unwrap_or(&rest));
                    rest.advance(count);
                    if blocked {
                        told = Instant::now();
                        watch.progress();
                    } else {
                        tell(watch, &mut told);
                    }
                }
                counts.handing_over.store(false, Ordering::Relaxed);
            }
            Received::Eof => {
                // If the client has sent something, the server may have broken off because of it, and closed.
                if counts.moved().to_server == 0 && reader.was_given_up().await {
                    return Err(Failure::Server(LostReason::GivenUp));
                }
                write.shutdown().await.map_err(Failure::Client)?;
                // The client has the whole of it. Whatever ends this connection from here on must not cut
                // what is still on its way.
                socket::orderly(write.as_ref());
                watch.drained();
                counts.far_finished.cancel();
                return Ok(());
            }
            Received::Closed => return Ok(()),
            Received::Lost(reason) => return Err(Failure::Server(reason)),
        }
    }
}

/// Hands some of it to the client. Returns how much, and whether the session was told before that the client
/// takes nothing.
async fn hand_over(
    write: &mut WriteHalf<'_>,
    bytes: &[u8],
    watch: &impl Watch,
) -> Result<(usize, bool), Failure> {
    let writing = write.write(bytes);
    tokio::pin!(writing);
    let mut blocked = false;
    let written = match tokio::time::timeout(BLOCKED, &mut writing).await {
        Ok(written) => written,
        Err(_) => {
            blocked = true;
            watch.blocked();
            writing.await
        }
    };
    match written {
        Ok(0) => Err(Failure::Client(io::ErrorKind::WriteZero.into())),
        Ok(count) => Ok((count, blocked)),
        Err(error) => Err(Failure::Client(error)),
    }
}

async fn to_server(
    read: &mut ReadHalf<'_>,
    mut writer: ChannelWriter,
    counts: &Counts<'_>,
    watch: &impl Watch,
) -> Result<ChannelWriter, Failure> {
    let mut told = Instant::now();
    let mut buffer = BytesMut::new();
    let mut rest = Rest::new(watch.settle());
    let mut begun = false;
    loop {
        buffer.reserve(CHUNK);
        counts.handing_on.store(false, Ordering::Relaxed);
        let count = rest.of(read.read_buf(&mut buffer)).await;
        let count = count.map_err(Failure::Client)?;
        counts.handing_on.store(true, Ordering::Relaxed);
        // Counted before it is handed on: what is lost with the channel was sent all the same.
        counts.tally.to_server(&buffer);
        if !std::mem::replace(&mut begun, true) {
            watch.begun().await;
        }
        if count == 0 {
            tokio::select! {
                () = watch.may_end() => {}
                () = counts.far_finished.cancelled() => {}
            }
            return match writer.finish().await {
                Ok(()) => {
                    counts.finished.cancel();
                    Ok(writer)
                }
                // The far side has closed already and wants no end of file any more. Of an upload, what it
                // was sent may not have arrived.
                Err(LostReason::Closed | LostReason::Local) if !counts.moved().is_upload() => {
                    Ok(writer)
                }
                Err(reason) => Err(refused(reason)),
            };
        }
        writer
            .write(buffer.split().freeze())
            .await
            .map_err(refused)?;
        tell(watch, &mut told);
    }
}

/// Tells the session of progress, unless it was told less than a second ago.
fn tell(watch: &impl Watch, told: &mut Instant) {
    if told.elapsed() >= Duration::from_secs(1) {
        *told = Instant::now();
        watch.progress();
    }
}

fn refused(reason: LostReason) -> Failure {
    match reason {
        LostReason::Closed | LostReason::Local => Failure::Refused,
        other => Failure::Server(other),
    }
}
