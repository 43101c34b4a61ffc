//! `-L [ftp/|tcp/][bind_address:]port:host:hostport`.

use std::{fmt, net::IpAddr, str::FromStr};

use super::service;

/// One `-L` option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardSpec {
    /// What is carried.
    pub kind: ForwardKind,
    /// The address to listen on; without one, the loopback addresses of both families, as ssh does.
    pub bind: Option<String>,
    /// The port to listen on; 0 for any free one.
    pub port: u16,
    /// The destination as the SSH server knows it; `*` where each client names its own.
    pub host: String,
    /// The destination's port.
    pub host_port: u16,
}

/// What a forward carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardKind {
    /// FTP: each control connection with its data connections.
    Ftp,
    /// Any protocol of one connection: a plain local forward.
    Tcp,
}

impl ForwardSpec {
    /// Whether each client names its FTP server in its user name: the host is `*`.
    pub fn is_user_routed(&self) -> bool {
        self.kind == ForwardKind::Ftp && self.host == "*"
    }

    /// The destination as it is shown: `host:port`, or how a client names it.
    pub fn destination(&self) -> String {
        if self.is_user_routed() {
            "USER@FTPHOST".into()
        } else {
            format!("{}:{}", self.host, self.host_port)
        }
    }

    /// Whether both would listen on the same port of the same address, as far as the bind addresses tell
    /// without the resolver.
    pub fn collides_with(&self, other: &Self) -> bool {
        let bound = |spec: &Self| match spec.bind.as_deref() {
            None | Some("localhost") => Bound::Loopback,
            Some("" | "*") => Bound::All,
            Some(name) => match name.parse::<IpAddr>() {
                Ok(address) if address.is_unspecified() => Bound::AllOf(address.is_ipv4()),
                Ok(address) => Bound::One(address),
                Err(_) => Bound::Name(name.to_ascii_lowercase()),
            },
        };
        self.port != 0 && self.port == other.port && bound(self).meets(&bound(other))
    }

    /// Whether both are to listen at the same place.
    pub(crate) fn listens_like(&self, other: &Self) -> bool {
        self.bind == other.bind && self.port == other.port
    }

    /// Whether it listens where other hosts can reach it; `None` for a name, which the resolver has to tell.
    pub fn is_beyond_loopback(&self) -> Option<bool> {
        match self.bind.as_deref() {
            None | Some("localhost") => Some(false),
            Some("" | "*") => Some(true),
            Some(name) => {
                let address: IpAddr = name.parse().ok()?;
                Some(!address.to_canonical().is_loopback())
            }
        }
    }
}

/// What a forward listens on.
#[derive(Eq, PartialEq)]
enum Bound {
    All,
    /// All of IPv4, or all of IPv6.
    AllOf(bool),
    Loopback,
    Name(String),
    One(IpAddr),
}

impl Bound {
    fn meets(&self, other: &Self) -> bool {
        let usual_loopback = |address: &IpAddr| {
            [
                IpAddr::from([127, 0, 0, 1]),
                IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
            ]
            .contains(address)
        };
        match (self, other) {
            // A name has an address, of a family that is not known here.
            (Self::All, _) | (_, Self::All) => true,
            (Self::AllOf(_), Self::Loopback) | (Self::Loopback, Self::AllOf(_)) => true,
            (Self::AllOf(v4), Self::One(one)) | (Self::One(one), Self::AllOf(v4)) => {
                *v4 == one.is_ipv4()
            }
            (Self::Loopback, Self::One(one)) | (Self::One(one), Self::Loopback) => {
                usual_loopback(one)
            }
            (one, other) => one == other,
        }
    }
}

/// As `-L` takes it, without `ftp/`.
impl fmt::Display for ForwardSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bracketed = |name: &str| match name.contains(':') {
            true => format!("[{name}]"),
            false => name.to_owned(),
        };
        if self.kind != ForwardKind::Ftp {
            write!(f, "{}/", self.kind)?;
        }
        if let Some(bind) = &self.bind {
            write!(f, "{}:", bracketed(bind))?;
        }
        write!(
            f,
            "{}:{}:{}",
            self.port,
            bracketed(&self.host),
            self.host_port
        )
    }
}

impl fmt::Display for ForwardKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ftp => "ftp",
            Self::Tcp => "tcp",
        })
    }
}

/// Why an `-L` cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "bad -L '{text}': {reason}; expected [ftp/|tcp/][bind_address:]port:host:hostport, such as {example}"
)]
pub struct SpecError {
    text: String,
    reason: String,
    example: &'static str,
}

impl FromStr for ForwardSpec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let error = |reason: &str| SpecError {
            text: text.to_owned(),
            reason: reason.to_owned(),
            // Those who get colons wrong have most often an IPv6 address without its brackets.
            example: match text.matches(':').count() {
                0..4 => "2121:localhost:21",
                _ => "2121:[2001:db8::5]:21",
            },
        };
        let (kind, rest) = match text.split_once('/') {
            Some(("ftp", rest)) => (ForwardKind::Ftp, rest),
            Some(("tcp", rest)) => (ForwardKind::Tcp, rest),
            Some((other, _)) if !other.contains([':', '[']) => {
                return Err(error(&format!("'{other}/' is neither ftp/ nor tcp/")));
            }
            _ => (ForwardKind::Ftp, text),
        };
        let fields = fields(rest).ok_or_else(|| error("a '[' without its ']'"))?;
        let (bind, port, host, host_port) = match fields.as_slice() {
            [port, host, host_port] => (None, port, host, host_port),
            [bind, port, host, host_port] => (Some(bind), port, host, host_port),
            [_] => return Err(error("1 field, where 3 or 4 are expected")),
            [_, _] => return Err(error("2 fields, where 3 or 4 are expected")),
            more => {
                let number = more.len();
                let reason = format!("{number} fields (an IPv6 address needs brackets: [::1])");
                return Err(error(&reason));
            }
        };
        let no_port = |text: &str| {
            let reason = format!("'{text}' is no port (0 to 65535, or a service such as ftp)");
            error(&reason)
        };
        let port = service::port(port).ok_or_else(|| no_port(port))?;
        let host_port = match service::port(host_port) {
            Some(0) => return Err(error("the FTP server's port cannot be 0")),
            Some(host_port) => host_port,
            None => return Err(no_port(host_port)),
        };
        if host.is_empty() {
            return Err(error("the host is missing"));
        }
        if host.contains(['/', '@']) {
            return Err(error(
                "a host has no '/' and no '@'; the FTP user is named in the client",
            ));
        }
        // A resolver would read it as an IPv4 address in an old form.
        if let Some(bind) = bind
            && !bind.is_empty()
            && bind.bytes().all(|byte| byte.is_ascii_digit())
        {
            return Err(error(&format!("'{bind}' is no address to listen on")));
        }
        if host == "*" && kind == ForwardKind::Tcp {
            return Err(error(
                "the host '*' is for ftp/: its clients name their FTP server",
            ));
        }
        Ok(Self {
            kind,
            bind: bind.cloned(),
            port,
            host: host.clone(),
            host_port,
        })
    }
}

/// Splits at colons outside of brackets, and takes the brackets off.
fn fields(text: &str) -> Option<Vec<String>> {
    let mut fields = vec![String::new()];
    let mut bracket = false;
    for character in text.chars() {
        match character {
            '[' if !bracket => bracket = true,
            ']' if bracket => bracket = false,
            ':' if !bracket => fields.push(String::new()),
            other => fields.last_mut()?.push(other),
        }
    }
    (!bracket).then_some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(kind: ForwardKind, bind: Option<&str>, port: u16, host: &str, to: u16) -> ForwardSpec {
        ForwardSpec {
            kind,
            bind: bind.map(str::to_owned),
            port,
            host: host.into(),
            host_port: to,
        }
    }

    #[test]
    fn every_form() {
        use ForwardKind::{Ftp, Tcp};
        for (text, expected) in [
            ("2121:localhost:21", spec(Ftp, None, 2121, "localhost", 21)),
            (
                "ftp/0:ftp.example:2100",
                spec(Ftp, None, 0, "ftp.example", 2100),
            ),
            ("tcp/8080:web:80", spec(Tcp, None, 8080, "web", 80)),
            (
                "127.0.0.1:21:localhost:21",
                spec(Ftp, Some("127.0.0.1"), 21, "localhost", 21),
            ),
            (
                "[::1]:21:[fe80::1]:21",
                spec(Ftp, Some("::1"), 21, "fe80::1", 21),
            ),
            ("*:21:h:21", spec(Ftp, Some("*"), 21, "h", 21)),
            ("ftp/:21:h:21", spec(Ftp, Some(""), 21, "h", 21)),
            ("2121:*:21", spec(Ftp, None, 2121, "*", 21)),
            ("2121:h:ftp", spec(Ftp, None, 2121, "h", 21)),
            ("tcp/ssh:h:SSH", spec(Tcp, None, 22, "h", 22)),
        ] {
            assert_eq!(
                expected.to_string().parse().as_ref(),
                Ok(&expected),
                "{text}"
            );
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, reason) in [
            ("2121", "1 field, where 3 or 4 are expected"),
            ("2121:localhost", "2 fields, where 3 or 4 are expected"),
            (
                "12100:::1:21",
                "5 fields (an IPv6 address needs brackets: [::1])",
            ),
            (
                "x:localhost:21",
                "'x' is no port (0 to 65535, or a service such as ftp)",
            ),
            (
                "70000:localhost:21",
                "'70000' is no port (0 to 65535, or a service such as ftp)",
            ),
            ("21:localhost:0", "the FTP server's port cannot be 0"),
            ("21::21", "the host is missing"),
            (
                "2121:me@localhost:21",
                "a host has no '/' and no '@'; the FTP user is named in the client",
            ),
            ("21:2121:localhost:21", "'21' is no address to listen on"),
            (
                "2121:ftp://localhost:21",
                "a host has no '/' and no '@'; the FTP user is named in the client",
            ),
            ("sftp/21:h:21", "'sftp/' is neither ftp/ nor tcp/"),
            ("[::1:21:h:21", "a '[' without its ']'"),
            (
                "tcp/21:*:21",
                "the host '*' is for ftp/: its clients name their FTP server",
            ),
        ] {
            let error = text.parse::<ForwardSpec>().unwrap_err();
            assert_eq!(error.reason, reason, "{text}");
            let told = error.to_string();
            assert!(told.starts_with(&format!("bad -L '{text}': ")));
            // The example is one.
            let (_, example) = told.rsplit_once("such as ").unwrap();
            assert!(example.parse::<ForwardSpec>().is_ok(), "{told}");
        }
    }

    #[test]
    fn forwards_on_the_same_port_collide() {
        let collide = |one: &str, other: &str| {
            let [one, other]: [ForwardSpec; 2] = [one, other].map(|text| text.parse().unwrap());
            assert_eq!(one.collides_with(&other), other.collides_with(&one));
            one.collides_with(&other)
        };
        for (one, other) in [
            ("21:a:21", "tcp/21:b:21"),
            ("*:21:a:21", "21:b:21"),
            ("0.0.0.0:21:a:21", "127.0.0.9:21:b:21"),
            ("[::1]:21:a:21", "21:b:21"),
            ("localhost:21:a:21", "21:b:21"),
            ("name:21:a:21", "NAME:21:b:21"),
            ("127.0.0.9:21:a:21", "127.0.0.9:21:b:21"),
        ] {
            assert!(collide(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("21:a:21", "22:a:21"),
            ("0:a:21", "0:a:21"),
            ("127.0.0.2:21:a:21", "127.0.0.3:21:b:21"),
            ("127.0.0.2:21:a:21", "21:b:21"),
            ("0.0.0.0:21:a:21", "[::1]:21:b:21"),
        ] {
            assert!(!collide(one, other), "{one} {other}");
        }
    }

    #[test]
    fn bind_addresses_are_told_apart() {
        let beyond = |bind: Option<&str>| {
            let mut spec: ForwardSpec = "2121:localhost:21".parse().unwrap();
            spec.bind = bind.map(str::to_owned);
            spec.is_beyond_loopback()
        };
        for bind in ["", "*", "0.0.0.0", "::", "192.0.2.1", "::ffff:192.0.2.1"] {
            assert_eq!(beyond(Some(bind)), Some(true), "{bind}");
        }
        for bind in [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "localhost",
            "::ffff:127.0.0.1",
        ] {
            assert_eq!(beyond(Some(bind)), Some(false), "{bind}");
        }
        assert_eq!(beyond(None), Some(false));
        assert_eq!(beyond(Some("this.host.example")), None);
    }
}
