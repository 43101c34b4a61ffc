//! The state machine between an FTP client and its FTP server.
//!
//! Sans-IO: no sockets, no SSH, no clock. It is told what came in and says what is to go out. The live proxy
//! and the replay of recorded sessions drive the same machine. [`Control`] states how it is to be used.
//!
//! # Layout
//!
//! [`Control`] and its steps are in `machine/`: only there is its state visible. All other files hold types
//! with private state, which the steps use.
//!
//! The machine's face
//!
//! - `machine`: [`Control`] itself, with its inputs and outputs
//! - `event`: what the driver reports ([`ForwardEvent`], [`Ending`]) and what it is asked for ([`Output`])
//! - `outputs`: the outputs that wait for the driver
//! - `settings`: [`Settings`], [`Limits`], and the [`Knowledge`] that sessions with one server share
//!
//! Exchanges: which reply answers which request
//!
//! - `exchange`: one request and its answer as far as it has come; `key`: its name
//! - `queue`: the exchanges of a session, in the order of the client's requests; `queue/matching`: which
//!   request a reply answers; `queue/turns`: when an answer may go to the client
//! - `request`: the kinds of request; `passive_request`, `active_request`, `transfer`: what is known of a PASV or EPSV,
//!   of a PORT or EPRT, and of a command that moves data
//! - `machine/replies`: what is done with a line of the server; `incoming`: the reply that it belongs to
//! - `pending_lines`: the lines that wait for their turn, and their cost
//! - `guard`: the last look at each line for the client
//!
//! Commands: what is done with a line of the client
//!
//! - `machine/commands`: the decision on each command, and the order in which commands go out
//! - `feat`: which features a FEAT reply may list
//! - `tls`: FTP servers that insist on TLS; `other_protocol`: peers that do not speak FTP
//! - `route`: the FTP server named in the user name; `greeter`: the dialogue before that server is known
//! - `answers`: ferryline's own replies
//!
//! Data connections
//!
//! - `data`: the forwards of a session, and the one that the next transfer uses; `machine/forwards`: their
//!   number
//! - `machine/active`, `machine/passive`: the two kinds of data connection, from the request to its answer
//! - `machine/transfers`: which transfer uses which forward, and what becomes of its replies
//! - `machine/final_reply`: final replies that are held; `gate`: what such a reply waits for
//! - `machine/cuts`: transfers whose data was cut; `machine/unreached`: those whose data connection could not
//!   be made
//! - `machine/unknown`: commands of no known verb that turn out to be transfers
//! - `machine/doubts`: data connections that were refused, and may have been the client's
//! - `machine/holds`: commands that wait for a transfer before them; `wait`: what for
//! - `machine/silence`: an EPSV that is not answered
//!
//! Ends and times
//!
//! - `peers`: which side may still send, and how far the end of the session has come
//! - `activity`: when the client was last active; `machine/idle`: sessions that are not used
//! - `machine/abandoned`: sessions whose client has ended its side
//!
//! # Words
//!
//! `ARCHITECTURE.md` has those of the whole program. This folder uses
//!
//! - *request*: a command that is to be answered (or the greeting); *exchange*: its entry in the queue, with
//!   the answer as far as it has come
//! - *reply*: what the FTP server sends; *answer*: what the client gets, which may be ferryline's own
//! - *forward*: the way of one data connection. *Local*: the client connects to it. *Remote*: the FTP server
//!   does, on the SSH server's side. *Joined*: an active one that is carried as passive
//! - *data connection*: what runs over a forward; *transfer*: a command that uses one, with the replies to it
//! - *final reply*: the reply that ends a request, 2xx to 5xx. A 1xx is *preliminary*
//! - *held*: kept back, of an answer, until its forward stands or its data has moved
//! - *gate*: what a held final reply waits for, and until when
//! - *hold*: what keeps a command, or the client's EOF, back until the transfer before it is far enough
//! - *claimed*: of a forward: one side has connected, and the other half of the way is being made
//! - *drained*: the client has been handed all that the server sent
//! - *cut*: ended before that, or before all of an upload was sent. The client's side is reset
//! - *broken*: the client's side of a data connection ended without an EOF
//! - *answered by ferryline*: ferryline has told the client, in the server's place, how a transfer ended
//! - *stranger*: a program that connects to a forward and is not the peer that the forward is for
//! - *guard*: the last look at each line for the client, for addresses of the server's own making

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod active_request;
mod activity;
mod answers;
mod data;
mod event;
mod exchange;
mod feat;
mod gate;
mod greeter;
mod guard;
mod incoming;
mod key;
mod machine;
mod other_protocol;
mod outputs;
mod passive_request;
mod peers;
mod pending_lines;
mod queue;
mod request;
mod route;
mod settings;
mod tls;
mod transfer;
mod wait;

#[cfg(test)]
mod tests;

pub use self::{
    answers::{answer, refusal},
    event::{DataAtEnd, Ending, ForwardEvent, ForwardId, Notice, Output, Target, TransferReport},
    greeter::{Greeter, Step},
    machine::Control,
    other_protocol::other_protocol,
    route::UserAtHost,
    settings::{ActiveMode, DataHost, Knowledge, LOWEST_DATA_PORT, Limits, Settings},
};
