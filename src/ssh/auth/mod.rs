//! Logging in: the first time with what is available, and again with what let the first connection in.
//!
//! - `attempt`: the first log-in: which methods, in which order, and the advice where none works
//! - `again`: further log-ins
//! - `login`: how a connection logged in, step by step
//! - `candidates`: the keys and certificates to try
//! - `keys`: private key files
//! - `agent`: the authentication agent
//! - `credential`: a key or certificate as it is offered and signs
//! - `interactive`: the questions of a server (`keyboard-interactive`)

mod again;
mod agent;
mod attempt;
mod candidates;
mod credential;
mod interactive;
mod keys;
mod login;

pub(super) use again::again;
pub(super) use attempt::first;
pub(super) use login::Login;
