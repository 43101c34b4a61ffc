//! Whether to trust the host key that a server shows.

use std::{sync::Arc, time::SystemTime};

use russh::keys::{Algorithm, Certificate, HashAlg, PublicKey};

use super::{
    host_certs,
    known_hosts::{self, Found, Mark},
};
use crate::ssh::{
    error::Error,
    prompt::{Patience, Prompt},
    settings::{Settings, StrictHostKeyChecking},
};

/// Decides about the host key of one connection. Blocking: it reads files and may ask a person.
pub(crate) struct HostKeyVerifier {
    pub(crate) settings: Arc<Settings>,
    pub(crate) prompt: Arc<dyn Prompt>,
    pub(crate) patience: Arc<Patience>,
    /// The key that the first connection was shown; a further one must see the same.
    pub(crate) pinned: Option<PublicKey>,
}

impl HostKeyVerifier {
    /// Accepts or refuses the key, and stores it where the policy says so. A certificate whose authority is
    /// known stands for the key in it. Any other certificate is disregarded, as in ssh, and the key in it
    /// counts.
    pub(crate) fn verify(
        &self,
        key: &PublicKey,
        certificate: Option<&Certificate>,
    ) -> Result<(), Error> {
        let name = self.name();
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        if self.pinned.as_ref().is_some_and(|p| !same(p, key)) {
            return Err(Error::HostKeyDiffers { name, fingerprint });
        }
        let policy = self.settings.strict_host_key_checking;
        let verdict = match certificate {
            Some(certificate) => self.certified(key, certificate)?,
            None => self.verdict(key),
        };
        match verdict {
            Verdict::Known => Ok(()),
            Verdict::Revoked(at) => Err(Error::HostKeyRevoked {
                name,
                fingerprint,
                file: at.file,
                line: at.line,
            }),
            // The key was certified when it was first seen, and has been the same since.
            Verdict::Changed(_) if self.pinned.is_some() => Ok(()),
            // Refused whatever the policy: ssh forwards nothing then either, and all that passes here is for
            // forwards, FTP passwords first.
            Verdict::Changed(at) => Err(Error::HostKeyChanged {
                name,
                kind: key.algorithm().to_string(),
                fingerprint,
                file: at.file,
                line: at.line,
            }),
            // Accepted once in this session, whether or not it could be stored.
            Verdict::Unknown if self.pinned.is_some() => Ok(()),
            Verdict::Unknown => {
                let accepted = match policy {
                    StrictHostKeyChecking::AcceptNew | StrictHostKeyChecking::No => true,
                    StrictHostKeyChecking::Ask => self.ask(&name, key, &fingerprint),
                    StrictHostKeyChecking::Yes => false,
                };
                if !accepted {
                    return Err(Error::HostKeyUnknown {
                        name,
                        kind: key.algorithm().to_string(),
                        fingerprint,
                        searched: self.searched(),
                    });
                }
                self.remember(&name, key, &fingerprint);
                Ok(())
            }
        }
    }

    /// The host key algorithms to ask for, those of known keys first. Otherwise a server with several keys
    /// could show one that is not known, and look changed.
    pub(crate) fn preferred(&self, default: &[Algorithm]) -> Vec<Algorithm> {
        let known: Vec<Algorithm> = match &self.pinned {
            Some(key) => vec![key.algorithm()],
            None => {
                let mut entries = self.entries();
                if !entries.iter().any(|f| f.mark == Mark::Host) {
                    entries = self.entries_without_port();
                }
                let of_host = entries.iter().filter(|f| f.mark == Mark::Host);
                of_host.map(|f| f.key.algorithm()).collect()
            }
        };
        let is_known = |a: &Algorithm| known.iter().any(|k| same_kind(k, a));
        let (mut first, rest): (Vec<_>, Vec<_>) = default.iter().cloned().partition(is_known);
        first.extend(rest);
        first
    }

    /// The kinds of host certificates to ask for: none, unless an authority for this host is known.
    /// Further connections are to see the key of the first one, which needs no certificate.
    pub(crate) fn certificates(&self, default: &[Algorithm]) -> Vec<Algorithm> {
        let is_known = |entries: Vec<Found>| entries.iter().any(|f| f.mark == Mark::Authority);
        let wanted = self.pinned.is_none()
            && (is_known(self.entries()) || is_known(self.entries_without_port()));
        match wanted {
            true => default.to_vec(),
            false => Vec::new(),
        }
    }

    fn certified(&self, key: &PublicKey, certificate: &Certificate) -> Result<Verdict, Error> {
        let authority = certificate.signature_key();
        let of_authority = |f: &&Found| f.key.key_data() == authority;
        let entries = self.entries();
        let mut revoked = entries.iter().filter(|f| f.mark == Mark::Revoked);
        if let Some(at) = revoked.find(of_authority) {
            return Ok(Verdict::Revoked(at.clone()));
        }
        let more = self.entries_without_port();
        let mut authorities = entries
            .iter()
            .chain(&more)
            .filter(|f| f.mark == Mark::Authority);
        let known = self.verdict(key);
        let Some(at) = authorities.find(of_authority) else {
            return Ok(known);
        };
        if matches!(known, Verdict::Known | Verdict::Revoked(_)) {
            return Ok(known);
        }
        let alias = self.settings.host_key_alias.as_deref();
        let host = alias.unwrap_or(&self.settings.host);
        let Err(flaw) = host_certs::check(certificate, host, SystemTime::now()) else {
            return Ok(Verdict::Known);
        };
        let error = Error::HostCertificate {
            name: self.name(),
            reason: flaw.reason,
            remedy: flaw.remedy,
            file: at.file.clone(),
            line: at.line,
        };
        if self.settings.strict_host_key_checking != StrictHostKeyChecking::No {
            return Err(error);
        }
        tracing::warn!("{error} (disregarded because of StrictHostKeyChecking=no)");
        Ok(known)
    }

    /// The file and the line that has this key for this host, if one has.
    pub(crate) fn known_at(&self, key: &PublicKey) -> Option<(std::path::PathBuf, usize)> {
        let mut entries = self.entries();
        if self.settings.host_key_alias.is_none() {
            // As ssh does: see `known_without_port`.
            entries.extend(self.entries_without_port());
        }
        let found = entries
            .into_iter()
            .find(|f| f.mark == Mark::Host && same(&f.key, key));
        found.map(|at| (at.file, at.line))
    }

    fn verdict(&self, key: &PublicKey) -> Verdict {
        let entries = self.entries();
        let marked = |mark| entries.iter().filter(move |f| f.mark == mark);
        if let Some(at) = marked(Mark::Revoked).find(|f| same(&f.key, key)) {
            return Verdict::Revoked(at.clone());
        }
        if marked(Mark::Host).any(|f| same(&f.key, key)) {
            return Verdict::Known;
        }
        // A key of another kind counts as changed, too. Known kinds were asked for first, so an honest server
        // would have shown one of those; a man in the middle would rather not.
        let other = marked(Mark::Host)
            .find(|f| same_kind(&f.key.algorithm(), &key.algorithm()))
            .or_else(|| marked(Mark::Host).next());
        match other {
            Some(at) => Verdict::Changed(at.clone()),
            None if self.known_without_port(key) => Verdict::Known,
            None => Verdict::Unknown,
        }
    }

    /// Whether the key is known for the host on port 22. As in ssh, it is then good on another port, too.
    fn known_without_port(&self, key: &PublicKey) -> bool {
        let entries = self.entries_without_port();
        let mut of_host = entries.iter().filter(|f| f.mark == Mark::Host);
        of_host.any(|f| same(&f.key, key))
    }

    /// What is known of the host on port 22, where this is another port.
    fn entries_without_port(&self) -> Vec<Found> {
        if self.settings.host_key_alias.is_some() || self.settings.port == 22 {
            return Vec::new();
        }
        let name = known_hosts::lookup_name(&self.settings.host, 22);
        known_hosts::lookup(self.files(), &name)
    }

    fn ask(&self, name: &str, key: &PublicKey, fingerprint: &str) -> bool {
        if self.settings.batch_mode {
            return false;
        }
        let _asking = self.patience.asking();
        let mut text = format!(
            "The authenticity of host '{name}' can't be established.\n{} key fingerprint is {fingerprint}.\n\
             Are you sure you want to continue connecting (yes/no/[fingerprint])? ",
            short_kind(&key.algorithm())
        );
        for _ in 0..MAX_QUESTIONS {
            let Some(answer) = self.prompt.visible(&text) else {
                return false;
            };
            match answer.expose().trim() {
                said if said == fingerprint || said.eq_ignore_ascii_case("yes") => return true,
                "" => return false,
                said if said.eq_ignore_ascii_case("no") => return false,
                _ => "Please type 'yes', 'no' or the fingerprint: ".clone_into(&mut text),
            }
        }
        false
    }

    fn remember(&self, name: &str, key: &PublicKey, fingerprint: &str) {
        let Some(file) = self.settings.known_hosts.first() else {
            tracing::warn!(%name, %fingerprint, "accepted a new host key; no file to store it in");
            return;
        };
        match known_hosts::store(file, name, key) {
            Ok(()) => {
                tracing::info!(%name, %fingerprint, file = %file.display(), "stored a new host key");
            }
            Err(error) => {
                tracing::warn!(%name, file = %file.display(), %error, "cannot store the host key");
            }
        }
    }

    fn name(&self) -> String {
        match &self.settings.host_key_alias {
            Some(alias) => alias.to_ascii_lowercase(),
            None => known_hosts::lookup_name(&self.settings.host, self.settings.port),
        }
    }

    fn entries(&self) -> Vec<Found> {
        known_hosts::lookup(self.files(), &self.name())
    }

    fn files(&self) -> impl Iterator<Item = &std::path::PathBuf> {
        let settings = &self.settings;
        settings
            .known_hosts
            .iter()
            .chain(&settings.global_known_hosts)
    }

    fn searched(&self) -> String {
        let names: Vec<String> = self.files().map(|f| f.display().to_string()).collect();
        match names.as_slice() {
            [] => "any file (none is configured)".to_owned(),
            names => names.join(", "),
        }
    }
}

enum Verdict {
    Changed(Found),
    Known,
    Revoked(Found),
    Unknown,
}

/// Whether two keys are the same. The comment does not count.
fn same(a: &PublicKey, b: &PublicKey) -> bool {
    a.key_data() == b.key_data()
}

/// The kind of a key as ssh shows it to people.
fn short_kind(algorithm: &Algorithm) -> String {
    match algorithm {
        Algorithm::Dsa => "DSA".to_owned(),
        Algorithm::Ecdsa { .. } => "ECDSA".to_owned(),
        Algorithm::Ed25519 => "ED25519".to_owned(),
        Algorithm::Rsa { .. } => "RSA".to_owned(),
        other => other.to_string(),
    }
}

/// Whether two keys are of one kind: one RSA key serves several signature algorithms.
fn same_kind(a: &Algorithm, b: &Algorithm) -> bool {
    matches!((a, b), (Algorithm::Rsa { .. }, Algorithm::Rsa { .. })) || a == b
}

/// How often a person is asked whose answer is neither yes nor no.
const MAX_QUESTIONS: usize = 3;

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf, sync::Mutex, time::Duration};

    use russh::keys::{
        PrivateKey,
        key::safe_rng,
        ssh_key::certificate::{Builder, CertType},
    };

    use super::*;
    use crate::ssh::prompt::Secret;

    const A: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9dG4kjRhQTtWTVzd2t27+t0DEHBPW7iOD23TUiYLio";
    const B: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    const P256: &str = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBMxBTpMIGvo7CnordO7wP0QQRqpBwUjOLl4eMhfucfE1sjTYyK5wmTl1UqoSDS1PtRVTBdl+0+9pquFb46U7fwg=";

    struct Says(&'static str, Mutex<Vec<String>>);

    impl Prompt for Says {
        fn secret(&self, _: &str) -> Option<Secret> {
            None
        }
        fn visible(&self, text: &str) -> Option<Secret> {
            self.1.lock().unwrap().push(text.to_owned());
            Some(self.0.into())
        }
    }

    struct Case {
        _dir: tempfile::TempDir,
        file: PathBuf,
        verifier: HostKeyVerifier,
    }

    fn case(text: &str, policy: StrictHostKeyChecking) -> Case {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("known_hosts");
        fs::write(&file, text).unwrap();
        let mut settings = Settings::new("host", 22, "user");
        settings.known_hosts = vec![file.clone()];
        settings.strict_host_key_checking = policy;
        let verifier = HostKeyVerifier {
            settings: Arc::new(settings),
            prompt: Arc::new(Says("yes", Mutex::default())),
            patience: Arc::new(Patience::new(Duration::from_secs(1))),
            pinned: None,
        };
        Case {
            _dir: dir,
            file,
            verifier,
        }
    }

    fn key(text: &str) -> PublicKey {
        text.parse().unwrap()
    }

    #[test]
    fn known_unknown_and_changed() {
        use StrictHostKeyChecking::{AcceptNew, Yes};
        let c = case(&format!("other {B}\nhost {A}\n"), Yes);
        c.verifier.verify(&key(A), None).unwrap();
        let error = c.verifier.verify(&key(B), None).unwrap_err();
        let expected = format!("{}:2", c.file.display());
        assert!(error.to_string().contains(&expected), "{error}");

        let c = case("", Yes);
        let error = c.verifier.verify(&key(A), None).unwrap_err().to_string();
        assert!(error.contains(&c.file.display().to_string()), "{error}");
        assert!(error.contains("SHA256:"), "{error}");

        let c = case("", AcceptNew);
        c.verifier.verify(&key(A), None).unwrap();
        assert_eq!(fs::read_to_string(&c.file).unwrap(), format!("host {A}\n"));
        assert!(matches!(
            c.verifier.verify(&key(B), None),
            Err(Error::HostKeyChanged { line: 1, .. })
        ));
    }

    #[test]
    fn a_key_of_another_kind_is_no_way_round_a_known_one() {
        let c = case(&format!("host {A}\n"), StrictHostKeyChecking::AcceptNew);
        assert!(matches!(
            c.verifier.verify(&key(P256), None),
            Err(Error::HostKeyChanged { line: 1, .. })
        ));
    }

    #[test]
    fn revoked_wins_over_known_and_over_any_policy() {
        for policy in [StrictHostKeyChecking::No, StrictHostKeyChecking::Yes] {
            let c = case(&format!("host {A}\n@revoked * {A}\n"), policy);
            assert!(matches!(
                c.verifier.verify(&key(A), None),
                Err(Error::HostKeyRevoked { line: 2, .. })
            ));
        }
    }

    #[test]
    fn a_changed_key_is_refused_by_any_policy_and_not_stored() {
        for policy in [
            StrictHostKeyChecking::AcceptNew,
            StrictHostKeyChecking::Ask,
            StrictHostKeyChecking::No,
            StrictHostKeyChecking::Yes,
        ] {
            let c = case(&format!("host {A}\n"), policy);
            let refused = c.verifier.verify(&key(B), None).unwrap_err();
            assert!(matches!(refused, Error::HostKeyChanged { line: 1, .. }));
            assert_eq!(fs::read_to_string(&c.file).unwrap(), format!("host {A}\n"));
        }
    }

    #[test]
    fn asking_and_not_asking_in_batch_mode() {
        let mut c = case("", StrictHostKeyChecking::Ask);
        let says = Arc::new(Says("no", Mutex::default()));
        c.verifier.prompt = says.clone();
        assert!(c.verifier.verify(&key(A), None).is_err());
        let asked = says.1.lock().unwrap().clone();
        let [asked] = asked.as_slice() else {
            panic!("asked more than once: {asked:?}");
        };
        assert!(
            asked.contains("\nED25519 key fingerprint is SHA256:"),
            "{asked}"
        );
        let silent = Arc::new(Says("", Mutex::default()));
        c.verifier.prompt = silent.clone();
        assert!(c.verifier.verify(&key(A), None).is_err());
        assert_eq!(silent.1.lock().unwrap().len(), 1);
        // An answer that is neither is asked for again, but not for ever.
        let unsure = Arc::new(Says("SHA256:another", Mutex::default()));
        c.verifier.prompt = unsure.clone();
        assert!(c.verifier.verify(&key(A), None).is_err());
        assert_eq!(unsure.1.lock().unwrap().len(), MAX_QUESTIONS);
        c.verifier.prompt = Arc::new(Says("yes", Mutex::default()));
        Arc::make_mut(&mut c.verifier.settings).batch_mode = true;
        assert!(c.verifier.verify(&key(A), None).is_err());
        Arc::make_mut(&mut c.verifier.settings).batch_mode = false;
        assert!(c.verifier.verify(&key(A), None).is_ok());
    }

    #[test]
    fn further_connections_must_see_the_same_key() {
        let mut c = case(&format!("host {A}\nhost {B}\n"), StrictHostKeyChecking::Yes);
        c.verifier.pinned = Some(key(A));
        assert!(c.verifier.verify(&key(A), None).is_ok());
        assert!(matches!(
            c.verifier.verify(&key(B), None),
            Err(Error::HostKeyDiffers { .. })
        ));
    }

    /// A key that was accepted or certified once is asked about and stored no second time.
    #[test]
    fn the_key_of_the_first_connection_is_good_for_further_ones() {
        for (text, policy) in [
            (String::new(), StrictHostKeyChecking::Yes),
            (String::new(), StrictHostKeyChecking::AcceptNew),
            (format!("host {B}\n"), StrictHostKeyChecking::Yes),
        ] {
            let mut c = case(&text, policy);
            c.verifier.pinned = Some(key(A));
            c.verifier.verify(&key(A), None).unwrap();
            assert_eq!(fs::read_to_string(&c.file).unwrap(), text);
        }
    }

    /// Host key A with a certificate for `principal`, and the authority's key.
    fn certified(principal: &str) -> (Certificate, String) {
        let authority = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap();
        let subject = key(A).key_data().clone();
        let mut builder = Builder::new(vec![1; 32], subject, 1, u64::MAX >> 1).unwrap();
        builder.cert_type(CertType::Host).unwrap();
        builder.valid_principal(principal).unwrap();
        let certificate = builder.sign(&authority).unwrap();
        (certificate, authority.public_key().to_openssh().unwrap())
    }

    #[test]
    fn a_certificate_counts_where_its_authority_does() {
        use StrictHostKeyChecking::{No, Yes};
        let (good, authority) = certified("host");
        let decide = |text: String, policy, certificate| {
            case(&text, policy)
                .verifier
                .verify(&key(A), Some(certificate))
        };
        decide(format!("@cert-authority host {authority}\n"), Yes, &good).unwrap();
        for text in [
            format!("host {B}\n@cert-authority host {authority}\n@revoked * {authority}\n"),
            format!("@cert-authority host {authority}\n@revoked host {A}\n"),
        ] {
            let error = decide(text, No, &good).unwrap_err();
            assert!(matches!(error, Error::HostKeyRevoked { .. }), "{error}");
        }
        for text in [
            format!("@cert-authority host {B}\n@revoked * {B}\n"),
            format!("@cert-authority other {authority}\n"),
        ] {
            let error = decide(text, Yes, &good).unwrap_err();
            assert!(matches!(error, Error::HostKeyUnknown { .. }), "{error}");
        }
        // A key of the host is no authority.
        let error = decide(format!("host {authority}\n"), Yes, &good).unwrap_err();
        assert!(matches!(error, Error::HostKeyChanged { .. }), "{error}");
        let (of_another, authority) = certified("another");
        let text = format!("@cert-authority host {authority}\n");
        let error = decide(text.clone(), Yes, &of_another).unwrap_err();
        assert!(matches!(error, Error::HostCertificate { .. }), "{error}");
        decide(text, No, &of_another).unwrap();
    }

    #[test]
    fn certificates_are_asked_for_where_an_authority_is_known() {
        let kinds = [Algorithm::Ed25519];
        let asked = |mark: &str, change: fn(&mut HostKeyVerifier)| {
            let mut c = case(&format!("{mark}host {A}\n"), StrictHostKeyChecking::Yes);
            change(&mut c.verifier);
            c.verifier.certificates(&kinds)
        };
        let other_port =
            |verifier: &mut HostKeyVerifier| Arc::make_mut(&mut verifier.settings).port = 2222;
        assert_eq!(asked("@cert-authority ", |_| {}), kinds);
        assert_eq!(asked("@cert-authority ", other_port), kinds);
        assert_eq!(asked("", |_| {}), []);
        assert_eq!(asked("", other_port), []);
        assert_eq!(
            asked("@cert-authority ", |verifier| verifier.pinned =
                Some(key(A))),
            []
        );
    }

    #[test]
    fn the_line_of_a_known_key_is_found() {
        let text = format!("@revoked host {A}\nhost {B}\nhost {A}\n");
        let mut c = case(&text, StrictHostKeyChecking::Yes);
        assert_eq!(c.verifier.known_at(&key(A)), Some((c.file.clone(), 3)));
        assert_eq!(c.verifier.known_at(&key(P256)), None);
        Arc::make_mut(&mut c.verifier.settings).port = 2222;
        assert_eq!(c.verifier.known_at(&key(A)), Some((c.file.clone(), 3)));
        Arc::make_mut(&mut c.verifier.settings).host_key_alias = Some("alias".into());
        assert_eq!(c.verifier.known_at(&key(A)), None);
        assert!(c.verifier.verify(&key(A), None).is_err());
    }

    #[test]
    fn another_port_and_an_alias() {
        let mut c = case(
            &format!("host {A}\nalias {B}\n"),
            StrictHostKeyChecking::Yes,
        );
        Arc::make_mut(&mut c.verifier.settings).port = 2222;
        assert!(c.verifier.verify(&key(A), None).is_ok());
        assert!(matches!(
            c.verifier.verify(&key(B), None),
            Err(Error::HostKeyUnknown { name, .. }) if name == "[host]:2222"
        ));
        Arc::make_mut(&mut c.verifier.settings).host_key_alias = Some("Alias".into());
        assert!(c.verifier.verify(&key(B), None).is_ok());
    }

    #[test]
    fn kinds_that_are_known_are_asked_for_first() {
        let c = case(&format!("host {P256}\n"), StrictHostKeyChecking::Yes);
        let default = [
            key(A).algorithm(),
            Algorithm::Rsa { hash: None },
            key(P256).algorithm(),
        ];
        let order = c.verifier.preferred(&default);
        assert_eq!(order[0], key(P256).algorithm());
        assert_eq!(order.len(), 3);
    }
}
