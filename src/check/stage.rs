//! The steps to the SSH session, by name and in their order.

use super::report::RESOLVE;

/// Steps of a connection, in their order.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Stage {
    /// The jump hosts, in their order.
    JumpHost,
    Resolve,
    Connect,
    Version,
    HostKey,
    Authentication,
    Lane,
}

impl Stage {
    pub(super) const ALL: [Self; 7] = [
        Self::JumpHost,
        Self::Resolve,
        Self::Connect,
        Self::Version,
        Self::HostKey,
        Self::Authentication,
        Self::Lane,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::JumpHost => "jump-host",
            Self::Resolve => RESOLVE,
            Self::Connect => "connect",
            Self::Version => "ssh-version",
            Self::HostKey => "host-key",
            Self::Authentication => "authentication",
            Self::Lane => "lane",
        }
    }
}
