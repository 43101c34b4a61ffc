//! FTP servers that do not answer EPSV, and firewalls before them that swallow it: after some time PASV is
//! asked in its place. A late answer to the EPSV is dropped.

use std::time::Duration;

use crate::control::{
    answers::answer, key::Key, machine::Control, passive_request::PassiveRequest,
};

impl Control {
    /// Time at which the server has been silent about a passive request for too long.
    pub(super) fn silence_deadline(&self) -> Option<Duration> {
        self.silent().map(|(_, until)| until)
    }

    /// Asks PASV after that time; or, where that has been asked, tells the client.
    pub(super) fn end_silence(&mut self, now: Duration) {
        let Some((key, _)) = self.silent().filter(|(_, until)| *until <= now) else {
            return;
        };
        let passive = self.queue.passive(key);
        if let Some(line) = passive.and_then(PassiveRequest::ask_after_silence) {
            self.queue.expect_late_epsv();
            // It keeps its place: the server answers what was sent behind the EPSV after its late answer to
            // that.
            self.outputs.say_to_server(line);
            return;
        }
        // One answer came, and may have been that to the PASV after all.
        if !self.queue.tell_refusal(key) {
            let reason = "the FTP server answers neither EPSV nor PASV";
            self.queue.say(key, answer(425, reason));
        }
        self.queue.answered(key);
        // The time of what was sent behind it begins only now.
        self.queue.wait_anew(now);
    }

    /// Handles the end of the late answer.
    pub(super) fn late_epsv_came(&mut self, now: Duration, key: Key) {
        self.queue.take_late_epsv();
        self.queue.expect_another_final();
        let until = now + self.settings.limits.silent_epsv;
        if let Some(passive) = self.queue.passive(key)
            && passive.late_epsv_came(until)
        {
            // The PASV was sent last.
            self.queue.sent(key);
        }
    }

    /// The passive request that is the first unanswered one, and the time until which the server may be
    /// silent about it.
    fn silent(&self) -> Option<(Key, Duration)> {
        let unanswered = self.queue.iter().filter(|exchange| exchange.awaits_reply());
        let next = unanswered.min_by_key(|exchange| exchange.sent_seq())?;
        if self.incoming.key() == Some(next.key()) {
            return None;
        }
        let until = next.passive()?.silent_until(
            self.queue.heard(),
            self.settings.limits.silent_epsv,
            self.data.only_epsv(),
        )?;
        Some((next.key(), until))
    }
}
