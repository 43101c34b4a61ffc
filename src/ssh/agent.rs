//! The authentication agent (`SSH_AUTH_SOCK`).

use std::path::Path;

use russh::client::{AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::{AgentClient, AgentStream};
use tokio::time::{Duration, timeout};

use super::auth::best_rsa_hash;
use super::events::Events;
use super::settings::Settings;

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

    /// The keys it holds; none where it does not answer.
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

    /// Logs in with a key of the agent. The error says that the agent would not sign, or that the
    /// connection is gone.
    pub(super) async fn authenticate(
        &mut self,
        handle: &mut Handle<Events>,
        settings: &Settings,
        identity: &AgentIdentity,
    ) -> Result<AuthResult, ()> {
        let user = settings.user.as_str();
        let is_rsa = identity.public_key().algorithm().is_rsa();
        let hash = match is_rsa {
            true => best_rsa_hash(handle, settings).await,
            false => None,
        };
        let result = match identity {
            AgentIdentity::PublicKey { key, .. } => {
                let key = key.clone();
                handle
                    .authenticate_publickey_with(user, key, hash, &mut self.client)
                    .await
            }
            AgentIdentity::Certificate { certificate, .. } => {
                let certificate = certificate.clone();
                handle
                    .authenticate_certificate_with(user, certificate, hash, &mut self.client)
                    .await
            }
        };
        result.map_err(|error| tracing::debug!(%error, "the agent did not sign"))
    }
}

const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
