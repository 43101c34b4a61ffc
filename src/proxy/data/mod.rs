//! The data connections of a session, each a task of its own.
//!
//! - `local`, `remote`, `carried`: one data connection each: passive, active, and active carried as passive
//! - `accept`: which of the connections to a data port is the client's; `reach`: a connection to its own
//!   listener
//! - `look`: a look at what has connected to a data port, ahead of the FTP server's reply
//! - `prefetch`: a remote forward kept ready for the next active transfer
//! - `splice`: moves the bytes; `rest`: what becomes of them after the control connection
//! - `outcome`: how a data connection ended; `report`: how the state machine and the log are told
//! - `context`: what they need to know about their session; `handle`: how the session tells them things

mod accept;
pub(super) mod carried;
pub(super) mod context;
pub(super) mod handle;
pub(super) mod local;
pub(super) mod look;
mod outcome;
pub(super) mod prefetch;
mod reach;
pub(super) mod remote;
pub(super) mod report;
mod rest;
pub(super) mod splice;
