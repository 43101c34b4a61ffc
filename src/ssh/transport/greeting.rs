//! The first bytes from the place of an SSH server: other protocols are recognized at once, and not only when
//! the time is up.

use std::{
    fmt, io,
    sync::{Arc, OnceLock},
};

use crate::ssh::error::escaped;

/// Watches the first bytes of a server.
#[derive(Debug, Default)]
pub(crate) struct Greeting {
    line: Vec<u8>,
    lines: usize,
    known: bool,
    /// The server's identification line.
    version: Arc<OnceLock<String>>,
}

/// The error for first bytes that do not begin an SSH connection (RFC 4253 §4.2).
#[derive(Debug)]
pub(crate) struct OtherProtocol(String);

impl fmt::Display for OtherProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it says '{}'", self.0)
    }
}

impl std::error::Error for OtherProtocol {}

impl Greeting {
    /// Where the identification line will stand once it has come: printable ASCII.
    pub(crate) fn version(&self) -> Arc<OnceLock<String>> {
        Arc::clone(&self.version)
    }

    /// Takes in what has just been read.
    ///
    /// # Errors
    ///
    /// An [`OtherProtocol`], as soon as it is sure.
    pub(crate) fn see(&mut self, read: &[u8]) -> io::Result<()> {
        for &byte in read {
            if self.known {
                return Ok(());
            }
            self.line.push(byte);
            let version = [&b"SSH-2.0-"[..], b"SSH-1.99-"];
            if version.iter().any(|v| self.line.starts_with(v)) && self.lines <= MOST_LINES {
                // 255 bytes at most, its end included (RFC 4253 §4.2).
                if byte == b'\n' || self.line.len() >= LONGEST_VERSION {
                    let _ = self
                        .version
                        .set(escaped(&String::from_utf8_lossy(&self.line)));
                    self.known = true;
                }
                continue;
            }
            if self.lines > MOST_LINES {
                self.known = true;
                continue;
            }
            // Protocol 1, or a line that only begins alike.
            let old = self.line.starts_with(b"SSH-") && self.line.len() > VERSION_PREFIX;
            let reply = self.line.len() == 4
                && self.line.iter().take(3).all(u8::is_ascii_digit)
                && matches!(byte, b' ' | b'-');
            let binary = byte < b'\t' || (byte > b'\r' && byte < b' ' && byte != 0x1b);
            if reply || old || binary || self.line.starts_with(b"HTTP/") {
                return Err(self.other(read));
            }
            // A server may send other lines before its version.
            if byte == b'\n' {
                self.line.clear();
                self.lines += 1;
            }
        }
        if self.line.len() > LONGEST_LINE {
            return Err(self.other(read));
        }
        Ok(())
    }

    fn other(&self, read: &[u8]) -> io::Error {
        let said = if read.len() > self.line.len() {
            read
        } else {
            &self.line
        };
        let line = said.split(|&byte| byte == b'\n').next().unwrap_or(said);
        let shown: Vec<u8> = line.iter().copied().take(SHOWN).collect();
        let shown = shown.trim_ascii().escape_ascii().to_string();
        io::Error::new(io::ErrorKind::InvalidData, OtherProtocol(shown))
    }
}

/// The refusal in a socket's error, if it is one.
pub(crate) fn other_protocol(error: &io::Error) -> Option<&OtherProtocol> {
    error.get_ref()?.downcast_ref()
}

/// Number of lines before the version; OpenSSH reads as many.
const MOST_LINES: usize = 1024;
/// `SSH-1.99-`
const VERSION_PREFIX: usize = 9;
const LONGEST_LINE: usize = 8192;
const LONGEST_VERSION: usize = 255;
const SHOWN: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_protocols_are_told_apart() {
        for (said, shown) in [
            (&b"220 an FTP server\r\n"[..], "220 an FTP server"),
            (b"220-many lines\r\n", "220-many lines"),
            (b"HTTP/1.1 400 Bad Request\r\n", "HTTP/1.1 400 Bad Request"),
            (b"SSH-1.5-old\r\n", "SSH-1.5-old"),
            (b"\x16\x03\x01", "\\x16\\x03\\x01"),
        ] {
            let error = Greeting::default().see(said).unwrap_err();
            let other = other_protocol(&error).unwrap();
            assert_eq!(other.to_string(), format!("it says '{shown}'"));
        }
    }

    #[test]
    fn an_ssh_server_may_come_in_pieces_and_say_lines_before() {
        let said = b"Welcome to host 220\r\nauthorised use only\r\nSSH-2.0-x\r\n\0\0\x01";
        for size in 1..said.len() {
            let mut greeting = Greeting::default();
            let version = greeting.version();
            for piece in said.chunks(size) {
                greeting.see(piece).unwrap();
            }
            assert_eq!(version.get().map(String::as_str), Some("SSH-2.0-x"));
        }
    }
}
