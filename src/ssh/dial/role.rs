//! What an SSH connection is made for.

/// What a connection is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    /// Control channels: small lines, many channels.
    Control,
    /// Data: few channels, as fast as they go.
    Data,
}
