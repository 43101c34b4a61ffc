//! What ferryline does with a line of the client.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use ferryline_grammar::{
    Command, EpsvArgument, ExtendedAddress, ExtendedAddressError, HostPort, Line, Verb,
    behind_signal, holds_active_request, is_address, is_disguised, lax_verbs,
};

use crate::control::{
    active_request::ActiveRequest,
    answers::answer,
    event::{DataAtEnd, Notice, Output, REPORTED},
    exchange::{Asked, Stage},
    key::Key,
    machine::{Control, verbatim},
    other_protocol::other_protocol,
    parameters::Setting,
    passive_request::PassiveRequest,
    request::Request,
    route::UserAtHost,
    settings::ActiveMode,
    transfer::Transfer,
};

impl Control {
    pub(super) fn client_line(&mut self, now: Duration, line: Line) {
        // The rest of a Telnet signal is no part of the command behind it (Q58, Q98).
        let line = match behind_signal(line.text()) {
            Some(plain) => Line::with_end(Bytes::copy_from_slice(plain), line.end()),
            None => line,
        };
        let Some(command) = Command::parse(line.text()) else {
            self.queue.push(Request::Silent, Stage::Unsent(line));
            return;
        };
        if self.peers.is_first_line()
            && let Some(what) = other_protocol(line.text())
        {
            self.outputs.notice(Notice::NotFtp(what));
            self.end(DataAtEnd::Abort);
            return;
        }
        self.queue.command_came(self.incoming.key());
        if hides_command(line.text()) {
            let refusal = answer(500, "a bare carriage return hides a second command");
            self.queue.push_local(refusal, now);
            return;
        }
        if is_disguised(line.text(), &command) {
            let refusal = answer(500, "a verb is made of letters");
            self.queue.push_local(refusal, now);
            return;
        }
        if line.text().len() > LEAST_BUFFER && holds_active_request(line.text()) {
            let refusal = answer(
                500,
                "a long line with a PORT or EPRT in it is not passed on",
            );
            self.queue.push_local(refusal, now);
            return;
        }
        match self.decide(&command) {
            Decision::Answer(answer) => self.queue.push_local(answer, now),
            Decision::Pass(request) => {
                // ABOR is for the transfer that runs: it does not wait for what waits (Q60).
                let aborts = matches!(command.verb, Verb::Abor);
                let at_once = aborts && self.queue.has_unsent();
                let asked = Asked::new(command.verb, now);
                let key = self.queue.push_command(asked, request, line);
                if at_once {
                    self.send(now, key);
                }
                if aborts {
                    self.release_all();
                }
            }
        }
    }

    /// Sends the waiting commands up to the first that is held up. Returns whether that one waits for a
    /// transfer before it.
    pub(super) fn send_waiting(&mut self, now: Duration) -> bool {
        while let Some(key) = self.queue.next_unsent() {
            if self.command_waits(now, key) {
                return true;
            }
            let active = self
                .queue
                .get(key)
                .is_some_and(|exchange| exchange.active().is_some());
            if active {
                self.open_active(now, key);
            } else {
                self.send(now, key);
            }
        }
        false
    }

    fn decide(&self, command: &Command<'_>) -> Decision {
        let argument = command.argument;
        let pass = Decision::Pass;
        if let Some(direction) = command.verb.transfer() {
            return pass(Request::Transfer(Transfer::new(direction)));
        }
        match command.verb {
            Verb::Abor => pass(Request::Abort),
            Verb::Auth => refuse(
                502,
                "AUTH is refused: this connection is inside SSH already; turn TLS off in the client",
            ),
            Verb::Adat
            | Verb::Ccc
            | Verb::Conf
            | Verb::Enc
            | Verb::Mic
            | Verb::Pbsz
            | Verb::Prot => refuse(
                502,
                &format!(
                    "{} is refused: this connection is inside SSH already; turn TLS off in the client",
                    command.verb.name()
                ),
            ),
            Verb::Lprt => refuse(502, "LPRT is not carried; use PORT or EPRT"),
            Verb::Lpsv => refuse(502, "LPSV is not carried; use PASV or EPSV"),
            Verb::Spor => refuse(502, "SPOR is not carried; use PORT or EPRT"),
            Verb::Spas => refuse(502, "SPAS is not carried; use PASV or EPSV"),
            Verb::Get | Verb::Put => refuse(
                502,
                &format!(
                    "{} names the data connection in a way that is not carried; use PASV or EPSV, \
                     and RETR or STOR",
                    command.verb.name()
                ),
            ),
            // An address of the client is never passed on (Q95).
            Verb::Other if is_address(argument) => refuse(
                502,
                "an address in a command that ferryline does not know is not passed on; use PORT or \
                 EPRT",
            ),
            Verb::Cpsv
            | Verb::Eprt
            | Verb::Epsv
            | Verb::Pasv
            | Verb::Paw
            | Verb::Port
            | Verb::Spsv
                if self.has_too_many_connections() =>
            {
                refuse(425, "too many data connections of this session are open")
            }
            Verb::Pasv | Verb::Cpsv | Verb::Paw | Verb::Spsv if self.data.only_epsv() => {
                refuse(501, "EPSV ALL is in force: only EPSV is taken")
            }
            Verb::Pasv | Verb::Cpsv | Verb::Paw | Verb::Spsv => match self.passive_refusal() {
                Some(reason) => refuse(425, reason),
                None if argument.trim_ascii().is_empty() => {
                    pass(Request::Passive(PassiveRequest::pasv()))
                }
                // If the argument is wrong, the server says so (Q96).
                None => pass(Request::Passive(PassiveRequest::pasv_as_typed())),
            },
            Verb::Epsv => self.decide_epsv(EpsvArgument::parse(argument)),
            // Without an argument there is no address in it: the server says what is wrong (Q96).
            Verb::Port | Verb::Eprt if argument.trim_ascii().is_empty() => pass(Request::Other {
                lost: None,
                sets: None,
            }),
            Verb::Port | Verb::Eprt if self.data.only_epsv() => {
                refuse(501, "EPSV ALL is in force: only EPSV is taken")
            }
            Verb::Port => match HostPort::parse(argument) {
                Some(named) => self.decide_active(named.address.into(), named.port, false),
                None => refuse(
                    501,
                    "PORT takes six numbers from 0 to 255: h1,h2,h3,h4,p1,p2",
                ),
            },
            Verb::Eprt => match ExtendedAddress::parse(argument) {
                Ok(named)
                    if named.address.is_ipv4() == self.client_is_ipv4()
                        || named.address.is_unspecified() =>
                {
                    self.decide_active(named.address, named.port, true)
                }
                Ok(_) | Err(ExtendedAddressError::Family(_)) => self.other_family(),
                Err(_) => refuse(501, "EPRT takes |1|h.h.h.h|port| or |2|h:h::h|port|"),
            },
            Verb::Feat => pass(Request::Feat),
            Verb::Mode => pass(Request::Mode(
                argument
                    .trim_ascii()
                    .first()
                    .map_or(b'S', u8::to_ascii_uppercase),
            )),
            Verb::Quit => pass(Request::Quit),
            Verb::Rein => pass(Request::Rein),
            Verb::Stat => pass(Request::Status),
            Verb::User => self
                .login(Some(argument))
                .map_or_else(Decision::Answer, pass),
            Verb::Pass => self.login(None).map_or_else(Decision::Answer, pass),
            _ => pass(Request::Other {
                lost: None,
                sets: Setting::of(command),
            }),
        }
    }

    /// Decides on a USER or PASS: the request, or the refusal. The session stays with its FTP server, so a
    /// second USER may name the same server or none.
    fn login(&self, argument: Option<&[u8]>) -> Result<Request, Bytes> {
        let pass = |plain| Ok(Request::Login { plain });
        let (Some(routed), Some(argument)) = (&self.settings.routed, argument) else {
            return pass(None);
        };
        match UserAtHost::parse(argument) {
            None => pass(None),
            Some(named) if named.host.eq_ignore_ascii_case(routed.as_bytes()) => {
                let mut line = BytesMut::from(&b"USER "[..]);
                line.put_slice(named.user);
                line.put_slice(b"\r\n");
                pass(Some(line.freeze()))
            }
            Some(_) => Err(answer(
                530,
                &format!("this connection is to {routed}; open another for another FTP server"),
            )),
        }
    }

    /// Decides on EPSV with an argument. The argument names the family of the *client's* data connection,
    /// which ends at ferryline; the family of the server's data connection does not depend on it.
    fn decide_epsv(&self, argument: EpsvArgument) -> Decision {
        let own = if self.client_is_ipv4() { 1 } else { 2 };
        match argument {
            EpsvArgument::All => Decision::Pass(Request::EpsvAll),
            EpsvArgument::Family(family) if family != own => self.other_family(),
            EpsvArgument::None | EpsvArgument::Family(_) => Decision::Pass(Request::Passive(
                PassiveRequest::epsv(self.first_passive_form()),
            )),
            EpsvArgument::Other => refuse(501, "EPSV takes 1, 2, ALL or nothing"),
        }
    }

    fn decide_active(&self, address: std::net::IpAddr, port: u16, extended: bool) -> Decision {
        if self.settings.active == ActiveMode::Remote && !self.has_remote_forwards() {
            return refuse(
                425,
                "active mode by a remote forward needs the FTP server on the SSH server's host, or \
                 --remote-bind; use passive mode, or --active auto",
            );
        }
        match self.deliver_to(address, port) {
            Ok(deliver_to) => {
                Decision::Pass(Request::Active(ActiveRequest::new(extended, deliver_to)))
            }
            Err(reason) => refuse(501, &reason),
        }
    }

    fn other_family(&self) -> Decision {
        let own = if self.client_is_ipv4() { 1 } else { 2 };
        // RFC 2428 §2: the list of families stands in parentheses.
        refuse(
            522,
            &format!("network protocol not supported here, use ({own})"),
        )
    }

    fn client_is_ipv4(&self) -> bool {
        self.settings.client_local.ip().to_canonical().is_ipv4()
    }

    fn send(&mut self, now: Duration, key: Key) {
        let renewed = self.queue.awaits_connection_before(key);
        let unsent = self.queue.entry(key);
        // Only an unsent request is sent.
        let Some((exchange, line)) =
            unsent.and_then(|e| e.unsent_line().map(verbatim).map(|line| (e, line)))
        else {
            return;
        };
        if let Some(transfer) = exchange.transfer_mut() {
            transfer.sent(now, command_of(&line));
            if let Some(reason) = self.data.dead().filter(|_| !renewed) {
                let refusal = answer(425, reason);
                let report = transfer.report(Some(refusal.clone()));
                exchange.answer_unsent(now, refusal);
                self.outputs.extend(report.map(Output::Transferred));
                return;
            }
        }
        if let Some(passive) = exchange.passive_mut() {
            passive.sent(now);
        }
        let line = match exchange.request() {
            Request::Passive(passive) => passive.line().unwrap_or(line),
            Request::Login { plain: Some(plain) } => plain.clone(),
            _ => line,
        };
        if matches!(exchange.request(), Request::Silent) {
            exchange.answered();
        } else {
            self.queue.sent(key);
        }
        self.outputs.say_to_server(line);
        self.resync();
    }
}

/// Smallest buffer for a command that ferryline expects of a server, which may read a longer line as two.
const LEAST_BUFFER: usize = 250;

/// The command in this line, for the report.
fn command_of(line: &Bytes) -> Bytes {
    let command = line.trim_ascii_end();
    // A copy: a part of the line would keep all of it.
    Bytes::copy_from_slice(command.get(..REPORTED).unwrap_or(command))
}

enum Decision {
    /// Ferryline answers it, and the server does not see it.
    Answer(Bytes),
    /// The server answers it.
    Pass(Request),
}

fn refuse(code: u16, text: &str) -> Decision {
    Decision::Answer(answer(code, text))
}

/// Whether a bare CR in this line hides a command. Some servers end a line at a bare CR (Q35, Q82): what they
/// would read behind it must not be a command that ferryline would have rewritten or refused.
fn hides_command(text: &[u8]) -> bool {
    text.split(|&byte| byte == b'\r').skip(1).any(|rest| {
        lax_verbs(rest).any(|verb| {
            matches!(
                verb,
                Verb::Adat
                    | Verb::Auth
                    | Verb::Cpsv
                    | Verb::Eprt
                    | Verb::Epsv
                    | Verb::Get
                    | Verb::Lprt
                    | Verb::Lpsv
                    | Verb::Pasv
                    | Verb::Paw
                    | Verb::Port
                    | Verb::Put
                    | Verb::Spas
                    | Verb::Spor
                    | Verb::Spsv
            )
        })
    })
}
