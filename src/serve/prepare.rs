//! What can fail of a configuration, before anything of it is in force: folders and sockets.

use std::{collections::BTreeMap, net::SocketAddr};

use super::configuration::Configuration;
use crate::{
    proxy::{ForwardSpec, Listener, Options, Proxy},
    ssh::AddressFamily,
    transcript::make_private,
};

/// The sockets that there are.
#[derive(Clone, Default)]
pub(super) struct Sockets {
    /// Those that the service manager has passed. They are kept also where no tunnel uses them: they could not
    /// be had again.
    pub(super) passed: Vec<Listener>,
    /// Those of the tunnels that are served.
    pub(super) of_tunnels: BTreeMap<String, Proxy>,
}

/// A configuration that can be put in force.
pub(super) struct Prepared {
    pub(super) configuration: Configuration,
    pub(super) sockets: BTreeMap<String, Proxy>,
    /// Passed sockets that no tunnel listens at.
    pub(super) unused: Vec<SocketAddr>,
}

/// Makes the folders and binds the sockets of a configuration. What listens already is used as it is.
///
/// # Errors
///
/// All that failed, a line each. Nothing has changed then, except that a folder may have been made.
pub(super) async fn prepare(
    configuration: Configuration,
    there: Sockets,
) -> Result<Prepared, Vec<String>> {
    let mut problems = Vec::new();
    let mut known = there.passed.clone();
    known.extend(
        there
            .of_tunnels
            .values()
            .flat_map(Proxy::listeners)
            .cloned(),
    );
    let mut sockets: BTreeMap<String, Proxy> = BTreeMap::new();
    for (name, tunnel) in &configuration.tunnels {
        if let Some(folder) = &tunnel.options.record
            && let Err(error) = make_private(folder)
        {
            let folder = folder.display();
            problems.push(format!(
                "[tunnel.{name}] record: cannot record into {folder}: {error}"
            ));
        }
        let before = there.of_tunnels.get(name);
        let ssh = configuration.ssh.get(&tunnel.ssh);
        let family = ssh.map_or(AddressFamily::Any, |ssh| ssh.address_family);
        match Proxy::bind_among(&tunnel.forwards, family, &known, before).await {
            Ok(bound) => {
                let addresses = bound.addresses();
                let open = tunnel.forwards.iter().zip(&addresses);
                let open =
                    open.filter_map(|(spec, bound)| open_to_all(spec, bound, &tunnel.options));
                problems.extend(open.map(|text| format!("[tunnel.{name}] {text}")));
                if let Some((other, address)) = shared(&bound, &sockets) {
                    problems.push(format!(
                        "[tunnel.{name}] listens on {address}, as [tunnel.{other}] does: give one of them another port"
                    ));
                }
                sockets.insert(name.clone(), bound);
            }
            Err(error) => {
                let own = known.iter().map(Listener::address);
                let own =
                    own.filter(|address| error.is_in_use() && Some(address.port()) == error.port());
                let text = match own.clone().next() {
                    Some(own) => format!(
                        "{}: this service itself listens on {own}, and gives that up only at a restart",
                        error.cause()
                    ),
                    None => error.to_string(),
                };
                problems.push(format!("[tunnel.{name}] {text}"));
            }
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let is_used = |passed: &&Listener| {
        let mut used = sockets.values().flat_map(Proxy::listeners);
        used.any(|used| used.is(passed))
    };
    let unused = there.passed.iter().filter(|passed| !is_used(passed));
    let unused = unused.map(Listener::address).collect();
    Ok(Prepared {
        configuration,
        sockets,
        unused,
    })
}

/// A bind address that is a name: it is beyond loopback if one of its addresses is.
fn open_to_all(spec: &ForwardSpec, bound: &[SocketAddr], options: &Options) -> Option<String> {
    let beyond = bound
        .iter()
        .any(|bound| !bound.ip().to_canonical().is_loopback());
    (beyond && options.gateway.allow_from.is_empty()).then(|| {
        format!(
            "port {} would be open to other hosts: allow-from has to say which ones, such as allow-from = \
             \"192.0.2.0/24\"",
            spec.port
        )
    })
}

/// Another tunnel that listens at a socket of this one.
fn shared(bound: &Proxy, others: &BTreeMap<String, Proxy>) -> Option<(String, SocketAddr)> {
    others.iter().find_map(|(name, other)| {
        let both = |one: &&Listener| other.listeners().any(|other| other.is(one));
        let found = bound.listeners().find(both)?;
        Some((name.clone(), found.address()))
    })
}
