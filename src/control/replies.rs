//! What is done with a line of the server.

use std::time::Duration;

use bytes::Bytes;
use ferryline_grammar::{Line, Place, ReplyCode, ReplyLine, masked_reply};

use super::{
    answers::answer,
    event::Notice,
    feat::FeatFilter,
    guard::withheld,
    machine::{Control, verbatim},
    queue::{Key, Stage},
    request::{Kept, Passive, Request},
    settings::ActiveMode,
    tls::insists_on_tls,
};

/// Where the lines of the current reply go.
#[derive(Debug)]
pub(super) enum Route {
    /// No reply is coming in.
    None,
    To {
        key: Key,
        code: ReplyCode,
        treat: Treat,
    },
}

/// What is done with the lines of a reply.
#[derive(Debug)]
pub(super) enum Treat {
    /// Each passes as it comes; the reply is the request's final one, or is not.
    Pass { last: bool },
    /// Kept until the reply is complete: a passive reply.
    Collect,
    /// Dropped; then PASV is asked in place of EPSV.
    AskAgain,
    /// Kept in case that nothing better comes; then the next form of PORT is tried.
    NameAgain,
    /// Kept back: the answer to an EPSV that PASV was asked in place of meanwhile.
    LateEpsv,
    /// Dropped, and not the request's final one.
    Dropped,
    /// Dropped: ferryline has said something in its place.
    Withheld,
    /// A FEAT reply.
    Feat(FeatFilter),
}

impl Control {
    pub(super) fn server_line(&mut self, now: Duration, line: Line) {
        // A reply that another was left open in front of (Q29): what a passive request waits for
        // must not pass as the middle of something else.
        if self.framing.open().is_some_and(|open| !is_passive(open))
            && begins_passive(line.text())
            && self.queue.passive_sent()
            && !self.answers_passive()
        {
            self.framing.command_sent();
        }
        match self.framing.place(line.text()) {
            Place::Only(code) => {
                self.begin_reply(now, code);
                self.reply_line(&line, true, true);
                self.end_reply(now);
            }
            Place::First(code) => {
                self.begin_reply(now, code);
                self.reply_line(&line, true, false);
            }
            Place::Middle(_) => self.reply_line(&line, false, false),
            Place::Last(_) => {
                self.reply_line(&line, false, true);
                self.end_reply(now);
            }
            Place::Stray if self.queue.greeting_owed() && is_other_protocol(line.text()) => {
                let said: Vec<u8> = line.text().iter().copied().take(SHOWN).collect();
                let notice = Notice::NotFtpServer(said.trim_ascii().escape_ascii().to_string());
                let text = notice.to_string();
                self.outputs.notice(notice);
                self.end_with(421, &text);
            }
            Place::Stray => {
                let key = self.queue.push(Request::Unasked, Stage::Answered);
                self.queue.append(key, verbatim(&line));
            }
        }
    }

    /// Whether the reply that is coming in is a passive request's own.
    fn answers_passive(&self) -> bool {
        let Route::To { key, .. } = &self.route else {
            return false;
        };
        self.queue
            .get(*key)
            .is_some_and(|owed| matches!(owed.request, Request::Passive(_)))
    }

    /// A command went out while a reply is open. Some servers leave a refusal open (Q29): then the
    /// next line may begin the next reply. Anything else that is open (a list, a banner) may hold
    /// lines that look like replies, and a client that pipelines sends on meanwhile.
    pub(super) fn resync(&mut self) {
        if self.framing.open().is_some_and(|open| open.class() >= 4) {
            self.framing.command_sent();
        }
    }

    fn begin_reply(&mut self, now: Duration, code: ReplyCode) {
        // The reply before it was left open (Q29): what there is of it is all of it.
        self.end_reply(now);
        let value = code.value();
        if matches!(value, 230 | 232) {
            self.logged_in();
        }
        let (key, treat) = match self.queue.answering(value) {
            Some(key) => {
                if matches!(value, 100..200) {
                    self.begins_unknown(now, key, value);
                }
                (key, self.treat(now, key, value))
            }
            None => self.unasked(value),
        };
        self.overtake_unreached(key);
        if matches!(value, 221 | 421) {
            self.peers.say_farewell();
        }
        self.route = Route::To { key, code, treat };
    }

    fn treat(&mut self, now: Duration, key: Key, code: u16) -> Treat {
        let passive_code = matches!(code, 227 | 229);
        let Some(owed) = self.queue.get(key) else {
            return Treat::Withheld;
        };
        match &owed.request {
            Request::Passive(passive) if self.is_late_epsv(passive, code) => Treat::LateEpsv,
            Request::Passive(_) if passive_code => Treat::Collect,
            Request::Passive(_) if code == 228 => self.withhold(key, code),
            Request::Passive(_) if self.asks_again(key, code) => Treat::AskAgain,
            // The client asked for an active one: nothing but a data connection is a success.
            Request::Passive(passive) if passive.join.is_some() => {
                if !(200..400).contains(&code) {
                    return Treat::Pass { last: code >= 200 };
                }
                let reply = answer(425, "the FTP server offers no passive data connection");
                self.queue.append(key, reply);
                Treat::Withheld
            }
            // Its answer in the other form is still to come.
            Request::Passive(passive) if passive.asked_again && code < 200 => Treat::Dropped,
            // Refused in both forms: the client hears of the one that it asked for.
            Request::Passive(passive) if !passive.refusal.is_empty() => {
                if let Some(owed) = self.queue.entry(key)
                    && let Request::Passive(passive) = &mut owed.request
                {
                    passive.refused = true;
                    owed.out.extend(passive.refusal.take());
                }
                Treat::Withheld
            }
            Request::Active(_) if self.names_again(key, code) => Treat::NameAgain,
            Request::Greeting { withheld: true } if code < 200 => Treat::Dropped,
            Request::Greeting { withheld: true } if code < 400 => Treat::Withheld,
            Request::Transfer(_) => self.transfer_reply(now, key, code),
            Request::OwnAbort if code == 421 => Treat::Pass { last: true },
            Request::OwnAbort if code < 200 => Treat::Dropped,
            Request::OwnAbort => {
                self.queue.give_up_told_before(key);
                Treat::Withheld
            }
            Request::Feat if code == 211 => Treat::Feat(FeatFilter::default()),
            _ => Treat::Pass { last: code >= 200 },
        }
    }

    /// A reply that answers nothing passes, unless it is a passive one.
    fn unasked(&mut self, code: u16) -> (Key, Treat) {
        if matches!(code, 227 | 229)
            && let Some(extended) = self.late_passive.take()
        {
            let request = Request::Passive(Passive::new(extended, extended));
            let key = self.queue.push(request, Stage::Incoming);
            self.queue.came_late(key);
            return (key, Treat::Collect);
        }
        // Its lines come one by one, and none of a later reply may come between.
        let key = self.queue.push(Request::Unasked, Stage::Incoming);
        let late = code == 229 && std::mem::take(&mut self.late_epsv);
        let treat = if late || self.queue.is_late_refusal(code) {
            Treat::Withheld
        } else if matches!(code, 227..=229) {
            self.withhold(key, code)
        } else {
            Treat::Pass { last: true }
        };
        (key, treat)
    }

    fn withhold(&mut self, key: Key, code: u16) -> Treat {
        self.outputs.notice(Notice::Withheld(code));
        self.queue.append(key, withheld(code));
        Treat::Withheld
    }

    fn reply_line(&mut self, line: &Line, first: bool, last: bool) {
        let active = self.settings.active != ActiveMode::Remote || self.has_remote_forwards();
        let Route::To { key, code, treat } = &mut self.route else {
            return;
        };
        let (key, code) = (*key, code.value());
        let Some(owed) = self.queue.entry(key) else {
            return;
        };
        match treat {
            Treat::Pass { .. } => {
                owed.out.push_back(verbatim(line));
                let login = matches!(
                    owed.request,
                    Request::Login { .. } | Request::Greeting { .. }
                );
                if insists_on_tls(login, code, line.text()) {
                    self.outputs.notice_once(Notice::TlsRequired(
                        masked_reply(line.text()).escape_ascii().to_string(),
                    ));
                }
            }
            Treat::LateEpsv => {
                if code >= 400
                    && let Request::Passive(passive) = &mut owed.request
                {
                    passive.refusal.push(verbatim(line));
                }
            }
            Treat::AskAgain => {
                if let Request::Passive(passive) = &mut owed.request
                    && !passive.asked_extended
                {
                    passive.refusal.push(verbatim(line));
                }
            }
            Treat::Dropped | Treat::Withheld => {}
            Treat::Collect => {
                if let Request::Passive(passive) = &mut owed.request {
                    passive.reply.push(Bytes::copy_from_slice(line.text()));
                }
            }
            Treat::NameAgain => {
                if let Request::Active(active) = &mut owed.request {
                    if first {
                        active.refusal = Kept::default();
                    }
                    active.refusal.push(verbatim(line));
                }
            }
            Treat::Feat(filter) => {
                if first && last {
                    owed.out.push_back(verbatim(line));
                } else if last {
                    owed.out.extend(filter.missing(active));
                    owed.out.push_back(verbatim(line));
                } else if first || filter.passes(line.text()) {
                    owed.out.push_back(verbatim(line));
                }
            }
        }
    }

    fn end_reply(&mut self, now: Duration) {
        let Route::To { key, code, treat } = std::mem::replace(&mut self.route, Route::None) else {
            return;
        };
        if code.value() >= 200 {
            self.queue.final_came(now);
        }
        match treat {
            Treat::Pass { last } => self.passed(key, code.value(), last),
            Treat::Collect => {
                self.late_passive = None;
                self.passive_reply(key, code);
            }
            Treat::AskAgain => self.ask_again(key),
            Treat::Dropped => {}
            Treat::LateEpsv => self.late_epsv_came(now, key),
            Treat::NameAgain => self.name_again(now, key),
            Treat::Feat(_) | Treat::Withheld => self.answered(key),
        }
    }

    /// A reply has passed.
    fn passed(&mut self, key: Key, code: u16, last: bool) {
        if !last {
            return;
        }
        let good = (200..300).contains(&code);
        let Some(owed) = self.queue.entry(key) else {
            return;
        };
        match &owed.request {
            Request::Active(_) if good => {
                self.learn_active_form(key);
                self.active_accepted(key);
                self.answered(key);
            }
            Request::Active(_) => {
                self.active_refused(key);
                self.answered(key);
            }
            Request::Passive(passive) => {
                // Another's reply: its own may still come (Q23).
                if good {
                    self.late_passive = Some(passive.extended);
                }
                self.answered(key);
            }
            Request::EpsvAll => {
                if good {
                    self.data.epsv_all_accepted();
                }
                self.answered(key);
            }
            Request::Mode(mode) => {
                if good {
                    self.data.mode_accepted(*mode);
                }
                self.answered(key);
            }
            Request::Rein => {
                if good {
                    self.data.reset_parameters();
                    self.close_current();
                }
                self.answered(key);
            }
            Request::Transfer(_) => self.transfer_done(key, code),
            Request::Abort => {
                if matches!(code, 225 | 226) {
                    self.queue.give_up_transfers_before(key);
                }
                self.answered(key);
            }
            _ => self.answered(key),
        }
    }

    fn answered(&mut self, key: Key) {
        if let Some(owed) = self.queue.entry(key) {
            owed.stage = Stage::Answered;
        }
    }
}

/// What greets so is no FTP server: it is SSH or HTTP that listens there.
fn is_other_protocol(text: &[u8]) -> bool {
    text.starts_with(b"SSH-") || text.starts_with(b"HTTP/")
}

fn begins_passive(text: &[u8]) -> bool {
    ReplyLine::parse(text).code().is_some_and(is_passive)
}

fn is_passive(code: ReplyCode) -> bool {
    matches!(code.value(), 227..=229)
}

/// So much of what another protocol says is shown.
const SHOWN: usize = 60;
