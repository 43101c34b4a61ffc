//! Ports by the name of their service, as ssh takes them.

/// Reads a port: a number, or the name of a TCP service.
pub(super) fn port(text: &str) -> Option<u16> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok();
    }
    let known = KNOWN
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(text));
    known.map(|(_, port)| *port).or_else(|| of_system(text))
}

/// Those that a forward is likely to name, wherever ferryline runs (RFC 6335's registry).
const KNOWN: [(&str, u16); 6] = [
    ("ftp", 21),
    ("ftp-data", 20),
    ("ftps", 990),
    ("http", 80),
    ("https", 443),
    ("ssh", 22),
];

/// Looks a service up where the system keeps its own.
fn of_system(name: &str) -> Option<u16> {
    let text = std::fs::read_to_string("/etc/services").ok()?;
    listed(&text, name)
}

/// Looks a TCP service up in the text of a services(5) file, also by its aliases.
fn listed(services: &str, name: &str) -> Option<u16> {
    services.lines().find_map(|line| {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let official = words.next()?;
        let (port, protocol) = words.next()?.split_once('/')?;
        let named = official == name || words.any(|alias| alias == name);
        (named && protocol == "tcp").then(|| port.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names() {
        for (text, expected) in [
            ("21", Some(21)),
            ("0", Some(0)),
            ("FTP", Some(21)),
            ("ftps", Some(990)),
            ("65536", None),
            ("", None),
            ("-1", None),
            ("no such service", None),
        ] {
            assert_eq!(port(text), expected, "{text}");
        }
    }

    #[test]
    fn the_systems_list_is_read_by_name_and_alias() {
        let services = "# comment\nntp 123/udp\nmy-ftp\t2121/tcp alias other # ftp2\nbad line\n";
        assert_eq!(listed(services, "my-ftp"), Some(2121));
        assert_eq!(listed(services, "other"), Some(2121));
        for name in ["ntp", "ftp2", "bad", "line"] {
            assert_eq!(listed(services, name), None, "{name}");
        }
    }
}
