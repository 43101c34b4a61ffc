//! A channel: a TCP connection carried through SSH, split in two halves.
//!
//! russh's own stream type turns every end, also that of a lost connection, into an end of file. In FTP an
//! end of file says that the file is complete, so this type tells the ends apart.

use std::{ops::Deref, sync::Arc, time::Duration};

use bytes::Bytes;
use russh::{ChannelId, ChannelMsg, ChannelWriteHalf, client::Msg};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{
    flow::Flow,
    half_close::{HalfClose, Parting},
    handle::Connection,
    keep_alive::Hold,
    receive_half::ReceiveHalf,
};
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
    /// Whether any bytes came.
    has_read: bool,
    ended: Option<Received>,
    channel: Arc<OpenUntilDropped>,
}

/// The sending half of a [`Channel`].
#[derive(Debug)]
pub struct ChannelWriter {
    /// Whether any bytes were sent, or a write was tried.
    has_written: bool,
    channel: Arc<OpenUntilDropped>,
}

/// Asks the SSH server for keepalive replies on the connection of a [`Channel`]; keeps the channel as a half
/// does.
#[derive(Debug)]
pub struct Probe {
    channel: Arc<OpenUntilDropped>,
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
    /// Waits for the next thing received. Cancel-safe. After [`Received::Eof`] the next call waits until the
    /// channel is closed. [`Received::Closed`] and [`Received::Lost`] are final: each further call returns
    /// them again.
    pub async fn read(&mut self) -> Received {
        if let Some(ended) = &self.ended {
            return ended.clone();
        }
        loop {
            let message = tokio::select! {
                biased;
                message = self.receive.next() => message,
                () = self.channel.closed_here.cancelled() => return self.end(LostReason::Local),
                () = self.flow.waits() => continue,
            };
            match message {
                Some(ChannelMsg::Data { data }) if !data.is_empty() => {
                    self.channel.connection.shared().touch();
                    self.flow.takes(data.len());
                    if !std::mem::replace(&mut self.has_read, true) {
                        self.channel.ends.received_data();
                    }
                    return Received::Data(data);
                }
                Some(ChannelMsg::Eof) => {
                    self.flow.ends();
                    // A download no longer takes up its lane, however late its client hangs up: nothing more
                    // can come that the client might leave unread. An upload does, because its far side may
                    // end first.
                    if self.channel.ends.received_eof() {
                        self.channel.hold.downloaded();
                    }
                    return Received::Eof;
                }
                Some(ChannelMsg::Close) => return self.end(LostReason::Closed),
                Some(_) => {}
                None => {
                    let reason = self.channel.why_ended();
                    return self.end(reason);
                }
            }
        }
    }

    /// As [`ChannelWriter::ended`], for a caller that has no half at hand. Keeps the channel open as a half
    /// does.
    pub fn ended(&self) -> impl Future<Output = LostReason> + Send + 'static {
        let channel = Arc::clone(&self.channel);
        async move { channel.ended().await }
    }

    /// A [`Probe`] of this channel, for questions to the SSH server.
    pub fn probe(&self) -> Probe {
        Probe {
            channel: Arc::clone(&self.channel),
        }
    }

    /// Whether, after [`Received::Eof`], the SSH server gave the channel up, as OpenSSH's `ChannelTimeout`
    /// does; otherwise the far side has finished. OpenSSH closes a channel when both directions have ended,
    /// and this side has sent no end of file. Other servers cannot be judged: they may close as soon as their
    /// own side has ended.
    pub async fn was_given_up(&mut self) -> bool {
        let channel = &self.channel;
        channel.connection.shared().is_openssh()
            && !channel.ends.has_sent_eof()
            && self.read_now().await == Some(Received::Closed)
    }

    /// Returns what is received next, if it has come already.
    pub async fn read_now(&mut self) -> Option<Received> {
        tokio::select! {
            biased;
            received = self.read() => Some(received),
            () = std::future::ready(()) => None,
        }
    }

    /// Leaves the channel: sends an end of file, on which a server hangs up, and drops what the far side
    /// still sends. If the far side has not closed the channel after 5 s, this side does. This side closes at
    /// once where it sent an end of file before and the far side goes on sending. Returns when the close, or
    /// the end of file, is on its way.
    ///
    /// A channel that this side closes costs memory for as long as its connection lives. One that the far
    /// side closes does not.
    ///
    /// The sending half may have been dropped in the middle of a write.
    pub async fn leave(self) {
        // Nothing reads any more, and the session loop must not wait for a reader.
        self.receive.shut();
        self.channel.leave(CLOSE_TIMEOUT).await;
    }

    /// As [`leave`](Self::leave), and waits as [`ChannelWriter::leave_and_wait`].
    pub async fn leave_and_wait(self, limit: Duration) {
        self.receive.shut();
        self.channel.leave_and_wait(limit).await;
    }

    fn end(&mut self, reason: LostReason) -> Received {
        self.flow.ends();
        let eof = self.channel.ends.has_received_eof();
        let ended = match reason {
            LostReason::Closed | LostReason::Local if eof => Received::Closed,
            reason => Received::Lost(reason),
        };
        self.ended = Some(ended.clone());
        ended
    }
}

impl ChannelWriter {
    /// Sends; waits while the far side's window is full. Not cancel-safe: any part of a cancelled write may
    /// have been sent.
    ///
    /// # Errors
    ///
    /// The channel or its connection has ended.
    pub async fn write(&mut self, data: Bytes) -> Result<(), LostReason> {
        let channel = &self.channel;
        if !std::mem::replace(&mut self.has_written, true) {
            channel.ends.sends_data();
        }
        tokio::select! {
            biased;
            reason = channel.ended() => Err(reason),
            sent = channel.half.data_bytes(data) => {
                channel.connection.shared().touch();
                sent.map_err(|_| channel.why_ended())
            }
        }
    }

    /// Ends this direction: the far side sees an end of file, and may go on sending.
    ///
    /// # Errors
    ///
    /// The channel or its connection has ended.
    pub async fn finish(&mut self) -> Result<(), LostReason> {
        self.channel.finish().await
    }

    /// Closes the channel in both directions: at once, or, where both have seen their end of file, as soon as
    /// the far side has closed it.
    pub async fn close(self) {
        let channel = &self.channel;
        if !channel.ends.is_orderly() {
            channel.close_first(CLOSE_TIMEOUT).await;
        }
        channel.closed_here.cancel();
    }

    /// Leaves as [`ChannelReader::leave`] does, and waits until the SSH server has taken notice, for at most
    /// `limit`.
    pub async fn leave_and_wait(self, limit: Duration) {
        self.channel.leave_and_wait(limit).await;
    }

    /// Waits until the far side has closed the channel, or until that can no longer be told. The far side
    /// closes it when it has had our end of file and has handed on all that came before. What it still sends
    /// must be read meanwhile.
    pub async fn ended(&self) -> LostReason {
        self.channel.ended().await
    }

    /// Waits until the SSH server has taken all that was sent before, or the connection is lost.
    pub async fn taken(&self) {
        self.channel.taken().await;
    }
}

impl Probe {
    /// Asks the SSH server a question, and waits for the answer. By then the channel's queue holds all that
    /// the SSH server sent before the answer, and the server has taken all that was sent before the question.
    /// `false`: the connection is lost, or the far side has closed the channel.
    pub async fn answered(&self) -> bool {
        let channel = &self.channel;
        tokio::select! {
            biased;
            _ = channel.ended() => false,
            pinged = channel.connection.handle().send_ping() => {
                // A lost connection answers, too. It is marked as lost before it does.
                pinged.is_ok() && !channel.far_closed.is_cancelled() && !channel.connection.is_lost()
            }
        }
    }
}

/// Wraps a channel of russh's that the server opened or has confirmed.
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
    let channel = Arc::new(OpenUntilDropped(Arc::new(ChannelShared {
        id,
        half: write_half,
        connection,
        ends: HalfClose::default(),
        far_closed,
        closed_here: CancellationToken::new(),
        hold,
    })));
    Channel {
        reader: ChannelReader {
            receive,
            flow,
            has_read: false,
            ended: None,
            channel: Arc::clone(&channel),
        },
        writer: ChannelWriter {
            has_written: false,
            channel,
        },
    }
}

/// What keeps a channel open: each half has it, and the last one to go closes the channel.
#[derive(Debug)]
struct OpenUntilDropped(Arc<ChannelShared>);

/// What the two halves share.
#[derive(Debug)]
struct ChannelShared {
    id: ChannelId,
    half: ChannelWriteHalf<Msg>,
    connection: Arc<Connection>,
    /// How far each direction has come to its end.
    ends: HalfClose,
    /// The far side has closed the channel.
    far_closed: CancellationToken,
    /// This side is done with the channel: reading and writing end.
    closed_here: CancellationToken,
    hold: Hold,
}

impl Deref for OpenUntilDropped {
    type Target = ChannelShared;

    fn deref(&self) -> &ChannelShared {
        &self.0
    }
}

impl Drop for OpenUntilDropped {
    fn drop(&mut self) {
        let done = self.far_closed.is_cancelled()
            || self.connection.is_lost()
            || self.ends.has_sent_close();
        if let (false, Ok(runtime)) = (done, tokio::runtime::Handle::try_current()) {
            runtime.spawn(part_with(Arc::clone(&self.0)));
        }
    }
}

/// Ends a channel that has no holder any more.
async fn part_with(channel: Arc<ChannelShared>) {
    let ends_by_itself = match channel.ends.parting() {
        Parting::Await => true,
        Parting::SendEof => {
            channel.ends.sends_eof();
            let sent = timeout(CLOSE_TIMEOUT, channel.half.eof()).await;
            matches!(sent, Ok(Ok(())))
        }
        Parting::Close => false,
    };
    if ends_by_itself {
        tokio::select! {
            () = channel.far_closed.cancelled() => {}
            () = channel.connection.lost() => {}
            () = tokio::time::sleep(ORDERLY_TIMEOUT) => {}
        }
    }
    channel.close_first(CLOSE_TIMEOUT).await;
}

impl ChannelShared {
    /// See [`ChannelWriter::finish`].
    async fn finish(&self) -> Result<(), LostReason> {
        if !self.ends.sends_eof() {
            return Ok(());
        }
        tokio::select! {
            biased;
            reason = self.ended() => Err(reason),
            sent = self.half.eof() => sent.map_err(|_| self.why_ended()),
        }
    }

    /// See [`ChannelReader::leave`]. The loop of a stalled connection may take no messages; `limit` bounds
    /// the wait for it.
    async fn leave(&self, limit: Duration) {
        if self.ends.has_sent_eof() && !self.ends.is_orderly() {
            self.close_first(limit).await;
        } else if let Ok(Ok(())) = timeout(limit, self.finish()).await {
            self.ends.leaves();
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
        // The server answers in order: any answer to this means that it has seen what was sent before.
        tokio::select! {
            _ = self.connection.handle().send_ping() => {}
            () = self.connection.lost() => {}
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

    /// Sends `SSH_MSG_CHANNEL_CLOSE`, unless it was sent already or is of no use.
    async fn close_first(&self, limit: Duration) {
        let useless = self.far_closed.is_cancelled() || self.connection.is_lost();
        if useless || !self.ends.sends_close() {
            return;
        }
        self.connection.shared().count_closed_first();
        // The loop of a stalled connection takes no messages. Such a connection is cut elsewhere.
        let _ = timeout(limit, self.half.close()).await;
    }
}

impl Drop for ChannelShared {
    fn drop(&mut self) {
        self.connection.shared().released(self.id);
    }
}

const CLOSE_TIMEOUT: Duration = Duration::from_secs(10);
const ORDERLY_TIMEOUT: Duration = Duration::from_secs(5);
