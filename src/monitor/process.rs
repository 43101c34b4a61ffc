//! What the operating system knows of this process.

use std::{
    fs,
    sync::OnceLock,
    time::{SystemTime, UNIX_EPOCH},
};

/// When this process began to watch itself, in seconds since 1970.
pub(super) fn began() -> f64 {
    static BEGAN: OnceLock<f64> = OnceLock::new();
    *BEGAN.get_or_init(now)
}

/// Seconds since 1970.
pub(super) fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs_f64()
}

/// Number of open file descriptors, where the system tells (Linux).
pub(super) fn open_files() -> Option<u64> {
    // The folder that is read is one of them.
    let count = fs::read_dir("/proc/self/fd").ok()?.count();
    u64::try_from(count.saturating_sub(1)).ok()
}

/// The greatest number of file descriptors.
#[cfg(unix)]
pub(super) fn most_open_files() -> Option<u64> {
    use nix::sys::resource::{Resource, getrlimit};

    getrlimit(Resource::RLIMIT_NOFILE)
        .ok()
        .map(|(soft, _)| soft)
}

#[cfg(not(unix))]
pub(super) fn most_open_files() -> Option<u64> {
    None
}
