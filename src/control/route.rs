//! The FTP server named in the user name, `USER name@host[:port]`, as FTP proxies have long had it.

/// Argument of a USER that names its FTP server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserAtHost<'a> {
    /// The user name for the FTP server. It may hold an `@` of its own.
    pub user: &'a [u8],
    /// The part behind the last `@`: the FTP server, with or without a port.
    pub host: &'a [u8],
}

impl<'a> UserAtHost<'a> {
    /// Splits at the last `@`. Returns `None` where there is none, or where one side of it is empty.
    pub fn parse(argument: &'a [u8]) -> Option<Self> {
        let argument = argument.trim_ascii();
        let at = argument.iter().rposition(|&byte| byte == b'@')?;
        let (user, host) = (argument.get(..at)?, argument.get(at + 1..)?);
        (!user.is_empty() && !host.is_empty()).then_some(Self { user, host })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_at_sign_splits() {
        for (argument, expected) in [
            ("me@host", Some(("me", "host"))),
            (
                "me@corp.example@host:2100",
                Some(("me@corp.example", "host:2100")),
            ),
            (" me@[::1]:21 ", Some(("me", "[::1]:21"))),
            ("me", None),
            ("@host", None),
            ("me@", None),
            ("", None),
        ] {
            let expected = expected.map(|(user, host): (&str, &str)| UserAtHost {
                user: user.as_bytes(),
                host: host.as_bytes(),
            });
            assert_eq!(
                UserAtHost::parse(argument.as_bytes()),
                expected,
                "{argument}"
            );
        }
    }
}
