//! `--data-ports LOW-HIGH`: the ports for the clients' passive data connections, where a firewall lets only a
//! range through.

use std::{
    collections::HashSet,
    fmt,
    hash::{BuildHasher, RandomState},
    io,
    net::SocketAddr,
    str::FromStr,
    sync::{Arc, Mutex},
};

use tokio::net::TcpListener;

use crate::{control::LOWEST_DATA_PORT, lock::lock, proxy::io::socket};

/// A range of ports, shared by all forwards of a proxy. Only one listener has a port at a time.
#[derive(Clone, Debug)]
pub struct DataPorts {
    low: u16,
    high: u16,
    taken: Arc<Mutex<HashSet<u16>>>,
}

/// The error for a text that is not a range of data ports.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}': expected LOW-HIGH, two ports from 1024 to 65535")]
pub struct DataPortsError(String);

impl DataPorts {
    /// A listener on the address with a port of the range, and the lease of that port.
    ///
    /// # Errors
    ///
    /// The reason, for the client's 425.
    pub(crate) fn listen(&self, mut address: SocketAddr) -> Result<(TcpListener, Lease), String> {
        let span = u32::from(self.high - self.low) + 1;
        // The first port must not be guessable (Q83), and a port just used is not used again at once.
        let start = u32::try_from(RandomState::new().hash_one(0) % u64::from(span)).unwrap_or(0);
        for step in 0..span {
            let offset = u16::try_from((start + step) % span).unwrap_or(0);
            let Some(lease) = self.lease(self.low + offset) else {
                continue;
            };
            address.set_port(lease.port);
            match socket::listen(address) {
                Ok(listener) => return Ok((listener, lease)),
                // Another program has this port.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => {
                    return Err(format!("no data port on {}: {error}", address.ip()));
                }
            }
        }
        Err(format!(
            "all data ports from {} to {} are in use (--data-ports)",
            self.low, self.high
        ))
    }

    fn lease(&self, port: u16) -> Option<Lease> {
        let taken = &self.taken;
        let free = lock(taken).insert(port);
        free.then(|| Lease {
            port,
            taken: Arc::clone(taken),
        })
    }
}

impl FromStr for DataPorts {
    type Err = DataPortsError;

    fn from_str(text: &str) -> Result<Self, DataPortsError> {
        let error = || DataPortsError(text.to_owned());
        let (low, high) = text.split_once('-').ok_or_else(error)?;
        let port = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            // Clients that guard against bounces take no port below it.
            let port = text
                .parse()
                .ok()
                .filter(|port| digits && *port >= LOWEST_DATA_PORT);
            port.ok_or_else(error)
        };
        let (low, high): (u16, u16) = (port(low)?, port(high)?);
        if low > high {
            return Err(error());
        }
        Ok(Self {
            low,
            high,
            taken: Arc::default(),
        })
    }
}

impl fmt::Display for DataPorts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.low, self.high)
    }
}

/// A port in use; dropping it gives the port back.
#[derive(Debug)]
pub(crate) struct Lease {
    port: u16,
    taken: Arc<Mutex<HashSet<u16>>>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        lock(&self.taken).remove(&self.port);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_and_others_refused() {
        let ports: DataPorts = "50000-50009".parse().unwrap();
        assert_eq!((ports.low, ports.high), (50000, 50009));
        assert_eq!(
            "1024-1024".parse::<DataPorts>().unwrap().to_string(),
            "1024-1024"
        );
        for text in [
            "",
            "-",
            "50000",
            "50009-50000",
            "80-90",
            "50000-70000",
            "+50000-50001",
            "a-b",
            "1024-",
        ] {
            assert!(text.parse::<DataPorts>().is_err(), "{text}");
        }
    }

    /// Ports that were free a moment ago.
    fn free_range() -> (u16, u16) {
        loop {
            let probe = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let low = probe.local_addr().unwrap().port();
            if low < 65533
                && (1..3).all(|step| std::net::TcpListener::bind(("127.0.0.1", low + step)).is_ok())
            {
                return (low, low + 2);
            }
        }
    }

    #[tokio::test]
    async fn each_port_is_given_once_until_it_is_given_back() {
        let (low, high) = free_range();
        let ports: DataPorts = format!("{low}-{high}").parse().unwrap();
        let local = "127.0.0.1:0".parse().unwrap();
        let mut given: Vec<_> = (0..3).map(|_| ports.listen(local).unwrap()).collect();
        let mut numbers: Vec<u16> = given
            .iter()
            .map(|(listener, _)| listener.local_addr().unwrap().port())
            .collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [low, low + 1, high]);
        let reason = ports.clone().listen(local).unwrap_err();
        assert!(reason.starts_with("all data ports from "), "{reason}");
        let back = given.pop().unwrap();
        let number = back.0.local_addr().unwrap().port();
        drop(back);
        let again = ports.listen(local).unwrap();
        assert_eq!(again.0.local_addr().unwrap().port(), number);
    }

    #[tokio::test]
    async fn a_port_of_another_program_is_passed_over() {
        let (low, _) = free_range();
        let _other = std::net::TcpListener::bind(("127.0.0.1", low)).unwrap();
        let ports: DataPorts = format!("{low}-{}", low + 1).parse().unwrap();
        for _ in 0..4 {
            let (listener, _lease) = ports.listen("127.0.0.1:0".parse().unwrap()).unwrap();
            assert_eq!(listener.local_addr().unwrap().port(), low + 1);
        }
    }

    #[tokio::test]
    async fn q83_the_first_port_is_not_to_be_guessed() {
        let ports: DataPorts = "20000-29999".parse().unwrap();
        let local = "127.0.0.1:0".parse().unwrap();
        let first = || ports.listen(local).unwrap().1.port;
        let one = first();
        assert!((0..8).any(|_| first() != one), "always {one}");
    }

    #[tokio::test]
    async fn an_address_of_another_host_is_not_called_a_lack_of_ports() {
        let ports: DataPorts = "20000-20001".parse().unwrap();
        let reason = ports.listen("192.0.2.1:0".parse().unwrap()).unwrap_err();
        assert!(reason.starts_with("no data port on 192.0.2.1"), "{reason}");
    }
}
