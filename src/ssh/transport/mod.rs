//! What an SSH connection runs over: bytes, before there is SSH.
//!
//! - `connect`: TCP connections to an SSH server
//! - `proxy_command`: a command in place of a TCP connection
//! - `stream`: either of them as russh reads and writes it, with the socket's options
//! - `retransmission`: how often Linux sends again what is not acknowledged
//! - `greeting`: tells other protocols from SSH
//! - `heard`: when the SSH server was heard last

pub(super) mod connect;
pub(super) mod greeting;
pub(super) mod heard;
pub(super) mod proxy_command;
#[cfg(target_os = "linux")]
mod retransmission;
pub(super) mod stream;
