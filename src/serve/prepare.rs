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

/// What is wrong with a forward that listens beyond loopback and does not say who may come. (Where the bind address
/// is a name, only the resolver has told.)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::TunnelSettings;

    /// A configuration of tunnels without an SSH connection, which is not used here.
    fn configuration(tunnels: &[(&str, &str)]) -> Configuration {
        let tunnels = tunnels.iter().map(|(name, forward)| {
            let settings = TunnelSettings {
                ssh: String::new(),
                forwards: vec![forward.parse().unwrap()],
                options: Options::default(),
                said: Vec::new(),
            };
            ((*name).to_owned(), settings)
        });
        Configuration {
            ssh: BTreeMap::new(),
            tunnels: tunnels.collect(),
            max_sessions: 1,
            refusals: 1,
        }
    }

    async fn problems(configuration: Configuration, there: Sockets) -> Vec<String> {
        match prepare(configuration, there).await {
            Ok(_) => Vec::new(),
            Err(problems) => problems,
        }
    }

    #[tokio::test]
    async fn a_name_that_is_beyond_loopback_needs_to_say_who_may_come() {
        let Some(name) = own_name() else {
            return;
        };
        let found = problems(
            configuration(&[("erp", &format!("{name}:0:h:21"))]),
            Sockets::default(),
        )
        .await;
        let [problem] = &found[..] else {
            panic!("{found:?}");
        };
        assert!(
            problem.starts_with("[tunnel.erp] port 0 would be open to other hosts"),
            "{problem}"
        );
    }

    /// An address of this host beyond its loopback, as a bind address that is no IP address to the parser.
    fn own_name() -> Option<String> {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
        // Nothing is sent.
        socket.connect("192.0.2.1:9").ok()?;
        let own = socket.local_addr().ok()?.ip();
        (!own.is_loopback() && !own.is_unspecified()).then(|| own.to_string())
    }

    #[tokio::test]
    async fn all_that_fails_is_told_and_what_listens_is_not_bound_again() {
        let there = Proxy::bind(&["127.0.0.1:0:h:21".parse().unwrap()])
            .await
            .unwrap();
        let own = there.addresses()[0][0];
        let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = other.local_addr().unwrap();
        let there = Sockets {
            of_tunnels: BTreeMap::from([("a".to_owned(), there)]),
            ..Sockets::default()
        };
        let wanted = configuration(&[
            ("b", &format!("{own}:h:21")),
            ("c", &format!("{taken}:h:21")),
            ("d", &format!("{taken}:h:21")),
        ]);
        let found = problems(wanted, there.clone()).await;
        let text = "cannot listen on";
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with(&format!("[tunnel.c] {text} {taken}: the port is in use")));
        assert!(found[1].starts_with("[tunnel.d] "), "{found:?}");
        // The socket of a tunnel that goes is there for the one that comes.
        let prepared = prepare(
            configuration(&[("b", &format!("{own}:h:21"))]),
            there.clone(),
        )
        .await;
        let prepared = prepared.ok().unwrap();
        assert!(prepared.sockets["b"].is_same(&there.of_tunnels["a"]));
        // Where it is in the way of a wider one, no other program is blamed.
        let mut wide = configuration(&[("b", &format!("*:{}:h:21", own.port()))]);
        wide.tunnels
            .get_mut("b")
            .unwrap()
            .options
            .gateway
            .allow_from = vec!["192.0.2.0/24".parse().unwrap()];
        let found = problems(wide, there).await;
        drop(other);
        assert!(
            found[0].contains(&format!("this service itself listens on {own}")),
            "{found:?}"
        );
    }

    #[tokio::test]
    async fn two_tunnels_do_not_share_a_socket_that_is_there() {
        let there = Proxy::bind(&["127.0.0.1:0:h:21".parse().unwrap()])
            .await
            .unwrap();
        let own = there.addresses()[0][0];
        let there = Sockets {
            of_tunnels: BTreeMap::from([("a".to_owned(), there)]),
            ..Sockets::default()
        };
        let both = configuration(&[("a", &format!("{own}:h:21")), ("b", &format!("{own}:g:21"))]);
        let found = problems(both, there).await;
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(&format!("[tunnel.b] listens on {own}, as [tunnel.a] does")));
    }
}
