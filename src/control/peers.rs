//! The client and the FTP server of a session: which of them may still send, and how far the end of the
//! session has come.

use std::time::Duration;

use super::event::Ending;

/// State of both sides of the control connection.
#[derive(Debug)]
pub(super) struct Peers {
    client: Peer,
    server: Peer,
    /// The client's first line has come.
    greeted: bool,
    /// The client is known to have ended its side, of which some is still to be read.
    client_left: bool,
    client_eof: ClientEof,
    /// The client has been told that the session ends (221, 421).
    farewell: bool,
    phase: Phase,
    /// Time of the last line of the server, or event of a data connection.
    last_activity: Duration,
}

#[derive(Debug)]
struct Peer {
    ended: Option<Ending>,
    /// Number of Telnet options that are still refused. A peer that asks for more wants to fill the memory,
    /// or asks in a circle.
    refusals: u8,
}

/// The client's EOF on its way to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientEof {
    /// It has not come, or the client's connection broke.
    None,
    /// It is to be passed on as soon as the client's last line has been sent.
    Due,
    /// It was passed on at this time.
    Sent(Duration),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// Ferryline is to stop: the session ends with the transfer that runs.
    Stopping,
    /// The driver has been told that the session is over, or is about to be told.
    Over,
}

impl Peers {
    pub(super) fn new() -> Self {
        let peer = || Peer {
            ended: None,
            refusals: u8::MAX,
        };
        Self {
            client: peer(),
            server: peer(),
            greeted: false,
            client_left: false,
            client_eof: ClientEof::None,
            farewell: false,
            phase: Phase::Running,
            last_activity: Duration::ZERO,
        }
    }

    /// Whether the session has ended.
    pub(super) fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Ends the session. Returns whether it had not ended before.
    pub(super) fn end(&mut self) -> bool {
        std::mem::replace(&mut self.phase, Phase::Over) != Phase::Over
    }

    /// Winds the session up: it is to end with the transfer that runs.
    pub(super) fn stop(&mut self) {
        if !self.is_over() {
            self.phase = Phase::Stopping;
        }
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.phase == Phase::Stopping
    }

    /// Whether the client's lines still count.
    pub(super) fn hears_client(&self) -> bool {
        !self.is_over() && self.client.ended.is_none()
    }

    /// Whether the server's lines still count.
    pub(super) fn hears_server(&self) -> bool {
        !self.is_over() && self.server.ended.is_none()
    }

    pub(super) fn client_ended(&mut self, ending: Ending) {
        self.client.ended = Some(ending);
    }

    pub(super) fn server_ended(&mut self, ending: Ending) {
        self.server.ended = Some(ending);
    }

    pub(super) fn server_has_ended(&self) -> bool {
        self.server.ended.is_some()
    }

    /// Whether the client's control connection broke.
    pub(super) fn client_is_lost(&self) -> bool {
        matches!(self.client.ended, Some(Ending::Lost | Ending::Silent))
    }

    /// Notes that the client has ended its side, of which some is still to be read. Returns whether that is
    /// news.
    pub(super) fn client_left(&mut self) -> bool {
        !std::mem::replace(&mut self.client_left, true)
    }

    /// Whether the client sends no more, or will send no more once all that it has sent is read.
    pub(super) fn client_has_left(&self) -> bool {
        self.client_left || self.client_eof != ClientEof::None
    }

    /// Notes that the client's EOF is to be passed on behind its last line.
    pub(super) fn owe_client_eof(&mut self) {
        self.client_eof = ClientEof::Due;
    }

    pub(super) fn client_eof_sent(&mut self, now: Duration) {
        self.client_eof = ClientEof::Sent(now);
    }

    pub(super) fn client_eof(&self) -> ClientEof {
        self.client_eof
    }

    /// Notes a line of the client. Returns whether it is the first.
    pub(super) fn is_first_line(&mut self) -> bool {
        !std::mem::replace(&mut self.greeted, true)
    }

    /// Notes that the client is being told that the session ends.
    pub(super) fn say_farewell(&mut self) {
        self.farewell = true;
    }

    pub(super) fn has_said_farewell(&self) -> bool {
        self.farewell
    }

    /// Whether one more Telnet option of the client is refused.
    pub(super) fn refuses_client(&mut self) -> bool {
        self.client.refuses()
    }

    /// Whether one more Telnet option of the server is refused.
    pub(super) fn refuses_server(&mut self) -> bool {
        self.server.refuses()
    }

    /// Notes a line of the FTP server, or an event of a data connection.
    pub(super) fn note_activity(&mut self, now: Duration) {
        self.last_activity = now;
    }

    pub(super) fn last_activity(&self) -> Duration {
        self.last_activity
    }
}

impl Peer {
    fn refuses(&mut self) -> bool {
        let left = self.refusals.checked_sub(1);
        self.refusals = left.unwrap_or(0);
        left.is_some()
    }
}
