//! How russh is to run a connection: algorithms, windows, signs of life.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use russh::client::Config;
use russh::{Preferred, SshId, cipher, compression};

use super::establish::Role;
use super::host_keys::Judge;
use super::settings::Settings;

/// How russh is to run a connection.
pub(super) async fn config(
    settings: &Settings,
    role: Role,
    round_trip: Option<Duration>,
    judge: &Arc<Judge>,
) -> Config {
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
            Role::Data => data_window(round_trip),
        },
        maximum_packet_size: MAX_PACKET,
        keepalive_interval: settings.alive_interval,
        keepalive_max: settings.alive_count_max,
        nodelay: true,
        ..Config::default()
    }
}

/// A download goes no faster than a window a round trip, and russh grants more only when half of it
/// is used up. On the other hand sshd takes as much from the FTP server as the window allows, and
/// keeps what the link does not take: far more than the link holds costs it memory, and several
/// lanes at once half their speed.
fn data_window(round_trip: Option<Duration>) -> u32 {
    let round_trip = round_trip.unwrap_or(UNKNOWN_ROUND_TRIP).as_secs_f64();
    // Saturates.
    let on_the_way = (DOWNLOAD_RATE * round_trip) as u32;
    SMALLEST_DATA_WINDOW
        .saturating_add(on_the_way)
        .min(LARGEST_DATA_WINDOW)
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
/// Bytes a second; half of it is what the window shall not stand in the way of.
const DOWNLOAD_RATE: f64 = 1024.0 * 1024.0 * 1024.0;
/// For a server that does not answer what nobody has to answer.
const UNKNOWN_ROUND_TRIP: Duration = Duration::from_millis(25);
/// OpenSSH's own: enough where the way is short and only the programs at its ends take time.
const SMALLEST_DATA_WINDOW: u32 = 2 * 1024 * 1024;
const LARGEST_DATA_WINDOW: u32 = 64 * 1024 * 1024;
/// The largest that russh does not complain about.
const MAX_PACKET: u32 = 65_535;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_grows_with_the_round_trip() {
        for (milliseconds, mebibytes) in [(0, 2), (1, 3), (5, 7), (50, 53), (100, 64), (9000, 64)] {
            let window = data_window(Some(Duration::from_millis(milliseconds)));
            assert_eq!(window >> 20, mebibytes, "{milliseconds} ms");
        }
        assert_eq!(data_window(None) >> 20, 27);
    }
}
