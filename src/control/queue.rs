//! The answers that are owed to the client, in the order of its requests, and which reply of the
//! server answers which request.
//!
//! Replies pass in the order in which the server sends them, unless ferryline itself has changed
//! the order of things: an answer of its own, a reply that waits for a forward or for data, a
//! request that was asked a second time in another form. Such an entry is *held*, and what comes
//! behind it waits. The matching of replies to requests is needed for those cases only; it goes by
//! order and, where FTP servers are known to differ, by the class of the reply, so that an extra or
//! a missing reply puts nothing out of step for good (Q23, Q42, Q44, Q71).

use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use bytes::Bytes;
use ferryline_grammar::Line;

use super::event::{ForwardId, Output};

/// Names an entry of the queue as long as it lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(u64);

/// One request of the client's (or ferryline's own), or a reply that nobody asked for.
#[derive(Debug)]
pub(super) struct Owed {
    pub(super) key: Key,
    pub(super) request: Request,
    pub(super) stage: Stage,
    /// Its place in the order of what was sent to the server; 0 before, and where nothing is.
    pub(super) order: u64,
    /// What goes to the client as soon as the entry's turn has come.
    pub(super) out: VecDeque<Bytes>,
    /// Ferryline holds this entry's output back, and with it all that comes behind.
    pub(super) held: bool,
}

/// What a request is to the state machine.
#[derive(Debug)]
pub(super) enum Request {
    /// ABOR: one reply, or two with the transfer's own.
    Abort,
    /// PORT or EPRT.
    Active(Active),
    /// EPSV ALL.
    EpsvAll,
    /// FEAT.
    Feat,
    /// The server's first reply, which answers the connection itself.
    Greeting,
    /// A reply of ferryline's own: it comes when all earlier ones have come.
    Local {
        /// Since when it waits.
        since: Duration,
    },
    /// MODE with its argument.
    Mode(u8),
    /// Anything else.
    Other,
    /// A passive request.
    Passive(Passive),
    /// QUIT.
    Quit,
    /// REIN.
    Rein,
    /// A blank line: servers do not answer it.
    Silent,
    /// A command that moves data.
    Transfer(Transfer),
    /// A reply that answers nothing.
    Unasked,
}

/// A PORT or EPRT on its way.
#[derive(Debug)]
pub(super) struct Active {
    /// The client's own verb was EPRT.
    pub(super) extended: bool,
    /// The client's listener.
    pub(super) deliver_to: SocketAddr,
    /// The remote forward that was asked for last.
    pub(super) forward: Option<ForwardId>,
    /// The remote forward's address, once it stands.
    pub(super) told: Option<SocketAddr>,
    /// What was sent to the server last.
    pub(super) sent_as: Option<ActiveForm>,
    /// What the server answered to the form before.
    pub(super) refusal: Vec<Bytes>,
}

/// The ways to name an active data port to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ActiveForm {
    Port,
    EprtIpv4,
    EprtIpv6,
}

impl ActiveForm {
    /// The loopback address of the SSH server's host that goes with the form.
    pub(super) fn bind(self) -> IpAddr {
        match self {
            Self::Port | Self::EprtIpv4 => IpAddr::from([127, 0, 0, 1]),
            Self::EprtIpv6 => std::net::Ipv6Addr::LOCALHOST.into(),
        }
    }
}

/// A passive request on its way.
#[derive(Debug)]
pub(super) struct Passive {
    /// The client expects a 229, not a 227.
    pub(super) extended: bool,
    /// What was sent to the server last was an EPSV.
    pub(super) asked_extended: bool,
    /// It has been asked in the other form already.
    pub(super) asked_again: bool,
    /// The forward that the answer waits for.
    pub(super) forward: Option<ForwardId>,
    /// The client asked for an active data connection, to this listener of its own.
    pub(super) join: Option<SocketAddr>,
    /// The lines of the server's reply, while it comes in.
    pub(super) reply: Vec<Bytes>,
}

impl Passive {
    pub(super) fn new(extended: bool, asked_extended: bool) -> Self {
        Self {
            extended,
            asked_extended,
            asked_again: false,
            forward: None,
            join: None,
            reply: Vec::new(),
        }
    }
}

/// A transfer on its way.
#[derive(Debug)]
pub(super) struct Transfer {
    /// STOR, STOU, APPE: the data goes to the server.
    pub(super) upload: bool,
    /// A 1xx has come.
    pub(super) preliminary: bool,
    /// A 200 has come where a 150 belongs (Q42).
    pub(super) early_success: bool,
    /// The data connection it uses, known with its first reply.
    pub(super) forward: Option<ForwardId>,
    /// The client has been told by ferryline how it ended; what the server says is dropped.
    pub(super) told: bool,
    /// The final reply has come and waits for the data until then, if nothing moves.
    pub(super) gate: Option<Duration>,
}

/// How far a request is.
#[derive(Debug)]
pub(super) enum Stage {
    /// Its final reply has come in, or none will come.
    Answered,
    /// Nobody asked for it; its lines are coming in.
    Incoming,
    /// Its final reply is awaited.
    Sent,
    /// It waits to be sent.
    Unsent(Line),
    /// It waits for its remote forward; nothing behind it is sent before.
    Waiting,
}

#[derive(Debug)]
pub(super) struct Queue {
    entries: VecDeque<Owed>,
    next_key: u64,
    next_sent: u64,
    /// Final replies the client has seen, and commands it has sent, since nothing was under way.
    finals: u64,
    commands: u64,
}

impl Queue {
    /// The server owes its greeting.
    pub(super) fn new() -> Self {
        let mut queue = Self {
            entries: VecDeque::new(),
            next_key: 0,
            next_sent: 0,
            finals: 0,
            commands: 0,
        };
        let greeting = queue.push(Request::Greeting, Stage::Sent);
        queue.sent(greeting);
        queue.commands = 1;
        queue
    }

    pub(super) fn push(&mut self, request: Request, stage: Stage) -> Key {
        let key = Key(self.next_key);
        self.next_key += 1;
        self.entries.push_back(Owed {
            key,
            request,
            stage,
            order: 0,
            out: VecDeque::new(),
            held: false,
        });
        key
    }

    /// An answer that needs no server.
    pub(super) fn push_local(&mut self, reply: Bytes, now: Duration) {
        let key = self.push(Request::Local { since: now }, Stage::Answered);
        self.append(key, reply);
    }

    /// Notes that the server has been sent (or asked again) this request.
    pub(super) fn sent(&mut self, key: Key) {
        self.next_sent += 1;
        let order = self.next_sent;
        if let Some(owed) = self.entry(key) {
            owed.stage = Stage::Sent;
            owed.order = order;
        }
    }

    pub(super) fn get(&self, key: Key) -> Option<&Owed> {
        self.entries.iter().find(|owed| owed.key == key)
    }

    pub(super) fn entry(&mut self, key: Key) -> Option<&mut Owed> {
        self.entries.iter_mut().find(|owed| owed.key == key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Owed> {
        self.entries.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Owed> {
        self.entries.iter_mut()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn append(&mut self, key: Key, bytes: Bytes) {
        if let Some(owed) = self.entry(key) {
            owed.out.push_back(bytes);
        }
    }

    /// Bytes that wait to be written to the client.
    pub(super) fn held_bytes(&self) -> usize {
        self.entries
            .iter()
            .flat_map(|owed| owed.out.iter())
            .map(Bytes::len)
            .sum()
    }

    /// The first request that has not been sent, unless something before it holds it up: a line
    /// that waits for its forward, or an active request that is carried as a passive one and has no
    /// data connection yet.
    pub(super) fn next_unsent(&self) -> Option<Key> {
        for owed in &self.entries {
            match (&owed.stage, &owed.request) {
                (Stage::Unsent(_), _) => return Some(owed.key),
                (Stage::Waiting, _) => return None,
                (Stage::Sent, Request::Passive(passive)) if passive.join.is_some() => return None,
                (_, Request::Passive(passive)) if passive.join.is_some() && owed.held => {
                    return None;
                }
                _ => {}
            }
        }
        None
    }

    /// Whether anything waits to be sent.
    pub(super) fn has_unsent(&self) -> bool {
        self.entries
            .iter()
            .any(|owed| matches!(owed.stage, Stage::Unsent(_) | Stage::Waiting))
    }

    pub(super) fn transfer_running(&self) -> bool {
        self.entries.iter().any(|owed| {
            matches!(&owed.request, Request::Transfer(transfer) if !transfer.told)
                && (matches!(owed.stage, Stage::Sent) || owed.held)
        })
    }

    /// Notes that the client sent a command. Where it has been handed an answer to every command
    /// before, the requests that still wait for one were answered by less than was expected: they
    /// are given up. Returns whether a passive request was among them.
    pub(super) fn command_came(&mut self) -> bool {
        let mut passive = false;
        if self.finals >= self.commands {
            for owed in &mut self.entries {
                let running = matches!(&owed.request, Request::Transfer(t) if t.preliminary);
                if matches!(owed.stage, Stage::Sent) && !running && !owed.held {
                    passive |= matches!(owed.request, Request::Passive(_));
                    owed.stage = Stage::Answered;
                }
            }
        }
        if !self
            .entries
            .iter()
            .any(|owed| matches!(owed.stage, Stage::Sent))
        {
            self.finals = 0;
            self.commands = 0;
        }
        self.commands += 1;
        passive
    }

    /// Notes a final reply of the server's.
    pub(super) fn final_came(&mut self) {
        self.finals += 1;
    }

    /// Finds the request that a reply with this code answers, and gives up those that it shows to
    /// have been passed over.
    pub(super) fn answering(&mut self, code: u16) -> Option<Key> {
        let mut waiting: Vec<(u64, usize)> = self
            .entries
            .iter()
            .enumerate()
            .filter(|(_, owed)| matches!(owed.stage, Stage::Sent))
            .map(|(index, owed)| (owed.order, index))
            .collect();
        waiting.sort_unstable();
        let waiting: Vec<usize> = waiting.into_iter().map(|(_, index)| index).collect();

        if matches!(code, 227..=229) {
            let found = waiting
                .iter()
                .position(|&index| self.is(index, |r| matches!(r, Request::Passive(_))))?;
            return self.settle_on(&waiting, found);
        }
        if (100..200).contains(&code) {
            let found = waiting
                .iter()
                .position(|&index| {
                    self.is(index, |r| {
                        matches!(r, Request::Transfer(t) if !t.preliminary)
                            || matches!(r, Request::Greeting)
                    })
                })
                .unwrap_or(0);
            return waiting
                .get(found)
                .and_then(|&index| self.entries.get(index))
                .map(|owed| owed.key);
        }
        for (place, &index) in waiting.iter().enumerate() {
            let last = place + 1 == waiting.len();
            let Some(owed) = self.entries.get_mut(index) else {
                continue;
            };
            match fit(&owed.request, code, last) {
                Fit::Answers => return Some(owed.key),
                Fit::Extra => return None,
                Fit::Later => {}
                Fit::PassedOver => owed.stage = Stage::Answered,
            }
        }
        None
    }

    /// Moves what may go to the client now into `outputs`, and drops what is finished. `now` lets
    /// an answer of ferryline's own go that has waited long enough for an earlier reply.
    pub(super) fn flush(
        &mut self,
        now: Duration,
        patience: Duration,
        outputs: &mut VecDeque<Output>,
    ) {
        let running = self.transfer_running();
        let mut index = 0;
        let mut latest = 0;
        while let Some(owed) = self.entries.get_mut(index) {
            if let Request::Local { since } = owed.request
                && index > 0
                && (running || now < since + patience)
            {
                break;
            }
            // Something before it was sent after it: an ABOR that went past, a request asked twice.
            let overtook = owed.order != 0 && owed.order < latest;
            let unsent = matches!(owed.stage, Stage::Unsent(_) | Stage::Waiting);
            if owed.held || overtook || unsent {
                break;
            }
            outputs.extend(owed.out.drain(..).map(Output::ToClient));
            if matches!(owed.stage, Stage::Answered) {
                self.entries.remove(index);
            } else {
                latest = latest.max(owed.order);
                index += 1;
            }
        }
    }

    /// When an answer of ferryline's own has waited long enough.
    pub(super) fn deadline(&self, patience: Duration) -> Option<Duration> {
        if self.transfer_running() {
            return None;
        }
        self.entries
            .iter()
            .skip(1)
            .find_map(|owed| match owed.request {
                Request::Local { since } => Some(since + patience),
                _ => None,
            })
    }

    fn is(&self, index: usize, what: impl Fn(&Request) -> bool) -> bool {
        self.entries
            .get(index)
            .is_some_and(|owed| what(&owed.request))
    }

    /// The request at place `found` of those that wait is the one; those before it were passed
    /// over.
    fn settle_on(&mut self, waiting: &[usize], found: usize) -> Option<Key> {
        for (place, &index) in waiting.iter().enumerate() {
            let Some(owed) = self.entries.get_mut(index) else {
                continue;
            };
            if place == found {
                return Some(owed.key);
            }
            owed.stage = Stage::Answered;
        }
        None
    }
}

/// How a final reply goes with a request.
enum Fit {
    /// It answers it.
    Answers,
    /// It answers nothing: one reply more than there should be.
    Extra,
    /// It answers a later request; this one still waits.
    Later,
    /// It answers a later request; this one will get no answer any more.
    PassedOver,
}

/// `last`: no later request waits.
fn fit(request: &Request, code: u16, last: bool) -> Fit {
    match request {
        Request::Transfer(transfer) => {
            let own = matches!(code, 226 | 250 | 421..=499 | 532 | 534 | 550..=599);
            match (own, transfer.preliminary, last) {
                (true, ..) | (false, true, true) => Fit::Answers,
                // NOOP, STAT and the like may be answered while the transfer runs.
                (false, true, false) => Fit::Later,
                (false, false, _) if transfer.early_success && code < 400 => {
                    if last {
                        Fit::Extra
                    } else {
                        Fit::PassedOver
                    }
                }
                (false, false, _) => Fit::Answers,
            }
        }
        Request::Abort => match code {
            225 | 226 | 400..=599 => Fit::Answers,
            _ if last => Fit::Answers,
            _ => Fit::PassedOver,
        },
        // What can only be the answer to something else does not answer a request for a data
        // connection: the server has sent one reply more than it was asked for (Q23).
        Request::Passive(_) | Request::Active(_) => match code {
            220 | 221 | 225 | 226 | 230 | 250 | 257 | 300..=399 => Fit::Extra,
            _ => Fit::Answers,
        },
        _ => Fit::Answers,
    }
}
