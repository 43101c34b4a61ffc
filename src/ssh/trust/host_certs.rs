//! Host certificates (OpenSSH's PROTOCOL.certkeys): whether one is good for the host asked for.
//!
//! russh verifies that the certificate's key signed the key exchange. The code that looks up the authority in
//! the known hosts files decides whether it is trusted.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use russh::keys::{Certificate, HashAlg};

use crate::ssh::{error::escaped, glob::glob};

/// What is wrong with a certificate, and what to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Flaw {
    pub(super) reason: String,
    pub(super) remedy: &'static str,
}

/// Checks all but the trust in the authority. `name`: the host's name without a port, or its alias.
pub(super) fn check(certificate: &Certificate, name: &str, now: SystemTime) -> Result<(), Flaw> {
    let flaw = |reason: String, remedy| Err(Flaw { reason, remedy });
    if !certificate.cert_type().is_host() {
        return flaw("it is one for users".to_owned(), MAKE_ANEW);
    }
    if !is_signed(certificate) {
        return flaw("its signature is wrong".to_owned(), MAKE_ANEW);
    }
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    if let Some(left @ 1..) = certificate.valid_after().checked_sub(now) {
        let reason = format!("it is not valid for another {}", rough(left));
        return flaw(reason, "check the clocks of this host and the server's");
    }
    if let Some(past) = now.checked_sub(certificate.valid_before()) {
        return flaw(format!("it expired {} ago", rough(past)), RENEW);
    }
    // None at all means any (PROTOCOL.certkeys, "valid principals").
    let principals = certificate.valid_principals();
    let is_for = |p: &String| glob(&p.to_ascii_lowercase(), &name.to_ascii_lowercase());
    if !principals.is_empty() && !principals.iter().any(is_for) {
        let reason = format!("it is for {}", escaped(&principals.join(", ")));
        return flaw(
            reason,
            "connect to one of these names, or give one as HostKeyAlias",
        );
    }
    if let Some(option) = certificate.critical_options().0.keys().next() {
        let reason = format!("it has the critical option '{}'", escaped(option));
        return flaw(reason, MAKE_ANEW);
    }
    Ok(())
}

/// Whether it was signed by the key that it names. The library checks that together with the time,
/// so it is asked about a moment at which the certificate is valid.
fn is_signed(certificate: &Certificate) -> bool {
    let authority = certificate.signature_key().fingerprint(HashAlg::Sha256);
    let valid = certificate.valid_after();
    valid >= certificate.valid_before() || certificate.validate_at(valid, [&authority]).is_ok()
}

/// A length of time as a person would say it.
fn rough(seconds: u64) -> String {
    let (many, unit) = match Duration::from_secs(seconds).as_secs() {
        0..120 => (seconds, "second"),
        120..7_200 => (seconds / 60, "minute"),
        7_200..172_800 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    match many {
        1 => format!("1 {unit}"),
        many => format!("{many} {unit}s"),
    }
}

const MAKE_ANEW: &str = "have the server's administrator make it anew (ssh-keygen -s CA -h)";
const RENEW: &str = "have the server's administrator renew it";

#[cfg(test)]
mod tests {
    use russh::keys::{
        Algorithm, PrivateKey,
        key::safe_rng,
        ssh_key::certificate::{Builder, CertType},
    };

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// A certificate that is valid from 1000 to 2000, changed by `change`.
    fn made(change: impl FnOnce(&mut Builder)) -> Certificate {
        of_type(CertType::Host, change)
    }

    fn of_type(kind: CertType, change: impl FnOnce(&mut Builder)) -> Certificate {
        let key = || PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap();
        let (subject, authority) = (key(), key());
        let nonce = vec![1; 32];
        let mut builder =
            Builder::new(nonce, subject.public_key().key_data().clone(), 1000, 2000).unwrap();
        builder.cert_type(kind).unwrap();
        change(&mut builder);
        builder.sign(&authority).unwrap()
    }

    fn any(builder: &mut Builder) {
        builder.all_principals_valid().unwrap();
    }

    #[test]
    fn from_its_first_second_to_before_its_last() {
        let certificate = made(any);
        for (now, says) in [
            (999, "not valid for another 1 second"),
            (1000, ""),
            (1999, ""),
            (2000, "expired 0 seconds ago"),
            (2000 + 3 * 86_400, "expired 3 days ago"),
        ] {
            let reason =
                check(&certificate, "h", at(now)).map_or_else(|f| f.reason, |()| "".into());
            assert!(
                reason.contains(says) && reason.is_empty() == says.is_empty(),
                "{now}: {reason}"
            );
        }
    }

    #[test]
    fn for_the_names_it_lists_only() {
        let certificate = made(|b| {
            b.valid_principal("*.example.org").unwrap();
            b.valid_principal("ftp").unwrap();
        });
        for (name, good) in [
            ("a.example.org", true),
            ("A.Example.ORG", true),
            ("ftp", true),
            ("ftp2", false),
            ("example.org", false),
        ] {
            let checked = check(&certificate, name, at(1500));
            assert_eq!(checked.is_ok(), good, "{name}");
            if let Err(flaw) = checked {
                assert_eq!(flaw.reason, "it is for *.example.org, ftp");
                assert!(flaw.remedy.contains("HostKeyAlias"));
            }
        }
    }

    #[test]
    fn users_certificates_and_unknown_conditions_are_no_good() {
        let user = of_type(CertType::User, any);
        assert!(
            check(&user, "h", at(1500))
                .unwrap_err()
                .reason
                .contains("users")
        );
        let conditional = made(|b| {
            any(b);
            b.critical_option("only-on-sundays", "").unwrap();
        });
        let flaw = check(&conditional, "h", at(1500)).unwrap_err();
        assert!(flaw.reason.contains("only-on-sundays"));
    }

    #[test]
    fn a_byte_that_differs_is_noticed() {
        let whole = made(|b| {
            any(b);
            b.key_id("the-key-id").unwrap();
        });
        assert_eq!(check(&whole, "h", at(1500)), Ok(()));
        let mut bytes = whole.to_bytes().unwrap();
        let place = bytes.windows(10).position(|w| w == b"the-key-id").unwrap();
        bytes[place] = b'T';
        let forged = Certificate::from_bytes(&bytes).unwrap();
        let flaw = check(&forged, "h", at(1500)).unwrap_err();
        assert!(flaw.reason.contains("signature"), "{flaw:?}");
    }

    #[test]
    fn times_are_said_in_a_unit_that_fits() {
        for (seconds, said) in [
            (1, "1 second"),
            (119, "119 seconds"),
            (120, "2 minutes"),
            (7_199, "119 minutes"),
            (7_200, "2 hours"),
            (172_799, "47 hours"),
            (172_800, "2 days"),
        ] {
            assert_eq!(rough(seconds), said);
        }
    }
}
