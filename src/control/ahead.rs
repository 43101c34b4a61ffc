//! Asking the FTP server for a passive port before the client does (`--passive-ahead`).
//!
//! Where a transfer over a passive data connection has ended well and the client has nothing else under
//! way, the request that made it is sent once more. The client's next EPSV or PASV is then answered from
//! what the server has said, or takes over the request that is still on its way. All that the client
//! sends before goes its way as ever.
//!
//! What comes of the request is never the client's business before that: its answer is swallowed, a
//! refusal ends the asking for this session, and a port that lies unused is let go here, while the server
//! keeps it until the next request for a data connection (no command gives one back). A transfer that the
//! client asks for without any request of its own must not find that port: the server would take the
//! client's file for one that is empty, so ferryline answers as the server would have, with a 425.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use ferryline_grammar::Verb;

use super::{
    event::{ForwardEvent, ForwardId},
    machine::Control,
    queue::{Key, Stage},
    replies::{Route, Treat},
    request::{Kept, Passive, Request},
    transfers::{ForwardState, TransferMode},
};

/// What a session knows of the ports that are asked for ahead.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// Nothing is asked ahead in this session any more.
    off: bool,
    /// The data connection is a passive one, by a request of this form: whether by EPSV.
    form: Option<bool>,
    /// A transfer has just ended well, and the client has sent nothing since.
    due: bool,
    port: Port,
    /// The server listens on a port that no request of the client's stands for.
    at_server: bool,
    /// The answer of a request that was given up may still come.
    late: bool,
    /// The forward that came of a request ahead and was then given to the client.
    given: Option<ForwardId>,
    /// What may be the server's farewell, or only its word on the port that nobody used.
    parting: Kept,
}

#[derive(Debug, Default)]
enum Port {
    #[default]
    None,
    /// Its request is on its way.
    Asked { key: Key },
    /// The server has named it, and a local forward leads there.
    Named {
        id: ForwardId,
        /// The request's place in the order of what the server was sent.
        order: u64,
        /// When it was asked for.
        since: Duration,
        /// Where the forward listens, once it does.
        address: Option<SocketAddr>,
    },
}

/// What is left to do with a passive request of the client's.
pub(super) enum Wish {
    /// Nothing: it has its answer, or will have that of the request that was sent ahead.
    Served,
    /// It goes to the server.
    Ask(Passive),
}

impl Control {
    /// A transfer's final reply has come; its entry is still in the queue.
    pub(super) fn ahead_transfer_done(&mut self, code: u16) {
        self.ahead.due = matches!(code, 226 | 250) && self.queue.len() == 1;
    }

    /// The data connection of the next transfer is a passive one, by a request of this form.
    pub(super) fn ahead_form(&mut self, extended: bool) {
        self.ahead.form = Some(extended);
    }

    /// The client sends a command. Some end what the port was asked for; a passive request has its own
    /// way ([`take_ahead`](Self::take_ahead)).
    pub(super) fn ahead_command(&mut self, verb: &Verb) {
        self.ahead.due = false;
        if matches!(
            verb,
            Verb::Abor
                | Verb::Eprt
                | Verb::Mode
                | Verb::Pass
                | Verb::Port
                | Verb::Quit
                | Verb::Rein
                | Verb::User
        ) {
            self.forget_ahead();
        }
    }

    /// EPSV ALL was asked for.
    pub(super) fn ahead_epsv_all(&mut self) {
        self.forget_ahead();
    }

    /// Asks, if this is the moment. `open`: both sides are there, and nobody wants to stop.
    pub(super) fn ask_ahead(&mut self, now: Duration, open: bool) {
        if !self.ahead.due || self.queue.len() > 0 {
            return;
        }
        self.ahead.due = false;
        let Some(extended) = self.ahead.form else {
            return;
        };
        let may = self.settings.passive_ahead
            && open
            && !self.ahead.off
            && !self.farewell
            && !self.epsv_all
            && self.mode == TransferMode::Stream
            // It has a port for its next transfer already.
            && self.current.is_none()
            && matches!(self.ahead.port, Port::None);
        if !may {
            return;
        }
        let request = Request::Passive(Passive {
            ahead: true,
            since: now,
            ..Passive::new(extended, extended)
        });
        let key = self.queue.push(request, Stage::Sent);
        self.queue.sent(key);
        self.queue.asked_again();
        self.ahead.port = Port::Asked { key };
        self.ahead.at_server = true;
        self.send_to_server(Bytes::from_static(if extended {
            b"EPSV\r\n"
        } else {
            b"PASV\r\n"
        }));
    }

    /// The client asks for a passive data connection: gives it the port that was asked for ahead. Only
    /// where nothing else is under way; the server's answers come one after the other, and behind
    /// another's this one would be no sooner.
    pub(super) fn take_ahead(&mut self, now: Duration, verb: &Verb, wish: Passive) -> Wish {
        let plain = matches!(verb, Verb::Epsv | Verb::Pasv) && !wish.as_typed;
        let alone = self
            .queue
            .iter()
            .all(|owed| matches!(&owed.request, Request::Passive(p) if p.ahead));
        match std::mem::take(&mut self.ahead.port) {
            Port::Asked { key } if plain && alone => {
                if let Some(owed) = self.queue.entry(key)
                    && let Request::Passive(passive) = &mut owed.request
                {
                    passive.ahead = false;
                    passive.extended = wish.extended;
                    self.ahead_replaced();
                    return Wish::Served;
                }
            }
            Port::Named {
                id,
                order,
                since,
                address,
            } if plain && alone && now < since + self.settings.limits.unused_ahead => {
                let request = Request::Passive(Passive {
                    forward: Some(id),
                    asked_extended: self.ahead.form.unwrap_or_default(),
                    ..wish
                });
                self.ahead_replaced();
                self.ahead.given = Some(id);
                let key = self.queue.push(request, Stage::Answered);
                if let Some(owed) = self.queue.entry(key) {
                    owed.order = order;
                    owed.held = true;
                }
                if let Some(address) = address {
                    // No listener stands for longer.
                    let until = Some(since + self.settings.limits.unused_forward);
                    if let Some(forward) = self.forwards.get_mut(&id) {
                        forward.state = ForwardState::Ready { until };
                    }
                    self.passive_ready(id, address);
                }
                return Wish::Served;
            }
            port => self.ahead.port = port,
        }
        self.forget_ahead();
        Wish::Ask(wish)
    }

    /// A request of the client's for a data connection has been sent: the server lets go of the port that
    /// it was asked for before.
    pub(super) fn ahead_replaced(&mut self) {
        self.ahead.form = None;
        self.ahead.at_server = false;
    }

    /// Whether a transfer that is asked for now would find a port that the client knows nothing of.
    pub(super) fn ahead_in_the_way(&self) -> bool {
        self.ahead.at_server
    }

    /// A reply with this code begins to answer the request that was sent ahead: what is done with it.
    pub(super) fn treat_ahead(&mut self, code: u16) -> Treat {
        if matches!(code, 227 | 229) {
            return Treat::Collect;
        }
        self.end_ahead();
        match code {
            // A farewell, and the client's.
            421 => Treat::Pass { last: true },
            _ if code < 200 => Treat::Dropped,
            _ => {
                // Of anything but a refusal it is not sure that it was the answer.
                self.ahead.late = code < 400;
                self.ahead.at_server = code < 400;
                Treat::Withheld
            }
        }
    }

    /// Whether the request that this reply has answered is still of use.
    pub(super) fn is_wanted_ahead(&self, key: Key) -> bool {
        matches!(self.ahead.port, Port::Asked { key: asked } if asked == key)
    }

    /// The server has named the port, and its forward has been asked for.
    pub(super) fn ahead_named(&mut self, key: Key, id: ForwardId) {
        let Some(owed) = self.queue.get(key) else {
            return;
        };
        let Request::Passive(passive) = &owed.request else {
            return;
        };
        self.ahead.port = Port::Named {
            id,
            order: owed.order,
            since: passive.since,
            address: None,
        };
    }

    /// Nothing more is asked ahead in this session.
    pub(super) fn end_ahead(&mut self) {
        self.ahead.off = true;
        self.forget_ahead();
    }

    /// Whether a reply that answers nothing is about a port that was asked for ahead, and nobody's
    /// business.
    pub(super) fn is_about_ahead(&mut self, code: u16) -> bool {
        let refusal = (400..600).contains(&code) && code != 421;
        (refusal || matches!(code, 227 | 229)) && std::mem::take(&mut self.ahead.late)
    }

    /// Whether this 421 that answers nothing may be the server's word on a port that nobody came to.
    /// pyftpdlib says so after 30 seconds, and stays.
    pub(super) fn may_be_about_ahead(&self, code: u16) -> bool {
        code == 421 && self.ahead.at_server
    }

    /// A line of such a 421.
    pub(super) fn keep_parting(&mut self, line: Bytes) {
        self.ahead.off = true;
        self.ahead.parting.push(line);
    }

    /// The server says something more: what was kept was no farewell.
    pub(super) fn drop_parting(&mut self) {
        self.ahead.parting = Kept::default();
    }

    /// The server has gone: what was kept was its farewell.
    pub(super) fn parting(&mut self) -> Vec<Bytes> {
        self.ahead.parting.take()
    }

    /// Whether this forward leads to a port that was asked for ahead and that the client has not got.
    pub(super) fn is_ahead(&self, forward: ForwardId) -> bool {
        matches!(self.ahead.port, Port::Named { id, .. } if id == forward)
    }

    /// Something has become of a forward; returns whether that is nobody else's business.
    pub(super) fn ahead_event(&mut self, forward: ForwardId, event: &ForwardEvent) -> bool {
        if matches!(event, ForwardEvent::Unreachable(_)) && self.ahead.given == Some(forward) {
            self.end_ahead();
        }
        let Port::Named { id, address, .. } = &mut self.ahead.port else {
            return false;
        };
        if *id != forward {
            return false;
        }
        match event {
            ForwardEvent::Ready(ready) => {
                *address = Some(*ready);
                if let Some(forward) = self.forwards.get_mut(&forward) {
                    // It has a time limit of its own.
                    forward.state = ForwardState::Ready { until: None };
                }
            }
            ForwardEvent::Failed(_) => {
                self.forwards.remove(&forward);
                self.ahead.port = Port::None;
                self.ahead.off = true;
            }
            ForwardEvent::Cut | ForwardEvent::Ended | ForwardEvent::Unreachable(_) => {
                self.forwards.remove(&forward);
                self.ahead.port = Port::None;
            }
            // The client has not been told of it, so it is somebody else who has come.
            _ => self.forget_ahead(),
        }
        true
    }

    /// When the port has lain unused for long enough, or the answer has not come in time.
    pub(super) fn ahead_deadline(&self) -> Option<Duration> {
        let limits = &self.settings.limits;
        match &self.ahead.port {
            Port::None => None,
            Port::Asked { key } => {
                let owed = self.queue.get(*key)?;
                let Request::Passive(passive) = &owed.request else {
                    return None;
                };
                Some(passive.since + limits.silent_epsv)
            }
            Port::Named { since, .. } => Some(*since + limits.unused_ahead),
        }
    }

    pub(super) fn expire_ahead(&mut self, now: Duration) {
        if self.ahead_deadline().is_none_or(|at| now < at) {
            return;
        }
        if let Port::Asked { key } = self.ahead.port {
            self.end_ahead();
            let incoming = matches!(&self.route, Route::To { key: to, .. } if *to == key);
            self.ahead.late = !incoming;
            if let Some(owed) = self.queue.entry(key) {
                owed.stage = Stage::Answered;
            }
        } else {
            self.forget_ahead();
        }
    }

    /// The port is for nobody any more. If its request is on its way, the answer is swallowed.
    fn forget_ahead(&mut self) {
        if let Port::Named { id, .. } = std::mem::take(&mut self.ahead.port) {
            self.close_forward(id);
        }
    }
}
