//! Lists of algorithms in the words of `ssh_config`.

use std::{fmt, str::FromStr};

use super::algorithm_kind::AlgorithmKind;
use crate::ssh::glob::glob;

/// A list of algorithms as `ssh_config` words it: alone, or as a change to the default list. Names
/// may have the wildcards `*` and `?` in them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AlgorithmList {
    /// The default ones, then these (`+`).
    Append(Vec<String>),
    /// These and no others, in this order.
    Exactly(Vec<String>),
    /// These, then the default ones (`^`).
    Prepend(Vec<String>),
    /// The default ones without these (`-`).
    Without(Vec<String>),
}

impl FromStr for AlgorithmList {
    type Err = &'static str;

    /// Reads the value of `Ciphers` and its like.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let make = match text.chars().next() {
            Some('+') => Self::Append,
            Some('^') => Self::Prepend,
            Some('-') => Self::Without,
            _ => Self::Exactly,
        };
        let names: Vec<String> = text
            .trim_start_matches(['+', '^', '-'])
            .split(',')
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty())
            .collect();
        if names.is_empty() {
            return Err("no algorithm is named");
        }
        Ok(make(names))
    }
}

impl fmt::Display for AlgorithmList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Append(names) => write!(f, "+{}", names.join(",")),
            Self::Exactly(names) => f.write_str(&names.join(",")),
            Self::Prepend(names) => write!(f, "^{}", names.join(",")),
            Self::Without(names) => write!(f, "-{}", names.join(",")),
        }
    }
}

impl AlgorithmList {
    /// Finds the list that must have been written where a program with this default list ended up with the
    /// resolved one. A change by `-` or `^` cannot be told from a list written out. It is taken for a change
    /// where more than half of the default list is left, in its order.
    pub fn from_resolved(resolved: &str, default: &str) -> Option<Self> {
        let words = |text: &str| -> Vec<String> {
            let words = text.split(',').map(|name| name.trim().to_owned());
            words.filter(|name| !name.is_empty()).collect()
        };
        let (resolved, default) = (words(resolved), words(default));
        if resolved == default || resolved.is_empty() {
            return None;
        }
        if let Some(added) = resolved.strip_prefix(default.as_slice()) {
            return Some(Self::Append(added.to_vec()));
        }
        for head in 1..resolved.len() {
            let Some((first, rest)) = resolved.split_at_checked(head) else {
                break;
            };
            let kept = default.iter().filter(|name| !first.contains(name));
            if rest.len() > default.len() / 2 && kept.eq(rest) {
                return Some(Self::Prepend(first.to_vec()));
            }
        }
        let (kept, gone): (Vec<_>, Vec<_>) = default
            .into_iter()
            .partition(|name| resolved.contains(name));
        if kept == resolved && kept.len() > gone.len() {
            return Some(Self::Without(gone));
        }
        Some(Self::Exactly(resolved))
    }

    /// Checks that the list names something known.
    ///
    /// # Errors
    ///
    /// What is known instead, for a person to read.
    pub fn check(&self, kind: AlgorithmKind) -> Result<(), String> {
        let known = kind.known();
        let named = match self {
            Self::Append(names) | Self::Exactly(names) | Self::Prepend(names) => names,
            Self::Without(_) => return Ok(()),
        };
        let keys = matches!(kind, AlgorithmKind::HostKey | AlgorithmKind::Pubkey);
        let any = |pattern: &String| {
            // Certificates are of the same kinds as keys.
            let plain = pattern.strip_suffix(CERTIFICATE).filter(|_| keys);
            let pattern = plain.unwrap_or(pattern);
            known.iter().any(|name| glob(pattern, name))
        };
        if named.iter().any(any) {
            return Ok(());
        }
        Err(format!(
            "ferryline knows none of {} (it knows {})",
            named.join(", "),
            known.join(", ")
        ))
    }

    /// The default list, changed as this says. Names that are not known are skipped.
    pub(crate) fn apply<T: AsRef<str> + Clone>(&self, default: &[T], known: &[T]) -> Vec<T> {
        let expand = |names: &[String]| -> Vec<T> {
            let mut found: Vec<T> = Vec::new();
            for pattern in names {
                for name in known.iter().filter(|name| glob(pattern, name.as_ref())) {
                    if !has(&found, name) {
                        found.push(name.clone());
                    }
                }
            }
            found
        };
        let joined = |first: Vec<T>, then: Vec<T>| {
            let mut all = first;
            for name in then {
                if !has(&all, &name) {
                    all.push(name);
                }
            }
            all
        };
        match self {
            Self::Append(names) => joined(default.to_vec(), expand(names)),
            Self::Exactly(names) => expand(names),
            Self::Prepend(names) => joined(expand(names), default.to_vec()),
            Self::Without(names) => {
                let gone = expand(names);
                let left = default.iter().filter(|name| !has(&gone, name));
                left.cloned().collect()
            }
        }
    }
}

const CERTIFICATE: &str = "-cert-v01@openssh.com";

fn has<T: AsRef<str>>(list: &[T], name: &T) -> bool {
    list.iter().any(|have| have.as_ref() == name.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_which_nothing_is_known_says_so() {
        let list: AlgorithmList = "arcfour,blowfish-cbc".parse().unwrap();
        let error = list.check(AlgorithmKind::Cipher).unwrap_err();
        assert!(error.contains("none of arcfour, blowfish-cbc"), "{error}");
        assert!(error.contains("aes128-gcm@openssh.com"), "{error}");
        let list: AlgorithmList = "arcfour,aes128-*".parse().unwrap();
        assert_eq!(list.check(AlgorithmKind::Cipher), Ok(()));
        let list: AlgorithmList = "ssh-ed25519-cert-v01@openssh.com".parse().unwrap();
        assert_eq!(list.check(AlgorithmKind::HostKey), Ok(()));
        assert!("+".parse::<AlgorithmList>().is_err());
    }

    #[test]
    fn what_must_have_been_written() {
        let default = "a,b,c,d";
        for (resolved, written) in [
            ("a,b,c,d", None),
            ("a,b,c,d,e", Some("+e")),
            ("e,a,b,c,d", Some("^e")),
            ("d,a,b,c", Some("^d")),
            ("a,c,d", Some("-b")),
            ("c,d", Some("c,d")),
            ("d,c,b,a", Some("d,c,b,a")),
            ("x", Some("x")),
        ] {
            let found = AlgorithmList::from_resolved(resolved, default);
            let found = found.map(|list| list.to_string());
            assert_eq!(found.as_deref(), written, "{resolved}");
        }
    }
}
