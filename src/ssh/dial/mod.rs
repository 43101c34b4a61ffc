//! Making one SSH connection, from the way there to the log-in.
//!
//! - `dialer`: all steps of it; the first connection finds out how, further ones do the same
//! - `route`: the way there: by TCP, through a command, or through a jump host, which is dialled itself
//! - `config`: algorithms, windows and signs of life, as russh is told

mod config;
pub(super) mod dialer;
mod route;
