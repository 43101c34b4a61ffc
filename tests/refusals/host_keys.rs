//! Host keys and host certificates that are not accepted.

use std::fs;

use ferryline::demo::ssh_server::{HostCertificate, KeyPair};

use crate::program::Shore;
use crate::{Row, row};

pub(super) fn rows() -> Vec<Row> {
    let party = "the SSH server";
    vec![
        row(
            "host key unknown",
            party,
            "StrictHostKeyChecking=accept-new",
            &["SHA256:", "not known"],
            async {
                let shore = Shore::new().await;
                fs::write(shore.file("known_hosts"), "").unwrap();
                shore.refusal(&[]).await
            },
        ),
        row(
            "host key changed",
            party,
            "remove that line",
            &["CHANGED", "known_hosts:2"],
            async {
                let shore = Shore::new().await;
                let other = KeyPair::generate(None).unwrap().public;
                let known = format!("# first\n{} {other}\n", shore.name());
                fs::write(shore.file("known_hosts"), known).unwrap();
                shore.refusal(&[]).await
            },
        ),
        row(
            "host key revoked",
            party,
            "ask its administrator",
            &["revoked", "known_hosts:2"],
            async {
                let shore = Shore::new().await;
                let known = fs::read_to_string(shore.file("known_hosts")).unwrap();
                fs::write(
                    shore.file("known_hosts"),
                    format!("{known}@revoked {known}"),
                )
                .unwrap();
                shore.refusal(&[]).await
            },
        ),
        row(
            "host certificate expired",
            party,
            "renew it",
            &["expired", "known_hosts:1"],
            async { certified("127.0.0.1", 1_000_000_000, false).await },
        ),
        row(
            "host certificate for another host",
            party,
            "HostKeyAlias",
            &["ftp.example.org"],
            async { certified("ftp.example.org", u64::MAX, false).await },
        ),
        row(
            "authority of the host certificate revoked",
            party,
            "ask its administrator",
            &["revoked"],
            async { certified("127.0.0.1", u64::MAX, true).await },
        ),
    ]
}

/// The program's output about a server that shows a host certificate.
async fn certified(principal: &str, valid_before: u64, revoked: bool) -> String {
    let authority = KeyPair::generate(None).unwrap();
    let shore = Shore::with(|o| {
        o.host_certificate = Some(HostCertificate {
            authority: authority.private.clone(),
            principal: principal.to_owned(),
            valid_before,
        });
    })
    .await;
    let mut known = format!("@cert-authority * {}\n", authority.public);
    if revoked {
        known.push_str(&format!("@revoked * {}\n", authority.public));
    }
    fs::write(shore.file("known_hosts"), known).unwrap();
    shore.refusal(&[]).await
}
