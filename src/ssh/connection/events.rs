//! What the SSH server sends, as russh reports it.

use std::{
    io,
    sync::{Arc, Mutex},
};

use russh::{
    Channel, ChannelId, ChannelOpenFailure,
    client::{ChannelOpenHandle, DisconnectReason, Handler, Msg, Session},
    keys::PublicKeyOrCertificate,
};

use super::{arrival::Arrival, shared::Shared};
use crate::{
    lock::lock,
    ssh::{
        error::{Error, SILENCE, escaped},
        findings::Findings,
        trust::host_keys::HostKeyVerifier,
    },
};

/// The error type of the events; russh wants one of our own.
#[derive(Debug)]
pub(crate) struct EventError(pub(crate) russh::Error);

impl From<russh::Error> for EventError {
    fn from(error: russh::Error) -> Self {
        Self(error)
    }
}

/// The callbacks that russh runs when the server sends something. Each runs in the session loop and returns
/// at once. Only the check of the host key, which comes before all else, may take its time.
pub(crate) struct Events {
    pub(crate) shared: Arc<Shared>,
    pub(crate) verifier: Arc<HostKeyVerifier>,
    /// Why the host key was refused.
    pub(crate) refused: Arc<Mutex<Option<Error>>>,
    pub(crate) findings: Findings,
}

impl Handler for Events {
    type Error = EventError;

    async fn check_server_key(
        &mut self,
        shown: &PublicKeyOrCertificate,
    ) -> Result<bool, EventError> {
        let verifier = Arc::clone(&self.verifier);
        let key = shown.public_key();
        let (asked, certificate) = (key.clone(), shown.certificate().cloned());
        let findings = self.findings.clone();
        let decided = tokio::task::spawn_blocking(move || {
            // Looked up first, because a new key may be stored.
            let known = verifier.known_at(&asked);
            verifier
                .verify(&asked, certificate.as_ref())
                .inspect(|_| findings.accepted(&asked, known))
        })
        .await;
        match decided {
            Ok(Ok(())) => {
                let _ = self.shared.host_key().set(key);
                Ok(true)
            }
            Ok(Err(error)) => {
                *lock(&self.refused) = Some(error);
                Ok(false)
            }
            Err(_) => Ok(false),
        }
    }

    async fn auth_banner(&mut self, banner: &str, _: &mut Session) -> Result<(), EventError> {
        // Logged once: further connections are shown the same banner.
        if self.verifier.pinned.is_some() {
            return Ok(());
        }
        for line in banner.lines().take(MAX_BANNER_LINES) {
            tracing::info!("the SSH server says: {}", escaped(line));
        }
        Ok(())
    }

    async fn channel_open_confirmation(
        &mut self,
        id: ChannelId,
        _: u32,
        _: u32,
        _: &mut Session,
    ) -> Result<(), EventError> {
        self.shared.on_confirmed(id);
        Ok(())
    }

    async fn channel_open_failure(
        &mut self,
        _: ChannelId,
        reason: ChannelOpenFailure,
        description: &str,
        _: &str,
        _: &mut Session,
    ) -> Result<(), EventError> {
        self.shared.on_refused(&reason, description);
        Ok(())
    }

    async fn channel_close(&mut self, id: ChannelId, _: &mut Session) -> Result<(), EventError> {
        self.shared.on_closed(id);
        Ok(())
    }

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        channel: Channel<Msg>,
        connected_address: &str,
        connected_port: u32,
        originator_address: &str,
        originator_port: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), EventError> {
        match Arrival::new(channel, reply, originator_address, originator_port) {
            Some(arrival) => self
                .shared
                .on_arrival(connected_address, connected_port, arrival),
            None => self
                .shared
                .on_unknown_origin(connected_port, originator_address),
        }
        Ok(())
    }

    // ferryline never asks for the following. russh accepts them by default; dropping the reply refuses.

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), EventError> {
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        _: Channel<Msg>,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), EventError> {
        Ok(())
    }

    async fn server_channel_open_session(
        &mut self,
        _: Channel<Msg>,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), EventError> {
        Ok(())
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), EventError> {
        Ok(())
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), EventError> {
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), EventError> {
        Ok(())
    }

    async fn disconnected(
        &mut self,
        reason: DisconnectReason<EventError>,
    ) -> Result<(), EventError> {
        let said = match &reason {
            DisconnectReason::ReceivedDisconnect(info) if info.message.is_empty() => {
                "the SSH server ended it".to_owned()
            }
            DisconnectReason::ReceivedDisconnect(info) => {
                format!("the SSH server ended it ({})", escaped(&info.message))
            }
            DisconnectReason::Error(EventError(error)) => match error {
                russh::Error::KeepaliveTimeout => SILENCE.to_owned(),
                // TCP_USER_TIMEOUT came before the keepalive replies were given up.
                russh::Error::IO(error) if error.kind() == io::ErrorKind::TimedOut => {
                    SILENCE.to_owned()
                }
                russh::Error::Disconnect | russh::Error::HUP => "it ended".to_owned(),
                russh::Error::IO(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    "its TCP connection was closed".to_owned()
                }
                error => escaped(&error.to_string()),
            },
        };
        self.shared.mark_lost(said);
        match reason {
            DisconnectReason::ReceivedDisconnect(_) => Ok(()),
            DisconnectReason::Error(error) => Err(error),
        }
    }
}

impl Drop for Events {
    /// Marks the connection as lost: however the session loop ended, no task may go on waiting for it.
    fn drop(&mut self) {
        self.shared.mark_lost("it ended".to_owned());
    }
}

const MAX_BANNER_LINES: usize = 20;
