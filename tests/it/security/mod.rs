//! Attacks, each by its name. SECURITY.md says which test holds which promise.

mod network;
#[cfg(target_os = "linux")]
mod users;
