//! What can be seen of a session.
//!
//! - `observe`: observers of the control connections, [`Observer`](observe::Observer)
//! - `record`: a session's transcript, where one was asked for
//! - `warnings`: what clients and strangers can cause in the log

pub(super) mod observe;
pub(super) mod record;
pub(super) mod warnings;
