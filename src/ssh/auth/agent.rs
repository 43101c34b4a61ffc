//! The authentication agent (`SSH_AUTH_SOCK`).

use std::path::Path;

use russh::{
    SendError, Signer,
    client::{AuthResult, Handle},
    keys::{
        Certificate, HashAlg,
        agent::{
            AgentIdentity,
            client::{AgentClient, AgentStream},
        },
    },
};
use tokio::time::{Duration, timeout};

use crate::ssh::connection::events::Events;

/// Nothing was signed: the agent would not, or the connection is gone.
pub(super) struct Unsigned;

impl From<SendError> for Unsigned {
    fn from(_: SendError) -> Self {
        Self
    }
}

/// A connection to the agent.
pub(super) struct Agent {
    client: AgentClient<Box<dyn AgentStream + Send + Unpin>>,
}

impl Agent {
    /// Connects to the agent's socket (a named pipe on Windows).
    pub(super) async fn connect(path: &Path) -> Result<Self, russh::keys::Error> {
        #[cfg(unix)]
        let client = AgentClient::connect_uds(path).await?.dynamic();
        #[cfg(windows)]
        let client = AgentClient::connect_named_pipe(path).await?.dynamic();
        Ok(Self { client })
    }

    /// The keys that it holds; none where it does not answer.
    pub(super) async fn identities(&mut self) -> Vec<AgentIdentity> {
        match timeout(ANSWER_TIMEOUT, self.client.request_identities()).await {
            Ok(Ok(identities)) => identities,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the agent does not tell its keys");
                Vec::new()
            }
            Err(_) => {
                tracing::warn!("the agent does not answer");
                Vec::new()
            }
        }
    }

    /// Logs in with a key of the agent, or with a certificate for that key. The error says that the
    /// agent would not sign, or that the connection is gone.
    pub(super) async fn authenticate(
        &mut self,
        handle: &mut Handle<Events>,
        user: &str,
        identity: &AgentIdentity,
        certificate: Option<&Certificate>,
        hash: Option<HashAlg>,
    ) -> Result<AuthResult, Unsigned> {
        let mut signer = AsIdentity {
            client: &mut self.client,
            identity,
        };
        match certificate {
            None => {
                let key = identity.public_key().into_owned();
                handle
                    .authenticate_publickey_with(user, key, hash, &mut signer)
                    .await
            }
            Some(certificate) => {
                let certificate = certificate.clone();
                handle
                    .authenticate_certificate_with(user, certificate, hash, &mut signer)
                    .await
            }
        }
    }
}

/// Has the agent sign as the identity that it holds. Asked by a certificate that it does not hold, the agent
/// would not find the key.
struct AsIdentity<'a> {
    client: &'a mut AgentClient<Box<dyn AgentStream + Send + Unpin>>,
    identity: &'a AgentIdentity,
}

impl Signer for AsIdentity<'_> {
    type Error = Unsigned;

    async fn auth_sign(
        &mut self,
        _: &AgentIdentity,
        hash: Option<HashAlg>,
        data: Vec<u8>,
    ) -> Result<Vec<u8>, Unsigned> {
        let signed = self.client.sign_request(self.identity, hash, data).await;
        signed.map_err(|error| {
            tracing::debug!(%error, "the agent did not sign");
            Unsigned
        })
    }
}

const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
