//! Making one SSH connection: the way there, key exchange, host key, log-in.

use std::{
    io,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use russh::{
    client::{self, Handle},
    keys::HashAlg,
};
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    config::config,
    role::Role,
    way::{Dialling, JumpHost, PreparedWay, Reached},
};
use crate::{
    lock::lock,
    ssh::{
        algorithms,
        auth::{self, Login},
        connection::{
            events::Events, handle::Connection, place::Place, shared::Shared, warnings::Warnings,
        },
        error::{Error, escaped},
        facts::ServerFacts,
        findings::Findings,
        prompt::{Patience, Prompt},
        settings::{Settings, Way, algorithm_kind::AlgorithmKind},
        transport::{greeting::other_protocol, heard::Heard, proxy_command::ProxyCommand, stream},
        trust::host_keys::HostKeyVerifier,
    },
};

/// Makes connections to one destination. The first one finds out how; further ones do the same.
pub(crate) struct Dialer {
    settings: Arc<Settings>,
    prompt: Arc<dyn Prompt>,
    way: PreparedWay,
    known: Mutex<Option<Arc<Known>>>,
    findings: Findings,
    /// The round trip to the server, as the control connection finds it.
    round_trip: watch::Sender<RoundTrip>,
    /// When the server was last reached, whether the log-in succeeded or not.
    reached: Mutex<Option<Instant>>,
    /// When the newest control connection was heard.
    control_heard: Mutex<Arc<Heard>>,
    warnings: Arc<Warnings>,
}

/// How long the server takes to answer, as far as that is known.
#[derive(Clone, Copy, Debug)]
enum RoundTrip {
    /// The first measurement is under way, or yet to begin.
    Awaited,
    /// `None`: the server does not answer the request that would tell.
    Measured(Option<Duration>),
}

/// What the first connection found out.
struct Known {
    login: Login,
    host_key: russh::keys::PublicKey,
}

impl Dialer {
    pub(crate) fn new(settings: Settings, prompt: Arc<dyn Prompt>, findings: Findings) -> Self {
        Self {
            way: prepared(&settings.way, &prompt, &findings),
            settings: Arc::new(settings),
            prompt,
            known: Mutex::default(),
            findings,
            round_trip: watch::Sender::new(RoundTrip::Awaited),
            reached: Mutex::default(),
            control_heard: Mutex::default(),
            warnings: Arc::default(),
        }
    }

    /// Whether a log-in that was refused, there or on the way there, may be tried again at some time.
    pub(crate) fn may_try_again(&self) -> bool {
        // Without a person to ask, there are only keys.
        let by_keys = match self.known() {
            Some(known) => known.login.is_by_keys(),
            None => self.settings.batch_mode,
        };
        by_keys && self.way.may_try_again()
    }

    /// Forgets how the first connection logged in, there and on the way there: the next one reads the keys and
    /// the known hosts anew, because their files may have changed.
    pub(crate) fn forget_log_in(&self) {
        lock(&self.known).take();
        self.way.forget_log_in();
    }

    fn known(&self) -> Option<Arc<Known>> {
        lock(&self.known).clone()
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How long ago the server was last reached, whether the log-in succeeded or not.
    pub(crate) fn reached_ago(&self) -> Option<Duration> {
        lock(&self.reached).map(|at| at.elapsed())
    }

    /// A data lane is lost. Logs what that looks like, if the lane had fallen silent while the control
    /// connection was answered all the time.
    pub(crate) fn lane_lost(&self, lane: &Shared) {
        let Some(patience) = self.settings.patience() else {
            return;
        };
        let silent = lane.heard().ago();
        let control = Arc::clone(&lock(&self.control_heard));
        // The timers that end a silent connection are not in step.
        let close_to_patience = patience * 3 / 4;
        if silent >= close_to_patience && control.steady_for() >= close_to_patience {
            self.warnings.silent_lane.warn(format_args!(
                "the SSH server was not heard on a data lane for {} s and on the control connection it was: the                  path may drop large packets (then 'sysctl net.ipv4.tcp_mtu_probing=1' here and on the SSH host                  helps, or a smaller MTU), or a firewall or NAT may have forgotten the lane",
                silent.as_secs()
            ));
        }
    }

    /// Who this connection is with.
    pub(crate) fn facts_of(&self, connection: &Connection) -> ServerFacts {
        let host_key = connection.shared().host_key().get();
        let Settings { host, port, .. } = &*self.settings;
        let server = match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        };
        ServerFacts {
            server,
            address: connection.place().peer,
            user: self.settings.user.clone(),
            key: connection.key().map(str::to_owned),
            host_key: host_key.map(|key| key.fingerprint(HashAlg::Sha256).to_string()),
        }
    }

    pub(crate) fn findings(&self) -> &Findings {
        &self.findings
    }

    /// Whether a connection to the place of another one is sure to end on the same host.
    pub(crate) fn is_sure(&self) -> bool {
        self.way.is_sure(&self.settings)
    }

    /// Connects, verifies the host key and logs in. A person may be asked only the first time. With `place`,
    /// it goes where another connection has ended up, whatever the name stands for by now.
    pub(crate) async fn dial(
        &self,
        role: Role,
        place: Option<&Place>,
    ) -> Result<Arc<Connection>, Error> {
        let settings = &self.settings;
        let cut = CancellationToken::new();
        let failed = cut.clone().drop_guard();
        let known = self.known();
        let first = known.is_none();
        let Reached {
            stream,
            command,
            hop,
        } = self.way.reach(settings, role, first, place).await?;
        *lock(&self.reached) = Some(Instant::now());
        let socket = stream::over(stream, &cut, settings.patience());
        let transport = socket.get_ref();
        let version = transport.version();
        let heard = transport.heard();
        let place = Place {
            peer: transport.peer(),
            hop,
        };
        self.findings
            .connected(transport.peer(), Arc::clone(&version));
        let patience = Arc::new(Patience::new(settings.connect_timeout));
        let verifier = HostKeyVerifier {
            settings: Arc::clone(settings),
            prompt: Arc::clone(&self.prompt),
            patience: Arc::clone(&patience),
            pinned: known.as_ref().map(|known| known.host_key.clone()),
        };
        let warnings = Arc::clone(&self.warnings);
        let shared = Shared::new(cut, warnings, version, Arc::clone(&heard));
        let verifier = Arc::new(verifier);
        let round_trip = match role {
            Role::Control => None,
            Role::Data => self.round_trip().await,
        };
        let config = Arc::new(config(settings, role, round_trip, &verifier).await);
        let events = Events {
            shared: Arc::clone(&shared),
            verifier,
            refused: Arc::default(),
            findings: self.findings.clone(),
        };
        let refused = Arc::clone(&events.refused);
        let opening = async {
            let mut handle = client::connect_stream(config, socket, events)
                .await
                .map_err(|error| match lock(&refused).take() {
                    Some(refused) => refused,
                    None => self.handshake_error(&error.0),
                })?;
            let login = self
                .log_in(&mut handle, known.as_deref(), &patience, &shared)
                .await?;
            Ok((handle, login))
        };
        let (handle, login) = match patience.bound(opening).await {
            Some(Ok(opened)) => opened,
            Some(Err(error)) => return Err(self.blame(error, command).await),
            None => {
                return Err(Error::Timeout {
                    host: settings.host.clone(),
                    port: settings.port,
                    what: "did not finish the log-in within",
                    seconds: settings.connect_timeout.as_secs(),
                });
            }
        };
        let by = login
            .as_ref()
            .or_else(|| known.as_ref().map(|known| &known.login));
        let key = by.and_then(Login::key_fingerprint);
        if let (Some(login), Some(host_key)) = (login, shared.host_key().get()) {
            self.findings.logged_in(login.describe());
            let host_key = host_key.clone();
            let known = Arc::new(Known { login, host_key });
            lock(&self.known).get_or_insert(known);
        }
        if role == Role::Control {
            *lock(&self.control_heard) = heard;
        }
        DropGuard::disarm(failed);
        let connection = Connection::new(handle, shared, place, key);
        if role == Role::Control {
            self.measure(&connection);
        }
        Ok(connection)
    }

    /// Measures the round trip in the background: the first client of a new connection does not wait for it.
    fn measure(&self, connection: &Arc<Connection>) {
        let (connection, round_trip) = (Arc::clone(connection), self.round_trip.clone());
        tokio::spawn(async move {
            let measured = round_trip_of(connection.handle()).await;
            round_trip.send_if_modified(|known| {
                // What was known before is better than nothing, where a connection ended at once.
                let better = measured.is_some() || matches!(known, RoundTrip::Awaited);
                if better {
                    *known = RoundTrip::Measured(measured);
                }
                better
            });
        });
    }

    /// The round trip, once it is known: after a few round trips at most, or [`PING_PATIENCE`].
    async fn round_trip(&self) -> Option<Duration> {
        let mut measured = self.round_trip.subscribe();
        loop {
            if let RoundTrip::Measured(round_trip) = *measured.borrow_and_update() {
                return round_trip;
            }
            // The sender is this dialer's own.
            measured.changed().await.ok()?;
        }
    }

    async fn log_in(
        &self,
        handle: &mut Handle<Events>,
        known: Option<&Known>,
        patience: &Patience,
        shared: &Shared,
    ) -> Result<Option<Login>, Error> {
        match known {
            Some(known) => {
                auth::again(handle, &self.settings, &known.login).await?;
                Ok(None)
            }
            None => {
                let settings = &self.settings;
                auth::first(handle, settings, &self.prompt, patience, shared)
                    .await
                    .map(Some)
            }
        }
    }

    /// The cause of a failed handshake. If a command leads to the server and has ended, that end is the
    /// cause.
    async fn blame(&self, error: Error, command: Option<ProxyCommand>) -> Error {
        let (Error::Handshake { .. }, Some(mut command)) = (&error, command) else {
            return error;
        };
        match command.why_ended().await {
            Some(reason) => Error::ProxyCommand {
                host: self.settings.host.clone(),
                program: command.program().to_owned(),
                reason,
            },
            None => error,
        }
    }

    fn handshake_error(&self, error: &russh::Error) -> Error {
        let host = self.settings.host.clone();
        let port = self.settings.port;
        let reason = match error {
            russh::Error::Disconnect | russh::Error::HUP => "it hung up".to_owned(),
            // It makes no difference that our version reached the server after it had closed.
            russh::Error::IO(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                "it hung up".to_owned()
            }
            error => escaped(&error.to_string()),
        };
        if let russh::Error::IO(error) = error
            && let Some(other) = other_protocol(error)
        {
            let reason = other.to_string();
            return Error::NotSsh { host, port, reason };
        }
        if let russh::Error::NoCommonAlgo { kind, theirs, .. } = error {
            return self.no_common(kind, theirs);
        }
        match error {
            russh::Error::Version => Error::NotSsh { host, port, reason },
            _ => Error::Handshake { host, port, reason },
        }
    }

    fn no_common(&self, kind: &russh::AlgorithmKind, theirs: &[String]) -> Error {
        let kind = match kind {
            russh::AlgorithmKind::Kex => Some(AlgorithmKind::Kex),
            russh::AlgorithmKind::Key => Some(AlgorithmKind::HostKey),
            russh::AlgorithmKind::Cipher => Some(AlgorithmKind::Cipher),
            russh::AlgorithmKind::Mac => Some(AlgorithmKind::Mac),
            russh::AlgorithmKind::Compression => None,
        };
        Error::Algorithms {
            host: self.settings.host.clone(),
            port: self.settings.port,
            kind: kind.map_or("compression", AlgorithmKind::name),
            offered: escaped(&theirs.join(", ")),
            remedy: match kind {
                Some(kind) => algorithms::remedy(kind, theirs),
                None => "try without Compression".to_owned(),
            },
        }
    }
}

impl JumpHost for Dialer {
    fn settings(&self) -> &Settings {
        self.settings()
    }

    fn dial<'a>(&'a self, role: Role, place: Option<&'a Place>) -> Dialling<'a> {
        Box::pin(self.dial(role, place))
    }

    fn may_try_again(&self) -> bool {
        self.may_try_again()
    }

    fn forget_log_in(&self) {
        self.forget_log_in();
    }

    fn is_sure(&self) -> bool {
        self.is_sure()
    }
}

/// A way that can be gone again and again: it remembers the host keys and log-ins of its jump hosts.
fn prepared(way: &Way, prompt: &Arc<dyn Prompt>, findings: &Findings) -> PreparedWay {
    match way {
        Way::Command(command) => PreparedWay::Command(command.clone()),
        Way::Direct => PreparedWay::Direct,
        Way::Jump(settings) => {
            let findings = findings.about_jump_host();
            let dialer = Dialer::new(Settings::clone(settings), Arc::clone(prompt), findings);
            PreparedWay::Jump(Box::new(dialer))
        }
    }
}

/// The shorter of two round trips: a delay of only one of them is not caused by the way.
async fn round_trip_of(handle: &Handle<Events>) -> Option<Duration> {
    let mut shortest = None;
    for _ in 0..2 {
        let began = Instant::now();
        let answered = timeout(PING_PATIENCE, handle.send_ping()).await;
        answered.ok()?.ok()?;
        let round_trip = began.elapsed();
        shortest = Some(shortest.map_or(round_trip, |other| round_trip.min(other)));
    }
    shortest
}

/// A server that does not answer within this does not answer at all (RFC 4254 section 4 wants an answer).
const PING_PATIENCE: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ssh::TerminalPrompt;

    #[test]
    fn q121_where_something_else_chooses_the_host_nothing_is_sure() {
        let through = |way: Way, host: &str| {
            let mut settings = Settings::new(host, 22, "u");
            settings.way = way;
            Dialer::new(settings, Arc::new(TerminalPrompt), Findings::default()).is_sure()
        };
        let jump = |way: Way| {
            let mut hop = Settings::new("hop", 22, "u");
            hop.way = way;
            Way::Jump(Box::new(hop))
        };
        let command = || Way::Command("nc %h %p".to_owned());
        assert!(through(Way::Direct, "name"));
        assert!(!through(command(), "192.0.2.1"));
        // The jump host resolves the name.
        assert!(!through(jump(Way::Direct), "name"));
        assert!(through(jump(Way::Direct), "192.0.2.1"));
        assert!(!through(jump(command()), "192.0.2.1"));
    }
}
