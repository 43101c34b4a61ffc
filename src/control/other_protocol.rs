//! Peers that speak another protocol than FTP.

use std::fmt;

/// A protocol that clients speak at a port for FTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherProtocol {
    /// A web browser, or a web page in one.
    Http,
    /// An SSH client.
    Ssh,
    /// An FTP client that was told `ftps://`.
    Tls,
}

impl fmt::Display for OtherProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "HTTP",
            Self::Ssh => "SSH",
            Self::Tls => "TLS",
        })
    }
}

/// The other protocol that a client speaks which begins with this line, if any. A web page can make a browser
/// send FTP commands in the body of a POST (Q80), so a connection that does not begin as FTP is not taken for
/// FTP later.
pub fn other_protocol(text: &[u8]) -> Option<OtherProtocol> {
    if text.starts_with(&[0x16, 0x03]) {
        return Some(OtherProtocol::Tls);
    }
    let is_http = text
        .windows(6)
        .any(|window| window.eq_ignore_ascii_case(b" HTTP/"));
    if is_http {
        return Some(OtherProtocol::Http);
    }
    text.starts_with(b"SSH-").then_some(OtherProtocol::Ssh)
}

/// Whether this greeting is another protocol's: SSH or HTTP listens there, not an FTP server.
pub(super) fn greets_otherwise(text: &[u8]) -> bool {
    text.starts_with(b"SSH-") || text.starts_with(b"HTTP/")
}
