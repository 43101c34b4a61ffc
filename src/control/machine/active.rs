//! Active data connections: PORT and EPRT, sent on with the address of a remote forward.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use crate::control::{
    active_request::{ActiveForm, ActiveRequest},
    answers::answer,
    data::{Forward, Way},
    event::{DataCommand, ForwardId, Notice, Output},
    exchange::Exchange,
    key::Key,
    machine::Control,
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
        // No FTP client listens below this port; servers of other protocols do (RFC 2577 §3).
        if port < LOWEST_DATA_PORT {
            return Err(format!(
                "port {port}: ports below {LOWEST_DATA_PORT} are refused"
            ));
        }
        Ok(SocketAddr::new(peer, port))
    }

    /// Asks for the remote forward that a PORT or EPRT, whose turn has come, waits for.
    pub(super) fn open_active(&mut self, now: Duration, key: Key) {
        let by_remote = match self.settings.active {
            ActiveMode::Auto => self.has_remote_forwards() && !self.knowledge.active_as_passive,
            ActiveMode::Passive => false,
            ActiveMode::Remote => true,
        };
        if by_remote {
            let form = self.first_form(key);
            self.open_active_as(key, form);
        } else if let Some(asked) = self.listener_of(key) {
            self.carry_as_passive(now, key, asked);
        }
    }

    /// Whether a remote forward can stand at an address that the FTP server reaches.
    pub(super) fn has_remote_forwards(&self) -> bool {
        self.settings.server_on_ssh_host || self.settings.remote_bind.is_some()
    }

    /// Handles a failed transfer whose forward never got a connection.
    ///
    /// An SSH server may grant a forward on an address and yet listen on its loopback (sshd with
    /// `GatewayPorts no` does). Then the FTP server cannot reach it, and that will not change.
    pub(super) fn active_unreached(&mut self, id: ForwardId, code: u16) {
        let Some(bind) = self.far_bind() else {
            return;
        };
        if self.settings.active != ActiveMode::Auto
            || !matches!(code, 425 | 426)
            || self.data.get(id).is_none_or(Forward::is_passive)
            || self.knowledge.active_as_passive
        {
            return;
        }
        self.learn(|knowledge| knowledge.active_as_passive = true);
        self.outputs.notice(Notice::CarriedAsPassive(format!(
            "the FTP server did not reach the remote forward on {bind}; does sshd listen there \
             (GatewayPorts clientspecified)?"
        )));
    }

    /// Address for remote forwards that is not the SSH server's loopback.
    fn far_bind(&self) -> Option<IpAddr> {
        self.settings
            .remote_bind
            .filter(|_| !self.settings.server_on_ssh_host)
    }

    fn bind(&self, form: ActiveForm) -> IpAddr {
        self.far_bind().unwrap_or_else(|| form.bind())
    }

    /// Handles the event that the remote forward of this request stands.
    pub(super) fn active_ready(&mut self, key: Key, address: SocketAddr) {
        if let Some(active) = self.queue.active(key) {
            active.stands(address);
        }
        self.send_active(key);
    }

    /// Handles a remote forward that ended before the server answered the line that names it.
    pub(super) fn active_gone(&mut self, now: Duration, key: Key) {
        if self.queue.get(key).is_some_and(Exchange::is_waiting) {
            self.give_up_active(now, key, "the remote forward was lost");
        }
    }

    /// Handles the server's acceptance of the line.
    pub(super) fn active_accepted(&mut self, key: Key) {
        self.learn_active_form(key);
        let order = self.queue.sent_seq(key);
        let (forward, lost) = self.of_active(key, |active| (active.forward(), active.lost()));
        if let Some(id) = forward {
            self.use_forward(id, order);
        }
        if let Some(reason) = lost {
            self.accepted_too_late(order, reason);
        }
    }

    /// Whether ferryline answers the server's refusal of this line by naming the port in another form. The
    /// codes 500, 501, 502 and 522 say that the server does not take the form or the address.
    pub(super) fn retries_port_form(&self, key: Key, code: u16) -> bool {
        matches!(code, 500 | 501 | 502 | 522)
            && (self.settings.active == ActiveMode::Auto || self.next_form(key).is_some())
    }

    /// Tries the next form after the server refused the line in this one.
    pub(super) fn retry_port_form(&mut self, now: Duration, key: Key) {
        self.queue.expect_another_final();
        let Some(next) = self.next_form(key) else {
            self.active_refused(key);
            self.give_up_active(now, key, "the FTP server refuses active mode");
            return;
        };
        let (forward, address) = self.of_active(key, |a| (a.forward(), a.address()));
        let stands = forward.is_some_and(|id| self.data.contains(id));
        let bind = self.bind(next);
        if stands && address.is_some_and(|address| address.ip() == bind) {
            if let Some(active) = self.queue.active(key) {
                active.rename(next);
                let commands = active.commands(next);
                if let Some(id) = forward {
                    self.data.asked_again(id, commands);
                }
            }
            self.send_active(key);
        } else {
            self.active_refused(key);
            self.open_active_as(key, next);
        }
    }

    /// Closes the forward when the server refuses what it was for.
    pub(super) fn active_refused(&mut self, key: Key) {
        if let Some(id) = self.of_active(key, ActiveRequest::forward) {
            self.close_forward(id);
        }
    }

    /// Notes the form that the server accepted after it had refused another.
    fn learn_active_form(&mut self, key: Key) {
        let (refused, form) = self.of_active(key, |a| (a.was_refused(), a.form()));
        self.learn(|knowledge| match form.filter(|_| refused) {
            Some(ActiveForm::EprtIpv6) => knowledge.active_over_ipv6 = true,
            Some(ActiveForm::Port) => knowledge.no_eprt = true,
            _ => {}
        });
    }

    fn first_form(&self, key: Key) -> ActiveForm {
        let extended = self.of_active(key, ActiveRequest::is_extended);
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
        let one_family = self.far_bind().is_some();
        self.of_active(key, ActiveRequest::form)?.next(one_family)
    }

    fn open_active_as(&mut self, key: Key, form: ActiveForm) {
        let bind = self.bind(form);
        if let Some(active) = self.queue.active(key) {
            let id = self.data.add(Way::Active, key, active.commands(form));
            active.opens(id, form);
            let deliver_to = active.deliver_to();
            self.queue.awaits_forward(key);
            self.outputs.push(Output::OpenRemote {
                id,
                bind,
                deliver_to,
            });
        }
    }

    /// Sends the line for the forward that stands.
    fn send_active(&mut self, key: Key) {
        if let Some(line) = self.of_active(key, ActiveRequest::line) {
            self.queue.sent(key);
            self.outputs.say_to_server(line);
            self.resync();
        }
    }

    /// A property of a PORT or EPRT; the default once it is carried as passive, or ferryline has answered it.
    fn of_active<T: Default>(&self, key: Key, what: impl FnOnce(&ActiveRequest) -> T) -> T {
        let active = self.queue.get(key).and_then(Exchange::active);
        active.map_or_else(T::default, what)
    }

    /// Gives up remote forwards for this request. It is carried as passive; where that is not wanted, the
    /// client gets the server's own refusal, or a 425.
    pub(super) fn give_up_active(&mut self, now: Duration, key: Key, reason: &str) {
        if self.settings.active == ActiveMode::Auto
            && let Some(asked) = self.listener_of(key)
        {
            self.learn(|knowledge| knowledge.active_as_passive = true);
            self.outputs
                .notice(Notice::CarriedAsPassive(reason.to_owned()));
            self.carry_as_passive(now, key, asked);
            return;
        }
        let refusal = self.queue.active(key).map(ActiveRequest::take_refusal);
        if let Some(exchange) = self.queue.entry(key) {
            match refusal.filter(|refusal| !refusal.is_empty()) {
                Some(refusal) => {
                    exchange.relay_all(refusal);
                    exchange.answered();
                }
                None => exchange.answer_unsent(now, answer(425, reason)),
            }
        }
    }

    /// The client's listener, and the command that named it.
    fn listener_of(&self, key: Key) -> Option<(SocketAddr, DataCommand)> {
        self.of_active(key, |active| Some((active.deliver_to(), active.command())))
    }
}

/// The IPv4 address that an IPv4-mapped IPv6 address stands for; any other address as it is.
fn unmapped(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}
