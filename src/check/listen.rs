//! Whether `forward` could listen on what an `-L` names.

use super::{Plan, holder, holder::Holder, report::Log};
use crate::proxy::{BindError, ForwardSpec, Proxy};

/// Listens for a moment. Returns whether `forward` can, or does already.
pub(super) async fn step(log: &mut Log<'_>, plan: &Plan, spec: &ForwardSpec) -> bool {
    // Dropped at the end: the ports are free again.
    match Proxy::bind_in(std::slice::from_ref(spec), plan.settings.address_family).await {
        Ok(bound) => {
            let addresses: Vec<_> = bound.addresses().into_iter().flatten().collect();
            let beyond = addresses.iter().find(|address| !address.ip().is_loopback());
            if let Some(open) = beyond.filter(|_| plan.options.gateway.allow_from.is_empty()) {
                log.failed(
                    LISTEN,
                    format!("{open} would be open to other hosts, so forward refuses it"),
                    "say with --allow-from which hosts may come, such as --allow-from 192.0.2.0/24",
                );
                return false;
            }
            let shown: Vec<_> = addresses
                .iter()
                .map(|address| match spec.port {
                    0 => format!("{} on any free port", address.ip()),
                    _ => address.to_string(),
                })
                .collect();
            log.ok(LISTEN, shown.join(", "));
            true
        }
        Err(error) => refused(log, spec, &error),
    }
}

fn refused(log: &mut Log<'_>, spec: &ForwardSpec, error: &BindError) -> bool {
    let (cause, advice) = (error.cause(), error.remedy());
    if !error.is_in_use() {
        log.failed(LISTEN, cause, advice);
        return false;
    }
    match holder::of_port(spec.port) {
        Some(Holder { pid, name }) if name == holder::OWN => {
            let detail = format!(
                "port {} is in use by a running {name} (process {pid})",
                spec.port
            );
            log.skipped(LISTEN, detail);
            true
        }
        Some(Holder { pid, name }) => {
            let detail = format!("{cause}: {name} (process {pid})");
            log.failed(LISTEN, detail, advice);
            false
        }
        None => {
            let advice = format!(
                "{advice}. If that is ferryline, running as another user, check with port 0: -L {}",
                any_port(spec)
            );
            log.failed(LISTEN, cause, advice);
            false
        }
    }
}

/// The forward on any free port, as `-L` spells it.
fn any_port(spec: &ForwardSpec) -> String {
    match spec.host.contains(':') {
        true => format!("{}/0:[{}]:{}", spec.kind, spec.host, spec.host_port),
        false => format!("{}/0:{}:{}", spec.kind, spec.host, spec.host_port),
    }
}

const LISTEN: &str = "listen";

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::check::report::Status;

    #[test]
    fn a_port_that_needs_a_privilege_is_a_failure_with_what_grants_it() {
        let spec: ForwardSpec = "21:localhost:21".parse().unwrap();
        let error = BindError::Listen {
            address: ([127, 0, 0, 1], 21).into(),
            error: io::ErrorKind::PermissionDenied.into(),
        };
        let mut tell = |_: crate::check::Event<'_>| {};
        let mut log = Log::new(&mut tell);
        assert!(!refused(&mut log, &spec, &error));
        let steps = log.into_steps();
        let step = steps.first().unwrap();
        assert_eq!(step.status, Status::Failed);
        assert_eq!(
            step.detail,
            "cannot listen on 127.0.0.1:21: ports below 1024 need a privilege"
        );
        let remedy = step.remedy.as_deref().unwrap();
        assert!(
            remedy.contains("from 1024 on") && remedy.contains("setcap"),
            "{remedy}"
        );
    }
}
