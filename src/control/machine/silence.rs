//! FTP servers that do not answer EPSV, and firewalls before them that swallow it: after some time PASV is
//! asked in its place. A late answer to the EPSV is dropped.

use std::time::Duration;

use crate::control::{
    answers::answer,
    key::Key,
    machine::Control,
    queue::Stage,
    request::{Passive, Request, Silence, passive_line},
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
        let Some(exchange) = self.queue.entry(key) else {
            return;
        };
        let Request::Passive(passive) = &mut exchange.request else {
            return;
        };
        if passive.silence == Silence::None {
            passive.silence = Silence::Asked;
            passive.asked_again = true;
            passive.asked_extended = false;
            self.queue.expect_late_epsv();
            // It keeps its place: the server answers what was sent behind the EPSV after its late answer to
            // that.
            self.outputs.say_to_server(passive_line(false));
            return;
        }
        // One answer came, and may have been that to the PASV after all.
        exchange.stage = Stage::Answered;
        let refusal = passive.refusal.take();
        if refusal.is_empty() {
            let reason = "the FTP server answers neither EPSV nor PASV";
            exchange.out.say(answer(425, reason));
        } else {
            exchange.out.relay_all(refusal);
        }
        // The time of what was sent behind it begins only now.
        self.queue.heard = now;
    }

    /// Whether a reply with this code, which came for a passive request, is the late answer to an EPSV that
    /// was given up.
    pub(super) fn is_late_epsv(&self, passive: &Passive, code: u16) -> bool {
        let by_silence = passive.silence == Silence::Asked && code >= 200 && code != 227;
        by_silence || (self.queue.expects_late_epsv() && !passive.asked_extended && code == 229)
    }

    /// Handles the end of the late answer.
    pub(super) fn late_epsv_came(&mut self, now: Duration, key: Key) {
        self.queue.take_late_epsv();
        self.queue.asked_again();
        let until = now + self.settings.limits.silent_epsv;
        if let Some(passive) = self.queue.passive(key)
            && passive.silence == Silence::Asked
        {
            passive.silence = Silence::Broken(until);
            // From here on the PASV counts, and that was sent last.
            self.queue.sent(key);
        }
    }

    /// The passive request that is the first unanswered one, and the time until which the server may be
    /// silent about it.
    fn silent(&self) -> Option<(Key, Duration)> {
        let next = self
            .queue
            .iter()
            .filter(|exchange| matches!(exchange.stage, Stage::Sent))
            .min_by_key(|exchange| exchange.sent_seq)?;
        let Request::Passive(passive) = &next.request else {
            return None;
        };
        if self.incoming.key() == Some(next.key) {
            return None;
        }
        match passive.silence {
            // After EPSV ALL the server must be sent no PASV (RFC 2428 §4).
            Silence::None
                if passive.asked_extended && !passive.asked_again && !self.data.only_epsv() =>
            {
                let since = passive.since.max(self.queue.heard);
                Some((next.key, since + self.settings.limits.silent_epsv))
            }
            // Behind another that was given up, its time begins at that moment.
            Silence::Broken(until) => {
                let since = self.queue.heard;
                let until = until.max(since + self.settings.limits.silent_epsv);
                Some((next.key, until))
            }
            Silence::None | Silence::Asked => None,
        }
    }
}
