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
//! Dependencies point up in this list: no folder imports what stands below it.
//!
//! | folder or file | what is in it |
//! |---|---|
//! | `error` | errors, one line each: who, what, what to do |
//! | `glob` | patterns with `*` and `?` |
//! | `backoff` | pauses between attempts, which grow |
//! | `settings/` | what the command line decided about a destination |
//! | `algorithms` | which algorithms are offered |
//! | `facts` | [`ServerFacts`], [`Watcher`]: who the session is connected with, for those who keep records |
//! | `findings` | [`Findings`]: what the first connection found out, for `ferryline check` |
//! | `prompt/` | what a person is asked, and how |
//! | `trust/` | host key policy, host certificates, and the files behind it |
//! | `transport/` | what an SSH connection runs over: TCP or a command |
//! | `connection/` | one SSH connection: channels, remote forwards, what the server sends |
//! | `auth/` | logging in: the first time, and again for further connections |
//! | `dial/` | making one SSH connection: the way there, key exchange, host key, log-in |
//! | `lanes/` | the pool of data lanes |
//! | `session/` | [`Session`]: control channels, and keeping the control connection up |

mod algorithms;
mod auth;
mod backoff;
mod connection;
mod dial;
mod error;
mod facts;
mod findings;
mod glob;
mod lanes;
mod prompt;
mod session;
mod settings;
mod transport;
mod trust;

pub use connection::{
    arrival::Origin,
    channel::{Channel, ChannelReader, ChannelWriter, Probe, Received},
    forward::{Incoming, RemoteForward},
};
pub use error::{Error, ForwardError, LostReason, OpenError};
pub use facts::{ServerFacts, Watcher};
pub use findings::{Findings, HostKey};
pub(crate) use glob::glob;
pub use lanes::{
    LaneGuard,
    prefetch::{PrefetchedForward, Spoilt},
};
pub use prompt::{Prompt, Secret, TerminalPrompt};
pub use session::{Session, Stats};
pub use settings::{
    AddressFamily, DEFAULT_LANES, Identity, Settings, StrictHostKeyChecking, Way,
    algorithm_kind::AlgorithmKind, algorithm_list::AlgorithmList,
};
