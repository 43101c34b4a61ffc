//! The steps to the SSH session: name, TCP, identification, host key, log-in, a second connection.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{net::lookup_host, time::timeout};

use super::{
    Plan, remedy,
    report::{Log, Step, Tell},
    stage::Stage,
};
use crate::ssh::{Error, Findings, HostKey, Prompt, Session, Settings, StrictHostKeyChecking};

/// Makes the steps. Returns the session, if they lead to one.
pub(super) async fn walk(
    plan: &Plan,
    prompt: Arc<dyn Prompt>,
    findings: Findings,
    tell: Tell<'_>,
) -> (Vec<Step>, Option<Session>) {
    let settings = &plan.settings;
    let mut log = Log::new(tell);
    let hops = settings.jump_hosts();
    let resolved = resolve(settings).await;
    if let (Ok(detail), []) = (&resolved, hops.as_slice()) {
        log.ok(Stage::Resolve.name(), detail);
    }
    let connected = Session::connect_and_tell(settings.clone(), prompt, findings.clone()).await;
    let failed = connected
        .as_ref()
        .err()
        .map(|error| (failed_at(error, &hops, &findings), error));
    for stage in Stage::ALL {
        let name = stage.name();
        match (&failed, stage) {
            (_, Stage::JumpHost) => jump_hosts(&mut log, &hops, &findings, failed.as_ref()),
            (_, Stage::Resolve) if resolved.is_ok() => {
                if let (Ok(detail), [_, ..]) = (&resolved, hops.as_slice()) {
                    log.ok(
                        name,
                        format!("{detail} (for this host; the jump host looks it up itself)"),
                    );
                }
            }
            (Some((at, error)), _) if stage == *at => {
                log.failed(name, error.cause(), remedy::ssh(stage, error));
            }
            (Some((at, _)), _) if stage > *at => log.skipped(name, "not reached"),
            (_, Stage::Resolve) => {
                // Another program resolves it: a jump host, a proxy.
                let why = resolved.as_ref().err().map_or("", String::as_str);
                log.skipped(name, format!("not by this host ({why})"));
            }
            (_, Stage::Connect) => log.ok(name, connect(settings, &findings)),
            (_, Stage::Version) => {
                log.ok(name, findings.server_version().unwrap_or_default());
            }
            (_, Stage::HostKey) => log.ok(name, host_key(settings, findings.host_key())),
            (_, Stage::Authentication) => log.ok(name, log_in(settings, &findings)),
            (_, Stage::Lane) => {
                if let Ok(session) = &connected {
                    lane(&mut log, settings, session, &findings).await;
                }
            }
        }
    }
    (log.into_steps(), connected.ok())
}

/// One step for each jump host.
fn jump_hosts(
    log: &mut Log<'_>,
    hops: &[&Settings],
    findings: &Findings,
    failed: Option<&(Stage, &Error)>,
) {
    let name = Stage::JumpHost.name();
    let at_hop = failed.filter(|(stage, _)| *stage == Stage::JumpHost);
    let failing = at_hop.and_then(|(_, error)| Some((failing_hop(error, hops)?, *error)));
    // The nearest to the server comes first there, and last on the way.
    let mut about = Vec::new();
    let mut next = findings.jump_host();
    while let Some(found) = next {
        next = found.jump_host();
        about.insert(0, found);
    }
    for (number, (hop, found)) in hops.iter().zip(&about).enumerate() {
        match failing {
            Some((at, error)) if number == at => {
                log.failed(name, error.cause(), remedy::ssh(Stage::JumpHost, error));
            }
            Some((at, _)) if number > at => {
                log.skipped(name, format!("{}: not reached", hop.destination()));
            }
            _ => log.ok(
                name,
                format!(
                    "{}: {}, {}, {}",
                    hop.destination(),
                    found.server_version().unwrap_or_default(),
                    host_key(hop, found.host_key()),
                    log_in(hop, found)
                ),
            ),
        }
    }
}

/// The jump host at which an attempt ended; `None`: it came past all of them.
fn failing_hop(error: &Error, hops: &[&Settings]) -> Option<usize> {
    let place = |name: &str| hops.iter().position(|hop| hop.destination() == name);
    match error {
        Error::AtJumpHost { hop, .. } => place(hop),
        // It could not be connected to: the one before it refused.
        Error::JumpForbidden { hop, .. } => {
            place(hop).map(|at| at + 1).filter(|at| *at < hops.len())
        }
        _ => None,
    }
}

/// The addresses of the SSH server, as this host knows them.
async fn resolve(settings: &Settings) -> Result<String, String> {
    let target = (settings.host.as_str(), settings.port);
    let found = match timeout(settings.connect_timeout, lookup_host(target)).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => return Err(error.to_string()),
        Err(_) => return Err("the resolver does not answer".to_owned()),
    };
    let (mut addresses, mut others): (Vec<String>, usize) = (Vec::new(), 0);
    for address in found {
        if !settings.address_family.has(address.ip()) {
            others += 1;
            continue;
        }
        let address = address.ip().to_string();
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    match addresses.join(", ") {
        none if none.is_empty() && others > 0 => {
            Err("it has none of the family that is wanted".to_owned())
        }
        none if none.is_empty() => Err("the name has no address".to_owned()),
        only if only == settings.host => Ok(format!("{only} is an address")),
        all => Ok(format!("{} is {all}", settings.host)),
    }
}

/// The step in which an attempt ended.
fn failed_at(error: &Error, hops: &[&Settings], findings: &Findings) -> Stage {
    match error {
        _ if failing_hop(error, hops).is_some() => Stage::JumpHost,
        Error::Resolve { .. } => Stage::Resolve,
        Error::Connect { .. } => Stage::Connect,
        Error::NotSsh { .. } => Stage::Version,
        Error::HostKeyChanged { .. }
        | Error::HostKeyDiffers { .. }
        | Error::HostKeyRevoked { .. }
        | Error::HostKeyUnknown { .. } => Stage::HostKey,
        Error::LoginRefused { .. } => Stage::Authentication,
        // As far as the attempt came.
        _ if findings.host_key().is_some() => Stage::Authentication,
        _ if findings.server_version().is_some() => Stage::HostKey,
        _ if findings.peer().is_some() => Stage::Version,
        _ => Stage::Connect,
    }
}

fn connect(settings: &Settings, findings: &Findings) -> String {
    match findings.peer() {
        Some(peer) => format!("{} port {}", peer.ip(), peer.port()),
        None => format!("{} port {}", settings.host, settings.port),
    }
}

fn host_key(settings: &Settings, key: Option<HostKey>) -> String {
    let Some(key) = key else {
        return "accepted".to_owned();
    };
    let HostKey {
        kind, fingerprint, ..
    } = key;
    let how = match key.known {
        Some((file, line)) => format!("known: {}:{line}", file.display()),
        None => match settings.strict_host_key_checking {
            StrictHostKeyChecking::AcceptNew => {
                "new, accepted by StrictHostKeyChecking=accept-new".to_owned()
            }
            StrictHostKeyChecking::Ask => "new, accepted by you".to_owned(),
            StrictHostKeyChecking::No => {
                "NOT known, accepted by StrictHostKeyChecking=no".to_owned()
            }
            StrictHostKeyChecking::Yes => "accepted".to_owned(),
        },
    };
    format!("{kind} {fingerprint} ({how})")
}

fn log_in(settings: &Settings, findings: &Findings) -> String {
    let by = findings.authenticated_by().unwrap_or_default().join("; ");
    format!("{} by {by}", settings.user)
}

/// Checks whether a second connection can be had, and says what is lost where it cannot.
async fn lane(log: &mut Log<'_>, settings: &Settings, session: &Session, findings: &Findings) {
    let name = Stage::Lane.name();
    if settings.lanes == 0 {
        log.skipped(name, format!("--lanes 0: {ONE_CONNECTION}"));
        return;
    }
    // The session has limits of its own, below this one.
    let limit = settings.connect_timeout + LANE_PATIENCE;
    match timeout(limit, session.lane_within(settings.connect_timeout)).await {
        Ok(Ok(lane)) if !lane.is_shared_control() => {
            log.ok(name, "a second connection works: data has its own");
        }
        Ok(Ok(_)) => {
            let why = findings.no_lane();
            let why = why.as_deref().unwrap_or("no second one came about");
            let detail = format!("only one connection is possible ({why}): {ONE_CONNECTION}");
            log.ok_but(name, detail, remedy::LANE);
        }
        Ok(Err(error)) => log.failed(name, error.cause(), remedy::ssh(Stage::Lane, &error)),
        Err(_) => {
            let detail = format!("no answer within {} s", limit.as_secs());
            log.failed(name, detail, remedy::LANE);
        }
    }
}

const ONE_CONNECTION: &str =
    "data shares the first connection, where one stalled transfer stalls all";
const LANE_PATIENCE: Duration = Duration::from_secs(25);

/// Originator of the channels of this program itself.
pub(super) fn no_client() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_step_that_failed_is_the_one_that_the_error_is_about() {
        let (host, port) = ("h".to_owned(), 22);
        let reason = String::new();
        let nothing = Findings::default();
        for (error, stage) in [
            (
                Error::Resolve {
                    host: host.clone(),
                    reason: reason.clone(),
                },
                Stage::Resolve,
            ),
            (
                Error::Connect {
                    host: host.clone(),
                    port,
                    reason: reason.clone(),
                    refused: true,
                },
                Stage::Connect,
            ),
            (
                Error::NotSsh {
                    host: host.clone(),
                    port,
                    reason: reason.clone(),
                },
                Stage::Version,
            ),
            (
                Error::Timeout {
                    host: host.clone(),
                    port,
                    what: "did not answer within",
                    seconds: 1,
                },
                Stage::Connect,
            ),
        ] {
            assert_eq!(failed_at(&error, &[], &nothing), stage, "{error}");
        }
    }

    #[test]
    fn how_a_host_key_was_accepted_is_told() {
        let mut settings = Settings::new("h", 22, "u");
        let mut key = HostKey {
            kind: "ssh-ed25519".into(),
            fingerprint: "SHA256:x".into(),
            known: Some(("/k".into(), 7)),
        };
        assert_eq!(
            host_key(&settings, Some(key.clone())),
            "ssh-ed25519 SHA256:x (known: /k:7)"
        );
        key.known = None;
        settings.strict_host_key_checking = StrictHostKeyChecking::No;
        assert!(host_key(&settings, Some(key)).contains("NOT known"));
    }
}
