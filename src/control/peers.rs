//! The client and the FTP server of a session: which of them may still be heard, and how far the session
//! has come to its end.

use std::time::Duration;

use super::event::Ending;

/// What is known of both ends of the control connection.
#[derive(Debug)]
pub(super) struct Peers {
    client: Peer,
    server: Peer,
    /// The client's first line has come.
    greeted: bool,
    /// The client is known to have ended its side, which is not read to its end yet.
    client_left: bool,
    client_eof: ClientEof,
    /// The client has been told that the session ends (221, 421).
    farewell: bool,
    phase: Phase,
    /// When the server was last heard, or something became of a data connection.
    last_activity: Duration,
}

#[derive(Debug)]
struct Peer {
    ended: Option<Ending>,
    /// How many Telnet options are still refused. Nobody asks for more but to fill the memory, or in a
    /// circle.
    refusals: u8,
}

/// The client's end of file on its way to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClientEof {
    /// It has not come, or the client was lost.
    None,
    /// It is passed on as soon as the client's last line has been sent.
    Due,
    /// It was passed on at this time.
    Sent(Duration),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    /// Ferryline is to stop: the session ends with the transfer that runs.
    Stopping,
    /// The driver has been told that the session is over, or is about to be.
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

    /// The session ends. Returns whether it had not before.
    pub(super) fn end(&mut self) -> bool {
        !self.is_over() && {
            self.phase = Phase::Over;
            true
        }
    }

    /// The session is to end with the transfer that runs.
    pub(super) fn stop(&mut self) {
        if !self.is_over() {
            self.phase = Phase::Stopping;
        }
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.phase == Phase::Stopping
    }

    /// Whether what the client says still counts.
    pub(super) fn hears_client(&self) -> bool {
        !self.is_over() && self.client.ended.is_none()
    }

    /// Whether what the server says still counts.
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

    /// The client's control connection broke.
    pub(super) fn client_is_lost(&self) -> bool {
        matches!(self.client.ended, Some(Ending::Lost | Ending::Silent))
    }

    /// The client has ended its side, which is not read to its end yet. Returns whether that is news.
    pub(super) fn client_left(&mut self) -> bool {
        !std::mem::replace(&mut self.client_left, true)
    }

    /// Whether the client says no more, or will not when all is read that it has said.
    pub(super) fn client_has_left(&self) -> bool {
        self.client_left || self.client_eof != ClientEof::None
    }

    /// The client's end of file is to be passed on behind its last line.
    pub(super) fn owe_client_eof(&mut self) {
        self.client_eof = ClientEof::Due;
    }

    pub(super) fn client_eof_sent(&mut self, now: Duration) {
        self.client_eof = ClientEof::Sent(now);
    }

    pub(super) fn client_eof(&self) -> ClientEof {
        self.client_eof
    }

    /// A line of the client has come. Returns whether it is the first.
    pub(super) fn is_first_line(&mut self) -> bool {
        !std::mem::replace(&mut self.greeted, true)
    }

    /// The client is being told that the session ends.
    pub(super) fn say_farewell(&mut self) {
        self.farewell = true;
    }

    pub(super) fn has_said_farewell(&self) -> bool {
        self.farewell
    }

    /// Whether one more Telnet option of the client's is refused.
    pub(super) fn refuses_client(&mut self) -> bool {
        self.client.refuses()
    }

    /// Whether one more Telnet option of the server's is refused.
    pub(super) fn refuses_server(&mut self) -> bool {
        self.server.refuses()
    }

    /// The FTP server has said something, or something has become of a data connection.
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
