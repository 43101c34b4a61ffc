//! What is known of each FTP server that the clients of a forward have used.
//!
//! - `home`: the address by which it is asked for, decided once
//! - `known`: what sessions have learnt about it

pub(super) mod home;
pub(super) mod known;
