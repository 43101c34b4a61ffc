//! `ssh -L` that understands FTP.
//!
//! An unmodified FTP client is pointed at a port on its own host. Ferryline carries the control
//! connection through an SSH session, reads each line of it, makes a forward for every data
//! connection the moment it is needed (a local forward for PASV and EPSV, a remote forward for PORT
//! and EPRT), rewrites the address in the line, and passes it on. All traffic is inside SSH;
//! nothing about the client or the server changes.
//!
//! # Layout
//!
//! Dependencies point one way: `cli` → `check` → `proxy` → {`transcript`, `ssh`} → `control` →
//! `ferryline_grammar`.
//!
//! - [`cli`]: one file a subcommand; arguments in, validated settings out
//! - [`check`]: the doctor: walks the whole way and says what works, and why not
//! - [`proxy`]: the driver: listeners, one task a client, data connections
//! - [`control`]: the state machine between client and server; no I/O, no clock
//! - [`ssh`]: the SSH session: connect, authenticate, host keys, lanes, forwards
//! - [`transcript`]: recorded sessions: write, read, replay
//! - [`demo`]: an embedded SSH server and FTP server, for `ferryline demo` and the hermetic tests
//! - [`ftp_client`]: a small FTP client, with which `check`, the demo and the tests drive the proxy
//! - [`paint`]: colours on a terminal
//! - `bounded_file`: files that are read up to a bound
//! - `log_limit`: warnings that strangers can cause as often as they like
//! - `queued_writer`: output that a reader may leave unread
//! - `ferryline_grammar` (in `grammar/`): what FTP says: line codec, commands, replies, addresses

mod bounded_file;
pub mod check;
pub mod cli;
pub mod control;
#[cfg(feature = "demo")]
pub mod demo;
pub mod ftp_client;
mod log_limit;
pub mod paint;
pub mod proxy;
mod queued_writer;
pub mod ssh;
pub mod transcript;
