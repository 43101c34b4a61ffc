//! `ssh -L` that understands FTP.
//!
//! An unmodified FTP client connects to a port on its own host. Ferryline carries the control
//! connection through an SSH session and reads each line of it. It makes a forward for every data
//! connection when it is needed (a local forward for PASV and EPSV, a remote forward for PORT and
//! EPRT), rewrites the address in the line, and passes the line on. All traffic is inside SSH;
//! nothing about the client or the server changes.
//!
//! # Layout
//!
//! Dependencies point one way: `cli` → {`check`, `top`, `serve`, `audit`} → `monitor` → `proxy` → {`transcript` → `control` →
//! `ferryline_grammar`, `ssh`}.
//!
//! - [`cli`]: one file for each subcommand; arguments in, validated settings out
//! - [`check`]: the doctor: tries each step to the FTP server, and says what works and what
//!   does not, and why
//! - [`serve`]: the service: many tunnels at once, which change while it runs
//! - [`audit`]: the audit record: a line for each transfer, each with the hash of the line before it
//! - [`monitor`]: metrics, health, and the view of what runs
//! - [`top`]: that view on a terminal
//! - [`proxy`]: the driver: listeners, one task for each client, data connections
//! - [`control`]: the state machine between client and server; no I/O, no clock
//! - [`ssh`]: the SSH session: connect, authenticate, host keys, lanes, forwards
//! - [`transcript`]: recorded sessions: write, read, replay
//! - [`demo`]: an embedded SSH server and FTP server, for `ferryline demo` and the hermetic tests
//! - [`ftp_client`]: a small FTP client; `check`, the demo and the tests drive the proxy with
//!   it
//! - [`paint`]: colours on a terminal, and marks that the locale has
//! - `bounded_file`: files that are read up to a bound
//! - `lock`: mutexes
//! - `log_limit`: warnings that other programs can cause without limit
//! - `queued_writer`: output that its reader may leave unread
//! - `shell_word`: words for a shell, in commands that messages show
//! - `ferryline_grammar` (in `grammar/`): FTP's own language: line codec, commands, replies,
//!   addresses

pub mod audit;
mod bounded_file;
pub mod check;
pub mod cli;
pub mod control;
#[cfg(feature = "demo")]
pub mod demo;
pub mod ftp_client;
mod lock;
mod log_limit;
pub mod monitor;
pub mod paint;
mod printable;
pub mod proxy;
mod queued_writer;
pub mod serve;
mod shell_word;
pub mod ssh;
pub mod top;
pub mod transcript;
