//! Warnings that another party can cause, each given at most once a minute.

use crate::log_limit::LogLimit;

/// The limits on what strangers or the network can put into the log. All connections of a session share them:
/// there may be many, one after another.
#[derive(Default)]
pub(crate) struct Warnings {
    pub(crate) spoilt: LogLimit,
    pub(crate) stranger: LogLimit,
    pub(crate) silent_lane: LogLimit,
    pub(crate) unnamed: LogLimit,
}
