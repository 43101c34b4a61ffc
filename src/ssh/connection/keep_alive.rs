//! What a channel or a forward keeps in use as long as it needs it, without knowing what that is.

use std::{
    any::Any,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::lock::lock;

/// Something that stays in use until this and its clones are dropped, or nothing.
#[derive(Clone, Default)]
pub(crate) struct KeepAlive {
    _kept: Option<Arc<dyn Any + Send + Sync>>,
}

impl KeepAlive {
    pub(crate) fn of(kept: Arc<impl Any + Send + Sync>) -> Self {
        Self { _kept: Some(kept) }
    }
}

impl fmt::Debug for KeepAlive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeepAlive").finish_non_exhaustive()
    }
}

/// What a channel keeps in use.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    until_downloaded: Mutex<KeepAlive>,
    _counted: Option<Counted>,
}

impl Hold {
    /// Keeps `kept` in use until nothing more comes over the channel that could hold others up.
    pub(crate) fn until_downloaded(kept: KeepAlive) -> Self {
        Self {
            until_downloaded: Mutex::new(kept),
            _counted: None,
        }
    }

    /// Counts the channel in `counted` as long as it lives.
    pub(crate) fn counted(counted: Counted) -> Self {
        Self {
            until_downloaded: Mutex::default(),
            _counted: Some(counted),
        }
    }

    pub(super) fn downloaded(&self) {
        // Not dropped under the lock.
        let kept = std::mem::take(&mut *lock(&self.until_downloaded));
        drop(kept);
    }
}

/// One of something that is counted, as long as this lives.
#[derive(Debug)]
pub(crate) struct Counted(Arc<AtomicUsize>);

impl Counted {
    pub(crate) fn new(counter: &Arc<AtomicUsize>) -> Self {
        counter.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(counter))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
