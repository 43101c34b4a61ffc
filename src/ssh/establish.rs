//! Making one SSH connection: TCP, key exchange, host key, log-in; and the events it brings.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, OnceLock};

use russh::client::{
    self, ChannelOpenHandle, Config, DisconnectReason, Handle, Handler, Msg, Session,
};
use russh::keys::PublicKeyOrCertificate;
use russh::{Channel, ChannelId, ChannelOpenFailure, Preferred, SshId, cipher, compression};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::auth::{self, Login};
use super::connection::{Connection, Shared, lock};
use super::error::{Error, escaped};
use super::forward::Arrival;
use super::host_keys::{Judge, Trust};
use super::prompt::{Patience, Prompt};
use super::settings::Settings;
use super::transport;

/// What a connection is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Role {
    /// Control channels: small lines, many channels.
    Control,
    /// Data: few channels, as fast as they go.
    Data,
}

/// Makes connections to one destination: the first one finds out how, further ones do the same.
pub(super) struct Dialer {
    settings: Arc<Settings>,
    prompt: Arc<dyn Prompt>,
    known: OnceLock<Known>,
}

/// What the first connection found out.
struct Known {
    login: Login,
    host_key: russh::keys::PublicKey,
}

impl Dialer {
    pub(super) fn new(settings: Settings, prompt: Arc<dyn Prompt>) -> Self {
        Self {
            settings: Arc::new(settings),
            prompt,
            known: OnceLock::new(),
        }
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Connects, verifies the host key and logs in. Only the first time somebody may be asked.
    pub(super) async fn dial(&self, role: Role) -> Result<Arc<Connection>, Error> {
        let settings = &self.settings;
        let cut = CancellationToken::new();
        let failed = cut.clone().drop_guard();
        let socket = transport::connect(settings, &cut).await?;
        let patience = Arc::new(Patience::new(settings.connect_timeout));
        let known = self.known.get();
        let judge = Judge {
            settings: Arc::clone(settings),
            prompt: Arc::clone(&self.prompt),
            patience: Arc::clone(&patience),
            pinned: known.map(|k| k.host_key.clone()),
        };
        let shared = Shared::new(cut);
        let trust = Arc::new(OnceLock::new());
        let judge = Arc::new(judge);
        let config = Arc::new(config(settings, role, &judge).await);
        let events = Events {
            shared: Arc::clone(&shared),
            judge,
            trust: Arc::clone(&trust),
            refused: Arc::default(),
        };
        let refused = Arc::clone(&events.refused);
        let opening = async {
            let mut handle = client::connect_stream(config, socket, events)
                .await
                .map_err(|error| match lock(&refused).take() {
                    Some(refused) => refused,
                    None => self.handshake_error(&error.0),
                })?;
            let passwords = trust.get() == Some(&Trust::Full);
            let login = self.log_in(&mut handle, &patience, passwords).await?;
            Ok((handle, login))
        };
        let (handle, login) = match patience.bound(opening).await {
            Some(opened) => opened?,
            None => {
                return Err(Error::Timeout {
                    host: settings.host.clone(),
                    port: settings.port,
                    what: "let us in",
                    seconds: settings.connect_timeout.as_secs(),
                });
            }
        };
        if let (Some(login), Some(host_key)) = (login, shared.host_key().get()) {
            let host_key = host_key.clone();
            let _ = self.known.set(Known { login, host_key });
        }
        DropGuard::disarm(failed);
        Ok(Connection::new(handle, shared))
    }

    async fn log_in(
        &self,
        handle: &mut Handle<Events>,
        patience: &Patience,
        passwords: bool,
    ) -> Result<Option<Login>, Error> {
        match self.known.get() {
            Some(known) => {
                auth::again(handle, &self.settings, &known.login).await?;
                Ok(None)
            }
            None => auth::first(handle, &self.settings, &self.prompt, patience, passwords)
                .await
                .map(Some),
        }
    }

    fn handshake_error(&self, error: &russh::Error) -> Error {
        let host = self.settings.host.clone();
        let port = self.settings.port;
        let reason = match error {
            russh::Error::Disconnect | russh::Error::HUP => "it hung up".to_owned(),
            error => escaped(&error.to_string()),
        };
        match error {
            russh::Error::Version => Error::NotSsh { host, port, reason },
            _ => Error::Handshake { host, port, reason },
        }
    }
}

/// The error type of the events; russh wants one of our own.
#[derive(Debug)]
pub(super) struct EventError(russh::Error);

impl From<russh::Error> for EventError {
    fn from(error: russh::Error) -> Self {
        Self(error)
    }
}

/// What russh calls when the server sends something. Each of these runs in the session loop and
/// returns at once; only the host key, which comes before all else, may take its time.
pub(super) struct Events {
    shared: Arc<Shared>,
    judge: Arc<Judge>,
    trust: Arc<OnceLock<Trust>>,
    refused: Arc<Mutex<Option<Error>>>,
}

impl Handler for Events {
    type Error = EventError;

    async fn check_server_key(
        &mut self,
        shown: &PublicKeyOrCertificate,
    ) -> Result<bool, EventError> {
        // Certificates are not offered, so none can come.
        let PublicKeyOrCertificate::PublicKey { key, .. } = shown else {
            return Ok(false);
        };
        let judge = Arc::clone(&self.judge);
        let asked = key.clone();
        let decided = tokio::task::spawn_blocking(move || judge.decide(&asked)).await;
        match decided {
            Ok(Ok(trust)) => {
                let _ = self.trust.set(trust);
                let _ = self.shared.host_key().set(key.clone());
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
        // Once is enough: further connections are shown the same.
        if self.judge.pinned.is_some() {
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
        if let Some(arrival) = Arrival::new(channel, reply, originator_address, originator_port) {
            self.shared
                .on_arrival(connected_address, connected_port, arrival);
        }
        Ok(())
    }

    // Nothing of the following was ever asked for. russh accepts them by default; dropping the
    // reply refuses.

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
                russh::Error::KeepaliveTimeout => "the SSH server does not answer".to_owned(),
                russh::Error::Disconnect | russh::Error::HUP => "it ended".to_owned(),
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
    /// However the session loop ended, nobody may wait for it any longer.
    fn drop(&mut self) {
        self.shared.mark_lost("it ended".to_owned());
    }
}

async fn config(settings: &Settings, role: Role, judge: &Arc<Judge>) -> Config {
    let judge = Arc::clone(judge);
    let preferred = tokio::task::spawn_blocking(move || judge.preferred(&Preferred::DEFAULT.key));
    let key = match preferred.await {
        Ok(preferred) => Cow::Owned(preferred),
        Err(_) => Preferred::DEFAULT.key,
    };
    Config {
        client_id: SshId::Standard(Cow::Borrowed(concat!(
            "SSH-2.0-ferryline_",
            env!("CARGO_PKG_VERSION")
        ))),
        preferred: Preferred {
            key,
            cipher: Cow::Borrowed(ciphers()),
            compression: Cow::Borrowed(&[compression::NONE]),
            ..Preferred::DEFAULT
        },
        window_size: match role {
            Role::Control => CONTROL_WINDOW,
            Role::Data => DATA_WINDOW,
        },
        maximum_packet_size: MAX_PACKET,
        keepalive_interval: settings.alive_interval,
        keepalive_max: settings.alive_count_max,
        nodelay: true,
        ..Config::default()
    }
}

/// AES-GCM is the fastest where the processor does AES, and the slowest where it does not.
fn ciphers() -> &'static [cipher::Name] {
    if has_aes() {
        &[
            cipher::AES_128_GCM,
            cipher::AES_256_GCM,
            cipher::CHACHA20_POLY1305,
            cipher::AES_128_CTR,
            cipher::AES_192_CTR,
            cipher::AES_256_CTR,
        ]
    } else {
        &[
            cipher::CHACHA20_POLY1305,
            cipher::AES_128_GCM,
            cipher::AES_256_GCM,
            cipher::AES_128_CTR,
            cipher::AES_192_CTR,
            cipher::AES_256_CTR,
        ]
    }
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
fn has_aes() -> bool {
    std::arch::is_x86_feature_detected!("aes") && std::arch::is_x86_feature_detected!("pclmulqdq")
}

#[cfg(target_arch = "aarch64")]
fn has_aes() -> bool {
    std::arch::is_aarch64_feature_detected!("aes")
}

#[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
fn has_aes() -> bool {
    false
}

const CONTROL_WINDOW: u32 = 2 * 1024 * 1024;
/// A download goes no faster than one window a round trip.
const DATA_WINDOW: u32 = 16 * 1024 * 1024;
/// The largest that russh does not complain about.
const MAX_PACKET: u32 = 65_535;
const MAX_BANNER_LINES: usize = 20;
