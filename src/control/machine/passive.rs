//! Passive data connections: PASV and EPSV, answered by 227 and 229 once a local forward stands.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use bytes::Bytes;
use ferryline_grammar::{
    HostPort, PassiveReplyError, ReplyCode, parse_passive_reply, render_227, render_229,
};

use crate::control::{
    answers::answer,
    data::Way,
    event::{DataCommand, ForwardId, Output},
    exchange::Exchange,
    key::Key,
    machine::Control,
    passive_request::{AskableForms, PassiveForm, PassiveRequest},
    request::Request,
};

const NO_IPV6: &str = "PASV cannot name an IPv6 address; use EPSV, or connect over IPv4";

impl Control {
    /// Handles the server's passive reply, which is complete: asks for the forward, or says why there is
    /// none.
    pub(super) fn passive_reply(&mut self, key: Key, code: ReplyCode) {
        // Its reply has come in, so it is still there.
        let Some(passive) = self.queue.passive(key) else {
            return;
        };
        let reply = passive.take_reply();
        let join = passive.listener();
        let instead = passive.asked_pasv_instead();
        let commands = passive.commands();
        let endpoint = parse_passive_reply(code, reply.iter().map(Bytes::as_ref));
        self.queue.answered(key);
        match endpoint
            .map_err(|error| why(code, &error))
            .and_then(|endpoint| self.targets(&endpoint))
        {
            Ok(targets) => {
                self.learn(|knowledge| knowledge.no_epsv |= instead);
                let way = match join {
                    Some(_) => Way::Active,
                    None => Way::Passive {
                        targets: targets.len(),
                    },
                };
                let id = self.data.add(way, key, commands);
                self.queue.hold_for_forward(key, id);
                self.outputs.push(match join {
                    Some(deliver_to) => Output::OpenJoined {
                        id,
                        targets,
                        deliver_to,
                    },
                    None => Output::OpenLocal { id, targets },
                });
            }
            Err(reason) => self.queue.say(key, answer(425, &reason)),
        }
    }

    /// Whether this reply to a passive request, other than 227 and 229, makes ferryline ask in the other
    /// form.
    pub(super) fn retries_passive_form(&self, passive: &PassiveRequest, code: u16) -> bool {
        let askable = AskableForms::new(self.data.only_epsv(), self.knowledge.no_epsv);
        passive.retries(code, askable)
    }

    /// The form in which a server is asked for a passive data connection, where the client leaves that open.
    pub(super) fn first_passive_form(&self) -> PassiveForm {
        match self.knowledge.no_epsv && !self.data.only_epsv() {
            true => PassiveForm::Pasv,
            false => PassiveForm::Epsv,
        }
    }

    /// Asks in the other form, after the server refused the request in one.
    pub(super) fn retry_passive_form(&mut self, key: Key) {
        if let Some(passive) = self.queue.passive(key) {
            let line = passive.ask_in_other_form();
            self.queue.sent(key);
            self.queue.expect_another_final();
            self.outputs.say_to_server(line);
        }
    }

    /// Answers this request, whose forward now stands.
    pub(super) fn passive_ready(&mut self, key: Key, id: ForwardId, address: SocketAddr) {
        let order = self.queue.sent_seq(key);
        let passive = self.queue.get(key).and_then(Exchange::passive);
        let joined = passive.is_some_and(PassiveRequest::is_joined);
        let expects_229 = passive.is_some_and(PassiveRequest::expects_229);
        let success = match (joined, expects_229) {
            (true, _) => Some("200 ferryline: active mode, carried as passive".into()),
            (false, true) => Some(render_229(address.port())),
            (false, false) => ipv4_of(address.ip()).map(|address_v4| {
                render_227(HostPort {
                    address: address_v4,
                    port: address.port(),
                })
            }),
        };
        match success {
            Some(success) => {
                let line = Bytes::from(success + "\r\n");
                self.queue.answer_held(key, line);
                if let Some(forward) = self.data.get_mut(id).filter(|_| joined) {
                    forward.await_transfer();
                }
                self.use_forward(id, order);
            }
            None => {
                self.queue.answer_held(key, answer(425, NO_IPV6));
                self.close_forward(id);
            }
        }
    }

    /// Carries a PORT or EPRT as passive: asks the server for the data connection that is joined to the
    /// client's listener. `asked`: that listener, and the client's command.
    pub(super) fn carry_as_passive(
        &mut self,
        now: Duration,
        key: Key,
        asked: (SocketAddr, DataCommand),
    ) {
        let form = self.first_passive_form();
        let joined = PassiveRequest::joined(now, asked, form);
        self.queue.becomes(key, Request::Passive(joined));
        self.queue.sent(key);
        self.outputs.say_to_server(form.line());
        self.resync();
    }

    /// Answers this request, whose forward failed.
    pub(super) fn passive_failed(&mut self, key: Key, reason: &str) {
        self.queue.answer_held(key, answer(425, reason));
    }

    /// Reason for which ferryline refuses a passive request itself: a 227 cannot name the client's leg.
    pub(super) fn passive_refusal(&self) -> Option<&'static str> {
        ipv4_of(self.settings.client_local.ip())
            .is_none()
            .then_some(NO_IPV6)
    }
}

fn why(code: ReplyCode, error: &PassiveReplyError) -> String {
    match error {
        PassiveReplyError::Port => {
            format!("the FTP server's {code} names no port between 1 and 65535")
        }
        _ => format!("the FTP server's {code} names no address and port that can be understood"),
    }
}

/// The IPv4 address by which a 227 can name this address of ours.
fn ipv4_of(address: IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(v4) => Some(v4),
        IpAddr::V6(v6) => v6.to_ipv4_mapped(),
    }
}
