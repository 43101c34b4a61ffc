//! Which algorithms are offered to a server: the default ones, and what `ssh_config` makes of them.
//!
//! Offered by default is what is good. What is not (SHA-1, CBC, 3DES) is there, and used only where
//! somebody asked for it by name.

use std::borrow::Cow;

use russh::keys::{Algorithm, EcdsaCurve, HashAlg};
use russh::{Preferred, cipher, compression, kex, mac};

use crate::ssh::settings::Settings;
use crate::ssh::settings::algorithm_list::AlgorithmList;

/// What algorithms are for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AlgorithmKind {
    /// Encryption.
    Cipher,
    /// Signatures of host keys.
    HostKey,
    /// Key exchange.
    Kex,
    /// Message authentication codes.
    Mac,
    /// Signatures of the keys that one logs in with.
    Pubkey,
}

impl AlgorithmKind {
    /// The `ssh_config` keyword for this kind.
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Cipher => "Ciphers",
            Self::HostKey => "HostKeyAlgorithms",
            Self::Kex => "KexAlgorithms",
            Self::Mac => "MACs",
            Self::Pubkey => "PubkeyAcceptedAlgorithms",
        }
    }

    /// What people call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Cipher => "cipher",
            Self::HostKey => "host key algorithm",
            Self::Kex => "key exchange method",
            Self::Mac => "MAC",
            Self::Pubkey => "signature algorithm",
        }
    }

    /// Everything of this kind that ferryline can do, the best first.
    pub(super) fn known(self) -> Vec<String> {
        let names = |list: Vec<&str>| list.into_iter().map(str::to_owned).collect();
        match self {
            Self::Cipher => names(known_ciphers().iter().map(AsRef::as_ref).collect()),
            Self::HostKey | Self::Pubkey => known_keys().iter().map(ToString::to_string).collect(),
            Self::Kex => names(known_kex().iter().map(AsRef::as_ref).collect()),
            Self::Mac => names(known_macs().iter().map(AsRef::as_ref).collect()),
        }
    }
}

/// The lists for one connection, with the host key algorithms in this order.
pub(super) fn preferred(settings: &Settings, keys: Vec<Algorithm>) -> Preferred {
    let mut kex = picked(&settings.kex_algorithms, KEX, &known_kex());
    // Not algorithms but capabilities that travel in the same list; a list of the user's is not
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

/// Whether a key of this kind may log in at all; an RSA key where one of its signatures may.
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

/// What to do where a server offers nothing of a kind that is offered to it: the option that would
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

/// AES-GCM is the fastest where the processor does AES, and the slowest where it does not.
fn ciphers() -> &'static [cipher::Name] {
    if has_aes() {
        &[
            cipher::AES_128_GCM,
            cipher::AES_256_GCM,
            cipher::CHACHA20_POLY1305,
            cipher::AES_128_CTR,
            cipher::AES_192_CTR,
            cipher::AES_256_CTR,
        ]
    } else {
        &[
            cipher::CHACHA20_POLY1305,
            cipher::AES_128_GCM,
            cipher::AES_256_GCM,
            cipher::AES_128_CTR,
            cipher::AES_192_CTR,
            cipher::AES_256_CTR,
        ]
    }
}

fn known_ciphers() -> Vec<cipher::Name> {
    let legacy = [
        cipher::AES_256_CBC,
        cipher::AES_192_CBC,
        cipher::AES_128_CBC,
        cipher::TRIPLE_DES_CBC,
    ];
    ciphers().iter().chain(&legacy).copied().collect()
}

/// ssh's own order, as far as both know them, with the hybrid of ML-KEM in front.
const KEX: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::ECDH_SHA2_NISTP256,
    kex::ECDH_SHA2_NISTP384,
    kex::ECDH_SHA2_NISTP521,
    kex::DH_GEX_SHA256,
    kex::DH_G16_SHA512,
    kex::DH_G18_SHA512,
    kex::DH_G17_SHA512,
    kex::DH_G15_SHA512,
    kex::DH_G14_SHA256,
];

fn known_kex() -> Vec<kex::Name> {
    let legacy = [kex::DH_G14_SHA1, kex::DH_GEX_SHA1, kex::DH_G1_SHA1];
    KEX.iter().chain(&legacy).copied().collect()
}

const MACS: &[mac::Name] = &[
    mac::HMAC_SHA512_ETM,
    mac::HMAC_SHA256_ETM,
    mac::HMAC_SHA512,
    mac::HMAC_SHA256,
];

fn known_macs() -> Vec<mac::Name> {
    let legacy = [mac::HMAC_SHA1_ETM, mac::HMAC_SHA1];
    MACS.iter().chain(&legacy).copied().collect()
}

const KEYS: &[Algorithm] = &[
    Algorithm::Ed25519,
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP256,
    },
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP384,
    },
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP521,
    },
    Algorithm::Rsa {
        hash: Some(HashAlg::Sha512),
    },
    Algorithm::Rsa {
        hash: Some(HashAlg::Sha256),
    },
];

/// `ssh-rsa` is RSA with SHA-1.
fn known_keys() -> Vec<Algorithm> {
    let legacy = [Algorithm::Rsa { hash: None }];
    KEYS.iter().chain(&legacy).cloned().collect()
}

/// russh's key algorithms have names, but none to borrow.
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

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
fn has_aes() -> bool {
    std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq")
}

#[cfg(target_arch = "aarch64")]
fn has_aes() -> bool {
    std::arch::is_aarch64_feature_detected!("aes")
}

#[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
fn has_aes() -> bool {
    false
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
