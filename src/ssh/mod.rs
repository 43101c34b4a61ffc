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
//! | `session` | [`Session`]: control channels, statistics |
//! | `backoff` | pauses between attempts, which grow |
//! | `redial` | keeping the control connection up: reconnection, and another one beside it where it is silent |
//! | `lanes` | the pool of data lanes |
//! | `establish`, `config` | making one SSH connection: key exchange, host key, log-in |
//! | `algorithms`, `algorithm_list` | which algorithms are offered |
//! | `connection`, `events`, `warnings` | one SSH connection: opening channels, what the server sends |
//! | `attempt`, `auth` | logging in: the first time, and again for further connections |
//! | `candidates`, `credential`, `agent`, `keys` | keys and certificates: which, and how they sign |
//! | `interactive`, `prompt`, `askpass` | what a person is asked, and how |
//! | `host_keys`, `host_certs`, `known_hosts` | host key policy, certificates, and the files behind it |
//! | `findings` | [`Findings`]: what the first connection found out, for `ferryline check` |
//! | `greeting` | telling other protocols from SSH |
//! | `way`, `connect`, `proxy_command` | the way there: jump hosts, TCP, commands |
//! | `place`, `proof` | whether two connections end on one host |
//! | `transport`, `retransmission`, `heard` | what an SSH connection runs over |
//! | `channel`, `flow`, `forward` | what data flows through: channels, whether their readers keep up, remote forwards |
//! | `spare` | a remote forward asked for ahead |

mod agent;
mod algorithm_list;
mod algorithms;
mod askpass;
mod attempt;
mod auth;
mod backoff;
mod candidates;
mod channel;
mod config;
mod connect;
mod connection;
mod credential;
mod error;
mod establish;
mod events;
mod findings;
mod flow;
mod forward;
mod greeting;
mod heard;
mod host_certs;
mod host_keys;
mod interactive;
mod keys;
mod known_hosts;
mod lanes;
mod place;
mod prompt;
mod proof;
mod proxy_command;
mod redial;
#[cfg(target_os = "linux")]
mod retransmission;
mod session;
mod settings;
mod spare;
mod transport;
mod warnings;
mod way;

pub use algorithm_list::AlgorithmList;
pub use algorithms::AlgorithmKind;
pub use channel::{Channel, ChannelReader, ChannelWriter, Probe, Received};
pub use error::{Error, ForwardError, LostReason, OpenError};
pub use findings::{Findings, HostKey};
pub use forward::{Incoming, Origin, RemoteForward};
pub(crate) use known_hosts::glob;
pub use lanes::LaneGuard;
pub use prompt::{Prompt, Secret, TerminalPrompt};
pub use session::{Session, Stats};
pub use settings::{AddressFamily, Identity, Settings, StrictHostKeyChecking, Way};
pub use spare::{SpareForward, Spoilt};
