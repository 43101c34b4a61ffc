//! The ways to be refused, each for real. The output of the program, or the reply to the client, names the
//! party that refuses and what to do about it, and comes within the time that is allowed.
//!
//! `cargo test --test refusals -- --nocapture` prints the table.
//!
//! A binary of its own: each row has a time limit, so no other test runs beside.

// Helpers are outside #[test], where clippy's exemption for tests does not reach.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stdout,
    unreachable_pub
)]
#![cfg(all(unix, feature = "demo"))]

#[path = "../it/common/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    reason = "it is used in part; tests/it uses the rest"
)]
mod common;
mod forwards;
mod host_keys;
mod log_ins;
mod program;
mod ways_there;

use std::pin::Pin;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

/// The value of `-o ConnectTimeout`. The way there, key exchange and log-in may each take this long.
const CONNECT_TIMEOUT: u64 = 3;
/// The limit of each row: three such times, and as much again for starting programs on a machine that is busy
/// with other tests.
const LIMIT: Duration = Duration::from_secs(6 * CONNECT_TIMEOUT);

/// One way to be refused. The text must have the party, the remedy, and these parts.
struct Row {
    way: &'static str,
    said: Pin<Box<dyn Future<Output = String> + Send>>,
    party: &'static str,
    remedy: &'static str,
    parts: &'static [&'static str],
}

fn row(
    way: &'static str,
    party: &'static str,
    remedy: &'static str,
    parts: &'static [&'static str],
    said: impl Future<Output = String> + Send + 'static,
) -> Row {
    let said = Box::pin(said);
    Row {
        way,
        said,
        party,
        remedy,
        parts,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_names_the_party_and_the_remedy_in_time() {
    let rows: Vec<Row> = [
        host_keys::rows(),
        log_ins::rows(),
        ways_there::rows(),
        forwards::rows(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let count = rows.len();
    assert!(count >= 25);
    let mut playing = JoinSet::new();
    for (number, row) in rows.into_iter().enumerate() {
        playing.spawn(async move { (number, judge(row).await) });
    }
    let mut judged = playing.join_all().await;
    judged.sort();
    println!("{count} ways to be refused\n");
    for (_, (text, _)) in &judged {
        println!("{text}\n");
    }
    let failed: Vec<_> = judged
        .into_iter()
        .filter_map(|(_, (_, failure))| failure)
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

/// The row as it is printed, and what is wrong with it.
async fn judge(row: Row) -> (String, Option<String>) {
    let Row { way, party, .. } = row;
    let Ok(said) = timeout(LIMIT, row.said).await else {
        let failure = format!("{way}: nothing was said within {LIMIT:?}");
        return (failure.clone(), Some(failure));
    };
    let text = format!("{way}\n    {said}");
    let parts = row.parts.iter().copied();
    let missing: Vec<_> = parts
        .chain([party, row.remedy])
        .filter(|part| !said.contains(part))
        .collect();
    let failure = (!missing.is_empty()).then(|| format!("{text}\n    lacks {missing:?}"));
    (text, failure)
}
