//! Warnings that somebody else can cause, each told once a minute at most.

use crate::log_limit::LogLimit;

/// What strangers or the network can have said in the log. One for all connections of a session: there
/// may be many, one after another.
#[derive(Default)]
pub(crate) struct Warnings {
    pub(crate) spoilt: LogLimit,
    pub(crate) stranger: LogLimit,
    pub(crate) silent_lane: LogLimit,
    pub(crate) unnamed: LogLimit,
}
