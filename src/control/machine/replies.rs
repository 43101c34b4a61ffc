//! What ferryline does with a line of the server.

use std::time::Duration;

use bytes::Bytes;
use ferryline_grammar::{Line, Place, ReplyCode, ReplyLine, masked_reply};

use crate::control::{
    answers::answer,
    end_reason::EndReason,
    event::Notice,
    exchange::Stage,
    feat::FeatFilter,
    guard::withheld,
    incoming::ReplyHandling,
    key::Key,
    machine::{Control, verbatim},
    other_protocol::greets_otherwise,
    passive_request::PassiveRequest,
    request::Request,
    settings::ActiveMode,
    tls::insists_on_tls,
};

impl Control {
    pub(super) fn server_line(&mut self, now: Duration, line: Line) {
        // A reply before which another was left open (Q29): the answer to a passive request must not pass as
        // the middle of that other one.
        if self.incoming.open().is_some_and(|open| !is_passive(open))
            && begins_passive(line.text())
            && self.queue.passive_sent()
            && !self.answers_passive()
        {
            self.incoming.may_begin_anew();
        }
        match self.incoming.place(line.text()) {
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
            Place::Stray if self.queue.greeting_owed() && greets_otherwise(line.text()) => {
                let said: Vec<u8> = line.text().iter().copied().take(SHOWN).collect();
                let said = said.trim_ascii().escape_ascii().to_string();
                self.end_for(EndReason::NotFtpServer(said));
            }
            Place::Stray => {
                let key = self.queue.push(Request::Unasked, Stage::Answered);
                self.queue.relay(key, verbatim(&line));
            }
        }
    }

    /// Whether the reply that is coming in is a passive request's own.
    fn answers_passive(&self) -> bool {
        let exchange = self.incoming.key().and_then(|key| self.queue.get(key));
        exchange.is_some_and(|exchange| exchange.passive().is_some())
    }

    /// Handles a command that went out while a reply is open. Some servers leave a refusal open (Q29): then
    /// the next line may begin the next reply. Any other open reply (a list, a banner) may hold lines that
    /// look like replies, and a client that pipelines sends on meanwhile.
    pub(super) fn resync(&mut self) {
        if self.incoming.open().is_some_and(|open| open.class() >= 4) {
            self.incoming.may_begin_anew();
        }
    }

    fn begin_reply(&mut self, now: Duration, code: ReplyCode) {
        // The reply before it was left open (Q29): it ends with the lines that have come.
        self.end_reply(now);
        let value = code.value();
        if matches!(value, 230 | 232) {
            self.activity.logged_in();
            self.parameters.logged_in();
        }
        let (key, handling) = match self.queue.match_reply(value) {
            Some(key) => {
                if matches!(value, 100..200) {
                    self.begins_unknown(now, key, value);
                }
                (key, self.handling(now, key, value))
            }
            None => self.unasked(value),
        };
        self.overtake_unreached(key);
        if matches!(value, 221 | 421) {
            self.peers.say_farewell();
        }
        self.incoming.begin(key, code, handling);
    }

    fn handling(&mut self, now: Duration, key: Key, code: u16) -> ReplyHandling {
        let passive_code = matches!(code, 227 | 229);
        // The queue has just named it.
        let Some(exchange) = self.queue.get(key) else {
            return ReplyHandling::Withheld;
        };
        match exchange.request() {
            Request::Passive(passive)
                if passive.is_late_epsv(code, self.queue.expects_late_epsv()) =>
            {
                ReplyHandling::LateEpsv
            }
            Request::Passive(_) if passive_code => ReplyHandling::Collect,
            Request::Passive(_) if code == 228 => self.withhold(key, code),
            Request::Passive(passive) if self.retries_passive_form(passive, code) => {
                ReplyHandling::RetryPassiveForm
            }
            // The client asked for an active data connection: nothing but a data connection is a success.
            Request::Passive(passive) if passive.is_joined() => {
                if !(200..400).contains(&code) {
                    return ReplyHandling::Pass { last: code >= 200 };
                }
                let refusal = answer(425, "the FTP server offers no passive data connection");
                self.queue.say(key, refusal);
                ReplyHandling::Withheld
            }
            // Its answer in the other form is still to come.
            Request::Passive(passive) if passive.asked_again() && code < 200 => {
                ReplyHandling::Dropped
            }
            // Refused in both forms: the client gets the refusal of the one that it asked for.
            Request::Passive(passive) if passive.has_refusal() => {
                self.queue.tell_refusal(key);
                ReplyHandling::Withheld
            }
            Request::Active(_) if self.retries_port_form(key, code) => ReplyHandling::RetryPortForm,
            Request::Greeting { withheld: true } if code < 200 => ReplyHandling::Dropped,
            Request::Greeting { withheld: true } if code < 400 => ReplyHandling::Withheld,
            Request::Transfer(_) => self.transfer_reply(now, key, code),
            Request::OwnAbort if code == 421 => ReplyHandling::Pass { last: true },
            Request::OwnAbort if code < 200 => ReplyHandling::Dropped,
            Request::OwnAbort => {
                self.queue.give_up_answered_before(key);
                ReplyHandling::Withheld
            }
            Request::Feat if code == 211 => ReplyHandling::Feat(FeatFilter::default()),
            _ => ReplyHandling::Pass { last: code >= 200 },
        }
    }

    /// Handles a reply that answers no request: it passes, unless it is a passive one.
    fn unasked(&mut self, code: u16) -> (Key, ReplyHandling) {
        if matches!(code, 227 | 229)
            && let Some(extended) = self.queue.take_stray_passive()
        {
            let request = Request::Passive(PassiveRequest::answered_late(extended));
            let key = self.queue.push(request, Stage::Incoming);
            self.queue.came_late(key);
            return (key, ReplyHandling::Collect);
        }
        // Its lines come one by one, and no line of a later reply may come between.
        let key = self.queue.push(Request::Unasked, Stage::Incoming);
        let late = code == 229 && self.queue.take_late_epsv();
        let handling = if late || self.queue.take_late_refusal(code) {
            ReplyHandling::Withheld
        } else if matches!(code, 227..=229) {
            self.withhold(key, code)
        } else {
            ReplyHandling::Pass { last: true }
        };
        (key, handling)
    }

    fn withhold(&mut self, key: Key, code: u16) -> ReplyHandling {
        self.outputs.notice(Notice::Withheld(code));
        self.queue.say(key, withheld(code));
        ReplyHandling::Withheld
    }

    fn reply_line(&mut self, line: &Line, first: bool, last: bool) {
        let active = self.settings.active != ActiveMode::Remote || self.has_remote_forwards();
        // A first line has begun it, and no entry leaves the queue while its reply comes in.
        let Some((key, code, handling)) = self.incoming.reply() else {
            return;
        };
        let code = code.value();
        let Some(exchange) = self.queue.entry(key) else {
            return;
        };
        match handling {
            ReplyHandling::Pass { .. } => {
                exchange.relay(verbatim(line));
                if first
                    && let Request::Other {
                        sets: Some(sets), ..
                    } = exchange.request()
                {
                    self.parameters.answered(sets, code, line.text());
                }
                let login = matches!(
                    exchange.request(),
                    Request::Login { .. } | Request::Greeting { .. }
                );
                if insists_on_tls(login, code, line.text()) {
                    self.outputs.notice_once(Notice::TlsRequired(
                        masked_reply(line.text()).escape_ascii().to_string(),
                    ));
                }
            }
            ReplyHandling::LateEpsv => {
                if code >= 400
                    && let Some(passive) = exchange.passive_mut()
                {
                    passive.buffer_refusal(verbatim(line));
                }
            }
            ReplyHandling::RetryPassiveForm => {
                if let Some(passive) = exchange.passive_mut() {
                    passive.buffer_first_refusal(verbatim(line));
                }
            }
            ReplyHandling::Dropped | ReplyHandling::Withheld => {}
            ReplyHandling::Collect => {
                if let Some(passive) = exchange.passive_mut() {
                    passive.buffer_reply(Bytes::copy_from_slice(line.text()));
                }
            }
            ReplyHandling::RetryPortForm => {
                if let Some(active) = exchange.active_mut() {
                    active.buffer_refusal(verbatim(line), first);
                }
            }
            ReplyHandling::Feat(filter) => {
                if first && last {
                    exchange.relay(verbatim(line));
                } else if last {
                    for missing in filter.missing(active) {
                        exchange.say(missing);
                    }
                    exchange.relay(verbatim(line));
                } else if first || filter.passes(line.text()) {
                    exchange.relay(verbatim(line));
                }
            }
        }
    }

    fn end_reply(&mut self, now: Duration) {
        let Some((key, code, handling)) = self.incoming.end() else {
            return;
        };
        if code.value() >= 200 {
            self.queue.final_came(now);
        }
        match handling {
            ReplyHandling::Pass { last } => self.passed(key, code.value(), last),
            ReplyHandling::Collect => {
                self.queue.take_stray_passive();
                self.passive_reply(key, code);
            }
            ReplyHandling::RetryPassiveForm => self.retry_passive_form(key),
            ReplyHandling::Dropped => {}
            ReplyHandling::LateEpsv => self.late_epsv_came(now, key),
            ReplyHandling::RetryPortForm => self.retry_port_form(now, key),
            ReplyHandling::Feat(_) | ReplyHandling::Withheld => self.queue.answered(key),
        }
    }

    /// Handles a reply that has passed.
    fn passed(&mut self, key: Key, code: u16, last: bool) {
        if !last {
            return;
        }
        let good = (200..300).contains(&code);
        // Its lines have just been added, so it is still there.
        let Some(exchange) = self.queue.get(key) else {
            return;
        };
        match exchange.request() {
            Request::Active(_) if good => {
                self.active_accepted(key);
                self.queue.answered(key);
            }
            Request::Active(_) => {
                self.active_refused(key);
                self.queue.answered(key);
            }
            Request::Passive(passive) => {
                let expects_229 = passive.expects_229();
                // It was another request's reply: the transfer's own may still come (Q23).
                if good {
                    self.queue.expect_stray_passive(expects_229);
                }
                self.queue.answered(key);
            }
            Request::EpsvAll => {
                if good {
                    self.data.epsv_all_accepted();
                }
                self.queue.answered(key);
            }
            Request::Mode(mode) => {
                if good {
                    self.data.mode_accepted(*mode);
                }
                self.queue.answered(key);
            }
            Request::Rein => {
                if good {
                    self.data.reset_parameters();
                    self.parameters.reset();
                    self.close_current();
                }
                self.queue.answered(key);
            }
            Request::Transfer(_) => self.transfer_done(key, code),
            Request::Abort => {
                if matches!(code, 225 | 226) {
                    self.queue.give_up_transfers_before(key);
                }
                self.queue.answered(key);
            }
            _ => self.queue.answered(key),
        }
    }
}

fn begins_passive(text: &[u8]) -> bool {
    ReplyLine::parse(text).code().is_some_and(is_passive)
}

fn is_passive(code: ReplyCode) -> bool {
    matches!(code.value(), 227..=229)
}

/// Number of bytes shown of what another protocol says.
const SHOWN: usize = 60;
