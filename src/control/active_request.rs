//! A PORT or EPRT on its way: its remote forward, the line that names it, and the server's refusals.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use ferryline_grammar::{ExtendedAddress, HostPort};

use super::{
    event::{DataCommand, DataCommands, ForwardId},
    pending_lines::BufferedReply,
};

/// State of one PORT or EPRT.
#[derive(Debug)]
pub(super) struct ActiveRequest {
    extended: bool,
    deliver_to: SocketAddr,
    forward: RemoteForward,
    /// The server's reply to the previous form.
    refusal: BufferedReply,
    /// Why the data connection over the forward was lost, where that was before the server's answer.
    lost: Option<&'static str>,
}

/// The remote forward that was asked for last, and the form that names it to the server.
#[derive(Debug)]
enum RemoteForward {
    None,
    Opening {
        id: ForwardId,
        form: ActiveForm,
    },
    Stands {
        id: ForwardId,
        form: ActiveForm,
        address: SocketAddr,
    },
}

/// Form in which an active data port is named to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ActiveForm {
    Port,
    EprtIpv4,
    EprtIpv6,
}

impl ActiveForm {
    /// Loopback address of the SSH server's host that goes with the form.
    pub(super) fn bind(self) -> IpAddr {
        match self {
            Self::Port | Self::EprtIpv4 => IpAddr::from([127, 0, 0, 1]),
            Self::EprtIpv6 => std::net::Ipv6Addr::LOCALHOST.into(),
        }
    }

    /// The form to try where the server refuses this one. `one_family`: the forward's address is given, and
    /// an address of another family might be another host's.
    pub(super) fn next(self, one_family: bool) -> Option<Self> {
        match self {
            Self::EprtIpv4 => Some(Self::Port),
            Self::Port if one_family => None,
            Self::Port => Some(Self::EprtIpv6),
            Self::EprtIpv6 => None,
        }
    }
}

impl ActiveRequest {
    /// `extended`: the client's own verb was EPRT. `deliver_to`: the client's listener.
    pub(super) fn new(extended: bool, deliver_to: SocketAddr) -> Self {
        Self {
            extended,
            deliver_to,
            forward: RemoteForward::None,
            refusal: BufferedReply::default(),
            lost: None,
        }
    }

    /// Whether the client's own verb was EPRT.
    pub(super) fn is_extended(&self) -> bool {
        self.extended
    }

    /// The client's command.
    pub(super) fn command(&self) -> DataCommand {
        match self.extended {
            true => DataCommand::Eprt,
            false => DataCommand::Port,
        }
    }

    /// The client's command, and the one that names the forward to the server in this form.
    pub(super) fn commands(&self, form: ActiveForm) -> DataCommands {
        let server = match form {
            ActiveForm::Port => DataCommand::Port,
            ActiveForm::EprtIpv4 | ActiveForm::EprtIpv6 => DataCommand::Eprt,
        };
        DataCommands {
            client: self.command(),
            server,
        }
    }

    /// The client's listener.
    pub(super) fn deliver_to(&self) -> SocketAddr {
        self.deliver_to
    }

    /// Remote forward that was asked for last.
    pub(super) fn forward(&self) -> Option<ForwardId> {
        match self.forward {
            RemoteForward::None => None,
            RemoteForward::Opening { id, .. } | RemoteForward::Stands { id, .. } => Some(id),
        }
    }

    /// Form that names the port to the server, now or soon.
    pub(super) fn form(&self) -> Option<ActiveForm> {
        match self.forward {
            RemoteForward::None => None,
            RemoteForward::Opening { form, .. } | RemoteForward::Stands { form, .. } => Some(form),
        }
    }

    /// Address of the remote forward, once it stands.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match self.forward {
            RemoteForward::Stands { address, .. } => Some(address),
            _ => None,
        }
    }

    /// Notes that a remote forward is asked for, to be named in this form.
    pub(super) fn opens(&mut self, id: ForwardId, form: ActiveForm) {
        self.forward = RemoteForward::Opening { id, form };
        self.lost = None;
    }

    /// Notes that the remote forward stands.
    pub(super) fn stands(&mut self, address: SocketAddr) {
        if let RemoteForward::Opening { id, form } = self.forward {
            self.forward = RemoteForward::Stands { id, form, address };
        }
    }

    /// Names the remote forward that stands in another form.
    pub(super) fn rename(&mut self, to: ActiveForm) {
        if let RemoteForward::Stands { form, .. } = &mut self.forward {
            *form = to;
        }
    }

    /// Line for the server, once the forward stands.
    pub(super) fn line(&self) -> Option<Bytes> {
        let RemoteForward::Stands { form, address, .. } = self.forward else {
            return None;
        };
        let (address, port) = (address.ip(), address.port());
        let line = match (form, address) {
            (ActiveForm::Port, IpAddr::V4(address)) => {
                format!("PORT {}\r\n", HostPort { address, port })
            }
            _ => format!("EPRT {}\r\n", ExtendedAddress { address, port }),
        };
        Some(Bytes::from(line))
    }

    /// Buffers a line of the server's refusal. The last refusal replaces earlier ones.
    pub(super) fn buffer_refusal(&mut self, line: Bytes, first: bool) {
        if first {
            self.refusal = BufferedReply::default();
        }
        self.refusal.push(line);
    }

    /// Whether the server has refused it in one form.
    pub(super) fn was_refused(&self) -> bool {
        !self.refusal.is_empty()
    }

    /// Takes the server's last refusal.
    pub(super) fn take_refusal(&mut self) -> Vec<Bytes> {
        self.refusal.take()
    }

    /// Notes that the data connection over the forward was lost.
    pub(super) fn lose(&mut self, reason: &'static str) {
        self.lost = Some(reason);
    }

    /// Why the data connection was lost, if it was.
    pub(super) fn lost(&self) -> Option<&'static str> {
        self.lost
    }
}
