//! The way to an SSH server: by TCP, through a command, or through another SSH server.
//!
//! Every connection goes its whole way by itself: each data lane has a connection of its own to each jump
//! host. Sharing one would save a log-in there, but would defeat the purpose of lanes: russh hands received
//! data to a channel's reader inside its session loop, so a lane that stands still would stop the shared jump
//! connection, and with it all other lanes and the control connection. A lost jump connection takes down the
//! one connection that runs through it, which is then made anew with everything else that was lost. Where a
//! jump host refuses a further log-in (one-time passwords), there are no lanes, as with such a server without
//! a jump.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex},
    time::timeout,
};

use super::role::Role;
use crate::ssh::{
    connection::{
        channel::{Channel, ChannelReader, ChannelWriter, Received},
        handle::Connection,
        keep_alive::Hold,
        open::open,
        place::Place,
    },
    error::{Error, OpenError},
    settings::Settings,
    transport::{
        connect::connect,
        proxy_command::{self, ProxyCommand},
        stream::Stream,
    },
};

/// A [`Way`](crate::ssh::Way) to one destination, ready to be gone any number of times.
pub(super) enum PreparedWay {
    Command(String),
    Direct,
    Jump(Box<dyn JumpHost>),
}

/// An SSH server on the way to another one. It remembers its host key and log-in, so no person is asked
/// twice.
///
/// A trait, because it is dialled as the server is, and the way to it may lead through others.
pub(super) trait JumpHost: Send + Sync {
    fn settings(&self) -> &Settings;
    /// Makes a connection to it, at `place` where one is given.
    fn dial<'a>(&'a self, role: Role, place: Option<&'a Place>) -> Dialling<'a>;
    /// Whether a log-in that was refused, there or on the way there, may be tried again at some time.
    fn may_try_again(&self) -> bool;
    /// See [`Dialer::forget_log_in`](super::Dialer::forget_log_in).
    fn forget_log_in(&self);
    /// Whether a connection to the same place is sure to end on the same host.
    fn is_sure(&self) -> bool;
}

/// A connection that is being made.
pub(super) type Dialling<'a> =
    Pin<Box<dyn Future<Output = Result<Arc<Connection>, Error>> + Send + 'a>>;

/// A way that has been gone.
pub(super) struct Reached {
    pub(super) stream: Stream,
    /// The command that leads there; it can tell why it ended.
    pub(super) command: Option<ProxyCommand>,
    /// The place of the jump host that leads there.
    pub(super) hop: Option<Box<Place>>,
}

impl PreparedWay {
    /// See [`JumpHost::may_try_again`].
    pub(super) fn may_try_again(&self) -> bool {
        match self {
            Self::Command(_) | Self::Direct => true,
            Self::Jump(hop) => hop.may_try_again(),
        }
    }

    /// See [`JumpHost::forget_log_in`].
    pub(super) fn forget_log_in(&self) {
        match self {
            Self::Command(_) | Self::Direct => {}
            Self::Jump(hop) => hop.forget_log_in(),
        }
    }

    /// Whether a connection that goes to the same [`Place`] is sure to end on the same host.
    pub(super) fn is_sure(&self, settings: &Settings) -> bool {
        match self {
            Self::Command(_) => false,
            Self::Direct => true,
            Self::Jump(hop) => hop.is_sure() && settings.host.parse::<IpAddr>().is_ok(),
        }
    }

    /// Goes the way to the server of `settings`, or, where `place` is given, to that place, where another
    /// connection has ended up. A person may be asked only the `first` time.
    pub(super) async fn reach(
        &self,
        settings: &Settings,
        role: Role,
        first: bool,
        place: Option<&Place>,
    ) -> Result<Reached, Error> {
        let mut hop = None;
        let (stream, command) = match self {
            Self::Command(line) => {
                let (stream, command) =
                    proxy_command::start(line, first).map_err(|error| Error::ProxyCommand {
                        host: settings.host.clone(),
                        program: proxy_command::program(line),
                        reason: format!("cannot be started: {error}"),
                    })?;
                (Stream::Other(stream), Some(command))
            }
            Self::Direct => {
                let address = place.and_then(|place| place.peer);
                let impatient = role == Role::Control;
                (
                    Stream::Tcp(connect(settings, address, impatient).await?),
                    None,
                )
            }
            Self::Jump(host) => {
                let at = place.and_then(|place| place.hop.as_deref());
                let (channel, reached) = jump(&**host, settings, role, at).await?;
                hop = Some(Box::new(reached));
                (Stream::Other(Box::new(carried(channel))), None)
            }
        };
        Ok(Reached {
            stream,
            command,
            hop,
        })
    }
}

/// Logs in to a jump host and has it connect to the server.
async fn jump(
    host: &dyn JumpHost,
    settings: &Settings,
    role: Role,
    at: Option<&Place>,
) -> Result<(Channel, Place), Error> {
    let hop = host.settings().destination();
    let connection = host.dial(role, at).await.map_err(|error| match error {
        // The name of the nearest hop that failed says all.
        error @ (Error::AtJumpHost { .. } | Error::JumpForbidden { .. }) => error,
        error => Error::AtJumpHost {
            hop: hop.clone(),
            by_ssh: host.settings().by_ssh(),
            error: Box::new(error),
        },
    })?;
    let (host, port) = (settings.host.clone(), settings.port);
    let opening = open(&connection, &host, port, ORIGINATOR, Hold::default());
    let opened = timeout(settings.connect_timeout, opening).await;
    let error = match opened {
        Ok(Ok(channel)) => return Ok((channel, connection.place().clone())),
        Ok(Err(error)) => error,
        Err(_) => OpenError::Timeout,
    };
    let reason = match error {
        OpenError::Prohibited(said) => {
            return Err(Error::JumpForbidden {
                hop,
                host,
                port,
                said,
            });
        }
        OpenError::ConnectFailed(said) | OpenError::Other(said) => {
            format!("the jump host {hop} says: {said}")
        }
        OpenError::Away(_) | OpenError::Lost => {
            format!("the connection to the jump host {hop} is lost")
        }
        OpenError::Timeout => format!("the jump host {hop} did not get through to it in time"),
    };
    Err(Error::Connect {
        host,
        port,
        reason,
        refused: false,
    })
}

/// A channel as a stream that another SSH connection runs over. That connection tells ends apart by its own
/// protocol, so an end of file stands for all of them here.
fn carried(channel: Channel) -> DuplexStream {
    let (near, far) = duplex(SPOOL);
    let (from, to) = tokio::io::split(far);
    tokio::spawn(down(channel.reader, to));
    tokio::spawn(up(from, channel.writer));
    near
}

async fn down(mut reader: ChannelReader, mut to: WriteHalf<DuplexStream>) {
    loop {
        match reader.read().await {
            Received::Data(data) => {
                if to.write_all(&data).await.is_err() {
                    break;
                }
            }
            Received::Eof | Received::Closed => break,
            Received::Lost(reason) => {
                tracing::debug!(%reason, "the way through a jump host has ended");
                break;
            }
        }
    }
    let _ = to.shutdown().await;
}

async fn up(mut from: ReadHalf<DuplexStream>, mut writer: ChannelWriter) {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(READ);
        match from.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {
                if writer.write(buffer.split().freeze()).await.is_err() {
                    break;
                }
            }
        }
    }
    writer.close().await;
}

/// The originator of the connection, as the jump host is told; ssh says the same.
const ORIGINATOR: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), u16::MAX);
const SPOOL: usize = 256 * 1024;
const READ: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn q121_a_further_connection_goes_to_the_address_of_the_first() {
        let there = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = Place {
            peer: there.local_addr().ok(),
            hop: None,
        };
        let settings = Settings::new("no.such.name.invalid", 1, "u");
        let going = PreparedWay::Direct.reach(&settings, Role::Data, false, Some(&place));
        match going.await.unwrap().stream {
            Stream::Tcp(tcp) => assert_eq!(tcp.peer_addr().ok(), place.peer),
            Stream::Other(_) => panic!("no socket"),
        }
    }
}
