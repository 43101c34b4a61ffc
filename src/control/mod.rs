//! The state machine between an FTP client and its FTP server.
//!
//! Sans-IO: no sockets, no SSH, no clock. It is told what came in and says what is to go out. The live proxy
//! and the replay of recorded sessions drive the same machine. [`Control`] states how it is to be used.
//!
//! # Layout
//!
//! [`Control`] and its steps are in `machine/`: only there is its state visible. The other files hold what the
//! steps use, mostly types with private state.
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
//!   request a reply answers, and which ones get no reply any more; `queue/send_order`: the order in which the
//!   requests were sent; `queue/turns`: when an answer may go to the client
//! - `request`: the kinds of request; `passive_request`, `active_request`, `transfer`: what is known of a PASV
//!   or EPSV, of a PORT or EPRT, and of a command that moves data
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
//! - `answers`: ferryline's own answers
//!
//! Data connections
//!
//! - `data`: the forwards of a session, and the one that the next transfer uses; `machine/forwards`: their
//!   events and their end; `machine/forward_limit`: their number
//! - `machine/active`, `machine/passive`: the two kinds of data connection, from the request to its answer;
//!   `machine/targets`: where a passive one may lead
//! - `machine/transfers`: which forward a transfer uses, and what becomes of the replies to it
//! - `machine/final_reply`: final replies that are held; `gate`: what such a reply waits for
//! - `machine/cuts`: transfers whose data was cut; `machine/unreached`: those whose data connection could not
//!   be made
//! - `parameters`: the directory and the transfer parameters that the FTP server has accepted, for reports
//! - `machine/unknown`: commands of no known verb that turn out to be transfers
//! - `machine/doubts`: data connections that were refused, and may have been the client's
//! - `machine/holds`: commands that wait for a transfer before them; `wait`: what for
//! - `machine/silence`: an EPSV that is not answered
//! - `machine/overdue`: what the log is told while a client waits
//!
//! Ends and times
//!
//! - `peers`: which side may still send, and how far the end of the session has come
//! - `end_reason`: why ferryline itself ends a session
//! - `activity`: when the client was last active; `machine/idle`: sessions that are not used
//! - `machine/abandoned`: sessions whose client has ended its side, or whose control connection broke
//!
//! # Words
//!
//! `ARCHITECTURE.md` has those of the whole program. This folder uses
//!
//! - *request*: what an entry of the queue stands for: mostly a command that is to be answered; also the
//!   greeting, an answer of ferryline's own, or a reply that answers no command
//! - *exchange*: the entry of a request in the queue, with the answer as far as it has come
//! - *reply*: what the FTP server sends. An *answer* is what the client gets: a reply as it came, a
//!   rewritten one, or ferryline's own
//! - *forward*: the way of one data connection, named by a `ForwardId`. *Local*: the client connects here
//!   (PASV, EPSV). *Remote*: the SSH server listens (PORT, EPRT). *Joined*: an active one that is carried
//!   as passive
//! - *data connection*: what runs over a forward: the client's TCP connection here, an SSH channel, the
//!   FTP server's TCP connection there
//! - *transfer*: a command that uses a data connection (RETR, STOR, LIST …), with the replies to it
//! - *final reply*: the one that ends a request: 2xx to 5xx. A 1xx is *preliminary*
//! - *held*: of an exchange: its answer is kept back until its forward stands or its data has moved
//! - *gate*: what a held final reply of a transfer waits for, and until when
//! - *hold*: what keeps a *command*, or the client's EOF, back until the transfer before it is far enough
//! - *claimed*: of a forward: one side has connected, and the other half of the way is being made
//! - *drained*: of a data connection: nothing is left to hand over. The client has all that the FTP
//!   server sent, up to the EOF (in MODE B and C: all that had come by then), or the SSH server has all
//!   of an upload
//! - *cut*: of a data connection: ended before that. The client's side is reset. SSH has no reset: for an
//!   upload whose client broke off, and where the session is aborted, the way to the FTP server is kept
//!   until the server's control connection is closed
//! - *broken*: of a data connection: the client's side ended without an EOF, as by a reset
//! - *settle*: of a data connection whose client's control connection broke: it runs to its end if the
//!   client has ended its side in order, and counts as broken otherwise
//! - *outlives*: of a forward: the final reply of its download has passed, although its client has not
//!   taken all
//! - *unreached*: of a transfer: its data connection could not be made, because the FTP server's port, or
//!   the remote forward, was not reached
//! - *doubtful*: of a forward: a connection to it was refused that may have been its client's, because
//!   its user could not be found out
//! - *overtaken*: of a transfer: the FTP server has answered a later request before it
//! - *stray*: of a reply to a passive request: it comes, or may still come, after another reply was taken
//!   for it (Q23). Of a line: it is part of no reply
//! - *answered by ferryline*: of a transfer: ferryline has told the client how it ended, in the FTP
//!   server's place
//! - *routed*: of a session: the client has named its FTP server in its user name (`USER name@host`), and
//!   ferryline has greeted the client in that server's place
//! - *farewell*: the words that end a session: the client's QUIT or EOF, or the 221 or 421 that the
//!   client gets
//! - *stranger*: a program that connects to a local forward and is not its client, or to a remote forward
//!   and is not the FTP server; also another user's program that has the port of a client's listener
//! - *guard*: the last look at each line for the client, for addresses of the FTP server's own making

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod active_request;
mod activity;
mod answers;
mod data;
mod end_reason;
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
mod parameters;
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

pub(crate) use self::parameters::{is_absolute, joined};
pub use self::{
    answers::{answer, refusal},
    end_reason::EndReason,
    event::{
        DataAtEnd, DataCommand, DataCommands, Ending, ForwardEvent, ForwardId, Notice, Output,
        REPORTED, RunningTransfer, Stalled, Target, TransferReport,
    },
    greeter::{Greeter, Step},
    machine::Control,
    other_protocol::{OtherProtocol, other_protocol},
    parameters::FileParameters,
    route::UserAtHost,
    settings::{ActiveMode, DataHost, Knowledge, LOWEST_DATA_PORT, Limits, Settings},
};
