//! The data connections of a session, each a task of its own.
//!
//! - `local`, `remote`, `carried`: one data connection each: passive, active, and active carried as passive
//! - `look`: who has connected to a data port is looked at ahead of the FTP server's word
//! - `spare`: a remote forward kept ready for the next active transfer
//! - `splice`: moves the bytes; `rest`: what comes of them after the control connection
//! - `report`: how a data connection ended, as the state machine and the log are told

pub(super) mod carried;
pub(super) mod local;
pub(super) mod look;
pub(super) mod remote;
pub(super) mod report;
mod rest;
pub(super) mod spare;
pub(super) mod splice;
