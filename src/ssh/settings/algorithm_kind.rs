//! The kinds of algorithms, and which of each ferryline knows.
//!
//! Good algorithms are offered by default. Others (SHA-1, CBC, 3DES) are known, and used only where the user
//! asked for them by name.

use russh::{
    cipher, kex,
    keys::{Algorithm, EcdsaCurve, HashAlg},
    mac,
};

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
    /// Signatures of the keys that are used to log in.
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

    /// The name that people use.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cipher => "cipher",
            Self::HostKey => "host key algorithm",
            Self::Kex => "key exchange method",
            Self::Mac => "MAC",
            Self::Pubkey => "signature algorithm",
        }
    }

    /// Everything of this kind that ferryline can do, the best first.
    pub(crate) fn known(self) -> Vec<String> {
        let names = |list: Vec<&str>| list.into_iter().map(str::to_owned).collect();
        match self {
            Self::Cipher => names(known_ciphers().iter().map(AsRef::as_ref).collect()),
            Self::HostKey | Self::Pubkey => known_keys().iter().map(ToString::to_string).collect(),
            Self::Kex => names(known_kex().iter().map(AsRef::as_ref).collect()),
            Self::Mac => names(known_macs().iter().map(AsRef::as_ref).collect()),
        }
    }
}

/// The ciphers. AES-GCM is the fastest where the processor does AES, and the slowest where it does not.
pub(crate) fn ciphers() -> &'static [cipher::Name] {
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

pub(crate) fn known_ciphers() -> Vec<cipher::Name> {
    let legacy = [
        cipher::AES_256_CBC,
        cipher::AES_192_CBC,
        cipher::AES_128_CBC,
        cipher::TRIPLE_DES_CBC,
    ];
    ciphers().iter().chain(&legacy).copied().collect()
}

/// ssh's own order, as far as both know them, with the hybrid of ML-KEM in front.
pub(crate) const KEX: &[kex::Name] = &[
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

pub(crate) fn known_kex() -> Vec<kex::Name> {
    let legacy = [kex::DH_G14_SHA1, kex::DH_GEX_SHA1, kex::DH_G1_SHA1];
    KEX.iter().chain(&legacy).copied().collect()
}

pub(crate) const MACS: &[mac::Name] = &[
    mac::HMAC_SHA512_ETM,
    mac::HMAC_SHA256_ETM,
    mac::HMAC_SHA512,
    mac::HMAC_SHA256,
];

pub(crate) fn known_macs() -> Vec<mac::Name> {
    let legacy = [mac::HMAC_SHA1_ETM, mac::HMAC_SHA1];
    MACS.iter().chain(&legacy).copied().collect()
}

pub(crate) const KEYS: &[Algorithm] = &[
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

/// The key algorithms. `ssh-rsa` is RSA with SHA-1.
pub(crate) fn known_keys() -> Vec<Algorithm> {
    let legacy = [Algorithm::Rsa { hash: None }];
    KEYS.iter().chain(&legacy).cloned().collect()
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
