//! What users asked for, and who may come, and go where.
//!
//! - `spec`: what `-L` says, [`ForwardSpec`](spec::ForwardSpec)
//! - `admission`: how many clients are served, and which local users
//! - `owner`: whose the other end of a connection is
//! - `gateway`: clients on other hosts
//! - `data_ports`: the ports for their data connections
//! - `allow`: which hosts clients may come from, and which FTP servers they may name

pub(super) mod admission;
pub(super) mod allow;
pub(super) mod data_ports;
pub(super) mod gateway;
pub(super) mod owner;
pub(super) mod spec;
