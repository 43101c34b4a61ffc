//! Text that a person typed and that must stay secret.

use std::fmt;

use zeroize::Zeroizing;

/// A password or passphrase: wiped from memory when dropped, never shown by `Debug`.
///
/// Some copies cannot be wiped: those that russh makes on the way to the server. It takes passwords and
/// keyboard-interactive answers as plain `String`s and puts them into its packet buffers, which it encrypts
/// in place and reuses, but does not wipe. The pages are not locked either: what the system swaps out or
/// writes into a core file is beyond this. An FTP password is not kept at all, but the line that holds it
/// passes through the same buffers as all other lines, which are not wiped either.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes over the text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("****")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_shown() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "****");
        assert_eq!(format!("{:?}", Some(Secret::new("x"))), "Some(****)");
    }
}
