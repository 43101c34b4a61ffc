//! One SSH connection, once it is established, and what runs over it.
//!
//! - `handle`: the connection, as its users hold it
//! - `shared`: its state, which events change
//! - `events`: what the SSH server sends, as russh reports it
//! - `channel`: one TCP connection carried through SSH; `open`: opening one
//! - `half_close`: how far each direction of a channel has come to its end
//! - `receive_half`: the receiving end of a channel; `flow`: whether its reader keeps up
//! - `forward`: a port on the SSH server's host, for one connection; `arrival`: which connection
//! - `keep_alive`: what either keeps in use
//! - `place`, `proof`: whether two connections end on one host
//! - `warnings`: the warnings that strangers or the network can cause

pub(super) mod arrival;
pub(super) mod channel;
pub(super) mod events;
mod flow;
pub(super) mod forward;
mod half_close;
pub(super) mod handle;
pub(super) mod keep_alive;
pub(super) mod open;
pub(super) mod place;
pub(super) mod proof;
mod receive_half;
pub(super) mod shared;
pub(super) mod warnings;
