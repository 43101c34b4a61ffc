//! What can be seen of a session.
//!
//! - `journal`: what was carried, for the log
//! - `observe`: observers of the control connections, [`Observer`](observe::Observer)
//! - `record`: a session's transcript, where one was asked for
//! - `warnings`: what clients and strangers can cause in the log

pub(super) mod journal;
pub(super) mod observe;
pub(super) mod record;
pub(super) mod warnings;
