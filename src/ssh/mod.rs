//! The SSH session layer: one destination, its control connection and its data lanes.
//!
//! This is the only place (besides the embedded server in `demo`) that names russh; no russh type
//! appears in what is public here. A [`Session`] is made by [`Session::connect`] and holds
//!
//! - one *control* connection, shared by all FTP control channels ([`Session::open_control`]),
//!   reconnected with back-off when it is lost;
//! - a pool of *lanes*, further SSH connections of which each carries one data transfer while there
//!   are enough ([`Session::lane`]). They exist because russh hands received data to a channel's
//!   reader inside its session loop: one stalled transfer would stall everything that shares its
//!   connection.
//!
//! # Layout
//!
//! | file | what is in it |
//! |---|---|
//! | `settings` | what the command line decided about a destination |
//! | `error` | errors, one line each: who, what, what to do |
//! | `session` | [`Session`]: the control connection, its reconnection, statistics |
//! | `lanes` | the pool of data lanes |
//! | `establish`, `config` | making one SSH connection: TCP, key exchange, host key, log-in |
//! | `connection`, `events` | one SSH connection: opening channels, what the server sends |
//! | `attempt`, `auth`, `agent`, `keys`, `prompt` | logging in: agent, key files, passwords |
//! | `findings` | [`Findings`]: what the first connection found out, for `ferryline check` |
//! | `host_keys`, `known_hosts` | host key policy, and the files behind it |
//! | `greeting` | telling other protocols from SSH |
//! | `transport` | the TCP socket under an SSH connection |
//! | `channel`, `forward` | what data flows through: channels, remote forwards |

mod agent;
mod attempt;
mod auth;
mod backoff;
mod channel;
mod config;
mod connection;
mod error;
mod establish;
mod events;
mod findings;
mod forward;
mod greeting;
mod host_keys;
mod keys;
mod known_hosts;
mod lanes;
mod prompt;
mod session;
mod settings;
mod transport;

pub use channel::{Channel, ChannelReader, ChannelWriter, Received};
pub use error::{Error, ForwardError, LostReason, OpenError};
pub use findings::{Findings, HostKey};
pub use forward::{Incoming, RemoteForward};
pub use lanes::LaneGuard;
pub use prompt::{Prompt, Secret, TerminalPrompt};
pub use session::{Session, Stats};
pub use settings::{Identity, Settings, StrictHostKeyChecking};
