//! The state machine between an FTP client and its FTP server.
//!
//! Sans-IO: no sockets, no SSH, no clock. It is told what came in and says what is to go out; the
//! live proxy and the replay of recorded sessions drive the same machine. [`Control`] states how
//! it is to be used.
//!
//! # Layout
//!
//! - `machine`: [`Control`] itself, its inputs and its outputs
//! - `commands`: what is done with a line of the client
//! - `replies`: what is done with a line of the server; `incoming`: the reply that it belongs to
//! - `active` (with `port`), `passive`: the two kinds of data connection, from request to answer
//! - `silence`: an EPSV that is never answered; `route`: the FTP server named in the user name; `tls`:
//!   a server that insists on TLS
//! - `data`: the forwards, and which one the next transfer uses; `forwards`: how many there may be; `transfers`: which data connection a transfer uses, and when its
//!   final reply may pass (`final_reply`, `gate`)
//! - `feat`: what a FEAT reply may list
//! - `cuts`: what is said of one whose data was cut on its way; `unreached`: of one whose data connection
//!   could not be made; `unknown`: a command of no known verb that turns out to be a transfer;
//!   `doubts`: a data connection that was refused, and may have been the client's; `holds`: what waits for a
//!   transfer (`wait`)
//! - `queue`: the answers that are owed to the client, and the requests they answer (`request`, `transfer`); `held`: their
//!   lines, and what those cost
//! - `matching`, `turns`: which reply answers which request, and when it may go to the client; `guard`:
//!   the last look at it
//! - `peers`: which side may still be heard, and how far the session has come to its end; `outputs`: what is
//!   still to be said to the driver
//! - `idle`: sessions that nobody uses (`activity`); `abandoned`: those whose client has ended its side
//! - `event`, `settings`: what goes in and comes out, in words; `answers`: ferryline's own replies

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod abandoned;
mod active;
mod activity;
mod answers;
mod commands;
mod cuts;
mod data;
mod doubts;
mod event;
mod feat;
mod final_reply;
mod forwards;
mod gate;
mod greeter;
mod guard;
mod held;
mod holds;
mod idle;
mod incoming;
mod key;
mod machine;
mod matching;
mod outputs;
mod passive;
mod peers;
mod port;
mod queue;
mod replies;
mod request;
mod route;
mod settings;
mod silence;
mod tls;
mod transfer;
mod transfers;
mod turns;
mod unknown;
mod unreached;
mod wait;

#[cfg(test)]
mod tests;

pub use self::{
    answers::{answer, refusal},
    commands::other_protocol,
    event::{DataAtEnd, Ending, ForwardEvent, ForwardId, Notice, Output, Target},
    greeter::{Greeter, Step},
    machine::Control,
    route::UserAtHost,
    settings::{ActiveMode, DataHost, Knowledge, LOWEST_DATA_PORT, Limits, Settings},
};
