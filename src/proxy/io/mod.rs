//! Reading, writing and sockets.
//!
//! - `line_reader`: the lines of a control connection, from a socket or an SSH channel
//! - `write_queue`: what is to be written, while the session goes on
//! - `farewell`: the last reply to a client
//! - `socket`: the options of the clients' sockets, and listeners for data connections
//! - `ports`: free ports, at random

pub(super) mod farewell;
pub(super) mod line_reader;
#[cfg(unix)]
mod ports;
pub(super) mod socket;
pub(super) mod write_queue;
