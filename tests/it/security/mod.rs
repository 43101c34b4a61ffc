//! Attacks, each by its name. SECURITY.md says which promise stands in which test.

mod network;
#[cfg(target_os = "linux")]
mod users;
