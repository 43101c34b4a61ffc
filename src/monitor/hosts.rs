//! Which names a request may call this host by.
//!
//! A web page of anyone can have its own name lead to 127.0.0.1 ("DNS rebinding"). The browser takes this listener for
//! a part of that page then, and lets it read everything. The Host header has the page's name.

use std::{fmt, net::IpAddr, str::FromStr};

use hyper::{HeaderMap, Uri, header::HOST};

/// The names, besides those of the loopback addresses, that a request may have in its Host header, without a port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts(Vec<String>);

/// Why a request is not answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It names no host, or several.
    Unclear,
    /// It names another host.
    Other,
}

impl Hosts {
    /// These names.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let names = names.into_iter().map(|name| name.to_ascii_lowercase());
        Self(names.collect())
    }

    /// Whether a request with this target and these headers is for this host.
    pub(super) fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Refused> {
        let mut named = headers.get_all(HOST).iter();
        let (Some(host), None) = (named.next(), named.next()) else {
            return Err(Refused::Unclear);
        };
        let host = host.to_str().map_err(|_| Refused::Other)?;
        let in_target = uri.authority().map(|authority| authority.as_str());
        match [Some(host), in_target]
            .into_iter()
            .flatten()
            .all(|host| self.has(host))
        {
            true => Ok(()),
            false => Err(Refused::Other),
        }
    }

    /// Whether this host, which may have a port, is one of them.
    fn has(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.parse::<u16>().is_ok() => name,
            _ => host,
        };
        let address = name
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .map_or_else(
                || name.parse().map(IpAddr::V4).ok(),
                |inside| inside.parse().map(IpAddr::V6).ok(),
            );
        let name = name.to_ascii_lowercase();
        address.is_some_and(|address| address.is_loopback())
            || name == "localhost"
            || self.0.contains(&name)
    }
}

/// The names of all of them.
impl FromIterator<Self> for Hosts {
    fn from_iter<T: IntoIterator<Item = Self>>(all: T) -> Self {
        Self(all.into_iter().flat_map(|hosts| hosts.0).collect())
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unclear => "a request has to have one Host header",
            Self::Other => {
                "this host is not called by that name: ask by a loopback address or localhost, or give the name with \
                 --metrics-host"
            }
        })
    }
}

/// A name as it may stand in a Host header, without a port.
impl FromStr for Hosts {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        match !text.is_empty() && text.chars().all(is_name) {
            true => Ok(Self::new([text.to_owned()])),
            false => Err("expected the name of a host, without a port".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(hosts: &[&str], uri: &str) -> Result<(), Refused> {
        let allowed = Hosts::new(["Monitor.example".to_owned()]);
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, host.parse().unwrap());
        }
        allowed.check(&uri.parse().unwrap(), &headers)
    }

    #[test]
    fn only_names_of_this_host_are_answered() {
        for host in [
            "localhost",
            "LOCALHOST:9121",
            "127.0.0.1:9121",
            "127.0.0.1",
            "127.1.2.3:1",
            "[::1]:9121",
            "[::1]",
            "monitor.example:443",
        ] {
            assert_eq!(asked(&[host], "/"), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:9121",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "192.0.2.1:9121",
            "0.0.0.0:9121",
            "[::2]",
            "::1",
            "2130706433",
            "",
            ":9121",
            "localhost:99999",
            "localhost, evil.example",
            "user@evil.example",
        ] {
            assert_eq!(asked(&[host], "/"), Err(Refused::Other), "{host}");
        }
    }

    #[test]
    fn a_request_has_one_host_header_and_its_target_names_no_other() {
        assert_eq!(asked(&[], "/"), Err(Refused::Unclear));
        let two = ["localhost", "localhost"];
        assert_eq!(asked(&two, "/"), Err(Refused::Unclear));
        let target = "http://evil.example/sessions";
        assert_eq!(asked(&["localhost"], target), Err(Refused::Other));
        assert_eq!(asked(&["localhost"], "http://127.0.0.1:9121/"), Ok(()));
    }

    #[test]
    fn a_configured_name_is_a_name() {
        assert!("monitor.example".parse::<Hosts>().is_ok());
        for text in ["", "a b", "monitor.example:80", "*"] {
            assert!(text.parse::<Hosts>().is_err(), "{text}");
        }
    }
}
