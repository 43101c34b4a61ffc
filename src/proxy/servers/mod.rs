//! What is known of each FTP server that the clients of a forward have been at.
//!
//! - `home`: the address that it is asked for by, decided once
//! - `known`: what sessions have learnt of it

pub(super) mod home;
pub(super) mod known;
