//! Mutexes, for as long as it takes to look at something.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks. A panic while one of these locks is held leaves nothing half changed, so a poisoned one is as good
/// as any.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
