//! Keywords and their values, as far as they are set.

use crate::ssh::AlgorithmKind;

/// The values that are set, each keyword in lower case and by its present name.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Values(Vec<(String, String)>);

impl Values {
    /// Adds a value. For most keywords only the first value counts, as in ssh.
    pub(super) fn add(&mut self, keyword: &str, value: impl Into<String>) {
        let keyword = canonical(keyword);
        // The two keywords set the same thing, so the first of either counts.
        let rival = match keyword.as_str() {
            "proxyjump" => Some("proxycommand"),
            "proxycommand" => Some("proxyjump"),
            _ => None,
        };
        let taken = |keyword: &str| self.first(keyword).is_some();
        let many = matches!(keyword.as_str(), "identityfile" | "certificatefile");
        if many || !(taken(&keyword) || rival.is_some_and(taken)) {
            self.0.push((keyword, value.into()));
        }
    }

    pub(super) fn first(&self, keyword: &str) -> Option<&str> {
        self.all(keyword).next()
    }

    pub(super) fn all(&self, keyword: &str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(have, _)| have == keyword)
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn is_yes(&self, keyword: &str) -> bool {
        let yes = |value: &str| matches!(value.to_ascii_lowercase().as_str(), "yes" | "true");
        self.first(keyword).is_some_and(yes)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }
}

/// The kind of algorithms that a keyword lists.
pub(super) fn algorithms(keyword: &str) -> Option<AlgorithmKind> {
    match keyword {
        "ciphers" => Some(AlgorithmKind::Cipher),
        "hostkeyalgorithms" => Some(AlgorithmKind::HostKey),
        "kexalgorithms" => Some(AlgorithmKind::Kex),
        "macs" => Some(AlgorithmKind::Mac),
        "pubkeyacceptedalgorithms" => Some(AlgorithmKind::Pubkey),
        _ => None,
    }
}

/// The keyword in lower case, by its present name; some had another name once.
pub(super) fn canonical(keyword: &str) -> String {
    let keyword = keyword.to_ascii_lowercase();
    match keyword.as_str() {
        "challengeresponseauthentication" | "skeyauthentication" => {
            "kbdinteractiveauthentication".to_owned()
        }
        "pubkeyacceptedkeytypes" => "pubkeyacceptedalgorithms".to_owned(),
        _ => keyword,
    }
}

/// Splits `Keyword=value` or `Keyword value`, and removes quotes round a whole value.
pub(super) fn split(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    let end = line.find(|c: char| c == '=' || c.is_whitespace())?;
    let (keyword, rest) = line.split_at_checked(end)?;
    let rest = rest.trim_start();
    let value = rest.strip_prefix('=').unwrap_or(rest).trim();
    let inner = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'))
        .filter(|inner| !inner.contains('"'));
    let value = inner.unwrap_or(value);
    (!keyword.is_empty() && !value.is_empty()).then_some((keyword, value))
}

/// The words of a value; quotes keep one together.
pub(super) fn words(value: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    for c in value.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            c if c.is_whitespace() && !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_counts_and_identities_add_up() {
        let mut values = Values::default();
        for (keyword, value) in [
            ("Port", "1"),
            ("port", "2"),
            ("IdentityFile", "a"),
            ("identityfile", "b"),
            ("ProxyCommand", "none"),
            ("ProxyJump", "x"),
            ("ChallengeResponseAuthentication", "no"),
        ] {
            values.add(keyword, value);
        }
        assert_eq!(values.first("port"), Some("1"));
        assert_eq!(values.all("identityfile").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(values.first("proxyjump"), None);
        assert_eq!(values.first("kbdinteractiveauthentication"), Some("no"));
    }

    #[test]
    fn lines_and_words() {
        assert_eq!(split("Port=1"), Some(("Port", "1")));
        assert_eq!(split("  Port = 1 "), Some(("Port", "1")));
        assert_eq!(
            split("IdentityFile \"/a b\""),
            Some(("IdentityFile", "/a b"))
        );
        assert_eq!(split("X \"a\" \"b\""), Some(("X", "\"a\" \"b\"")));
        assert_eq!(split("Port"), None);
        assert_eq!(words("/a  \"/b c\" d\"e f\""), ["/a", "/b c", "de f"]);
        assert_eq!(words(" "), [""; 0]);
    }
}
