//! What `ferryline demo` and the hermetic tests need, with nothing else installed: servers that run inside
//! this process on loopback, a small FTP client, and the tour that uses them.

pub mod changes;
pub mod ftp_server;
pub mod paint;
mod screen;
mod site;
pub mod ssh_server;
pub mod tour;

pub use crate::ftp_client;
