//! Logging in: the first time with what there is, and again with what let the first connection in.
//!
//! - `login`: how a connection was let in, and how further ones are
//! - `attempt`: the first log-in: which methods, in which order, and the advice where none works
//! - `candidates`: the keys and certificates to try
//! - `keys`: private key files
//! - `agent`: the authentication agent
//! - `credential`: a key or certificate as it is offered and signs
//! - `interactive`: the questions of a server (`keyboard-interactive`)

mod agent;
mod attempt;
mod candidates;
mod credential;
mod interactive;
mod keys;
pub(super) mod login;
