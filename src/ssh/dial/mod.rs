//! Making one SSH connection, from the way there to the log-in.
//!
//! - `dialer`: all steps of it; the first connection finds out how, further ones do the same
//! - `way`: the way there: by TCP, through a command, or through a jump host
//! - `config`: algorithms, windows and keepalives, as russh is told
//! - `role`: what a connection is made for

mod config;
mod dialer;
mod role;
mod way;

pub(super) use dialer::Dialer;
pub(super) use role::Role;
