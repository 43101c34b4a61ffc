//! The TCP connection to an SSH server: the addresses of both families raced against each other
//! ("happy eyeballs", RFC 8305), so that a family that leads nowhere costs a moment and no more.
//!
//! The kernel repeats a SYN that is not answered after ever longer pauses. Where a client waits, a fresh
//! attempt is made every few seconds instead, at the addresses that the name has by then.

use std::{collections::VecDeque, io, net::SocketAddr, time::Duration};

use tokio::{
    net::{TcpSocket, TcpStream, lookup_host},
    task::{AbortHandle, JoinSet},
    time::{sleep, timeout},
};

use crate::ssh::{
    error::Error,
    settings::{AddressFamily, Settings},
};

/// Connects to the destination: to `address`, or where there is none to the addresses of its name. The limit
/// is for the name and all its addresses together. With `impatient`, attempts that are not answered are made
/// anew.
pub(crate) async fn connect(
    settings: &Settings,
    address: Option<SocketAddr>,
    impatient: bool,
) -> Result<TcpStream, Error> {
    let limit = settings.connect_timeout;
    let mut failures = Failures::default();
    let connecting = connect_any(settings, address, impatient, &mut failures);
    let done = timeout(limit, connecting).await;
    match done {
        Ok(result) => result,
        Err(_) if !failures.resolved => Err(Error::Resolve {
            host: settings.host.clone(),
            reason: "the resolver did not answer".to_owned(),
        }),
        Err(_) if failures.said.is_empty() => Err(Error::Timeout {
            host: settings.host.clone(),
            port: settings.port,
            what: "did not answer within",
            seconds: limit.as_secs(),
        }),
        Err(_) => {
            for address in std::mem::take(&mut failures.waiting) {
                tracing::trace!(
                    "no connection to {address}: no answer within {} s",
                    limit.as_secs()
                );
                failures.say(format!("{}: no answer", address.ip()));
            }
            failures.refused = false;
            Err(failures.error(settings))
        }
    }
}

/// How far the attempts have come.
#[derive(Default)]
struct Failures {
    resolved: bool,
    waiting: Vec<SocketAddr>,
    said: Vec<String>,
    /// A host answered that nothing listens at the port.
    refused: bool,
}

impl Failures {
    fn say(&mut self, what: String) {
        if !self.said.contains(&what) {
            self.said.push(what);
        }
    }

    fn error(&self, settings: &Settings) -> Error {
        Error::Connect {
            host: settings.host.clone(),
            port: settings.port,
            reason: self.said.join(", "),
            refused: self.refused,
        }
    }
}

async fn connect_any(
    settings: &Settings,
    address: Option<SocketAddr>,
    impatient: bool,
    failures: &mut Failures,
) -> Result<TcpStream, Error> {
    let addresses = match address {
        Some(address) => VecDeque::from([address]),
        None => resolve(settings).await?,
    };
    let sources = match &settings.bind_address {
        Some(name) => Some(own_addresses(name).await.map_err(|reason| Error::Connect {
            host: settings.host.clone(),
            port: settings.port,
            reason,
            refused: false,
        })?),
        None => None,
    };
    failures.resolved = true;
    let again = (impatient && address.is_none()).then_some(settings);
    race(addresses, again, sources, failures)
        .await
        .ok_or_else(|| failures.error(settings))
}

/// The addresses of the host, in the order in which they are tried.
async fn resolve(settings: &Settings) -> Result<VecDeque<SocketAddr>, Error> {
    let unresolved = |reason: String| Error::Resolve {
        host: settings.host.clone(),
        reason,
    };
    let found = lookup_host((settings.host.as_str(), settings.port)).await;
    let found: Vec<_> = found
        .map_err(|error| unresolved(error.to_string()))?
        .collect();
    let addresses = interleaved(wanted(&found, settings.address_family));
    if addresses.is_empty() {
        return Err(unresolved(match settings.address_family {
            _ if found.is_empty() => "it has none".to_owned(),
            AddressFamily::Inet6 => {
                "it has no IPv6 address, and only those are wanted (leave out -6, or AddressFamily)"
                    .to_owned()
            }
            _ => {
                "it has no IPv4 address, and only those are wanted (leave out -4, or AddressFamily)"
                    .to_owned()
            }
        }));
    }
    Ok(addresses)
}

/// Starts one attempt after the other, each a moment after the one before or as soon as that has failed. The
/// first that succeeds is taken, and the others are given up. Where `again` gives something to resolve, its
/// addresses are tried anew every few seconds.
async fn race(
    addresses: VecDeque<SocketAddr>,
    again: Option<&Settings>,
    sources: Option<Vec<SocketAddr>>,
    failures: &mut Failures,
) -> Option<TcpStream> {
    let mut left = addresses;
    let mut attempts = JoinSet::new();
    let mut rounds = VecDeque::from([Vec::<AbortHandle>::new()]);
    let mut next_round = Box::pin(resolve_later(again));
    loop {
        if let Some(address) = left.pop_front() {
            failures.waiting.push(address);
            let source = sources.clone();
            tracing::trace!("connecting to {address}");
            let started = attempts.spawn(async move { (address, attempt(address, source).await) });
            if let Some(round) = rounds.back_mut() {
                round.push(started);
            }
        }
        let next = async {
            match left.is_empty() {
                true => std::future::pending().await,
                false => sleep(STAGGER).await,
            }
        };
        tokio::select! {
            biased;
            ended = attempts.join_next() => match ended {
                None => return None,
                Some(Ok((address, Ok(tcp)))) => {
                    tracing::trace!("connected to {address}");
                    return Some(tcp);
                }
                Some(Ok((address, Err(error)))) => {
                    tracing::trace!("no connection to {address}: {error}");
                    failures.waiting.retain(|waiting| *waiting != address);
                    failures.refused |= error.kind() == io::ErrorKind::ConnectionRefused;
                    failures.say(format!("{}: {error}", address.ip()));
                }
                Some(Err(_)) => {}
            },
            () = next => {}
            addresses = &mut next_round => {
                next_round = Box::pin(resolve_later(again));
                if left.is_empty() && !addresses.is_empty() {
                    left = addresses;
                    rounds.push_back(Vec::new());
                }
                // The round before goes on, because a path may be slow and not silent.
                if rounds.len() > ROUNDS_AT_ONCE {
                    for old in rounds.pop_front().into_iter().flatten() {
                        old.abort();
                    }
                }
            }
        }
    }
}

/// Returns what is to be tried after the pause between two rounds; nothing where the name has no address at
/// the moment.
async fn resolve_later(settings: Option<&Settings>) -> VecDeque<SocketAddr> {
    match settings {
        Some(settings) => {
            sleep(NEXT_ROUND).await;
            resolve(settings).await.unwrap_or_default()
        }
        None => std::future::pending().await,
    }
}

async fn attempt(address: SocketAddr, sources: Option<Vec<SocketAddr>>) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if let Some(sources) = sources {
        let same = |source: &&SocketAddr| source.is_ipv4() == address.is_ipv4();
        let source = sources
            .iter()
            .find(same)
            .ok_or_else(|| io::Error::other("BindAddress has no address of this family"))?;
        let refused = |error: io::Error| {
            io::Error::new(
                error.kind(),
                format!("BindAddress {}: {error}", source.ip()),
            )
        };
        socket.bind(*source).map_err(refused)?;
    }
    socket.connect(address).await
}

async fn own_addresses(name: &str) -> Result<Vec<SocketAddr>, String> {
    match lookup_host((name, 0)).await {
        Ok(found) => Ok(found.collect()),
        Err(error) => Err(format!("BindAddress {name} cannot be resolved: {error}")),
    }
}

fn wanted(found: &[SocketAddr], family: AddressFamily) -> Vec<SocketAddr> {
    let fits = |address: &&SocketAddr| family.has(address.ip());
    found.iter().filter(fits).copied().collect()
}

/// Takes the families in turn, beginning with the one that the resolver put first (RFC 8305 section 4).
fn interleaved(addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let Some(first) = addresses.first().copied() else {
        return VecDeque::new();
    };
    let (same, other): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv4() == first.is_ipv4());
    let mut all = VecDeque::new();
    let (mut same, mut other) = (same.into_iter(), other.into_iter());
    loop {
        match (same.next(), other.next()) {
            (None, None) => return all,
            (a, b) => all.extend(a.into_iter().chain(b)),
        }
    }
}

/// The pause between the starts of two attempts that RFC 8305 section 5 recommends.
const STAGGER: Duration = Duration::from_millis(250);
/// After this long without an answer, addresses are tried anew.
const NEXT_ROUND: Duration = Duration::from_secs(3);
const ROUNDS_AT_ONCE: usize = 3;

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    fn addresses(text: &[&str]) -> Vec<SocketAddr> {
        text.iter().map(|a| a.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns() {
        let found = addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"]);
        let order = ["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"];
        assert_eq!(interleaved(found.clone()), addresses(&order));
        assert_eq!(
            wanted(&found, AddressFamily::Inet),
            addresses(&["1.1.1.1:1", "2.2.2.2:1"])
        );
        assert_eq!(wanted(&found, AddressFamily::Inet6).len(), 3);
        assert!(interleaved(Vec::new()).is_empty());
    }

    #[tokio::test]
    async fn an_address_that_refuses_costs_nothing() {
        let there = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let refusing = gone.local_addr().unwrap();
        drop(gone);
        let both = VecDeque::from([refusing, there.local_addr().unwrap()]);
        let mut failures = Failures::default();
        let tcp = race(both, None, None, &mut failures).await.unwrap();
        assert_eq!(tcp.peer_addr().unwrap(), there.local_addr().unwrap());
        assert_eq!(failures.said.len(), 1);
        let nowhere = race(VecDeque::from([refusing]), None, None, &mut failures).await;
        assert!(nowhere.is_none());
    }

    /// A listener whose queue is full, so that its kernel answers nothing: a dead address looks the same.
    #[cfg(target_os = "linux")]
    async fn silent() -> (TcpListener, Vec<TcpStream>) {
        let silent = TcpSocket::new_v4().unwrap();
        silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let silent = silent.listen(1).unwrap();
        let at = silent.local_addr().unwrap();
        let mut filling = Vec::new();
        while let Ok(Ok(tcp)) = timeout(Duration::from_secs(1), TcpStream::connect(at)).await {
            filling.push(tcp);
        }
        (silent, filling)
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn an_address_that_is_silent_costs_a_moment() {
        let (silent, _filling) = silent().await;
        let at = silent.local_addr().unwrap();
        let there = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let both = VecDeque::from([at, there.local_addr().unwrap()]);
        let mut failures = Failures::default();
        let tcp = race(both, None, None, &mut failures).await.unwrap();
        assert_eq!(tcp.peer_addr().unwrap(), there.local_addr().unwrap());
        assert_eq!(failures.waiting.len(), 2);
    }

    /// Q126.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn q126_a_name_that_has_moved_is_followed_while_its_old_address_is_silent() {
        let (silent, _filling) = silent().await;
        let there = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let moved = Settings::new("127.0.0.1", there.local_addr().unwrap().port(), "u");
        let old = VecDeque::from([silent.local_addr().unwrap()]);
        let mut failures = Failures::default();
        let racing = race(old, Some(&moved), None, &mut failures);
        let tcp = timeout(Duration::from_secs(60), racing).await.unwrap();
        let reached = tcp.unwrap().peer_addr().unwrap();
        assert_eq!(reached, there.local_addr().unwrap());
    }

    #[tokio::test]
    async fn q121_where_the_address_is_known_the_name_is_not_looked_up() {
        let there = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = there.local_addr().unwrap();
        let settings = Settings::new("no.such.name.invalid", 1, "u");
        let tcp = connect(&settings, Some(at), false).await.unwrap();
        assert_eq!(tcp.peer_addr().unwrap(), at);
    }

    #[tokio::test]
    async fn an_address_of_the_other_family_is_none() {
        let there = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = there.local_addr().unwrap().port();
        let mut settings = Settings::new("127.0.0.1", port, "u");
        connect(&settings, None, false).await.unwrap();
        settings.address_family = AddressFamily::Inet6;
        let error = connect(&settings, None, false)
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("it has no IPv6 address, and only those are wanted"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn the_own_address_is_of_the_same_family() {
        let there = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = there.local_addr().unwrap();
        let from = Some(addresses(&["[::1]:0", "127.0.0.2:0"]));
        // Other systems than Linux have no such address unless it is made.
        if cfg!(target_os = "linux") {
            let tcp = attempt(at, from).await.unwrap();
            assert_eq!(tcp.local_addr().unwrap().ip().to_string(), "127.0.0.2");
        }
        let error = attempt(at, Some(addresses(&["[::1]:0"])))
            .await
            .unwrap_err();
        assert!(error.to_string().contains("BindAddress"), "{error}");
    }
}
