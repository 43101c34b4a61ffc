//! One SSH connection, once it stands, and what runs over it.
//!
//! - `handle`: the connection: its state, and opening channels
//! - `events`: what the SSH server sends, as russh reports it
//! - `channel`: one TCP connection carried through SSH
//! - `flow`: whether the reader of a channel keeps up
//! - `forward`: a port on the SSH server's host, for one connection
//! - `place`, `proof`: whether two connections end on one host
//! - `warnings`: what strangers or the network can have said in the log

pub(super) mod channel;
pub(super) mod events;
pub(super) mod flow;
pub(super) mod forward;
pub(super) mod handle;
pub(super) mod place;
pub(super) mod proof;
pub(super) mod warnings;
