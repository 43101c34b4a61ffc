//! A key, or a certificate with its key, as it is offered to a server: one that the agent holds or
//! one from a file.

use std::sync::Arc;

use russh::{
    SendError, Signer as Signs,
    client::{AuthResult, Handle},
    keys::{
        Algorithm, Certificate, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey,
        agent::AgentIdentity,
        signature::Signer as _,
        ssh_key::{Signature, encoding::Encode},
    },
};

use super::agent::{Agent, Unsigned};
use crate::ssh::{algorithms::allows_signatures, connection::events::Events, settings::Settings};

/// Something to log in with.
#[derive(Clone)]
pub(super) struct Credential {
    /// What can sign.
    pub(super) holder: Holder,
    /// Shown in place of the bare key.
    pub(super) certificate: Option<Box<Certificate>>,
}

/// Where the private key is.
#[derive(Clone)]
pub(super) enum Holder {
    Agent(Box<AgentIdentity>),
    File(Arc<PrivateKey>),
}

impl Credential {
    /// Logs in with it. Keeps a connection to the agent in `open`.
    pub(super) async fn offer(
        &self,
        handle: &mut Handle<Events>,
        settings: &Settings,
        open: &mut Option<Agent>,
    ) -> Result<AuthResult, Unsigned> {
        let user = settings.user.as_str();
        match (&self.holder, &self.certificate) {
            (Holder::File(key), None) => {
                let hash = rsa_hash(handle, settings, &key.algorithm()).await;
                let key = PrivateKeyWithHashAlg::new(Arc::clone(key), hash);
                let result = handle.authenticate_publickey(user, key).await;
                result.map_err(|_| Unsigned)
            }
            (Holder::File(key), Some(certificate)) => {
                let hash = rsa_hash(handle, settings, &key.algorithm()).await;
                let certificate = certificate.as_ref().clone();
                let mut signer = KeySigner(key);
                handle
                    .authenticate_certificate_with(user, certificate, hash, &mut signer)
                    .await
            }
            (Holder::Agent(identity), certificate) => {
                if open.is_none() {
                    let path = settings.agent.as_deref().ok_or(Unsigned)?;
                    *open = Some(Agent::connect(path).await.map_err(|_| Unsigned)?);
                }
                let hash = rsa_hash(handle, settings, &identity.public_key().algorithm()).await;
                let agent = open.as_mut().ok_or(Unsigned)?;
                let certificate = certificate.as_deref();
                agent
                    .authenticate(handle, user, identity, certificate, hash)
                    .await
            }
        }
    }
}

/// Shows a key or a certificate to a server, without a signature.
pub(super) async fn probe(
    handle: &mut Handle<Events>,
    settings: &Settings,
    public: PublicKey,
    certificate: Option<&Certificate>,
) -> Result<AuthResult, Probed> {
    let user = settings.user.as_str();
    let hash = rsa_hash(handle, settings, &public.algorithm()).await;
    match certificate {
        None => {
            handle
                .authenticate_publickey_with(user, public, hash, &mut Probe)
                .await
        }
        Some(certificate) => {
            let certificate = certificate.clone();
            handle
                .authenticate_certificate_with(user, certificate, hash, &mut Probe)
                .await
        }
    }
}

/// A signer that signs nothing: it finds out whether the server would take a key.
struct Probe;

/// How a probe ended, other than with a refusal.
pub(super) enum Probed {
    /// The connection is gone.
    Ended,
    /// The server would take the key.
    Wanted,
}

impl From<SendError> for Probed {
    fn from(_: SendError) -> Self {
        Self::Ended
    }
}

impl Signs for Probe {
    type Error = Probed;

    async fn auth_sign(
        &mut self,
        _: &AgentIdentity,
        _: Option<HashAlg>,
        _: Vec<u8>,
    ) -> Result<Vec<u8>, Probed> {
        Err(Probed::Wanted)
    }
}

/// Signs for a certificate with a key from a file. russh has its own way to do that, which signs
/// for RSA certificates under the name that stands for SHA-1; servers refuse that name.
struct KeySigner<'a>(&'a PrivateKey);

impl Signs for KeySigner<'_> {
    type Error = Unsigned;

    async fn auth_sign(
        &mut self,
        _: &AgentIdentity,
        hash: Option<HashAlg>,
        mut data: Vec<u8>,
    ) -> Result<Vec<u8>, Unsigned> {
        let signed: Result<Signature, _> = match self.0.key_data().rsa() {
            Some(rsa) => (rsa, hash).try_sign(&data),
            None => self.0.try_sign(&data),
        };
        let signature = signed.map_err(|_| Unsigned)?;
        // The data followed by the signature, as a string (RFC 4252 section 7).
        signature.encode_prefixed(&mut data).map_err(|_| Unsigned)?;
        Ok(data)
    }
}

/// The hash for signatures with an RSA key; `None` is SHA-1. A server that does not say what it takes is
/// given SHA-512. A server that only knows SHA-1 is older than 2016, and is given SHA-1 only where the user
/// allowed it.
async fn best_rsa_hash(handle: &Handle<Events>, settings: &Settings) -> Option<HashAlg> {
    let sha1 = allows_signatures(settings, &Algorithm::Rsa { hash: None });
    match handle.best_supported_rsa_hash().await {
        Ok(Some(None)) | Ok(None) | Err(_) if sha1 => None,
        Ok(Some(Some(hash))) => Some(hash),
        Ok(Some(None)) | Ok(None) | Err(_) => Some(HashAlg::Sha512),
    }
}

async fn rsa_hash(
    handle: &Handle<Events>,
    settings: &Settings,
    algorithm: &Algorithm,
) -> Option<HashAlg> {
    match matches!(algorithm, Algorithm::Rsa { .. }) {
        true => best_rsa_hash(handle, settings).await,
        false => None,
    }
}
