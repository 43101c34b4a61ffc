//! How russh runs a connection: algorithms, windows, keepalives.

use std::{borrow::Cow, sync::Arc, time::Duration};

use russh::{
    Limits, Preferred, SshId,
    client::{Config, GexParams},
};

use super::role::Role;
use crate::ssh::{
    algorithms,
    settings::{Settings, algorithm_list::AlgorithmList},
    trust::host_keys::HostKeyVerifier,
};

/// The russh configuration of a connection.
pub(super) async fn config(
    settings: &Settings,
    role: Role,
    round_trip: Option<Duration>,
    verifier: &Arc<HostKeyVerifier>,
) -> Config {
    let allowed = algorithms::host_key_algorithms(settings);
    let ordered = matches!(
        settings.host_key_algorithms,
        Some(AlgorithmList::Exactly(_) | AlgorithmList::Prepend(_))
    );
    let keys = if ordered && verifier.pinned.is_none() {
        // The user has chosen the order; ssh leaves it alone then, too.
        None
    } else {
        Some(allowed.clone())
    };
    let verifier = Arc::clone(verifier);
    let list = allowed.clone();
    let sorted = tokio::task::spawn_blocking(move || {
        let certificates = verifier.certificates(&list);
        (keys.map(|keys| verifier.preferred(&keys)), certificates)
    });
    let (keys, certificates) = match sorted.await {
        Ok((keys, certificates)) => (keys.unwrap_or(allowed), certificates),
        Err(_) => (allowed, Vec::new()),
    };
    Config {
        client_id: SshId::Standard(Cow::Borrowed(concat!(
            "SSH-2.0-ferryline_",
            env!("CARGO_PKG_VERSION")
        ))),
        preferred: Preferred {
            host_key_certificates: Cow::Owned(certificates),
            ..algorithms::preferred(settings, keys)
        },
        limits: limits(settings),
        // OpenSSH goes as low as this, too; russh starts at 3072 bits otherwise.
        gex: GexParams::new(2048, 3072, 8192).unwrap_or_default(),
        window_size: match role {
            Role::Control => CONTROL_WINDOW,
            Role::Data => data_window(round_trip),
        }
        .max(least_window(settings)),
        maximum_packet_size: MAX_PACKET,
        keepalive_interval: settings.alive_interval,
        keepalive_max: settings.alive_count_max,
        nodelay: true,
        ..Config::default()
    }
}

/// The window of a data channel. A download moves at most one window in each round trip, and russh grants
/// more only when half of the window is used up. On the other hand sshd takes as much from the FTP server as
/// the window allows. It keeps what the link does not take in a buffer that grows by being copied, so the
/// beginning of every download gets slower with the square of the window. The window is therefore twice what
/// stock kernels can have on the way (`benches/README.md` has the figures).
fn data_window(round_trip: Option<Duration>) -> u32 {
    let round_trip = round_trip.unwrap_or(UNKNOWN_ROUND_TRIP).as_secs_f64();
    // Saturates.
    let on_the_way = (DOWNLOAD_RATE * round_trip) as u32;
    SMALLEST_DATA_WINDOW
        .saturating_add(on_the_way)
        .min(LARGEST_DATA_WINDOW)
}

/// When this side asks for new keys. russh 0.65 loses the connection where more than two windows of data, all
/// channels together, are on their way to it at that moment. With several downloads on one connection that is
/// the rule. Where the server asks, none of the server's data is on the way. So, as with ssh, bytes count
/// only beyond what an OpenSSH server lets pass (2³² blocks, 64 GiB with AES), and time does not count unless
/// the user wants it (`RekeyLimit`). Nonces are good for longer than that.
fn limits(settings: &Settings) -> Limits {
    let most = usize::try_from(MOST_REKEY).unwrap_or(usize::MAX);
    let bytes = match settings.rekey_limit {
        Some(limit) => usize::try_from(limit)
            .unwrap_or(most)
            .clamp(LEAST_REKEY, most),
        None => most,
    };
    Limits {
        rekey_write_limit: bytes,
        rekey_read_limit: bytes,
        rekey_time_limit: settings.rekey_interval.unwrap_or(NO_REKEY),
    }
}

/// The smallest window where this side asks for new keys all the same: the contents of two TCP buffers may be
/// on the way.
fn least_window(settings: &Settings) -> u32 {
    match (settings.rekey_limit, settings.rekey_interval) {
        (None, None) => 0,
        _ => REKEY_WINDOW,
    }
}

/// A smaller limit would leave no room for data between two key exchanges; OpenSSH's is 16 bytes.
const LEAST_REKEY: usize = 16 * 1024;
const MOST_REKEY: u64 = 128 << 30;
/// A century.
const NO_REKEY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
const REKEY_WINDOW: u32 = 16 * 1024 * 1024;
const CONTROL_WINDOW: u32 = 2 * 1024 * 1024;
/// Bytes a second. The window must not keep a download below half of it.
const DOWNLOAD_RATE: f64 = 128.0 * 1024.0 * 1024.0;
/// For a server that does not answer the request that measures the round trip, which no server has to know.
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
        for (milliseconds, mebibytes) in
            [(0, 2), (10, 3), (50, 8), (100, 14), (300, 40), (9000, 64)]
        {
            let window = data_window(Some(Duration::from_millis(milliseconds)));
            assert_eq!(window >> 20, mebibytes, "{milliseconds} ms");
        }
        assert_eq!(data_window(None) >> 20, 5);
    }

    #[test]
    fn new_keys_are_the_servers_to_ask_for_unless_somebody_wants_them_sooner() {
        let mut settings = Settings::new("host", 22, "user");
        let by_default = limits(&settings);
        // OpenSSH's server asks for new keys after this number of bytes, at the latest.
        assert!(by_default.rekey_read_limit > 64 << 30);
        assert!(by_default.rekey_write_limit > 64 << 30);
        assert!(by_default.rekey_time_limit > Duration::from_secs(10 * 365 * 24 * 60 * 60));
        assert_eq!(least_window(&settings), 0);
        settings.rekey_limit = Some(4 << 30);
        assert_eq!(limits(&settings).rekey_read_limit, 4 << 30);
        assert_eq!(least_window(&settings), REKEY_WINDOW);
    }
}
