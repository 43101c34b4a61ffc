//! Which keys and certificates are offered to a server, and in which order.
//!
//! The order is ssh's: certificates, keys of the agent that are named (`-i`, `IdentityFile`), other keys of
//! the agent, key files. There is one difference: key files that the user named come before the agent's other
//! keys, because a server that allows few tries cuts off a client that has many keys.

use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use russh::keys::{Certificate, HashAlg, PublicKey, agent::AgentIdentity};

use super::{
    credential::{Credential, Holder},
    keys::{KeyFile, LockedKey, Unusable, public_half_of},
};
use crate::{
    bounded_file::{KEY_LIMIT, read_text},
    ssh::{
        algorithms::may_sign,
        error::escaped,
        settings::{Identity, Settings},
    },
};

/// One thing to offer.
pub(super) struct Candidate {
    pub(super) what: What,
    /// The text for the list of what was tried.
    pub(super) shown: String,
}

pub(super) enum What {
    /// Ready to be offered.
    Ready(Credential),
    /// From a file that needs a passphrase.
    Locked(Arc<LockedKey>, Option<Box<Certificate>>),
    /// Cannot be offered, for the reason in `shown`, and with what mends that, where it is known.
    Unusable(Option<String>),
}

impl Candidate {
    /// The same candidate. It is not usable where the settings (`PubkeyAcceptedAlgorithms`) do not let it
    /// sign.
    pub(super) fn within(self, settings: &Settings) -> Self {
        let algorithm = match &self.what {
            What::Ready(credential) => Some(match &credential.holder {
                Holder::Agent(identity) => identity.public_key().algorithm(),
                Holder::File(key) => key.algorithm(),
            }),
            What::Locked(key, _) => key.public_key().map(PublicKey::algorithm),
            What::Unusable(_) => None,
        };
        match algorithm {
            Some(algorithm) if !may_sign(settings, &algorithm) => unusable(format!(
                "{} (not allowed by PubkeyAcceptedAlgorithms)",
                self.shown
            )),
            _ => self,
        }
    }
}

/// A key file that was named, or is looked for by default, and what belongs to it.
pub(super) struct Named {
    path: PathBuf,
    explicit: bool,
    file: Result<KeyFile, Unusable>,
    public: Option<PublicKey>,
    /// `KEY-cert.pub`
    certificate: Option<Certificate>,
}

/// Certificates given by themselves (`CertificateFile`), and the key files. Blocking.
pub(super) struct Files {
    certificates: Vec<(PathBuf, Result<Certificate, String>)>,
    named: Vec<Named>,
}

impl Files {
    /// Reads all of the files.
    pub(super) fn read(settings: &Settings) -> Self {
        let read = |path: &PathBuf| {
            let certificate = load_certificate(path).map_err(|error| error.to_string());
            (path.clone(), certificate)
        };
        Self {
            certificates: settings.certificates.iter().map(read).collect(),
            named: settings.identities.iter().map(Named::read).collect(),
        }
    }

    /// All candidates, in order.
    pub(super) fn candidates(
        &self,
        held: &[AgentIdentity],
        identities_only: bool,
    ) -> VecDeque<Candidate> {
        let rank = |identity: &AgentIdentity| {
            let key = identity.public_key();
            let is_it = |n: &Named| n.public.as_ref().is_some_and(|p| same(p, &key));
            self.named.iter().position(is_it).unwrap_or(usize::MAX)
        };
        let (mut known, others): (Vec<_>, Vec<_>) = held
            .iter()
            .partition(|identity| rank(identity) != usize::MAX);
        known.sort_by_key(|identity| rank(identity));

        let mut all = VecDeque::new();
        for (path, certificate) in &self.certificates {
            all.push_back(match certificate {
                Ok(certificate) => self.certified(path, certificate, held),
                Err(error) => unusable(format!(
                    "certificate {} (not usable: {error})",
                    path.display()
                )),
            });
        }
        for named in &self.named {
            if let Some(certificate) = &named.certificate {
                all.push_back(self.certified(&beside(&named.path, CERT), certificate, held));
            }
        }
        all.extend(known.into_iter().map(of_agent));
        all.extend(self.files(true, held));
        if !identities_only {
            all.extend(others.into_iter().map(of_agent));
        }
        all.extend(self.files(false, held));
        all
    }

    /// A certificate from a file, with the holder of its key.
    fn certified(
        &self,
        path: &Path,
        certificate: &Certificate,
        held: &[AgentIdentity],
    ) -> Candidate {
        let shown = format!("certificate {}{}", path.display(), lapse(certificate));
        let key = PublicKey::from(certificate.public_key().clone());
        let certificate = Some(Box::new(certificate.clone()));
        // The bare key first: it can sign for any of its certificates, and any agent knows it.
        let mut holders: Vec<_> = held
            .iter()
            .filter(|identity| same(&identity.public_key(), &key))
            .collect();
        holders.sort_by_key(|identity| matches!(identity, AgentIdentity::Certificate { .. }));
        if let Some(identity) = holders.first() {
            let holder = Holder::Agent(Box::new((*identity).clone()));
            let what = What::Ready(Credential {
                holder,
                certificate,
            });
            return Candidate { what, shown };
        }
        let file = self
            .named
            .iter()
            .filter(|n| n.public.as_ref().is_some_and(|p| same(p, &key)))
            .find_map(|n| n.file.as_ref().ok());
        match file {
            Some(file) => of_file(file, certificate, shown),
            None => unusable(format!(
                "{shown} (no private key for it: name it with -i, or add it to the agent)"
            )),
        }
    }

    fn files(&self, explicit: bool, held: &[AgentIdentity]) -> impl Iterator<Item = Candidate> {
        let is_held = |n: &Named| {
            let public = n.public.as_ref();
            public.is_some_and(|p| held.iter().any(|i| same(&i.public_key(), p)))
        };
        self.named
            .iter()
            .filter(move |n| n.explicit == explicit && !is_held(n))
            .filter_map(|named| {
                let shown = format!("key {}", named.path.display());
                match &named.file {
                    Ok(file) => Some(of_file(file, None, shown)),
                    // Default files need not exist.
                    Err(file) if file.is_missing && !explicit => None,
                    Err(file) => Some(Candidate {
                        shown: format!("{shown} (not usable: {})", file.cause),
                        what: What::Unusable(file.remedy.clone()),
                    }),
                }
            })
            .collect::<Vec<_>>()
            .into_iter()
    }
}

impl Named {
    fn read(identity: &Identity) -> Self {
        let path = identity.path.clone();
        let file = KeyFile::read(&path);
        let of_file = file.as_ref().ok().and_then(|f| f.public_key().cloned());
        let certificate = match load_certificate(&beside(&path, CERT)) {
            Ok(certificate) => Some(certificate),
            Err(error) => {
                if beside(&path, CERT).exists() {
                    let path = beside(&path, CERT);
                    tracing::warn!(path = %path.display(), %error, "cannot use this certificate");
                }
                None
            }
        };
        Self {
            public: of_file.or_else(|| public_half_of(&path)),
            file,
            certificate,
            explicit: identity.explicit,
            path,
        }
    }
}

fn load_certificate(path: &Path) -> io::Result<Certificate> {
    Certificate::from_openssh(&read_text(path, KEY_LIMIT)?).map_err(io::Error::other)
}

fn of_agent(identity: &AgentIdentity) -> Candidate {
    let key = identity.public_key();
    let (kind, certificate) = match identity {
        AgentIdentity::PublicKey { .. } => ("key", None),
        AgentIdentity::Certificate { certificate, .. } => ("certificate", Some(certificate)),
    };
    let name = match identity.comment() {
        "" => key.fingerprint(HashAlg::Sha256).to_string(),
        comment => escaped(comment),
    };
    let lapse = certificate.map(lapse).unwrap_or_default();
    Candidate {
        shown: format!("agent {kind} {name}{lapse}"),
        what: What::Ready(Credential {
            holder: Holder::Agent(Box::new(identity.clone())),
            certificate: certificate.cloned().map(Box::new),
        }),
    }
}

fn of_file(file: &KeyFile, certificate: Option<Box<Certificate>>, shown: String) -> Candidate {
    let what = match file {
        KeyFile::Open(key) => What::Ready(Credential {
            holder: Holder::File(Arc::clone(key)),
            certificate,
        }),
        KeyFile::Locked(key) => What::Locked(Arc::clone(key), certificate),
        KeyFile::Hardware(_) => {
            return unusable(format!(
                "{shown} (it is on a security key, which only an agent can use: ssh-add it)"
            ));
        }
    };
    Candidate { what, shown }
}

fn unusable(shown: String) -> Candidate {
    let what = What::Unusable(None);
    Candidate { what, shown }
}

/// What the server will object to, so that the refusal says it, too.
fn lapse(certificate: &Certificate) -> &'static str {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default().as_secs();
    if certificate.cert_type().is_host() {
        " (one for hosts)"
    } else if now >= certificate.valid_before() {
        " (expired)"
    } else if now < certificate.valid_after() {
        " (not valid yet)"
    } else {
        ""
    }
}

/// Whether two keys are the same. The comment does not count.
fn same(a: &PublicKey, b: &PublicKey) -> bool {
    a.key_data() == b.key_data()
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

const CERT: &str = "-cert.pub";
