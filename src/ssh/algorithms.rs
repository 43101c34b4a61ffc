//! Which algorithms are offered to a server: the default ones, and what `ssh_config` makes of them.

use std::borrow::Cow;

use russh::{Preferred, compression, kex, keys::Algorithm};

use super::settings::{
    Settings,
    algorithm_kind::{
        AlgorithmKind, KEX, KEYS, MACS, ciphers, known_ciphers, known_kex, known_keys, known_macs,
    },
    algorithm_list::AlgorithmList,
};

/// The lists for one connection, with the host key algorithms in this order.
pub(super) fn preferred(settings: &Settings, keys: Vec<Algorithm>) -> Preferred {
    let mut kex = picked(&settings.kex_algorithms, KEX, &known_kex());
    // These are not algorithms but capabilities that travel in the same list, so a list of the user's is not
    // about them. Strict key exchange is one.
    kex.extend([
        kex::EXTENSION_SUPPORT_AS_CLIENT,
        kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
    ]);
    Preferred {
        kex: Cow::Owned(kex),
        key: Cow::Owned(keys),
        cipher: Cow::Owned(picked(&settings.ciphers, ciphers(), &known_ciphers())),
        mac: Cow::Owned(picked(&settings.macs, MACS, &known_macs())),
        compression: Cow::Borrowed(match settings.compression {
            true => &[
                compression::ZLIB_LEGACY,
                compression::ZLIB,
                compression::NONE,
            ],
            false => &[compression::NONE],
        }),
        ..Preferred::DEFAULT
    }
}

/// The host key algorithms that the settings allow, in their order.
pub(super) fn host_key_algorithms(settings: &Settings) -> Vec<Algorithm> {
    picked_keys(&settings.host_key_algorithms)
}

/// Whether keys may sign with this algorithm to log in.
pub(super) fn allows_signatures(settings: &Settings, algorithm: &Algorithm) -> bool {
    picked_keys(&settings.pubkey_algorithms).contains(algorithm)
}

/// Whether a key of this kind may log in at all. An RSA key may where one of its signatures may.
pub(super) fn may_sign(settings: &Settings, kind: &Algorithm) -> bool {
    let rsa = kind.clone().is_rsa();
    match &settings.pubkey_algorithms {
        None => true,
        list => picked_keys(list)
            .iter()
            .any(|allowed| allowed == kind || (rsa && allowed.clone().is_rsa())),
    }
}

fn picked_keys(list: &Option<AlgorithmList>) -> Vec<Algorithm> {
    let named = |keys: &[Algorithm]| -> Vec<NamedKey> {
        let named = keys.iter().cloned().map(|key| (key.to_string(), key));
        named.map(|(name, key)| NamedKey { name, key }).collect()
    };
    picked(list, &named(KEYS), &named(&known_keys()))
        .into_iter()
        .map(|named| named.key)
        .collect()
}

fn picked<T: AsRef<str> + Clone>(
    list: &Option<AlgorithmList>,
    default: &[T],
    known: &[T],
) -> Vec<T> {
    match list {
        Some(list) => list.apply(default, known),
        None => default.to_vec(),
    }
}

/// Advice where a server offers no algorithm of a kind that ferryline offers to it: the option that would
/// allow the best of what it has, or that nothing can be done.
pub(super) fn remedy(kind: AlgorithmKind, offered: &[String]) -> String {
    let known = kind.known();
    match known.iter().find(|name| offered.contains(name)) {
        Some(name) => format!(
            "if this server cannot be renewed, allow its old one with -o {}=+{name}",
            kind.keyword()
        ),
        None => "ferryline has none of these: the server needs others".to_owned(),
    }
}

/// russh's key algorithms have names, but none that can be borrowed.
#[derive(Clone)]
struct NamedKey {
    name: String,
    key: Algorithm,
}

impl AsRef<str> for NamedKey {
    fn as_ref(&self) -> &str {
        &self.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ciphers_of(list: &str) -> Vec<String> {
        let mut settings = Settings::new("h", 22, "u");
        settings.ciphers = Some(list.parse().unwrap());
        let names = preferred(&settings, Vec::new()).cipher;
        names.iter().map(|name| name.as_ref().to_owned()).collect()
    }

    #[test]
    fn lists_change_the_default_or_replace_it() {
        let default: Vec<_> = ciphers().iter().map(|c| c.as_ref().to_owned()).collect();
        let appended = ciphers_of("+aes128-cbc,3des-cbc,unheard-of");
        assert_eq!(appended[..default.len()], default);
        assert_eq!(appended[default.len()..], ["aes128-cbc", "3des-cbc"]);
        let first = ciphers_of("^aes256-ctr,aes128-cbc");
        assert_eq!(first[..2], ["aes256-ctr", "aes128-cbc"]);
        assert_eq!(first.len(), default.len() + 1);
        let without = ciphers_of("-*gcm*,chacha20-poly1305@openssh.com");
        assert_eq!(without, ["aes128-ctr", "aes192-ctr", "aes256-ctr"]);
        assert_eq!(
            ciphers_of("aes256-ctr,aes128-ctr"),
            ["aes256-ctr", "aes128-ctr"]
        );
    }

    #[test]
    fn nothing_old_is_offered_unasked() {
        let settings = Settings::new("h", 22, "u");
        let keys = host_key_algorithms(&settings);
        assert!(!keys.contains(&Algorithm::Rsa { hash: None }));
        let offered = preferred(&settings, keys);
        assert!(
            !offered
                .mac
                .iter()
                .any(|name| name.as_ref().contains("sha1"))
        );
        assert!(
            !offered
                .kex
                .iter()
                .any(|name| name.as_ref().contains("sha1"))
        );
        assert!(
            !offered
                .cipher
                .iter()
                .any(|name| name.as_ref().contains("cbc"))
        );
        assert_eq!(offered.compression.len(), 1);
    }

    #[test]
    fn strict_key_exchange_survives_a_list_of_ones_own() {
        let mut settings = Settings::new("h", 22, "u");
        settings.kex_algorithms = Some("diffie-hellman-group14-sha1".parse().unwrap());
        let kex = preferred(&settings, Vec::new()).kex;
        assert_eq!(kex.first(), Some(&kex::DH_G14_SHA1));
        assert!(kex.contains(&kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT));
    }

    #[test]
    fn old_host_keys_and_signatures_by_name_only() {
        let mut settings = Settings::new("h", 22, "u");
        let sha1 = Algorithm::Rsa { hash: None };
        assert!(!allows_signatures(&settings, &sha1));
        settings.host_key_algorithms = Some("+ssh-rsa".parse().unwrap());
        settings.pubkey_algorithms = Some("ssh-rsa".parse().unwrap());
        assert!(host_key_algorithms(&settings).contains(&sha1));
        assert!(allows_signatures(&settings, &sha1));
        assert!(!allows_signatures(&settings, &Algorithm::Ed25519));
    }

    #[test]
    fn the_remedy_names_the_best_of_what_there_is() {
        let offered = ["diffie-hellman-group1-sha1", "diffie-hellman-group14-sha1"];
        let said = remedy(AlgorithmKind::Kex, &offered.map(str::to_owned));
        assert!(
            said.ends_with("-o KexAlgorithms=+diffie-hellman-group14-sha1"),
            "{said}"
        );
        let said = remedy(AlgorithmKind::HostKey, &["ssh-dss".to_owned()]);
        assert!(said.contains("none of these"), "{said}");
    }
}
