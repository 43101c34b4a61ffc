//! What others get to see of a session.
//!
//! - `observe`: who may watch the control connections, [`Observer`](observe::Observer)
//! - `record`: a session's transcript, where one was asked for
//! - `warnings`: what clients and strangers can have said in the log

pub(super) mod observe;
pub(super) mod record;
pub(super) mod warnings;
