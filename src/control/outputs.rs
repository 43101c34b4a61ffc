//! What the machine has still to tell its driver.

use std::{
    collections::VecDeque,
    mem::{Discriminant, discriminant},
    time::Duration,
};

use bytes::Bytes;

use super::{
    event::{Notice, Output},
    key::Key,
};

/// Outputs, in the order in which they are to be carried out.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    queue: VecDeque<Output>,
    /// Kinds of notices that are given once in a session, and have been given.
    noted: Vec<Discriminant<Notice>>,
    /// The wait of the client that was noted last: for this exchange, since this time.
    noted_wait: Option<(Key, Duration)>,
}

impl Outputs {
    pub(super) fn push(&mut self, output: Output) {
        self.queue.push_back(output);
    }

    pub(super) fn extend(&mut self, outputs: impl IntoIterator<Item = Output>) {
        self.queue.extend(outputs);
    }

    pub(super) fn pop(&mut self) -> Option<Output> {
        self.queue.pop_front()
    }

    pub(super) fn say_to_client(&mut self, bytes: Bytes) {
        self.push(Output::ToClient(bytes));
    }

    pub(super) fn say_to_server(&mut self, bytes: Bytes) {
        self.push(Output::ToServer(bytes));
    }

    pub(super) fn notice(&mut self, notice: Notice) {
        self.push(Output::Notice(notice));
    }

    /// Adds the notice of a wait of the client: for this exchange, since this time.
    pub(super) fn notice_wait(&mut self, wait: (Key, Duration), notice: Notice) {
        self.noted_wait = Some(wait);
        self.notice(notice);
    }

    /// Whether this wait was noted last.
    pub(super) fn has_noted_wait(&self, wait: (Key, Duration)) -> bool {
        self.noted_wait == Some(wait)
    }

    /// Adds a notice of a kind that the log needs to hold once in a session.
    pub(super) fn notice_once(&mut self, notice: Notice) {
        let kind = discriminant(&notice);
        if !self.noted.contains(&kind) {
            self.noted.push(kind);
            self.notice(notice);
        }
    }
}
