//! Active data connections: PORT and EPRT, sent on with the address of a remote forward.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use bytes::Bytes;
use ferryline_grammar::{ExtendedAddress, HostPort};

use super::{
    answers::answer,
    data::{Forward, Way},
    event::{ForwardId, Notice, Output},
    key::Key,
    machine::Control,
    queue::{Exchange, Stage},
    request::{ActiveForm, Request},
    settings::{ActiveMode, LOWEST_DATA_PORT},
};

impl Control {
    /// Where the data of a PORT or EPRT is to be delivered, or why it is refused.
    ///
    /// The address only has to be the client's own; data goes to the control connection's address
    /// in any case, so that no address from the wire is ever connected to (Q50, Q77).
    pub(super) fn deliver_to(&self, named: IpAddr, port: u16) -> Result<SocketAddr, String> {
        let peer = unmapped(self.settings.client_peer.ip());
        let named = unmapped(named);
        let own = named == peer
            || named.is_unspecified()
            || (peer.is_loopback() && named.is_loopback() && named.is_ipv4() == peer.is_ipv4());
        if !own {
            return Err(format!(
                "{named} is not the address of this control connection ({peer})"
            ));
        }
        // Nobody's FTP client listens below; servers of other protocols do (RFC 2577 §3).
        if port < LOWEST_DATA_PORT {
            return Err(format!(
                "port {port}: ports below {LOWEST_DATA_PORT} are refused"
            ));
        }
        Ok(SocketAddr::new(peer, port))
    }

    /// A PORT or EPRT has its turn: asks for the remote forward that its line waits for.
    pub(super) fn open_active(&mut self, now: Duration, key: Key) {
        let by_remote = match self.settings.active {
            ActiveMode::Auto => self.has_remote_forwards() && !self.knowledge.active_as_passive,
            ActiveMode::Passive => false,
            ActiveMode::Remote => true,
        };
        if by_remote {
            let form = self.first_form(key);
            self.open_active_as(key, form);
        } else if let Some(deliver_to) = self.listener_of(key) {
            self.carry_as_passive(now, key, deliver_to);
        }
    }

    /// Whether a remote forward can be where the FTP server reaches it.
    pub(super) fn has_remote_forwards(&self) -> bool {
        self.settings.server_on_ssh_host || self.settings.remote_bind.is_some()
    }

    /// A transfer came to nothing, and nobody ever came to its forward. An SSH server may grant a
    /// forward on an address and yet listen on its loopback (sshd with `GatewayPorts no` does): then
    /// the FTP server cannot reach it, and that will not change.
    pub(super) fn active_unreached(&mut self, id: ForwardId, code: u16) {
        let Some(bind) = self.far_bind() else {
            return;
        };
        if self.settings.active != ActiveMode::Auto
            || !matches!(code, 425 | 426)
            || self.data.get(id).is_none_or(Forward::is_passive)
            || std::mem::replace(&mut self.knowledge.active_as_passive, true)
        {
            return;
        }
        self.outputs.push(Output::Learned(self.knowledge));
        self.outputs.notice(Notice::CarriedAsPassive(format!(
            "the FTP server did not reach the remote forward on {bind}; does sshd listen there \
             (GatewayPorts clientspecified)?"
        )));
    }

    /// The address for remote forwards that is not the SSH server's loopback.
    fn far_bind(&self) -> Option<IpAddr> {
        self.settings
            .remote_bind
            .filter(|_| !self.settings.server_on_ssh_host)
    }

    fn bind(&self, form: ActiveForm) -> IpAddr {
        self.far_bind().unwrap_or_else(|| form.bind())
    }

    pub(super) fn active_ready(&mut self, key: Key, address: SocketAddr) {
        if let Some(exchange) = self.queue.entry(key)
            && let Request::Active(active) = &mut exchange.request
        {
            active.address = Some(address);
        }
        self.send_active(key);
    }

    /// A remote forward ended before the server had answered the line that names it.
    pub(super) fn active_gone(&mut self, now: Duration, key: Key) {
        let waits = |exchange: &Exchange| matches!(exchange.stage, Stage::Waiting);
        if self.queue.get(key).is_some_and(waits) {
            self.give_up_active(now, key, "the remote forward was lost");
        }
    }

    /// The server accepted the line.
    pub(super) fn active_accepted(&mut self, key: Key) {
        let Some(exchange) = self.queue.entry(key) else {
            return;
        };
        if let Request::Active(active) = &exchange.request
            && let Some(id) = active.forward
        {
            let (order, lost) = (exchange.sent_seq, active.lost);
            self.use_forward(id, order);
            if let Some(reason) = lost {
                self.accepted_too_late(order, reason);
            }
        }
    }

    /// Whether the server's refusal of this line is to be answered by naming the port another way.
    /// 500, 501, 502 and 522 say that it is the form or the address that it does not take.
    pub(super) fn retries_port_form(&self, key: Key, code: u16) -> bool {
        matches!(code, 500 | 501 | 502 | 522)
            && (self.next_form(key).is_some() || self.settings.active == ActiveMode::Auto)
    }

    /// The server refused the line in this form: tries the next.
    pub(super) fn retry_port_form(&mut self, now: Duration, key: Key) {
        let Some(next) = self.next_form(key) else {
            self.active_refused(key);
            self.queue.asked_again();
            self.give_up_active(now, key, "the FTP server refuses active mode");
            return;
        };
        self.queue.asked_again();
        let bind = self.bind(next);
        let Some(exchange) = self.queue.entry(key) else {
            return;
        };
        let Request::Active(active) = &mut exchange.request else {
            return;
        };
        let (forward, told) = (active.forward, active.address);
        let stands = forward.is_some_and(|id| self.data.contains(id));
        if stands && told.is_some_and(|told| told.ip() == bind) {
            active.sent_as = Some(next);
            self.send_active_as(key, next);
        } else {
            if let Some(id) = forward {
                self.close_forward(id);
            }
            self.open_active_as(key, next);
        }
    }

    /// The server's final refusal: the forward goes.
    pub(super) fn active_refused(&mut self, key: Key) {
        let Some(exchange) = self.queue.entry(key) else {
            return;
        };
        if let Request::Active(active) = &exchange.request
            && let Some(id) = active.forward
        {
            self.close_forward(id);
        }
    }

    /// Notes the form that the server took after it had refused another.
    pub(super) fn learn_active_form(&mut self, key: Key) {
        let Some(exchange) = self.queue.get(key) else {
            return;
        };
        let Request::Active(active) = &exchange.request else {
            return;
        };
        if active.refusal.is_empty() {
            return;
        }
        let before = self.knowledge;
        match active.sent_as {
            Some(ActiveForm::EprtIpv6) => self.knowledge.active_over_ipv6 = true,
            Some(ActiveForm::Port) => self.knowledge.no_eprt = true,
            _ => {}
        }
        if before != self.knowledge {
            self.outputs.push(Output::Learned(self.knowledge));
        }
    }

    fn first_form(&self, key: Key) -> ActiveForm {
        let extended = self
            .queue
            .get(key)
            .is_some_and(|exchange| matches!(&exchange.request, Request::Active(a) if a.extended));
        let over_ipv6 = match self.far_bind() {
            Some(bind) => bind.is_ipv6(),
            None => self.knowledge.active_over_ipv6,
        };
        if over_ipv6 {
            ActiveForm::EprtIpv6
        } else if extended && (!self.knowledge.no_eprt || self.data.only_epsv()) {
            ActiveForm::EprtIpv4
        } else {
            ActiveForm::Port
        }
    }

    fn next_form(&self, key: Key) -> Option<ActiveForm> {
        let exchange = self.queue.get(key)?;
        let Request::Active(active) = &exchange.request else {
            return None;
        };
        match active.sent_as? {
            ActiveForm::EprtIpv4 => Some(ActiveForm::Port),
            // An address of another family would be another host's, as far as one knows.
            ActiveForm::Port if self.far_bind().is_some() => None,
            ActiveForm::Port => Some(ActiveForm::EprtIpv6),
            ActiveForm::EprtIpv6 => None,
        }
    }

    fn open_active_as(&mut self, key: Key, form: ActiveForm) {
        let id = self.data.add(Way::Active, key);
        let bind = self.bind(form);
        let Some(exchange) = self.queue.entry(key) else {
            return;
        };
        let Request::Active(active) = &mut exchange.request else {
            return;
        };
        active.forward = Some(id);
        active.address = None;
        active.lost = None;
        active.sent_as = Some(form);
        exchange.stage = Stage::Waiting;
        let deliver_to = active.deliver_to;
        self.outputs.push(Output::OpenRemote {
            id,
            bind,
            deliver_to,
        });
    }

    fn send_active(&mut self, key: Key) {
        let form = self
            .queue
            .get(key)
            .and_then(|exchange| match &exchange.request {
                Request::Active(active) => active.sent_as,
                _ => None,
            });
        if let Some(form) = form {
            self.send_active_as(key, form);
        }
    }

    /// Writes the line for the forward that stands.
    fn send_active_as(&mut self, key: Key, form: ActiveForm) {
        let Some(exchange) = self.queue.entry(key) else {
            return;
        };
        let Request::Active(active) = &exchange.request else {
            return;
        };
        let Some(told) = active.address else {
            return;
        };
        let (address, port) = (told.ip(), told.port());
        let line = match (form, address) {
            (ActiveForm::Port, IpAddr::V4(address)) => {
                format!("PORT {}\r\n", HostPort { address, port })
            }
            _ => format!("EPRT {}\r\n", ExtendedAddress { address, port }),
        };
        self.queue.sent(key);
        self.outputs.say_to_server(Bytes::from(line));
        self.resync();
    }

    /// No remote forward can be made (any more): what the client asked for is carried as passive;
    /// or, where that is not wanted, it gets the server's own refusal, or a 425.
    pub(super) fn give_up_active(&mut self, now: Duration, key: Key, reason: &str) {
        if self.settings.active == ActiveMode::Auto
            && let Some(deliver_to) = self.listener_of(key)
        {
            if !std::mem::replace(&mut self.knowledge.active_as_passive, true) {
                self.outputs.push(Output::Learned(self.knowledge));
            }
            self.outputs
                .notice(Notice::CarriedAsPassive(reason.to_owned()));
            self.carry_as_passive(now, key, deliver_to);
            return;
        }
        let Some(exchange) = self.queue.entry(key) else {
            return;
        };
        exchange.stage = Stage::Answered;
        let Request::Active(active) = &mut exchange.request else {
            return;
        };
        let refusal = active.refusal.take();
        if refusal.is_empty() {
            exchange.out.say(answer(425, reason));
            // It was never sent: nothing but its place says when its turn is.
            exchange.request = Request::Local { since: now };
        } else {
            exchange.out.relay_all(refusal);
        }
    }

    fn listener_of(&self, key: Key) -> Option<SocketAddr> {
        match &self.queue.get(key)?.request {
            Request::Active(active) => Some(active.deliver_to),
            _ => None,
        }
    }
}

/// An IPv4-mapped IPv6 address is the IPv4 address that it maps.
fn unmapped(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}
