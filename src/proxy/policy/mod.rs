//! What users asked for, which clients may come, and where they may go.
//!
//! - `spec`: what `-L` says, [`ForwardSpec`](spec::ForwardSpec)
//! - `service`: ports by name
//! - `admission`: how many clients are served, and which local users
//! - `owner`: which user owns the other end of a connection
//! - `gateway`: clients on other hosts
//! - `data_ports`: the ports for their data connections
//! - `reachable`: where clients reach a forward
//! - `allow`: which hosts clients may come from, and which FTP servers they may name

pub(super) mod admission;
pub(super) mod allow;
pub(super) mod data_ports;
pub(super) mod gateway;
pub(super) mod owner;
pub(super) mod reachable;
mod service;
pub(super) mod spec;
