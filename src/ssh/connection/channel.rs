//! A channel: a TCP connection carried through SSH, split in two halves.
//!
//! russh's own stream type turns every end, also that of a lost connection, into an end of file.
//! In FTP an end of file says that the file is complete, so here the ends are told apart.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use russh::client::Msg;
use russh::{ChannelId, ChannelMsg, ChannelWriteHalf};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::flow::Flow;
use super::handle::Connection;
use super::keep_alive::Hold;
use super::receive_half::ReceiveHalf;
use crate::ssh::error::LostReason;

/// A channel split in two, with an explicit end of file in both directions. When both halves are
/// dropped the channel is closed, so that the TCP connection behind it never leaks.
#[derive(Debug)]
pub struct Channel {
    /// What the far side sends.
    pub reader: ChannelReader,
    /// What goes to the far side.
    pub writer: ChannelWriter,
}

/// The receiving half of a [`Channel`].
#[derive(Debug)]
pub struct ChannelReader {
    receive: Arc<ReceiveHalf>,
    flow: Arc<Flow>,
    ended: Option<Received>,
    common: Arc<Common>,
}

/// The sending half of a [`Channel`].
#[derive(Debug)]
pub struct ChannelWriter {
    common: Arc<Common>,
}

/// Asks the SSH server for signs of life on the connection of a [`Channel`]; keeps the channel as a half
/// does.
#[derive(Debug)]
pub struct Probe {
    common: Arc<Common>,
}

/// What [`ChannelReader::read`] brings.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Received {
    /// Some bytes, never none.
    Data(Bytes),
    /// The far side has finished sending; it may still receive.
    Eof,
    /// The channel was closed in order, after the end of file.
    Closed,
    /// The channel ended without an end of file, or the connection was lost.
    Lost(LostReason),
}

impl ChannelReader {
    /// The next thing received. Cancel-safe. After [`Received::Eof`] the next call waits for the
    /// channel to be closed; [`Received::Closed`] and [`Received::Lost`] are final, and repeated.
    pub async fn read(&mut self) -> Received {
        if let Some(ended) = &self.ended {
            return ended.clone();
        }
        loop {
            let message = tokio::select! {
                biased;
                message = self.receive.next() => message,
                () = self.common.closed_here.cancelled() => return self.end(LostReason::Local),
                () = self.flow.waits() => continue,
            };
            match message {
                Some(ChannelMsg::Data { data }) if !data.is_empty() => {
                    self.common.connection.shared().touch();
                    self.flow.takes(data.len());
                    self.common.received.store(true, Ordering::Relaxed);
                    return Received::Data(data);
                }
                Some(ChannelMsg::Eof) => {
                    self.common.eof_received.store(true, Ordering::Release);
                    self.flow.ends();
                    self.common.downloaded();
                    return Received::Eof;
                }
                Some(ChannelMsg::Close) => return self.end(LostReason::Closed),
                Some(_) => {}
                None => {
                    let reason = self.common.why_ended();
                    return self.end(reason);
                }
            }
        }
    }

    /// As [`ChannelWriter::ended`], for whoever has no half at hand; keeps the channel as one.
    pub fn ended(&self) -> impl Future<Output = LostReason> + Send + 'static {
        let common = Arc::clone(&self.common);
        async move { common.ended().await }
    }

    /// For questions to the SSH server about this channel.
    pub fn probe(&self) -> Probe {
        Probe {
            common: Arc::clone(&self.common),
        }
    }

    /// After [`Received::Eof`]: whether it was the SSH server that gave the channel up, as OpenSSH's
    /// `ChannelTimeout` does, and not the far side that has finished. OpenSSH closes a channel when both
    /// directions have ended, and this one had no end of file from here. Of other servers nothing can be
    /// told: they may close as soon as their own side has ended.
    pub async fn was_given_up(&mut self) -> bool {
        let common = &self.common;
        common.connection.shared().is_openssh()
            && !common.eof_sent.load(Ordering::Acquire)
            && self.read_now().await == Some(Received::Closed)
    }

    /// What came next, where that is known already.
    pub async fn read_now(&mut self) -> Option<Received> {
        tokio::select! {
            biased;
            received = self.read() => Some(received),
            () = std::future::ready(()) => None,
        }
    }

    /// Takes leave as [`ChannelWriter::leave`], also where that half was dropped in the middle of a write.
    pub async fn leave(self) {
        // Nobody reads any more, and the session loop must not wait for that.
        self.receive.shut();
        self.common.leave(CLOSE_TIMEOUT).await;
    }

    /// As [`leave`](Self::leave), and waits as [`ChannelWriter::leave_and_wait`].
    pub async fn leave_and_wait(self, limit: Duration) {
        self.receive.shut();
        self.common.leave_and_wait(limit).await;
    }

    fn end(&mut self, reason: LostReason) -> Received {
        self.flow.ends();
        let eof = self.common.eof_received.load(Ordering::Acquire);
        let ended = match reason {
            LostReason::Closed | LostReason::Local if eof => Received::Closed,
            reason => Received::Lost(reason),
        };
        self.ended = Some(ended.clone());
        ended
    }
}

impl ChannelWriter {
    /// Sends; waits while the far side's window is full. Not cancel-safe: of a cancelled write any
    /// part may have been sent.
    ///
    /// # Errors
    ///
    /// The channel or its connection has ended.
    pub async fn write(&mut self, data: Bytes) -> Result<(), LostReason> {
        let common = &self.common;
        let half = common.half.as_ref().ok_or(LostReason::Local)?;
        common.sent.store(true, Ordering::Relaxed);
        tokio::select! {
            biased;
            reason = common.ended() => Err(reason),
            sent = half.data_bytes(data) => {
                common.connection.shared().touch();
                sent.map_err(|_| common.why_ended())
            }
        }
    }

    /// Ends this direction: the far side sees an end of file, and may go on sending.
    ///
    /// # Errors
    ///
    /// The channel or its connection has ended.
    pub async fn finish(&mut self) -> Result<(), LostReason> {
        self.common.finish().await
    }

    /// Closes the channel in both directions: at once, or, where both have seen their end of file,
    /// as soon as the far side has.
    pub async fn close(self) {
        let common = &self.common;
        if !common.is_orderly() {
            common.close_first(CLOSE_TIMEOUT).await;
        }
        common.closed_here.cancel();
    }

    /// Takes leave: the far side sees an end of file, on which a server hangs up, and what it still
    /// sends is dropped. Where it has not closed the channel after 5 s, this side does; at once, where
    /// it was sent an end of file before and goes on. Returns when that is on its way.
    ///
    /// A channel that the far side closes costs no memory for good, one that this side closes does.
    pub async fn leave(self) {
        self.common.leave(CLOSE_TIMEOUT).await;
    }

    /// As [`leave`](Self::leave), and waits until the SSH server has taken notice; at most for
    /// `limit`.
    pub async fn leave_and_wait(self, limit: Duration) {
        self.common.leave_and_wait(limit).await;
    }

    /// Waits until the far side has closed the channel, which it does when it has had our end of file
    /// and has handed on all that came before; or until nothing can tell any more. What it still sends
    /// must be read meanwhile.
    pub async fn ended(&self) -> LostReason {
        self.common.ended().await
    }

    /// Waits until the SSH server has taken all that was sent before, or the connection is lost.
    pub async fn taken(&self) {
        self.common.taken().await;
    }
}

impl Probe {
    /// Waits for the answer to a question asked now. What the SSH server had sent before is in the
    /// channel's queue by then, and it has taken all that it was sent before. `false`: the connection is
    /// lost, or the far side has closed the channel.
    pub async fn answered(&self) -> bool {
        let common = &self.common;
        tokio::select! {
            biased;
            _ = common.ended() => false,
            pinged = common.connection.handle().send_ping() => {
                // A connection that is lost answers, too: it is marked so before that.
                pinged.is_ok() && !common.far_closed.is_cancelled() && !common.connection.is_lost()
            }
        }
    }
}

/// Makes a channel of russh's, which the server opened or has confirmed.
pub(crate) fn wrap(
    raw: russh::Channel<Msg>,
    connection: Arc<Connection>,
    from_server: bool,
    hold: Hold,
) -> Channel {
    let id = raw.id();
    let (read_half, write_half) = raw.split();
    let receive = ReceiveHalf::new(read_half);
    let flow = Flow::new();
    let far_closed = connection.shared().opened(id, from_server, &receive, &flow);
    let common = Arc::new(Common {
        id,
        half: Some(write_half),
        connection,
        received: AtomicBool::new(false),
        sent: AtomicBool::new(false),
        far_closed,
        closed_here: CancellationToken::new(),
        close_sent: AtomicBool::new(false),
        eof_sent: AtomicBool::new(false),
        eof_received: AtomicBool::new(false),
        leaving: AtomicBool::new(false),
        hold,
        is_last_task: false,
    });
    Channel {
        reader: ChannelReader {
            receive,
            flow,
            ended: None,
            common: Arc::clone(&common),
        },
        writer: ChannelWriter { common },
    }
}

/// What the two halves share; the last of them to go closes the channel.
#[derive(Debug)]
struct Common {
    id: ChannelId,
    half: Option<ChannelWriteHalf<Msg>>,
    connection: Arc<Connection>,
    /// Some bytes came.
    received: AtomicBool,
    /// Some bytes went, or tried to.
    sent: AtomicBool,
    far_closed: CancellationToken,
    closed_here: CancellationToken,
    close_sent: AtomicBool,
    eof_sent: AtomicBool,
    eof_received: AtomicBool,
    /// See [`ChannelWriter::leave`].
    leaving: AtomicBool,
    hold: Hold,
    /// This is what closes the channel in the background. A runtime that shuts down drops it half
    /// done, and it must not start itself anew then.
    is_last_task: bool,
}

impl Common {
    /// Both directions have ended by themselves, so the far side is about to close the channel.
    fn is_orderly(&self) -> bool {
        self.eof_sent.load(Ordering::Acquire) && self.eof_received.load(Ordering::Acquire)
    }

    /// The far side has sent all it had. A download takes up its lane no longer, whenever its client hangs up:
    /// nothing more can come that it might not read. An upload, whose far side may end first, does.
    fn downloaded(&self) {
        if self.received.load(Ordering::Relaxed) && !self.sent.load(Ordering::Relaxed) {
            self.hold.downloaded();
        }
    }

    /// See [`ChannelWriter::finish`].
    async fn finish(&self) -> Result<(), LostReason> {
        let half = self.half.as_ref().ok_or(LostReason::Local)?;
        if self.eof_sent.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        tokio::select! {
            biased;
            reason = self.ended() => Err(reason),
            sent = half.eof() => sent.map_err(|_| self.why_ended()),
        }
    }

    /// See [`ChannelWriter::leave`]. The loop of a connection that is stalled may take no messages: it
    /// is waited for so long.
    async fn leave(&self, limit: Duration) {
        if self.eof_sent.load(Ordering::Acquire) && !self.is_orderly() {
            self.close_first(limit).await;
        } else if let Ok(Ok(())) = timeout(limit, self.finish()).await {
            self.leaving.store(true, Ordering::Release);
        }
        self.closed_here.cancel();
    }

    async fn leave_and_wait(&self, limit: Duration) {
        let noticed = async {
            self.leave(limit).await;
            self.taken().await;
        };
        tokio::select! {
            _ = timeout(limit, noticed) => {}
            () = self.connection.lost() => {}
        }
    }

    async fn taken(&self) {
        // It answers in order: whatever answers this has seen what was sent before it.
        tokio::select! {
            _ = self.connection.handle().send_ping() => {}
            () = self.connection.lost() => {}
        }
    }

    /// Whether the far side is about to close the channel. Where it has finished sending, and
    /// nobody here will, an end of file makes it do so.
    async fn ends_by_itself(&self) -> bool {
        if self.leaving.load(Ordering::Acquire) {
            return true;
        }
        if !self.eof_received.load(Ordering::Acquire) {
            return false;
        }
        if self.eof_sent.swap(true, Ordering::AcqRel) {
            return true;
        }
        match &self.half {
            Some(half) => matches!(timeout(CLOSE_TIMEOUT, half.eof()).await, Ok(Ok(()))),
            None => false,
        }
    }

    /// Waits until nothing can be sent any more.
    async fn ended(&self) -> LostReason {
        tokio::select! {
            biased;
            () = self.closed_here.cancelled() => LostReason::Local,
            () = self.far_closed.cancelled() => LostReason::Closed,
            () = self.connection.lost() => self.connection.shared().lost_reason(),
        }
    }

    fn why_ended(&self) -> LostReason {
        if self.closed_here.is_cancelled() {
            LostReason::Local
        } else if self.far_closed.is_cancelled() {
            LostReason::Closed
        } else {
            self.connection.shared().lost_reason()
        }
    }

    /// Sends `SSH_MSG_CHANNEL_CLOSE`, unless that is done or no use.
    async fn close_first(&self, limit: Duration) {
        let useless = self.far_closed.is_cancelled() || self.connection.is_lost();
        if useless || self.close_sent.swap(true, Ordering::AcqRel) {
            return;
        }
        if let Some(half) = &self.half {
            self.connection.shared().count_closed_first();
            // The loop of a connection that is stalled takes no messages; it is cut elsewhere.
            let _ = timeout(limit, half.close()).await;
        }
    }
}

impl Drop for Common {
    fn drop(&mut self) {
        let shared = Arc::clone(self.connection.shared());
        let done = self.is_last_task
            || self.far_closed.is_cancelled()
            || self.connection.is_lost()
            || self.close_sent.load(Ordering::Acquire);
        let runtime = tokio::runtime::Handle::try_current();
        let (false, Ok(runtime)) = (done, runtime) else {
            shared.released(self.id);
            return;
        };
        let rest = Self {
            id: self.id,
            half: self.half.take(),
            connection: Arc::clone(&self.connection),
            received: AtomicBool::new(self.received.load(Ordering::Relaxed)),
            sent: AtomicBool::new(self.sent.load(Ordering::Relaxed)),
            far_closed: self.far_closed.clone(),
            closed_here: self.closed_here.clone(),
            close_sent: AtomicBool::new(false),
            eof_sent: AtomicBool::new(self.eof_sent.load(Ordering::Acquire)),
            eof_received: AtomicBool::new(self.eof_received.load(Ordering::Acquire)),
            leaving: AtomicBool::new(self.leaving.load(Ordering::Acquire)),
            hold: std::mem::take(&mut self.hold),
            is_last_task: true,
        };
        runtime.spawn(async move {
            if rest.ends_by_itself().await {
                tokio::select! {
                    () = rest.far_closed.cancelled() => {}
                    () = rest.connection.lost() => {}
                    () = tokio::time::sleep(ORDERLY_TIMEOUT) => {}
                }
            }
            rest.close_first(CLOSE_TIMEOUT).await;
        });
    }
}

const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);
const ORDERLY_TIMEOUT: Duration = Duration::from_secs(5);
