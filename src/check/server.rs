//! The steps of one forward: the way to the FTP server, its greeting, its features, TLS, the log-in.

use tokio::time::timeout;
use zeroize::Zeroizing;

use super::{
    Plan,
    ferry::{FAREWELL, Ferry},
    listen, modes, remedy,
    report::{Event, ForwardReport, Log, ModeReport, Tell, summary},
    way::no_client,
};
use crate::{
    control::Target,
    ftp_client::{ClientError, FtpClient, Problem, Reply},
    proxy::{ForwardKind, ForwardSpec, Homes, Reached},
    ssh::{OpenError, Session},
};

/// Report on a forward without an SSH session.
pub(super) async fn not_reached(plan: &Plan, spec: &ForwardSpec, tell: Tell<'_>) -> ForwardReport {
    let forward = title(spec);
    tell(Event::Forward(&forward));
    let mut log = Log::new(tell);
    listen::step(&mut log, plan, spec).await;
    log.skipped(FORWARD, "not reached");
    ForwardReport {
        forward,
        ok: false,
        steps: log.into_steps(),
        modes: Vec::new(),
        summary: "no SSH connection: see the steps above".to_owned(),
    }
}

/// Makes the steps of one forward.
pub(super) async fn examine(
    plan: &Plan,
    spec: &ForwardSpec,
    session: &Session,
    tell: Tell<'_>,
) -> ForwardReport {
    let forward = title(spec);
    tell(Event::Forward(&forward));
    let mut log = Log::new(tell);
    let mut modes = Vec::new();
    let listens = listen::step(&mut log, plan, spec).await;
    let reached = reach(&mut log, plan, spec, session).await;
    if spec.kind == ForwardKind::Ftp && !reached {
        skip_from(&mut log, GREETING, "not reached");
    } else if spec.kind == ForwardKind::Ftp {
        match Ferry::start(plan, spec, session).await {
            Ok(ferry) => {
                modes = through(&mut log, plan, spec, session, &ferry).await;
                ferry.stop().await;
            }
            Err(error) => {
                log.failed(GREETING, error, "free a port on loopback");
                skip_from(&mut log, FEATURES, "not reached");
            }
        }
    }
    ForwardReport {
        forward,
        ok: !log.has_failed(),
        summary: match modes.as_slice() {
            _ if !listens => "it cannot listen on its port: see the steps above".to_owned(),
            [] if log.has_failed() => "it cannot be used: see the steps above".to_owned(),
            [] if spec.kind == ForwardKind::Tcp => "it can be used".to_owned(),
            [] => format!("nothing is in the way so far; {ADD_USER}"),
            modes => summary(modes),
        },
        steps: log.into_steps(),
        modes,
    }
}

fn title(spec: &ForwardSpec) -> String {
    match spec.host.contains(':') {
        true => format!("{}://[{}]:{}", spec.kind, spec.host, spec.host_port),
        false => format!("{}://{}:{}", spec.kind, spec.host, spec.host_port),
    }
}

/// Checks whether the SSH server connects to the FTP server at all.
async fn reach(log: &mut Log<'_>, plan: &Plan, spec: &ForwardSpec, session: &Session) -> bool {
    let named = Target {
        host: spec.host.clone(),
        port: spec.host_port,
    };
    let homes = Homes::default();
    let opening = homes.open(session, &named, no_client());
    let opened = timeout(plan.timeout, opening).await;
    match opened.unwrap_or(Err(OpenError::Timeout)) {
        Ok(Reached {
            channel,
            server: reached,
            ..
        }) => {
            // It must be closed before the next one comes: some servers accept few from one address.
            channel.writer.leave_and_wait(FAREWELL).await;
            if let Err(error) = by_lane(plan, session, &reached).await {
                log.failed(
                    FORWARD,
                    format!(
                        "the first SSH connection leads to {reached}, a further one, as data takes, does not: {error}"
                    ),
                    remedy::SEVERAL_HOSTS,
                );
                return true;
            }
            let mut target = format!("{} port {}", spec.host, spec.host_port);
            if reached.host != spec.host {
                target.push_str(&format!(", at {}", reached.host));
            }
            log.ok(FORWARD, format!("the SSH server connects to {target}"));
            true
        }
        Err(error) => {
            log.failed(
                FORWARD,
                remedy::cause(&error),
                remedy::forward(spec, &error),
            );
            false
        }
    }
}

/// Checks whether a lane leads to the FTP server as well: data takes one.
async fn by_lane(plan: &Plan, session: &Session, server: &Target) -> Result<(), OpenError> {
    let lane = match session.lane_within(plan.timeout).await {
        Ok(lane) if !lane.is_shared_control() => lane,
        // The step before has reported that there is none.
        _ => return Ok(()),
    };
    let opening = lane.open(&server.host, server.port, no_client());
    let opened = timeout(plan.timeout, opening).await;
    let channel = opened.unwrap_or(Err(OpenError::Timeout))?;
    channel.writer.leave_and_wait(FAREWELL).await;
    Ok(())
}

/// Checks what a client finds that connects through the proxy.
async fn through(
    log: &mut Log<'_>,
    plan: &Plan,
    spec: &ForwardSpec,
    session: &Session,
    ferry: &Ferry,
) -> Vec<ModeReport> {
    let Some(mut client) = greet(log, plan, ferry).await else {
        skip_from(log, FEATURES, "not reached");
        return Vec::new();
    };
    let mut features = Features::ask(&mut client, ferry).await;
    if !matches!(features, Features::LogInFirst(_)) || plan.user.is_none() {
        features.show(log);
    }
    if !log_in(log, plan, &mut client, features.offers_tls()).await {
        return Vec::new();
    }
    if matches!(features, Features::LogInFirst(_)) {
        features = Features::ask(&mut client, ferry).await;
        features.show(log);
    }
    modes::try_all(log, plan, spec, session, ferry, client).await
}

/// Returns the control connection, if the server greets as FTP servers do.
async fn greet(log: &mut Log<'_>, plan: &Plan, ferry: &Ferry) -> Option<FtpClient> {
    ferry.watch.take();
    let greeted = FtpClient::greeted(ferry.address, plan.timeout).await;
    match greeted {
        Ok((client, greeting)) if greeting.code.class() == 2 => {
            log.ok(GREETING, greeting.to_string());
            Some(client)
        }
        Ok((_, greeting)) => {
            let text = greeting.to_string();
            match ferry.watch.own_word(&text) {
                Some(own) => log.failed(GREETING, own, remedy::own_greeting(own)),
                None => {
                    let remedy = match remedy::wants_tls(&text) {
                        true => remedy::TLS.to_owned(),
                        false => remedy::greeting(&text),
                    };
                    log.failed(GREETING, format!("the server answered \"{text}\""), remedy);
                }
            }
            None
        }
        Err(error) => {
            let text = error.to_string();
            log.failed(GREETING, &text, remedy::greeting(&text));
            None
        }
    }
}

/// Reply to FEAT.
enum Features {
    Listed(Vec<String>),
    LogInFirst(Reply),
    None(Reply),
    Failed(ClientError),
}

impl Features {
    async fn ask(client: &mut FtpClient, ferry: &Ferry) -> Self {
        ferry.watch.take();
        match client.command("FEAT").await {
            Err(error) => Self::Failed(error),
            // In the server's own form: the client's copy lacks AUTH.
            Ok(reply) if reply.code.class() == 2 => Self::Listed(ferry.watch.take().features()),
            Ok(reply) if reply.code.value() == 530 => Self::LogInFirst(reply),
            Ok(reply) => Self::None(reply),
        }
    }

    fn show(&self, log: &mut Log<'_>) {
        match self {
            Self::Listed(features) if features.is_empty() => log.ok(FEATURES, "none are listed"),
            Self::Listed(features) => {
                let short = features
                    .iter()
                    .map(|feature| match feature.split_once(' ') {
                        // The parameters of AUTH matter here; the others' are long.
                        Some((name, _)) if !name.eq_ignore_ascii_case("AUTH") => name,
                        _ => feature,
                    });
                log.ok(FEATURES, short.collect::<Vec<_>>().join(", "));
            }
            Self::LogInFirst(reply) => {
                log.skipped(FEATURES, format!("only after the log-in ({reply})"));
            }
            Self::None(reply) => log.ok(FEATURES, format!("the server has no FEAT ({reply})")),
            Self::Failed(error) => log.failed(FEATURES, error.to_string(), remedy::VERBOSE),
        }
    }

    fn offers_tls(&self) -> bool {
        match self {
            Self::Listed(features) => features
                .iter()
                .any(|feature| feature.to_ascii_uppercase().starts_with("AUTH")),
            _ => false,
        }
    }
}

/// Finds out whether the server insists on TLS, and logs in where there is a user.
async fn log_in(log: &mut Log<'_>, plan: &Plan, client: &mut FtpClient, tls_offered: bool) -> bool {
    // A name that belongs to no user, where there is none to try: no password follows it.
    let name = plan.user.as_ref().map_or("ferryline-check", |u| &u.name);
    let mut answer = client.command(&format!("USER {name}")).await;
    if let (Ok(reply), Some(user)) = (&answer, &plan.user)
        && reply.code.class() == 3
    {
        let pass = Zeroizing::new(format!("PASS {}", user.password.expose()));
        answer = client.command(&pass).await;
    }
    let reply = match answer {
        Ok(reply) => reply,
        Err(error) => {
            let closed = matches!(error.problem, Problem::Closed);
            let remedy = if closed {
                remedy::LOG_IN
            } else {
                remedy::VERBOSE
            };
            log.skipped(TLS, "no answer that would tell");
            log.failed(LOG_IN, error.to_string(), remedy);
            skip_from(log, PASV, "not reached");
            return false;
        }
    };
    let refused = reply.code.class() >= 4;
    if refused && remedy::wants_tls(&reply.to_string()) {
        let detail = format!("the server insists on TLS (\"{reply}\"), which cannot be carried");
        log.failed(TLS, detail, remedy::TLS);
        skip_from(log, LOG_IN, "not reached");
        return false;
    }
    log.ok(
        TLS,
        match tls_offered {
            true => "not required; offered, and refused by ferryline: SSH protects the connection",
            false => "not required, and not offered",
        },
    );
    let Some(user) = &plan.user else {
        skip_from(log, LOG_IN, ADD_USER);
        return false;
    };
    match reply.code.class() {
        2 => {
            log.ok(LOG_IN, format!("{}: {reply}", user.name));
            true
        }
        3 => {
            let detail = format!(
                "{}: the server wants more than a password: {reply}",
                user.name
            );
            log.failed(
                LOG_IN,
                detail,
                "accounts (ACCT) are not tried: give another user",
            );
            skip_from(log, PASV, "not reached");
            false
        }
        _ => {
            let detail = format!("{}: the server answered \"{reply}\"", user.name);
            log.failed(LOG_IN, detail, remedy::LOG_IN);
            skip_from(log, PASV, "not reached");
            false
        }
    }
}

/// Skips all steps from this one on.
fn skip_from(log: &mut Log<'_>, first: &str, why: &str) {
    let names = [
        GREETING,
        FEATURES,
        TLS,
        LOG_IN,
        PASV,
        modes::DATA_ADDRESS,
        "EPSV",
        "PORT",
        "EPRT",
    ];
    for name in names.into_iter().skip_while(|name| *name != first) {
        log.skipped(name, why);
    }
}

const FORWARD: &str = "forward";
const GREETING: &str = "greeting";
const FEATURES: &str = "features";
const TLS: &str = "tls";
const LOG_IN: &str = "log-in";
const PASV: &str = "PASV";
const ADD_USER: &str = "add --ftp-user NAME to try log-in and transfers";
