//! How russh is to run a connection: algorithms, windows, signs of life.

use std::borrow::Cow;
use std::sync::Arc;

use russh::client::Config;
use russh::{Limits, Preferred, SshId, cipher, compression};

use super::establish::Role;
use super::host_keys::Judge;
use super::settings::Settings;

/// How russh is to run a connection.
pub(super) async fn config(settings: &Settings, role: Role, judge: &Arc<Judge>) -> Config {
    let judge = Arc::clone(judge);
    let preferred = tokio::task::spawn_blocking(move || judge.preferred(&Preferred::DEFAULT.key));
    let key = match preferred.await {
        Ok(preferred) => Cow::Owned(preferred),
        Err(_) => Preferred::DEFAULT.key,
    };
    Config {
        client_id: SshId::Standard(Cow::Borrowed(concat!(
            "SSH-2.0-ferryline_",
            env!("CARGO_PKG_VERSION")
        ))),
        preferred: Preferred {
            key,
            cipher: Cow::Borrowed(ciphers()),
            compression: Cow::Borrowed(&[compression::NONE]),
            ..Preferred::DEFAULT
        },
        window_size: match role {
            Role::Control => CONTROL_WINDOW,
            Role::Data => DATA_WINDOW,
        },
        maximum_packet_size: MAX_PACKET,
        keepalive_interval: settings.alive_interval,
        keepalive_max: settings.alive_count_max,
        nodelay: true,
        limits: limits(settings.rekey_limit),
        ..Config::default()
    }
}

/// When new keys are agreed on. More than russh's default, the 1 GiB of RFC 4253 section 9, is no
/// choice: russh refuses it.
fn limits(rekey: Option<u64>) -> Limits {
    let default = Limits::default();
    let Some(bytes) = rekey else {
        return default;
    };
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    Limits {
        rekey_write_limit: bytes.min(default.rekey_write_limit),
        rekey_read_limit: bytes.min(default.rekey_read_limit),
        ..default
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

const CONTROL_WINDOW: u32 = 2 * 1024 * 1024;
/// A download goes no faster than one window a round trip.
const DATA_WINDOW: u32 = 16 * 1024 * 1024;
/// The largest that russh does not complain about.
const MAX_PACKET: u32 = 65_535;
