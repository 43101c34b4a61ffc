//! The address that an FTP server is asked for by.
//!
//! `localhost` is two addresses on most hosts. An SSH server that is asked for the name tries both, and
//! does so anew for each connection: a data connection could end at another address than the control
//! connection did, with whatever program listens on that port there (Q120). So the address is decided
//! with the first control connection, and all further ones and all data connections are asked for by it.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
};

use ferryline_grammar::loopback_addresses;

use crate::{
    control::Target,
    log_limit::LogLimit,
    ssh::{Channel, OpenError, Session},
};

/// The addresses that were decided for the FTP servers of one forward.
#[derive(Debug, Default)]
pub(crate) struct Homes {
    decided: Mutex<HashMap<(String, u16), String>>,
    by_name: LogLimit,
    moved: LogLimit,
}

impl Homes {
    /// Opens a control connection to `server`. Returns it with the target that every data connection
    /// of its session has to be opened to, the port aside.
    ///
    /// # Errors
    ///
    /// The SSH server refused, could not connect, did not answer, or is gone.
    pub(crate) async fn open(
        &self,
        ssh: &Session,
        server: &Target,
        originator: SocketAddr,
    ) -> Result<(Channel, Target), OpenError> {
        let decided = self.decided(server);
        let mut refused = None;
        for host in candidates(&server.host, decided.as_deref()) {
            match ssh.open_control(&host, server.port, originator).await {
                Ok(channel) => {
                    self.note(server, decided.as_deref(), &host, refused.as_ref());
                    let port = server.port;
                    return Ok((channel, Target { host, port }));
                }
                Err(error @ (OpenError::Away(_) | OpenError::Lost | OpenError::Timeout)) => {
                    return Err(error);
                }
                // That nothing listens there says more than that the SSH server forbids the other.
                Err(_) if matches!(refused, Some(OpenError::ConnectFailed(_))) => {}
                Err(error) => refused = Some(error),
            }
        }
        Err(refused.unwrap_or(OpenError::Lost))
    }

    fn decided(&self, server: &Target) -> Option<String> {
        let decided = self.decided.lock().unwrap_or_else(PoisonError::into_inner);
        decided.get(&(server.host.clone(), server.port)).cloned()
    }

    /// What worked first stays the first choice: a program that listens on the other address while the
    /// FTP server restarts gets no later session.
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
                let mut decided = self.decided.lock().unwrap_or_else(PoisonError::into_inner);
                // Clients may choose the names.
                if decided.len() >= MOST {
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
            self.by_name.warn(format_args!(
                "the SSH server connects to {server} by that name only, not by the address 127.0.0.1 or ::1{why}. \
                 It looks the name up anew for each data connection, which may reach another program \
                 than the FTP server: let it connect to 127.0.0.1:* (PermitOpen, permitopen=)"
            ));
        }
    }
}

/// What the SSH server is asked for, in turn. A loopback name comes last: an SSH server may permit
/// nothing but the name (OpenSSH compares `permitopen=` with what it was asked for), and a name within
/// `.localhost` may be another loopback address there.
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

const MOST: usize = 1024;

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
    fn q120_the_memory_is_bounded() {
        let homes = Homes::default();
        for port in 1..5000 {
            let server = Target {
                host: "localhost".into(),
                port,
            };
            homes.note(&server, None, "127.0.0.1", None);
        }
        assert!(homes.decided.lock().unwrap().len() <= MOST);
    }
}
