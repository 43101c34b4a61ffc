//! What is done with a line of the server.

use std::time::Duration;

use bytes::Bytes;
use ferryline_grammar::{Line, Place, ReplyCode};

use super::{
    answers::answer,
    event::Notice,
    feat::FeatFilter,
    machine::{Control, verbatim},
    queue::{Key, Passive, Request, Stage},
    transfers::TransferMode,
};

/// Where the lines of the current reply go.
#[derive(Debug)]
pub(super) enum Route {
    /// No reply is coming in.
    None,
    To {
        key: Key,
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
    /// Dropped, and not the request's final one.
    Dropped,
    /// Dropped: ferryline has said something in its place.
    Withheld,
    /// A FEAT reply.
    Feat(FeatFilter),
}

/// A passive reply of more bytes is no passive reply (Q12, Q37).
const PASSIVE_REPLY_LIMIT: usize = 64 * 1024;

impl Control {
    pub(super) fn server_line(&mut self, now: Duration, line: Line) {
        match self.framing.place(line.text()) {
            Place::Only(code) => {
                self.begin_reply(now, code);
                self.reply_line(&line, true, true);
                self.end_reply(code);
            }
            Place::First(code) => {
                // The reply before it may have been left open (Q29).
                if matches!(self.route, Route::To { .. }) {
                    self.abandon_reply();
                }
                self.begin_reply(now, code);
                self.reply_line(&line, true, false);
            }
            Place::Middle(_) => self.reply_line(&line, false, false),
            Place::Last(code) => {
                self.reply_line(&line, false, true);
                self.end_reply(code);
            }
            Place::Stray => {
                let key = self.queue.push(Request::Unasked, Stage::Answered);
                self.queue.append(key, verbatim(&line));
            }
        }
    }

    fn begin_reply(&mut self, now: Duration, code: ReplyCode) {
        if matches!(self.route, Route::To { .. }) {
            self.abandon_reply();
        }
        let value = code.value();
        if value >= 200 {
            self.queue.final_came();
        }
        if matches!(value, 221 | 421) {
            self.farewell = true;
        }
        let (key, treat) = match self.queue.answering(value) {
            Some(key) => (key, self.treat(now, key, value)),
            None => self.unasked(value),
        };
        self.route = Route::To { key, treat };
    }

    fn treat(&mut self, now: Duration, key: Key, code: u16) -> Treat {
        let passive_code = matches!(code, 227 | 229);
        let Some(owed) = self.queue.get(key) else {
            return Treat::Withheld;
        };
        match &owed.request {
            Request::Transfer(transfer) if transfer.told => {
                if code < 200 {
                    Treat::Dropped
                } else {
                    Treat::Withheld
                }
            }
            Request::Passive(_) if passive_code => Treat::Collect,
            Request::Passive(_) if code == 228 => self.withhold(key, code),
            Request::Passive(_) if self.asks_again(key, code) => Treat::AskAgain,
            Request::Active(_) if self.names_again(key, code) => Treat::NameAgain,
            Request::Transfer(_) => Treat::Pass {
                last: self.transfer_reply(now, key, code),
            },
            Request::Feat if code == 211 => Treat::Feat(FeatFilter::default()),
            _ => Treat::Pass { last: code >= 200 },
        }
    }

    /// A reply that answers nothing passes, unless it is a passive one.
    fn unasked(&mut self, code: u16) -> (Key, Treat) {
        if matches!(code, 227 | 229) && std::mem::take(&mut self.late_passive) {
            let request = Request::Passive(Passive::new(false, false));
            return (self.queue.push(request, Stage::Incoming), Treat::Collect);
        }
        // Its lines come one by one, and none of a later reply may come between.
        let key = self.queue.push(Request::Unasked, Stage::Incoming);
        let treat = if matches!(code, 227..=229) {
            self.withhold(key, code)
        } else {
            Treat::Pass { last: true }
        };
        (key, treat)
    }

    fn withhold(&mut self, key: Key, code: u16) -> Treat {
        self.notice(Notice::Withheld(code));
        let reply = answer(code, "a passive reply that nobody asked for, withheld");
        self.queue.append(key, reply);
        Treat::Withheld
    }

    fn reply_line(&mut self, line: &Line, first: bool, last: bool) {
        let on_ssh_host = self.settings.server_on_ssh_host;
        let Route::To { key, treat } = &mut self.route else {
            return;
        };
        let key = *key;
        let Some(owed) = self.queue.entry(key) else {
            return;
        };
        match treat {
            Treat::Pass { .. } => owed.out.push_back(verbatim(line)),
            Treat::AskAgain | Treat::Dropped | Treat::Withheld => {}
            Treat::Collect => {
                if let Request::Passive(passive) = &mut owed.request
                    && passive.reply.iter().map(Bytes::len).sum::<usize>() < PASSIVE_REPLY_LIMIT
                {
                    passive.reply.push(Bytes::copy_from_slice(line.text()));
                }
            }
            Treat::NameAgain => {
                if let Request::Active(active) = &mut owed.request {
                    if first {
                        active.refusal.clear();
                    }
                    if active.refusal.iter().map(Bytes::len).sum::<usize>() < PASSIVE_REPLY_LIMIT {
                        active.refusal.push(verbatim(line));
                    }
                }
            }
            Treat::Feat(filter) => {
                if first && last {
                    owed.out.push_back(verbatim(line));
                } else if last {
                    owed.out.extend(filter.missing(on_ssh_host));
                    owed.out.push_back(verbatim(line));
                } else if first || filter.passes(line.text()) {
                    owed.out.push_back(verbatim(line));
                }
            }
        }
    }

    fn end_reply(&mut self, code: ReplyCode) {
        let Route::To { key, treat } = std::mem::replace(&mut self.route, Route::None) else {
            return;
        };
        match treat {
            Treat::Pass { last } => self.passed(key, code.value(), last),
            Treat::Collect => {
                self.late_passive = false;
                self.passive_reply(key, code);
            }
            Treat::AskAgain => self.ask_again(key),
            Treat::Dropped => {}
            Treat::NameAgain => self.name_again(key),
            Treat::Feat(_) | Treat::Withheld => self.answered(key),
        }
    }

    /// A reply was left open and another begins: what there is of it is all of it.
    fn abandon_reply(&mut self) {
        let Route::To { key, treat } = &self.route else {
            return;
        };
        let key = *key;
        match treat {
            Treat::Pass { last: false } | Treat::Dropped => self.route = Route::None,
            Treat::Collect => {
                self.route = Route::None;
                self.queue.append(
                    key,
                    answer(425, "the FTP server's passive reply was never finished"),
                );
                self.answered(key);
            }
            _ => {
                self.route = Route::None;
                self.answered(key);
            }
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
            Request::Passive(_) => {
                // Another's reply: its own may still come (Q23).
                self.late_passive |= good;
                self.answered(key);
            }
            Request::EpsvAll => {
                self.epsv_all |= good;
                self.answered(key);
            }
            Request::Mode(mode) => {
                if good {
                    self.mode = if *mode == b'S' {
                        TransferMode::Stream
                    } else {
                        TransferMode::Kept
                    };
                }
                self.answered(key);
            }
            Request::Rein => {
                if good {
                    // RFC 959 §4.1.1: all parameters are reset.
                    self.epsv_all = false;
                    self.mode = TransferMode::Stream;
                    self.close_all_unused();
                }
                self.answered(key);
            }
            Request::Transfer(_) => self.transfer_done(key, code),
            _ => self.answered(key),
        }
    }

    fn answered(&mut self, key: Key) {
        if let Some(owed) = self.queue.entry(key) {
            owed.stage = Stage::Answered;
        }
    }
}
