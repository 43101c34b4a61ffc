//! How russh is to run a connection: algorithms, windows, signs of life.

use std::borrow::Cow;
use std::sync::Arc;

use russh::client::{Config, GexParams};
use russh::{Limits, SshId};

use super::algorithm_list::AlgorithmList;
use super::algorithms;
use super::establish::Role;
use super::host_keys::Judge;
use super::settings::Settings;

/// How russh is to run a connection.
pub(super) async fn config(settings: &Settings, role: Role, judge: &Arc<Judge>) -> Config {
    let allowed = algorithms::host_key_algorithms(settings);
    let ordered = matches!(
        settings.host_key_algorithms,
        Some(AlgorithmList::Exactly(_) | AlgorithmList::Prepend(_))
    );
    let keys = if ordered && judge.pinned.is_none() {
        // Somebody has chosen the order; ssh leaves it alone then, too.
        allowed
    } else {
        let judge = Arc::clone(judge);
        let list = allowed.clone();
        let sorted = tokio::task::spawn_blocking(move || judge.preferred(&list));
        sorted.await.unwrap_or(allowed)
    };
    Config {
        client_id: SshId::Standard(Cow::Borrowed(concat!(
            "SSH-2.0-ferryline_",
            env!("CARGO_PKG_VERSION")
        ))),
        preferred: algorithms::preferred(settings, keys),
        limits: limits(settings),
        // OpenSSH goes as low as this, too; russh starts at 3072 bits otherwise.
        gex: GexParams::new(2048, 3072, 8192).unwrap_or_default(),
        window_size: match role {
            Role::Control => CONTROL_WINDOW,
            Role::Data => DATA_WINDOW,
        },
        maximum_packet_size: MAX_PACKET,
        keepalive_interval: settings.alive_interval,
        keepalive_max: settings.alive_count_max,
        nodelay: true,
        ..Config::default()
    }
}

fn limits(settings: &Settings) -> Limits {
    let default = Limits::default();
    let bytes = |most: usize| match settings.rekey_limit {
        Some(limit) => usize::try_from(limit)
            .unwrap_or(most)
            .clamp(LEAST_REKEY, most),
        None => most,
    };
    Limits {
        rekey_write_limit: bytes(default.rekey_write_limit),
        rekey_read_limit: bytes(default.rekey_read_limit),
        rekey_time_limit: settings.rekey_interval.unwrap_or(default.rekey_time_limit),
    }
}

/// A smaller limit would leave no room for data between two key exchanges; OpenSSH's is 16 bytes.
const LEAST_REKEY: usize = 16 * 1024;
const CONTROL_WINDOW: u32 = 2 * 1024 * 1024;
/// A download goes no faster than one window a round trip.
const DATA_WINDOW: u32 = 16 * 1024 * 1024;
/// The largest that russh does not complain about.
const MAX_PACKET: u32 = 65_535;
