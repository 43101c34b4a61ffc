//! Embedded servers: the whole thing with nothing else installed, and hermetic tests.

pub mod ssh_server;
