//! Data that was cut on its way: what the client is told of the transfer.
//!
//! The FTP server cannot tell. Through an SSH server every end of a data connection is an end of
//! file, that of a lost SSH connection, too: of an upload that was cut it says 226, and of a download
//! that it has handed to the SSH server as well. So a success is not passed on, and where the server
//! says nothing (its end of the way may stand for long) ferryline speaks.

use std::time::Duration;

use bytes::Bytes;

use super::{
    answers::answer,
    event::ForwardId,
    machine::Control,
    queue::{Queue, Stage},
    replies::{Route, Treat},
    request::Request,
    transfers::ForwardState,
};

impl Control {
    /// The data connection over this forward was cut on its way.
    pub(super) fn cut_off(&mut self, now: Duration, id: ForwardId) {
        let until = now + self.settings.limits.missing_reply;
        let state = self.forwards.get(&id).map(|forward| &forward.state);
        let has_all = matches!(state, Some(ForwardState::Connected { drained: true }));
        let current = self.current == Some(id);
        match self.transfer_over(id) {
            // The client has its file; it was its own side of the way that was cut.
            Some(transfer) if !transfer.upload && has_all => {}
            Some(transfer) => {
                transfer.cut = true;
                transfer.forward = Some(id);
                transfer.overdue = Some(until);
                self.withdraw_success(id);
            }
            // The client has seen its data connection break, and the FTP server may have seen an end
            // of file: a transfer that is asked for now would come to nothing, or to an empty file.
            None if current => self.nowhere = Some(CUT.to_owned()),
            None => {}
        }
    }

    /// The success that the server has told of the transfer over this forward, and that is held back
    /// yet, is none.
    pub(super) fn withdraw_success(&mut self, id: ForwardId) {
        for owed in self.queue.iter_mut() {
            let Request::Transfer(transfer) = &mut owed.request else {
                continue;
            };
            if transfer.forward != Some(id) || !owed.held {
                continue;
            }
            if let Some(at) = transfer.success_at.take() {
                transfer.cut = true;
                owed.out.truncate(at);
                owed.out.push_back(cut_short());
                if let Route::To { key, treat, .. } = &mut self.route
                    && *key == owed.key
                {
                    *treat = Treat::Withheld;
                }
            }
        }
    }

    /// Speaks for a server that has nothing to say of a transfer whose data was cut.
    pub(super) fn expire_cuts(&mut self, now: Duration) {
        let incoming = match &self.route {
            Route::To { key, .. } => Some(*key),
            Route::None => None,
        };
        for owed in self.queue.iter_mut() {
            let Request::Transfer(transfer) = &mut owed.request else {
                continue;
            };
            if transfer.overdue.is_none_or(|until| now < until) {
                continue;
            }
            transfer.overdue = None;
            // Whatever is coming in is an answer.
            if matches!(owed.stage, Stage::Sent) && !transfer.told && incoming != Some(owed.key) {
                transfer.told = true;
                owed.out.push_back(cut_short());
            }
        }
    }
}

/// When the first of them is overdue.
pub(super) fn cut_deadline(queue: &Queue) -> Option<Duration> {
    let overdue = queue.iter().filter_map(|owed| match &owed.request {
        Request::Transfer(transfer) => transfer.overdue,
        _ => None,
    });
    overdue.min()
}

/// The final reply of a transfer whose data was cut.
pub(super) fn cut_short() -> Bytes {
    answer(426, CUT)
}

const CUT: &str =
    "the data connection was cut on its way through SSH; not all of the data has come";
