//! An event that a test makes happen and a scripted peer waits for.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// A gate that is closed until the test opens it, and stays open then. Clones are the same gate.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Semaphore>);

impl Gate {
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Opens the gate: every present and future wait for it ends.
    pub fn open(&self) {
        self.0.close();
    }

    /// Returns when the gate is open.
    pub async fn passed(&self) {
        // A semaphore without permits is never acquired; closing it ends the wait.
        let closed = self.0.acquire().await;
        assert!(closed.is_err());
    }
}
