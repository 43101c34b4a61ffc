//! The options for clients on other hosts, and for FTP servers on other hosts than the SSH server's.

use std::net::{IpAddr, SocketAddr};

use clap::Args;

use super::Failure;
use crate::proxy::{Cidr, DataPorts, ForwardSpec, Gateway, HostPattern, Options};

/// The arguments as given.
#[derive(Args, Debug)]
#[command(next_help_heading = "Listening")]
pub(super) struct GatewayArguments {
    /// Listen on all addresses where -L has no BIND; needs --allow-from
    #[arg(short = 'g')]
    gateway_ports: bool,
    /// Hosts that may connect; repeatable
    ///
    /// For forwards that listen beyond loopback. Repeatable, or separated by commas.
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    allow_from: Vec<Cidr>,
    /// Address given to passive clients on other hosts, where they reach this host through NAT
    #[arg(long, value_name = "ADDRESS", hide_short_help = true)]
    advertise: Option<IpAddr>,
    /// Ports for passive data connections of clients, such as a firewall lets through
    #[arg(long, value_name = "LOW-HIGH", hide_short_help = true)]
    data_ports: Option<DataPorts>,
    /// FTP servers that clients may name where HOST is *; repeatable
    ///
    /// Names with * and ?, addresses, CIDR; repeatable, or separated by commas.
    #[arg(
        long,
        value_name = "PATTERN",
        value_delimiter = ',',
        help_heading = "Other hosts"
    )]
    allow_host: Vec<HostPattern>,
    /// Address of the SSH host for active data connections of FTP servers on other hosts (sshd:
    /// GatewayPorts clientspecified)
    #[arg(
        long,
        value_name = "ADDRESS",
        hide_short_help = true,
        help_heading = "Other hosts"
    )]
    remote_bind: Option<IpAddr>,
}

impl GatewayArguments {
    /// Writes the arguments into the forwards and the options. The error says what is missing.
    pub(super) fn apply(
        self,
        specs: &mut [ForwardSpec],
        options: &mut Options,
    ) -> Result<(), Failure> {
        if let Some(bad) = self.advertise.filter(|address| !is_host_address(*address)) {
            let text = format!("--advertise {bad}: no client could connect to that address");
            return Err(Failure::Usage(text));
        }
        if let Some(bad) = self
            .remote_bind
            .filter(|address| !is_host_address(*address))
        {
            let text = format!(
                "--remote-bind {bad}: name one address of the SSH server's host, because the FTP server \
                 has to connect to it"
            );
            return Err(Failure::Usage(text));
        }
        if let Some(useless) = self.useless(specs) {
            tracing::warn!("{useless}");
        }
        for spec in specs {
            if self.gateway_ports && spec.bind.is_none() {
                spec.bind = Some("*".into());
            }
            if spec.is_beyond_loopback() == Some(true) && self.allow_from.is_empty() {
                return Err(open_to_all(spec));
            }
            if spec.is_user_routed() && self.allow_host.is_empty() {
                return Err(Failure::Usage(format!(
                    "-L {}:*:{}: the client names its FTP server, and --allow-host has to say which \
                     servers it may name, such as --allow-host '*.example.com' or --allow-host 10.1.0.0/16",
                    spec.port, spec.host_port
                )));
            }
        }
        options.remote_bind = self.remote_bind;
        options.allow_hosts = self.allow_host;
        options.gateway = Gateway {
            allow_from: self.allow_from,
            advertise: self.advertise,
            data_ports: self.data_ports,
        };
        Ok(())
    }
}

impl GatewayArguments {
    /// Says which of the arguments has no effect with these forwards.
    fn useless(&self, specs: &[ForwardSpec]) -> Option<&'static str> {
        if self.gateway_ports && specs.iter().all(|spec| spec.bind.is_some()) {
            return Some("-g has no effect: each -L has a bind address of its own");
        }
        let loopback_only = |spec: &ForwardSpec| spec.is_beyond_loopback() == Some(false);
        if !self.gateway_ports && !self.allow_from.is_empty() && specs.iter().all(loopback_only) {
            return Some(
                "--allow-from has no effect: only this host can connect; -g, or a bind address in -L, lets \
                 others connect",
            );
        }
        None
    }
}

/// Checks a bind address that is a name: it is beyond loopback if one of its addresses is.
pub(super) fn check_bound(
    spec: &ForwardSpec,
    addresses: &[SocketAddr],
    options: &Options,
) -> Result<(), Failure> {
    let beyond = addresses.iter().any(|bound| !bound.ip().is_loopback());
    if beyond && options.gateway.allow_from.is_empty() {
        return Err(open_to_all(spec));
    }
    Ok(())
}

fn open_to_all(spec: &ForwardSpec) -> Failure {
    Failure::Usage(format!(
        "port {} would be open to other hosts: --allow-from has to say which ones, such as \
         --allow-from 192.0.2.0/24 (without -g and without a bind address only this host can use it)",
        spec.port
    ))
}

/// Whether a host can have this address.
fn is_host_address(address: IpAddr) -> bool {
    !address.is_unspecified()
        && !address.is_multicast()
        && address != IpAddr::from(std::net::Ipv4Addr::BROADCAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_effect_is_said() {
        let useless = |gateway_ports, allow_from: &str, specs: &[&str]| {
            let arguments = GatewayArguments {
                gateway_ports,
                allow_from: allow_from
                    .split_whitespace()
                    .map(|cidr| cidr.parse().unwrap())
                    .collect(),
                advertise: None,
                data_ports: None,
                allow_host: Vec::new(),
                remote_bind: None,
            };
            let specs: Vec<ForwardSpec> = specs.iter().map(|spec| spec.parse().unwrap()).collect();
            arguments.useless(&specs)
        };
        let told = useless(true, "192.0.2.0/24", &["localhost:1:h:21"]);
        assert!(told.unwrap().starts_with("-g has no effect"));
        let told = useless(false, "192.0.2.0/24", &["1:h:21", "127.0.0.2:2:h:21"]);
        assert!(told.unwrap().starts_with("--allow-from has no effect"));
        for (gateway_ports, allow_from, specs) in [
            (true, "192.0.2.0/24", &["1:h:21", "localhost:1:h:21"][..]),
            (false, "192.0.2.0/24", &["1:h:21", "*:2:h:21"]),
            (false, "192.0.2.0/24", &["some.name:1:h:21"]),
            (false, "", &["1:h:21"]),
        ] {
            assert_eq!(useless(gateway_ports, allow_from, specs), None, "{specs:?}");
        }
    }
}
