//! `[user@]host[:port]`, nearly as ssh spells it, for the SSH server itself and for jump hosts.

use super::Failure;
use crate::proxy::ForwardSpec;

/// A host, with the user and the port that were given with it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Destination {
    pub(super) user: Option<String>,
    pub(super) host: String,
    pub(super) port: Option<u16>,
}

impl Destination {
    /// Reads `[user@]host[:port]` or `ssh://[user@]host[:port]`.
    ///
    /// Unlike ssh, it takes a port without `ssh://`, too. This is not ambiguous: a host name has no colon, and
    /// an IPv6 address without brackets has at least two.
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        if let Some(meant) = meant(text) {
            return Err(Failure::Usage(meant));
        }
        let rest = match text.strip_prefix("ssh://") {
            Some(rest) => rest.trim_end_matches('/'),
            None => text,
        };
        Self::read(rest).map_err(|reason| {
            Failure::Usage(format!(
                "bad destination '{text}': {reason}; expected [user@]host[:port] or ssh://[user@]host[:port], \
                 such as me@ssh.example:22 or me@[2001:db8::5]:22"
            ))
        })
    }

    /// Reads a jump host, `[user@]host[:port]` or `ssh://[user@]host[:port]`.
    pub(super) fn parse_jump(text: &str) -> Result<Self, Failure> {
        let rest = text.strip_prefix("ssh://").unwrap_or(text);
        Self::read(rest.trim_end_matches('/')).map_err(|reason| {
            Failure::Usage(format!(
                "bad jump host '{text}': {reason}; expected [user@]host[:port]"
            ))
        })
    }

    fn read(text: &str) -> Result<Self, &'static str> {
        let (user, host) = match text.rsplit_once('@') {
            Some((user, host)) => (Some(user.to_owned()), host),
            None => (None, text),
        };
        let (host, port) = split_port(host);
        let digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
        let port = match port.map(|port| (digits(port), port.parse())) {
            None => None,
            Some((true, Ok(port))) if port != 0 => Some(port),
            Some(_) => return Err("the port is no port from 1 to 65535"),
        };
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        if host.is_empty() || user.as_deref() == Some("") {
            return Err("a part of it is empty");
        }
        if host.contains(['[', ']']) {
            return Err("brackets stand around an IPv6 address, and both of them");
        }
        if host.starts_with('-') {
            return Err("a host does not begin with '-'");
        }
        Ok(Self {
            user,
            host: host.to_owned(),
            port,
        })
    }
}

/// What to write in place of what is no destination and has a well-known form of something else; `None`: it has
/// none.
fn meant(text: &str) -> Option<String> {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (scheme, rest),
        None => ("ssh", text),
    };
    if scheme.starts_with("ftp") {
        let authority = rest.split('/').next().unwrap_or(rest);
        let (_, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (host, port) = split_port(host);
        let port = port.unwrap_or("21");
        return Some(format!(
            "'{scheme}://{host}…' is an FTP server, and an SSH server is expected here ([user@]host[:port]); the FTP \
             server stands in -L, as the SSH server knows it: -L 2121:{host}:{port} me@ssh.example"
        ));
    }
    if scheme != "ssh" {
        return Some(format!(
            "'{scheme}://…' is not the address of an SSH server: write [user@]host[:port] or \
             ssh://[user@]host[:port], such as me@ssh.example:22"
        ));
    }
    let (user, host) = match rest.rsplit_once('@') {
        Some((user, host)) => (user, host),
        None => ("", rest),
    };
    // The password is not repeated: the message may go to a log.
    if let Some((name, _)) = user.split_once(':') {
        return Some(format!(
            "a password does not belong on the command line, where all users of this host can see it: write \
             {name}@{host}, and ferryline asks for it (or SSH_ASKPASS does); a key (-i) needs none. If the ':' is \
             part of the user's name, give the name with -l"
        ));
    }
    let is_forward = text.split(':').count() >= 3 && text.parse::<ForwardSpec>().is_ok();
    let is_address = |host: &str| {
        let (address, _zone) = host.split_once('%').unwrap_or((host, ""));
        address.parse::<std::net::Ipv6Addr>().is_ok()
    };
    if is_forward && !is_address(host) {
        return Some(format!(
            "'{text}' is a forward, and the SSH server is expected here: write -L {text} me@ssh.example"
        ));
    }
    if !host.contains('[') && host.matches(':').count() > 1 && !is_address(host) {
        let name = host.split(':').next().unwrap_or(host);
        return Some(format!(
            "bad destination '{text}': '{host}' is neither HOST:PORT nor an IPv6 address; the SSH server's port \
             stands behind its name ({name}:22), and the FTP server's in -L, such as -L 2121:{name}:21"
        ));
    }
    None
}

fn split_port(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((before, port)) if !before.contains(':') || before.ends_with(']') => {
            (before, Some(port))
        }
        _ => (host, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_something_else_says_what_to_write() {
        for (text, says) in [
            ("ftp://ftp.example/pub", "-L 2121:ftp.example:21 "),
            ("ftp://me:pw@ftp.example:2100", "-L 2121:ftp.example:2100 "),
            ("ftps://ftp.example", "-L 2121:ftp.example:21 "),
            ("https://ssh.example/", "such as me@ssh.example:22"),
            ("me:pw@ssh.example", "write me@ssh.example, "),
            ("ssh://me:pw@ssh.example:23", "write me@ssh.example:23, "),
            ("2121:localhost:21", "write -L 2121:localhost:21 "),
            ("ssh.example:22:21", "-L 2121:ssh.example:21"),
            ("me@ssh.example:port:21", "neither HOST:PORT nor an IPv6"),
        ] {
            let Err(Failure::Usage(told)) = Destination::parse(text) else {
                panic!("{text} is accepted");
            };
            assert!(told.contains(says), "{text}: {told}");
            assert!(!told.contains("pw"), "the password is repeated: {told}");
        }
        for text in [
            "me@::1",
            "fe80::1%eth0",
            "1:2:3::4",
            "me@[::1]:22",
            "ssh://a:22",
        ] {
            Destination::parse(text).unwrap();
        }
    }

    #[test]
    fn jump_hosts_have_ports_of_their_own() {
        for (text, user, host, port) in [
            ("b", None, "b", None),
            ("me@b:33", Some("me"), "b", Some(33)),
            ("ssh://me@[::1]:33", Some("me"), "::1", Some(33)),
            ("[::1]", None, "::1", None),
        ] {
            let found = Destination::parse_jump(text).unwrap();
            assert_eq!(found.user.as_deref(), user, "{text}");
            assert_eq!((found.host.as_str(), found.port), (host, port), "{text}");
        }
        for text in ["", "@b", "b:x", "-oProxyCommand=x", "b:", "b:0"] {
            assert!(Destination::parse_jump(text).is_err(), "{text}");
        }
    }
}
