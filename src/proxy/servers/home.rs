//! The address that an FTP server is asked for by.
//!
//! `localhost` is two addresses on most hosts. An SSH server that is asked for the name tries both, and does
//! so anew for each connection. A data connection could end at another address than the control connection
//! did, at whatever program listens on that port there (Q120). So the first control connection decides the
//! address. All further control connections and all data connections are asked for by it.
//!
//! Any other name is for the SSH server to look up, and it does not say what it found. Where this host knows
//! the name to be several addresses, that is logged once. Where the FTP server's passive reply names one of
//! them, data goes to that one (Q123).

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use ferryline_grammar::loopback_addresses;
use tokio::{net::lookup_host, sync::SetOnce, time::timeout};

use super::known::MOST_NAMES;
use crate::{
    control::Target,
    lock::lock,
    log_limit::LogLimit,
    ssh::{Channel, OpenError, Session},
};

/// Target of the warnings that `check` shows, too: what works, and should be set otherwise.
const ADVICE: &str = "ferryline::advice";

/// The addresses that were decided for the FTP servers of one forward.
#[derive(Debug, Default)]
pub(crate) struct Homes {
    decided: Mutex<HashMap<(String, u16), String>>,
    moved: LogLimit,
    /// The addresses of the other names that have been looked up here.
    looked_up: Mutex<HashMap<String, Arc<SetOnce<Vec<IpAddr>>>>>,
    several: Arc<LogLimit>,
}

/// A control connection with an FTP server.
pub(crate) struct Reached {
    pub(crate) channel: Channel,
    /// The host that the SSH server was asked for. Every data connection of the session has to be asked for
    /// by it, too.
    pub(crate) server: Target,
    /// The addresses of the host's name, where there are several.
    pub(crate) addresses: Vec<IpAddr>,
}

impl Homes {
    /// Opens a control connection to `server`.
    ///
    /// # Errors
    ///
    /// The SSH server refused, could not connect, did not answer, or is gone.
    pub(crate) async fn open(
        &self,
        ssh: &Session,
        server: &Target,
        originator: SocketAddr,
    ) -> Result<Reached, OpenError> {
        let looking_up = self.look_up(&server.host);
        let decided = self.decided(server);
        let mut refused = None;
        for host in candidates(&server.host, decided.as_deref()) {
            match ssh.open_control(&host, server.port, originator).await {
                Ok(channel) => {
                    self.note(server, decided.as_deref(), &host, refused.as_ref());
                    let addresses = match looking_up {
                        Some(looking_up) => known_soon(looking_up).await,
                        None => Vec::new(),
                    };
                    let port = server.port;
                    return Ok(Reached {
                        channel,
                        server: Target { host, port },
                        addresses,
                    });
                }
                Err(error @ (OpenError::Away(_) | OpenError::Lost | OpenError::Timeout)) => {
                    return Err(error);
                }
                // A refused connection there says more than that the SSH server forbids the other one.
                Err(_) if matches!(refused, Some(OpenError::ConnectFailed(_))) => {}
                Err(error) => refused = Some(error),
            }
        }
        Err(refused.unwrap_or(OpenError::Lost))
    }

    /// Looks up a name in the background, and only the first time. `None` for a host that needs no look-up.
    fn look_up(&self, host: &str) -> Option<Arc<SetOnce<Vec<IpAddr>>>> {
        if host.parse::<IpAddr>().is_ok() || !loopback_addresses(host).is_empty() {
            return None;
        }
        let mut looked_up = lock(&self.looked_up);
        if let Some(known) = looked_up.get(host) {
            return Some(Arc::clone(known));
        }
        if looked_up.len() >= MOST_NAMES {
            return None;
        }
        let cell = Arc::new(SetOnce::new());
        looked_up.insert(host.to_owned(), Arc::clone(&cell));
        let (host, several, known) = (
            host.to_owned(),
            Arc::clone(&self.several),
            Arc::clone(&cell),
        );
        tokio::spawn(async move {
            let _ = known.set(several_addresses(&host, &several).await);
        });
        Some(cell)
    }

    fn decided(&self, server: &Target) -> Option<String> {
        let decided = lock(&self.decided);
        decided.get(&(server.host.clone(), server.port)).cloned()
    }

    /// Notes what worked. The first address that worked stays the first choice: a program that listens on the
    /// other address while the FTP server restarts gets no later session.
    fn note(
        &self,
        server: &Target,
        decided: Option<&str>,
        host: &str,
        refused: Option<&OpenError>,
    ) {
        if loopback_addresses(&server.host).is_empty() {
            return;
        }
        match decided {
            None => {
                let mut decided = lock(&self.decided);
                if decided.len() >= MOST_NAMES {
                    decided.clear();
                }
                decided
                    .entry((server.host.clone(), server.port))
                    .or_insert_with(|| host.to_owned());
            }
            Some(decided) if decided != host => self.moved.warn(format_args!(
                "the FTP server {server} answered at {decided} before, and now at {host} only: is that \
                 the same server?"
            )),
            Some(_) => {}
        }
        if host == server.host && decided.is_none() {
            let why = refused.map_or_else(String::new, |error| format!(": {error}"));
            tracing::warn!(
                target: ADVICE,
                "the SSH server connects to {server} by that name only, not by the address 127.0.0.1 or ::1{why}. \
                 It looks the name up anew for each data connection, which may reach another program \
                 than the FTP server: let it connect to 127.0.0.1:* (PermitOpen, permitopen=)"
            );
        }
    }
}

/// The hosts that the SSH server is asked for, in turn. A loopback name comes last: an SSH server may permit
/// only the name (OpenSSH compares `permitopen=` with what it was asked for), and a name within `.localhost`
/// may be another loopback address there.
fn candidates(host: &str, decided: Option<&str>) -> Vec<String> {
    let mut all: Vec<String> = decided.map(str::to_owned).into_iter().collect();
    let addresses = loopback_addresses(host).iter().map(ToString::to_string);
    for candidate in addresses.chain([host.to_owned()]) {
        if !all.contains(&candidate) {
            all.push(candidate);
        }
    }
    all
}

/// The addresses of a name, where there are several. That is logged.
async fn several_addresses(host: &str, warnings: &LogLimit) -> Vec<IpAddr> {
    let found = timeout(RESOLVER_PATIENCE, lookup_host((host, 0))).await;
    // If only the SSH server can look up a name, it is not known to be several addresses.
    let Ok(Ok(found)) = found else {
        return Vec::new();
    };
    let addresses = several(found.map(|address| address.ip()));
    if !addresses.is_empty() {
        let all: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        warnings.warn(format_args!(
            "the FTP server's name {host} is {}, as this host knows it. The SSH server looks it up anew for each data \
             connection, which may reach another of them than the control connection did, unless the FTP \
             server's reply says which (PASV does, EPSV does not): with one address in place of the name it cannot",
            all.join(", ")
        ));
    }
    addresses
}

/// These addresses, without duplicates; none where there is only one.
fn several(found: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    for address in found.map(|address| address.to_canonical()) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.len() < 2 {
        addresses.clear();
    }
    addresses
}

/// What is known of a name, after a short wait where the look-up is still under way.
async fn known_soon(looking_up: Arc<SetOnce<Vec<IpAddr>>>) -> Vec<IpAddr> {
    timeout(A_MOMENT, looking_up.wait())
        .await
        .map_or_else(|_| Vec::new(), Clone::clone)
}

const RESOLVER_PATIENCE: Duration = Duration::from_secs(10);
/// How long a client's session may wait for this host's resolver.
const A_MOMENT: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q120_a_loopback_name_is_asked_for_last() {
        let addresses = ["127.0.0.1", "::1", "localhost"];
        assert_eq!(candidates("localhost", None), addresses);
        let decided = ["::1", "127.0.0.1", "localhost"];
        assert_eq!(candidates("localhost", Some("::1")), decided);
        let by_name = ["localhost", "127.0.0.1", "::1"];
        assert_eq!(candidates("localhost", Some("localhost")), by_name);
    }

    #[test]
    fn q120_any_other_host_is_asked_for_as_it_is() {
        for host in ["ftp.example", "10.0.0.9", "127.0.0.1", "::1"] {
            assert_eq!(candidates(host, None), [host]);
        }
    }

    #[test]
    fn q123_a_name_may_stand_for_several_addresses() {
        let all = |found: &[&str]| {
            let found = found.iter().map(|address| address.parse().unwrap());
            let all = several(found).into_iter();
            all.map(|address| address.to_string()).collect::<Vec<_>>()
        };
        assert!(all(&[]).is_empty());
        assert!(all(&["192.0.2.1"]).is_empty());
        // The resolver returns one for each kind of socket.
        assert!(all(&["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1"]).is_empty());
        for found in [["192.0.2.1", "192.0.2.2"], ["192.0.2.1", "2001:db8::1"]] {
            assert_eq!(all(&found), found);
        }
    }

    #[tokio::test]
    async fn q123_each_name_is_looked_up_once_and_an_address_never() {
        let homes = Homes::default();
        for host in ["192.0.2.1", "::1", "localhost"] {
            assert!(homes.look_up(host).is_none(), "{host}");
        }
        let first = homes.look_up("a.invalid").unwrap();
        let again = homes.look_up("a.invalid").unwrap();
        assert!(Arc::ptr_eq(&first, &again));
    }

    #[test]
    fn q120_the_memory_is_bounded() {
        let homes = Homes::default();
        for port in 1..5000 {
            let server = Target {
                host: "localhost".into(),
                port,
            };
            homes.note(&server, None, "127.0.0.1", None);
        }
        assert!(homes.decided.lock().unwrap().len() <= MOST_NAMES);
    }
}
