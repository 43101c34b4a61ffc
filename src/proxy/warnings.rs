//! What clients and strangers can have said in the log, as often as they like.

use crate::{control::Notice, log_limit::LogLimit};

/// Each kind has a limit of its own, so that none hides another. They are for all forwards together.
#[derive(Default)]
pub(super) struct Warnings {
    /// A client in no `--allow-from`.
    pub(super) turned_away: LogLimit,
    /// A client that could not be accepted.
    pub(super) unaccepted: LogLimit,
    /// A data connection that could not be accepted.
    pub(super) unaccepted_data: LogLimit,
    /// A data connection from another address than the client's.
    pub(super) stranger: LogLimit,
    /// A data connection of another local user's.
    pub(super) other_user: LogLimit,
    /// An FTP server that may not be named.
    pub(super) not_allowed: LogLimit,
    not_ftp: LogLimit,
}

impl Warnings {
    /// Passes on what a session has to tell the operator.
    pub(super) fn notice(&self, session: u64, notice: &Notice) {
        match notice {
            // It takes no more than a connection.
            Notice::NotFtp(_) => self.not_ftp.warn(format_args!("#{session} {notice}")),
            notice => tracing::warn!("#{session} {notice}"),
        }
    }
}
