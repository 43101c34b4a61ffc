//! Mutexes that are held only for a look at a value.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex. A panic while one of these locks is held leaves nothing half changed, so a poisoned one is
/// as good as any.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
