//! `[user@]host[:port]`, nearly as ssh spells it, for the SSH server itself and for jump hosts.

use super::Failure;

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
