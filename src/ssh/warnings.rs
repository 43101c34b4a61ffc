//! Warnings that somebody else can cause, each told once a minute at most.

use crate::log_limit::LogLimit;

/// What strangers or the network can have said in the log. One for all connections of a session: there
/// may be many, one after another.
#[derive(Default)]
pub(super) struct Warnings {
    pub(super) spoilt: LogLimit,
    pub(super) stranger: LogLimit,
    pub(super) silent_lane: LogLimit,
    pub(super) unnamed: LogLimit,
}
