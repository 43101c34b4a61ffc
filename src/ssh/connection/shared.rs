//! The state of one SSH connection: what the server sends (channels opened and closed, forwards arriving, the
//! end), for the users of the connection.
//!
//! Nothing here awaits an answer of the server inside an event callback: callbacks run in russh's
//! session loop, which would then never read that answer.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::{
        Arc, Mutex, OnceLock, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use russh::{ChannelId, ChannelOpenFailure, keys::PublicKey};
use tokio::{sync::Notify, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    arrival::{Arrival, Expected},
    flow::Flow,
    receive_half::ReceiveHalf,
    warnings::Warnings,
};
use crate::{
    lock::lock,
    ssh::{
        error::{LostReason, escaped},
        transport::heard::Heard,
    },
};

/// What the connection's event callbacks and its users share.
pub(crate) struct Shared {
    lost: CancellationToken,
    lost_reason: OnceLock<String>,
    cut: CancellationToken,
    channels: Mutex<HashMap<ChannelId, ChannelEntry>>,
    forwards: Mutex<HashMap<(IpAddr, u32), Expected>>,
    refusals: Mutex<VecDeque<(u32, String)>>,
    refused: Notify,
    host_key: OnceLock<PublicKey>,
    used: AtomicBool,
    closed_first: AtomicUsize,
    should_replace: CancellationToken,
    warnings: Arc<Warnings>,
    /// The server's identification, once it has come.
    version: Arc<OnceLock<String>>,
    heard: Arc<Heard>,
    /// Notified when a user of the connection finds it silent.
    doubted: Notify,
}

/// A channel as the event callbacks know it.
#[derive(Default)]
struct ChannelEntry {
    closed: CancellationToken,
    tap: Weak<ReceiveHalf>,
    flow: Weak<Flow>,
    confirmed: bool,
    released: bool,
}

impl Shared {
    /// The state of a connection whose socket ends when `cut` is cancelled.
    pub(crate) fn new(
        cut: CancellationToken,
        warnings: Arc<Warnings>,
        version: Arc<OnceLock<String>>,
        heard: Arc<Heard>,
    ) -> Arc<Self> {
        Arc::new(Self {
            lost: CancellationToken::new(),
            lost_reason: OnceLock::new(),
            cut,
            channels: Mutex::default(),
            forwards: Mutex::default(),
            refusals: Mutex::default(),
            refused: Notify::new(),
            host_key: OnceLock::new(),
            used: AtomicBool::new(false),
            closed_first: AtomicUsize::new(0),
            should_replace: CancellationToken::new(),
            warnings,
            version,
            heard,
            doubted: Notify::new(),
        })
    }

    /// The host key that this connection was shown, and accepted.
    pub(crate) fn host_key(&self) -> &OnceLock<PublicKey> {
        &self.host_key
    }

    /// Whether the server is OpenSSH, or built from it.
    pub(crate) fn is_openssh(&self) -> bool {
        let version = self.version.get();
        version.is_some_and(|version| version.contains("-OpenSSH_"))
    }

    pub(crate) fn lost_token(&self) -> &CancellationToken {
        &self.lost
    }

    /// The times at which the server was heard over it.
    pub(crate) fn heard(&self) -> &Heard {
        &self.heard
    }

    /// Reports that it was found silent, to the task that looks after it.
    pub(crate) fn doubt(&self) {
        self.doubted.notify_one();
    }

    /// Waits until it is found silent.
    pub(crate) async fn doubted(&self) {
        self.doubted.notified().await;
    }

    /// Why the connection is lost, for the end of a channel.
    pub(crate) fn lost_reason(&self) -> LostReason {
        LostReason::Connection(self.end().to_owned())
    }

    /// Why the connection is lost, in words.
    pub(crate) fn end(&self) -> &str {
        self.lost_reason.get().map_or("it ended", String::as_str)
    }

    /// Marks the connection as lost; the first reason given counts.
    pub(crate) fn mark_lost(&self, reason: String) {
        let _ = self.lost_reason.set(reason);
        self.lost.cancel();
        lock(&self.forwards).clear();
    }

    /// Ends the connection without `SSH_MSG_DISCONNECT`, whatever its session loop is waiting for.
    pub(super) fn cut(&self) {
        self.cut.cancel();
        let taps: Vec<_> = lock(&self.channels)
            .values()
            .map(|c| c.tap.clone())
            .collect();
        for tap in taps.iter().filter_map(Weak::upgrade) {
            tap.shut();
        }
    }

    /// Notes that data moves on the connection.
    pub(crate) fn touch(&self) {
        self.used.store(true, Ordering::Relaxed);
    }

    /// Whether data has ever moved.
    pub(crate) fn was_used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }

    /// Bytes a second that the slowest reader takes, of those that are behind: all that the connection
    /// carries waits for it. `None` where all keep up.
    pub(crate) fn slowest_reader(&self) -> Option<f64> {
        let channels = lock(&self.channels);
        let flows = channels.values().filter_map(|entry| entry.flow.upgrade());
        flows
            .filter_map(|flow| flow.behind())
            .min_by(f64::total_cmp)
    }

    /// Counts a channel that this side closed first. russh 0.65 keeps about 4 KiB (the queue of the channel's
    /// messages) for each of them, as long as the connection lives: it forgets a channel only when the far
    /// side's close comes for one that it still thinks open. Because of the count the connection is replaced
    /// in time.
    pub(crate) fn count_closed_first(&self) {
        if self.closed_first.fetch_add(1, Ordering::Relaxed) + 1 == REPLACED_AFTER {
            self.should_replace.cancel();
        }
    }

    /// Cancelled when `REPLACED_AFTER` channels were closed from this side, so that the connection had better
    /// be replaced.
    pub(crate) fn should_replace(&self) -> &CancellationToken {
        &self.should_replace
    }

    /// Registers a channel that is in use from now on; the token tells when the far side has closed it.
    pub(super) fn opened(
        &self,
        id: ChannelId,
        from_server: bool,
        tap: &Arc<ReceiveHalf>,
        flow: &Arc<Flow>,
    ) -> CancellationToken {
        let mut channels = lock(&self.channels);
        let entry = channels.entry(id).or_default();
        entry.tap = Arc::downgrade(tap);
        entry.flow = Arc::downgrade(flow);
        entry.confirmed |= from_server;
        entry.closed.clone()
    }

    /// Notes that the channel is no longer in use.
    pub(crate) fn released(&self, id: ChannelId) {
        let mut channels = lock(&self.channels);
        if let Some(entry) = channels.get_mut(&id) {
            entry.released = true;
            if entry.confirmed {
                channels.remove(&id);
            }
        }
    }

    /// Event: a channel was confirmed. This runs right after the opener was woken, so either of the
    /// two may come first.
    pub(crate) fn on_confirmed(&self, id: ChannelId) {
        let mut channels = lock(&self.channels);
        let entry = channels.entry(id).or_default();
        entry.confirmed = true;
        if entry.released {
            channels.remove(&id);
        }
    }

    /// Event: the far side closed a channel.
    pub(crate) fn on_closed(&self, id: ChannelId) {
        if let Some(entry) = lock(&self.channels).get(&id) {
            entry.closed.cancel();
        }
    }

    /// Event: the server refused to open a channel, and gave this text. The opener itself only gets the
    /// reason's number.
    pub(crate) fn on_refused(&self, reason: &ChannelOpenFailure, said: &str) {
        let mut refusals = lock(&self.refusals);
        if refusals.len() >= MAX_REFUSALS {
            refusals.pop_front();
        }
        refusals.push_back((reason.code(), escaped(said)));
        drop(refusals);
        self.refused.notify_waiters();
    }

    /// Waits for connections to this forward; only the first one is delivered.
    pub(crate) fn expect(&self, address: IpAddr, port: u32, expected: Expected) {
        let mut forwards = lock(&self.forwards);
        // Checked under the lock, because `mark_lost` clears the map after it has cancelled the token.
        if !self.lost.is_cancelled() {
            forwards.insert((address, port), expected);
        }
    }

    /// Lets a prefetched forward take connections from now on. Returns whether it still can.
    pub(crate) fn announce(&self, address: IpAddr, port: u32) -> bool {
        let mut forwards = lock(&self.forwards);
        let expected = forwards.get_mut(&(address, port));
        let spoilt = expected.and_then(|expected| expected.prefetch.take());
        spoilt.is_some_and(|spoilt| !spoilt.is_cancelled())
    }

    /// Stops waiting for connections to this forward.
    pub(crate) fn forget(&self, address: IpAddr, port: u32) {
        lock(&self.forwards).remove(&(address, port));
    }

    /// Event: a program connected to a forward. Dropping an arrival that is not expected refuses it.
    ///
    /// RFC 4254 section 7.2 has the server name the address that was connected to. Some servers name another
    /// of their addresses than the one that they were asked to listen on (Q102).
    pub(crate) fn on_arrival(&self, address: &str, port: u32, arrival: Arrival) {
        let mut forwards = lock(&self.forwards);
        let meant = meant(forwards.keys(), address, port);
        let Some((bind, expected)) =
            meant.and_then(|bind| Some((bind, forwards.get(&(bind, port))?)))
        else {
            if forwards.keys().any(|(_, asked)| *asked == port) {
                self.warnings.unnamed.warn(format_args!(
                    "the SSH server passes on a connection to port {port} of '{}', which is not where it \
                     was asked to listen: refused. Where active transfers hang, use --active passive",
                    escaped(address)
                ));
            } else {
                tracing::debug!(port, "a connection to no remote forward of ours: refused");
            }
            return;
        };
        let from = arrival.originator();
        if let Some(spoilt) = &expected.prefetch {
            self.warnings.spoilt.warn(format_args!(
                "somebody ({from}) connected to a remote forward that nobody was told of: refused"
            ));
            spoilt.cancel();
            return;
        }
        if !expected.origin.admits(from.ip()) {
            self.warnings.stranger.warn(format_args!(
                "a stranger ({from}) connected to a remote forward: refused"
            ));
            return;
        }
        if let Some(expected) = forwards.remove(&(bind, port)) {
            let _ = expected.arrivals.send(arrival);
        }
    }

    /// Event: a program connected to a forward, and the originator that the server gives cannot be
    /// understood. The connection has been refused.
    pub(crate) fn on_unknown_origin(&self, port: u32, from: &str) {
        self.warnings.unnamed.warn(format_args!(
            "the SSH server passes on a connection to port {port} from '{}', which is no address: refused. \
             Where active transfers hang, use --active passive",
            escaped(from)
        ));
    }

    /// The text that came with a refusal. The texts of several refusals at the same moment with the same
    /// reason may be swapped.
    pub(super) async fn refusal(&self, reason: &ChannelOpenFailure) -> String {
        let said = async {
            loop {
                let more = self.refused.notified();
                tokio::pin!(more);
                more.as_mut().enable();
                if let Some(said) = self.take_refusal(reason.code()) {
                    return said;
                }
                more.await;
            }
        };
        match timeout(REFUSAL_TIMEOUT, said).await {
            Ok(said) if !said.is_empty() => said,
            _ => escaped(reason.description()),
        }
    }

    fn take_refusal(&self, code: u32) -> Option<String> {
        let mut refusals = lock(&self.refusals);
        let at = refusals.iter().position(|(c, _)| *c == code)?;
        refusals.remove(at).map(|(_, said)| said)
    }
}

/// The address of the forward that the server means by `address`. That is `address` itself. Where `address`
/// stands for the whole host or its loopback, it may also be that of the only forward with this port.
fn meant<'a>(
    forwards: impl Iterator<Item = &'a (IpAddr, u32)>,
    address: &str,
    port: u32,
) -> Option<IpAddr> {
    let named = address.parse::<IpAddr>().map(|named| named.to_canonical());
    let whole_host = match named {
        Ok(named) => named.is_loopback() || named.is_unspecified(),
        Err(_) => matches!(address, "" | "*") || address.eq_ignore_ascii_case("localhost"),
    };
    let mut only = None;
    for (bind, _) in forwards.filter(|(_, asked)| *asked == port) {
        if named
            .as_ref()
            .is_ok_and(|named| *named == bind.to_canonical())
        {
            return Some(*bind);
        }
        only = match only {
            None => Some(Some(*bind)),
            Some(_) => Some(None),
        };
    }
    only.flatten().filter(|_| whole_host)
}

/// A connection is replaced after this number of channels that this side closed first: about 1 MiB.
const REPLACED_AFTER: usize = 250;
/// How long to wait for the text. It arrives right after the number, in the same packet.
const REFUSAL_TIMEOUT: Duration = Duration::from_millis(500);
const MAX_REFUSALS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q102_a_forward_is_meant_by_its_address_or_by_a_name_for_the_whole_host() {
        let at = |binds: &[&str]| -> Vec<(IpAddr, u32)> {
            binds
                .iter()
                .map(|bind| (bind.parse().unwrap(), 4000))
                .collect()
        };
        let find = |binds: &[&str], named: &str, port: u32| {
            meant(at(binds).iter(), named, port).map(|bind| bind.to_string())
        };
        for named in [
            "127.0.0.1",
            "localhost",
            "LocalHost",
            "0.0.0.0",
            "::",
            "::1",
            "",
            "*",
            "::ffff:127.0.0.1",
        ] {
            let found = find(&["127.0.0.1"], named, 4000);
            assert_eq!(found.as_deref(), Some("127.0.0.1"), "{named}");
            assert_eq!(find(&["127.0.0.1"], named, 4001), None, "{named}");
        }
        // Of two forwards with one port, the address decides. A name decides nothing.
        let both = ["127.0.0.1", "::1"];
        assert_eq!(find(&both, "::1", 4000).as_deref(), Some("::1"));
        assert_eq!(find(&both, "127.0.0.1", 4000).as_deref(), Some("127.0.0.1"));
        assert_eq!(find(&both, "localhost", 4000), None);
        // Another host's, or another name.
        for named in ["10.0.0.1", "2001:db8::1", "ssh.example", "not an address"] {
            assert_eq!(find(&["127.0.0.1"], named, 4000), None, "{named}");
        }
        assert_eq!(
            find(&["10.0.0.7"], "0.0.0.0", 4000).as_deref(),
            Some("10.0.0.7")
        );
        assert_eq!(find(&["10.0.0.7"], "10.0.0.8", 4000), None);
    }
}
