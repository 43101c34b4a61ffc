//! What is known of each FTP server that the clients of a forward have used.

use std::{collections::HashMap, sync::Mutex};

use crate::{
    control::{Knowledge, Target},
    lock::lock,
};

/// The knowledge of one server for most forwards, and of many where the clients name theirs.
#[derive(Debug, Default)]
pub(crate) struct Servers {
    known: Mutex<HashMap<(String, u16), Knowledge>>,
}

impl Servers {
    pub(crate) fn knowledge(&self, server: &Target) -> Knowledge {
        let known = lock(&self.known);
        let key = (server.host.clone(), server.port);
        known.get(&key).copied().unwrap_or_default()
    }

    pub(crate) fn learn(&self, server: &Target, learned: Knowledge) {
        let mut known = lock(&self.known);
        let key = (server.host.clone(), server.port);
        // It only saves round trips, so nothing else is lost.
        if known.len() >= MOST_NAMES && !known.contains_key(&key) {
            known.clear();
        }
        known.entry(key).or_default().add(learned);
    }
}

/// Number of servers that are remembered where clients choose the names.
pub(super) const MOST_NAMES: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn server(host: &str) -> Target {
        Target {
            host: host.into(),
            port: 21,
        }
    }

    #[test]
    fn each_server_is_known_by_itself() {
        let servers = Servers::default();
        let learned = Knowledge {
            no_epsv: true,
            ..Knowledge::default()
        };
        servers.learn(&server("a"), learned);
        servers.learn(&server("a"), Knowledge::default());
        assert_eq!(servers.knowledge(&server("a")), learned);
        assert_eq!(servers.knowledge(&server("b")), Knowledge::default());
    }

    #[test]
    fn the_memory_is_bounded() {
        let servers = Servers::default();
        for number in 0..5000 {
            servers.learn(&server(&number.to_string()), Knowledge::default());
        }
        assert!(servers.known.lock().unwrap().len() <= MOST_NAMES);
    }
}
