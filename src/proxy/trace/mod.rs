//! What can be seen of a session.
//!
//! - `books`: what those who keep books are told, [`Books`](books::Books)
//! - `journal`: what was carried, for the log
//! - `live`: the sessions that there are at the moment, [`LiveSessions`](live::LiveSessions)
//! - `observe`: observers of the control connections, [`Observer`](observe::Observer)
//! - `record`: a session's transcript, where one was asked for
//! - `refused`: a client's last command that was refused
//! - `session_facts`: who takes part in a session
//! - `sizes`: the sizes of files, as far as the peers have told
//! - `warnings`: what clients and strangers can cause in the log

pub(super) mod books;
pub(super) mod journal;
pub(super) mod live;
pub(super) mod observe;
pub(super) mod record;
mod refused;
pub(super) mod session_facts;
pub(super) mod sizes;
pub(super) mod warnings;
