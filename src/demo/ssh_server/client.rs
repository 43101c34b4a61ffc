//! One client of the embedded SSH server: what it may do, and what it asks for.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use russh::{
    Channel, ChannelOpenFailure,
    keys::PublicKey,
    server::{
        Auth, ChannelOpenHandle, Handle, Handler, Msg, PublicKeyOffer, Response, Session,
        VerifiedPublicKey,
    },
};
use tokio::{
    net::{TcpListener, TcpStream, lookup_host},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::{Counted, Faults, Shared, further_methods, methods, pump::pump_channel};
use crate::lock::lock;

/// One client's session.
pub(super) struct Client {
    shared: Arc<Shared>,
    forwards: HashMap<(String, u32), CancellationToken>,
    /// The client has shown the key that is required first.
    has_key: bool,
    /// The round of questions that is being answered.
    round: usize,
}

impl Client {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            forwards: HashMap::new(),
            has_key: false,
            round: 0,
        }
    }

    fn faults(&self) -> Faults {
        lock(&self.shared.faults).clone()
    }

    /// Whether the right credentials of this user would be accepted at the moment.
    async fn is_open_to(&self, user: &str) -> bool {
        let faults = self.faults();
        sleep(faults.delay).await;
        let logins = self.shared.counters.logins.load(Ordering::Acquire);
        user == self.shared.options.user && faults.max_logins.is_none_or(|max| logins < max)
    }

    async fn judge(&self, user: &str, right: bool) -> Auth {
        if self.is_open_to(user).await && right {
            return Auth::Accept;
        }
        self.refuse(false)
    }

    /// Refuses a log-in. A plain refusal would strike the method off the list.
    fn refuse(&self, partial_success: bool) -> Auth {
        let options = &self.shared.options;
        Auth::Reject {
            proceed_with_methods: Some(match self.has_key {
                true => further_methods(options),
                false => methods(options),
            }),
            partial_success,
        }
    }

    /// Returns the questions of a round, or what follows the last round.
    async fn ask(&self, user: &str) -> Auth {
        match self.shared.options.rounds.get(self.round) {
            Some(questions) => Auth::Partial {
                name: "".into(),
                instructions: format!("Round {}", self.round + 1).into(),
                prompts: questions
                    .iter()
                    .map(|q| (q.text.clone().into(), q.shown))
                    .collect::<Vec<_>>()
                    .into(),
            },
            None => self.judge(user, true).await,
        }
    }

    fn is_password(&self, password: &str) -> bool {
        let right = self.shared.options.password.as_ref();
        right.is_some_and(|right| right.expose() == password)
    }

    fn is_authorized(&self, key: &PublicKey) -> bool {
        let mut authorized = self.shared.authorized.iter();
        authorized.any(|known| known.key_data() == key.key_data())
    }
}

impl Handler for Client {
    type Error = russh::Error;

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, russh::Error> {
        Ok(self.judge(user, self.is_password(password)).await)
    }

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, russh::Error> {
        Ok(self.judge(user, self.is_authorized(offer.public_key)).await)
    }

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, russh::Error> {
        let judged = self.judge(user, self.is_authorized(key.public_key)).await;
        if self.shared.options.key_first && matches!(judged, Auth::Accept) {
            self.has_key = true;
            return Ok(self.refuse(true));
        }
        Ok(judged)
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        user: &str,
        _: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, russh::Error> {
        let rounds = &self.shared.options.rounds;
        if !rounds.is_empty() {
            if let Some(answers) = response {
                let questions = rounds.get(self.round).map_or(&[][..], Vec::as_slice);
                let answers: Vec<_> = answers.collect();
                let is_right = answers.len() == questions.len()
                    && answers
                        .iter()
                        .zip(questions)
                        .all(|(a, q)| a[..] == *q.answer.expose().as_bytes());
                if !is_right {
                    return Ok(self.judge(user, false).await);
                }
                self.round += 1;
            } else {
                self.round = 0;
            }
            return Ok(self.ask(user).await);
        }
        let Some(mut answers) = response else {
            return Ok(Auth::Partial {
                name: "".into(),
                instructions: "".into(),
                prompts: vec![("Password:".into(), false)].into(),
            });
        };
        let answer = answers.next();
        let right =
            answer.is_some_and(|a| std::str::from_utf8(&a).is_ok_and(|a| self.is_password(a)));
        Ok(self.judge(user, right).await)
    }

    async fn auth_succeeded(&mut self, _: &mut Session) -> Result<(), russh::Error> {
        self.shared.counters.logins.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        host: &str,
        port: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        let faults = self.faults();
        let target = (host.to_owned(), port);
        lock(&self.shared.targets).push(target.clone());
        let any = self.shared.options.any_target;
        let counter = Arc::clone(&self.shared.counters.channels);
        // Answered later: this runs in the session loop, which must not wait for a connect.
        tokio::spawn(async move {
            sleep(faults.delay).await;
            let permitted = faults.permit_open.as_ref();
            if faults.refuse_direct || permitted.is_some_and(|host| *host != target.0) {
                reply
                    .reject(ChannelOpenFailure::AdministrativelyProhibited)
                    .await;
                return;
            }
            if faults.elsewhere {
                reply.reject(ChannelOpenFailure::ConnectFailed).await;
                return;
            }
            match connect(&target.0, target.1, any).await {
                Ok(tcp) => {
                    let counted = Counted::new(&counter);
                    reply.accept().await;
                    pump_channel(channel, tcp, faults.time_out).await;
                    drop(counted);
                }
                Err(failure) => reply.reject(failure).await,
            }
        });
        Ok(())
    }

    async fn tcpip_forward(
        &mut self,
        address: &str,
        port: &mut u32,
        session: &mut Session,
    ) -> Result<bool, russh::Error> {
        let counters = &self.shared.counters;
        counters.asked.fetch_add(1, Ordering::AcqRel);
        while self.faults().hold_forward {
            sleep(Duration::from_millis(5)).await;
        }
        let Ok(ip) = address.parse::<IpAddr>() else {
            return Ok(false);
        };
        let allowed = ip.is_loopback() || self.shared.options.any_target;
        let wanted = u16::try_from(*port).unwrap_or(0);
        if self.faults().refuse_forward || !allowed {
            return Ok(false);
        }
        let Ok(listener) = TcpListener::bind((ip, wanted)).await else {
            return Ok(false);
        };
        let bound = listener.local_addr()?;
        *port = u32::from(bound.port());
        lock(&self.shared.listening).push(bound);
        let stop = CancellationToken::new();
        let key = (address.to_owned(), *port);
        self.forwards.insert(key.clone(), stop.clone());
        if self.faults().unasked {
            let (shared, bound) = (Arc::clone(&self.shared), key.clone());
            tokio::spawn(intrude(session.handle(), bound, shared));
        }
        let counters = &self.shared.counters;
        let forwarding = forward(listener, key, session.handle(), Arc::clone(&self.shared));
        let counted = Counted::new(&counters.forwards);
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            tokio::select! {
                () = forwarding => {}
                () = stop.cancelled() => {}
            }
            lock(&shared.listening).retain(|other| *other != bound);
            drop(counted);
        });
        Ok(true)
    }

    async fn cancel_tcpip_forward(
        &mut self,
        address: &str,
        port: u32,
        _: &mut Session,
    ) -> Result<bool, russh::Error> {
        let found = self.forwards.remove(&(address.to_owned(), port));
        Ok(found.map(|stop| stop.cancel()).is_some())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        for stop in self.forwards.values() {
            stop.cancel();
        }
    }
}

/// Takes connections to a forwarded port and hands them to the client.
async fn forward(
    listener: TcpListener,
    (address, port): (String, u32),
    handle: Handle,
    shared: Arc<Shared>,
) {
    while let Ok((tcp, from)) = listener.accept().await {
        let (handle, address) = (handle.clone(), address.clone());
        let counted = Counted::new(&shared.counters.channels);
        let faults = lock(&shared.faults).clone();
        let (address, time_out) = (faults.name_forwards.unwrap_or(address), faults.time_out);
        tokio::spawn(async move {
            let ip = from.ip().to_string();
            let (ip, from_port) = (
                faults.name_originators.unwrap_or(ip),
                u32::from(from.port()),
            );
            let opened = handle
                .channel_open_forwarded_tcpip(address, port, ip, from_port)
                .await;
            if let Ok(channel) = opened {
                pump_channel(channel, tcp, time_out).await;
            }
            drop(counted);
        });
    }
}

/// Opens every kind of channel that the client has not asked for.
async fn intrude(handle: Handle, (address, port): (String, u32), shared: Arc<Shared>) {
    let forwarded = |address: &str, port: u32, from: &str| {
        let (handle, address, from) = (handle.clone(), address.to_owned(), from.to_owned());
        async move {
            let opened = handle
                .channel_open_forwarded_tcpip(address, port, from, 50_000)
                .await;
            opened.is_ok()
        }
    };
    let taken = [
        forwarded(&address, port ^ 1, "127.0.0.1").await,
        forwarded(&address, port.wrapping_add(0x10000), "127.0.0.1").await,
        forwarded("10.0.0.1", port, "127.0.0.1").await,
        forwarded(&address, port, "10.0.0.1").await,
        forwarded(&address, port, "not an address").await,
        forwarded("", 21, "127.0.0.1").await,
        handle
            .channel_open_forwarded_streamlocal("/run/x")
            .await
            .is_ok(),
        handle.channel_open_agent().await.is_ok(),
        handle.channel_open_session().await.is_ok(),
        handle.channel_open_x11("127.0.0.1", 6000).await.is_ok(),
        handle
            .channel_open_direct_tcpip("127.0.0.1", 22, "127.0.0.1", 50_000)
            .await
            .is_ok(),
    ];
    for taken in taken {
        let counters = &shared.counters;
        match taken {
            true => counters.unasked_taken.fetch_add(1, Ordering::AcqRel),
            false => counters.unasked_refused.fetch_add(1, Ordering::AcqRel),
        };
    }
}

async fn connect(host: &str, port: u32, any: bool) -> Result<TcpStream, ChannelOpenFailure> {
    let port = u16::try_from(port).map_err(|_| ChannelOpenFailure::ConnectFailed)?;
    let found = lookup_host((host, port)).await;
    let mut failure = ChannelOpenFailure::ConnectFailed;
    for address in found.map_err(|_| ChannelOpenFailure::ConnectFailed)? {
        if !any && !address.ip().is_loopback() {
            failure = ChannelOpenFailure::AdministrativelyProhibited;
        } else if let Ok(tcp) = TcpStream::connect(address).await {
            return Ok(tcp);
        }
    }
    Err(failure)
}
