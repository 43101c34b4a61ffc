//! A list that grows while a test waits for something to appear in it.

use std::fmt::Debug;
use std::sync::Mutex;

use tokio::sync::Notify;
use tokio::time::timeout;

use super::PATIENCE;

pub struct Record<T> {
    entries: Mutex<Vec<T>>,
    changed: Notify,
}

impl<T> Default for Record<T> {
    fn default() -> Self {
        Self {
            entries: Mutex::default(),
            changed: Notify::new(),
        }
    }
}

impl<T: Clone + Debug> Record<T> {
    pub fn push(&self, entry: T) {
        self.entries.lock().unwrap().push(entry);
        self.changed.notify_waiters();
    }

    /// The entries so far, in order.
    pub fn all(&self) -> Vec<T> {
        self.entries.lock().unwrap().clone()
    }

    /// Waits for an entry that is wanted.
    pub async fn wait(&self, what: &str, wanted: impl Fn(&T) -> bool) -> T {
        let found = timeout(PATIENCE, async {
            loop {
                // Registered before the check, so that nothing is missed in between.
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if let Some(found) = self.all().into_iter().find(&wanted) {
                    return found;
                }
                changed.await;
            }
        });
        match found.await {
            Ok(found) => found,
            Err(_) => panic!("waited in vain for {what}; so far: {:#?}", self.all()),
        }
    }
}
