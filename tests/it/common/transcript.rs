//! The conversation of a test, for the message of a failure and for assertions.

use std::fmt;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use tokio::time::timeout;

use super::PATIENCE;

/// A conversation as one peer saw it. Clones share it.
#[derive(Clone, Default)]
pub struct Transcript(Arc<Shared>);

#[derive(Default)]
struct Shared {
    entries: Mutex<Vec<Entry>>,
    changed: Notify,
}

struct Entry {
    kind: Kind,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Kind {
    Event,
    Received,
    Sent,
}

impl Transcript {
    pub(super) fn sent(&self, bytes: &[u8]) {
        self.push(Kind::Sent, bytes);
    }

    pub(super) fn received(&self, line: &[u8]) {
        self.push(Kind::Received, line);
    }

    pub(super) fn event(&self, what: &str) {
        self.push(Kind::Event, what.as_bytes());
    }

    /// The lines received, each exactly as it came, its end included.
    pub fn lines(&self) -> Vec<Vec<u8>> {
        let entries = self.0.entries.lock().unwrap();
        let received = entries.iter().filter(|e| e.kind == Kind::Received);
        received.map(|e| e.bytes.clone()).collect()
    }

    /// Waits until `wanted` finds something in the lines received.
    pub(super) async fn wait_lines<T>(
        &self,
        what: &str,
        mut wanted: impl FnMut(&[Vec<u8>]) -> Option<T>,
    ) -> T {
        self.wait(what, || wanted(&self.lines())).await
    }

    /// Waits until the event was noted.
    pub(super) async fn wait_event(&self, what: &str) {
        self.wait(what, || self.has_event(what).then_some(())).await;
    }

    /// Whether the event was noted.
    pub(super) fn has_event(&self, what: &str) -> bool {
        let entries = self.0.entries.lock().unwrap();
        let mut events = entries.iter().filter(|e| e.kind == Kind::Event);
        events.any(|e| e.bytes == what.as_bytes())
    }

    /// Checks now and after each new line or note, until something is found.
    pub(super) async fn wait<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let found = timeout(PATIENCE, async {
            loop {
                // Registered before the check, so that nothing is missed in between.
                let changed = self.0.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if let Some(found) = look() {
                    return found;
                }
                changed.await;
            }
        });
        match found.await {
            Ok(found) => found,
            Err(_) => panic!("waited in vain for {what}\n{self}"),
        }
    }

    fn push(&self, kind: Kind, bytes: &[u8]) {
        let bytes = bytes.to_vec();
        self.0.entries.lock().unwrap().push(Entry { kind, bytes });
        self.0.changed.notify_waiters();
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the conversation so far:")?;
        for entry in self.0.entries.lock().unwrap().iter() {
            let mark = match entry.kind {
                Kind::Event => "--",
                Kind::Received => "<<",
                Kind::Sent => ">>",
            };
            writeln!(f, "  {mark} {}", entry.bytes.escape_ascii())?;
        }
        Ok(())
    }
}
