//! The hosts and ports that a passive data connection may lead to.

use std::net::IpAddr;

use ferryline_grammar::{PassiveEndpoint, is_loopback};

use crate::control::{
    event::{Notice, Target},
    machine::Control,
    settings::DataHost,
};

impl Control {
    /// Where the data connection that this passive reply names may lead, in the order in which it is tried; or
    /// why it may lead nowhere.
    pub(super) fn targets(&mut self, endpoint: &PassiveEndpoint) -> Result<Vec<Target>, String> {
        let port = endpoint.port;
        let lowest = self.settings.lowest_data_port;
        if port < lowest {
            self.outputs.notice(Notice::LowDataPort { port, lowest });
            return Err(format!(
                "the FTP server's passive reply names port {port}; ports below {lowest} are refused"
            ));
        }
        let control = Target {
            host: self.settings.server_host.clone(),
            port,
        };
        // An empty address, or 0.0.0.0 (Q10), means the control connection's host.
        let named = endpoint
            .address
            .filter(|address| !address.is_unspecified() && address.to_string() != control.host);
        let Some(named) = named else {
            return Ok(vec![control]);
        };
        if self.settings.data_host != DataHost::Reply && self.is_one_of_the_servers(named) {
            // The SSH server would look the name up again, and might get another address (Q123).
            return Ok(vec![Target {
                host: named.to_string(),
                port,
            }]);
        }
        let reply = Target {
            host: named.to_string(),
            port,
        };
        let usable = usable(named, &self.settings.server_host);
        match self.settings.data_host {
            DataHost::Auto if !usable => Ok(vec![control]),
            DataHost::Auto if self.knowledge.reply_address_works => Ok(vec![reply]),
            DataHost::Auto => Ok(vec![control, reply]),
            DataHost::Control => {
                let expected = is_loopback(&control.host) && named.is_loopback();
                if !expected {
                    self.outputs.notice_once(Notice::OtherDataHost {
                        named,
                        used: control.host.clone(),
                    });
                }
                Ok(vec![control])
            }
            DataHost::Reply if usable => Ok(vec![reply]),
            DataHost::Reply => Err(format!(
                "the FTP server's passive reply names {named}, which is not an address that another \
                 host can have; use --data-host control"
            )),
        }
    }

    /// Whether an address is one of those that the server's name stands for.
    fn is_one_of_the_servers(&self, named: IpAddr) -> bool {
        let known = &self.settings.server_addresses;
        usable(named, &self.settings.server_host) && known.contains(&named.to_canonical())
    }
}

/// Whether the address in a reply may be dialled. Never one that means the SSH server's own host or link,
/// unless the FTP server was addressed that way (Q78).
fn usable(address: IpAddr, server_host: &str) -> bool {
    let address = address.to_canonical();
    let local_to_host = match address {
        IpAddr::V4(v4) => {
            v4.is_link_local()
                || v4.is_multicast()
                || v4.is_broadcast()
                || matches!(v4.octets(), [0, ..])
        }
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.is_multicast() || v6.is_unspecified(),
    };
    !local_to_host && (!address.is_loopback() || is_loopback(server_host))
}
