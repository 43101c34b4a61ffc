//! Whether the host key that an SSH server shows is the right one.
//!
//! - `host_keys`: the policy (`StrictHostKeyChecking`)
//! - `host_certs`: host certificates
//! - `known_hosts`: the files of known host keys

mod host_certs;
pub(super) mod host_keys;
pub(super) mod known_hosts;
