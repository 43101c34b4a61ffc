//! A listing in each of the four modes, and the way in which each is carried.

use std::net::{IpAddr, Ipv4Addr};

use ferryline_grammar::{Verb, is_loopback};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::{
    Plan,
    ferry::Ferry,
    remedy,
    report::{Log, ModeReport},
    watch::Passed,
};
use crate::{
    control::{ActiveMode, DataHost},
    ftp_client::{ClientError, FtpClient, Mode, Problem},
    proxy::ForwardSpec,
    ssh::{ForwardError, Session},
};

/// The step that compares the address in the server's 227 with the one that is used.
pub(super) const DATA_ADDRESS: &str = "data-address";

/// Tries all modes, on a control connection that is logged in.
pub(super) async fn try_all(
    log: &mut Log<'_>,
    plan: &Plan,
    spec: &ForwardSpec,
    session: &Session,
    ferry: &Ferry,
    client: FtpClient,
) -> Vec<ModeReport> {
    let mut trial = Trial {
        plan,
        spec,
        session,
        ferry,
        client: Some(client),
        why_carried: false,
        pasv_works: false,
    };
    let mut reports = Vec::new();
    for mode in Mode::ALL {
        reports.push(trial.run(log, mode).await);
    }
    if let Some(client) = trial.client {
        // It does not matter whether the server answers QUIT.
        let _ = client.quit().await;
    }
    reports
}

struct Trial<'a> {
    plan: &'a Plan,
    spec: &'a ForwardSpec,
    session: &'a Session,
    ferry: &'a Ferry,
    /// A control connection that is logged in; none after a failure, which leaves it in an unknown state.
    client: Option<FtpClient>,
    /// Whether the reason for carrying active mode as passive was given. From then on the proxy does not try
    /// a remote forward again.
    why_carried: bool,
    /// Whether PASV was tried, and works.
    pasv_works: bool,
}

impl Trial<'_> {
    async fn run(&mut self, log: &mut Log<'_>, mode: Mode) -> ModeReport {
        let verb = mode.verb();
        self.ferry.watch.take();
        let listed = match self.client().await {
            Ok(mut client) => {
                self.ferry.watch.take();
                let limit = self.plan.timeout * LISTING;
                match timeout(limit, client.list(mode)).await {
                    Ok(Ok(listing)) => {
                        self.client = Some(client);
                        Ok(listing)
                    }
                    Ok(Err(error)) => Err(explained(error, &mut client).await),
                    Err(_) => Err(format!("LIST: no end of it within {} s", limit.as_secs())),
                }
            }
            Err(error) => Err(error.to_string()),
        };
        let passed = self.ferry.watch.take();
        let (works, carried) = match &listed {
            Ok(listing) => {
                let (carried, how) = self.how(mode, &passed).await;
                let bytes = listing.len();
                log.ok(verb, format!("a listing of {bytes} B came{how}"));
                (true, carried)
            }
            Err(text) => {
                let remedy = remedy::mode(self.spec, text);
                match mode {
                    Mode::Passive => log.failed(verb, text, remedy),
                    Mode::ExtendedPassive if !self.pasv_works => log.failed(verb, text, remedy),
                    Mode::ExtendedPassive => {
                        let instead = "PASV works: have clients use it (curl: --disable-epsv)";
                        log.warning(verb, text, format!("{remedy}. {instead}"));
                    }
                    // Nearly all clients use passive mode, or turn to it.
                    Mode::Active | Mode::ExtendedActive => log.warning(verb, text, remedy),
                }
                (false, None)
            }
        };
        if mode == Mode::Passive {
            self.pasv_works = works;
            self.data_address(log, &passed, works);
        }
        ModeReport::new(mode, works, carried)
    }

    /// Returns the control connection, or a new one where there is none.
    async fn client(&mut self) -> Result<FtpClient, ClientError> {
        if let Some(client) = self.client.take() {
            return Ok(client);
        }
        let (mut client, greeting) =
            FtpClient::greeted(self.ferry.address, self.plan.timeout).await?;
        greeting.wanted("logging in once more", 2)?;
        if let Some(user) = &self.plan.user {
            let reply = client.command(&format!("USER {}", user.name)).await?;
            if reply.code.class() == 3 {
                let pass = Zeroizing::new(format!("PASS {}", user.password.expose()));
                client.command(&pass).await?.wanted("PASS ****", 2)?;
            }
        }
        Ok(client)
    }

    /// Returns how a working mode is carried: for the report, and in words.
    async fn how(&mut self, mode: Mode, passed: &Passed) -> (Option<String>, String) {
        let asked = passed.asked();
        let last = asked.last().copied();
        let passive = matches!(last, Some(Verb::Pasv | Verb::Epsv));
        match (mode, last) {
            (Mode::Passive, Some(Verb::Epsv)) => asked_as("EPSV", "PASV"),
            (Mode::ExtendedPassive, Some(Verb::Pasv)) => asked_as("PASV", "EPSV"),
            (Mode::Active | Mode::ExtendedActive, _) if passive => {
                let why = self.why_carried(passed).await;
                let how = format!(", carried as passive: {why}");
                (Some("carried as passive".to_owned()), how)
            }
            (Mode::Active, Some(Verb::Eprt)) => by_remote_forward(asked_as("EPRT", "PORT")),
            (Mode::ExtendedActive, Some(Verb::Port)) => by_remote_forward(asked_as("PORT", "EPRT")),
            (Mode::Active | Mode::ExtendedActive, _) => by_remote_forward((None, String::new())),
            _ => (None, String::new()),
        }
    }

    async fn why_carried(&mut self, passed: &Passed) -> String {
        if self.why_carried {
            return "as for PORT".to_owned();
        }
        self.why_carried = true;
        if self.plan.options.active == ActiveMode::Passive {
            "--active passive".to_owned()
        } else if !is_loopback(&self.spec.host) {
            format!(
                "{} is not loopback, so the FTP server is taken to be on another host than the SSH server, whose \
                 loopback ports it could not reach",
                self.spec.host
            )
        } else if let Some(refusal) = passed.active_refused() {
            format!("the FTP server refuses active mode (\"{refusal}\")")
        } else {
            match self.remote_forward().await {
                Ok(()) => {
                    "the remote forward was refused, or broke; a second attempt works".to_owned()
                }
                Err(error) => error,
            }
        }
    }

    /// Asks for the remote forward that the proxy was refused, to get the reason.
    async fn remote_forward(&self) -> Result<(), String> {
        let asking = async {
            let lane = self.session.lane().await.map_err(|e| e.to_string())?;
            let forward = lane.remote_forward(IpAddr::V4(Ipv4Addr::LOCALHOST)).await;
            let forward = forward.map_err(|error| error.to_string())?;
            forward.cancel().await;
            Ok(())
        };
        let asked = timeout(self.plan.timeout, asking).await;
        asked.unwrap_or_else(|_| Err(ForwardError::Timeout.to_string()))
    }

    /// Logs which address the server names for data, and which is used.
    fn data_address(&self, log: &mut Log<'_>, passed: &Passed, works: bool) {
        let Some((code, endpoint)) = passed.passive() else {
            log.skipped(DATA_ADDRESS, "the server named none");
            return;
        };
        let host = &self.spec.host;
        let named = endpoint.address.filter(|address| !address.is_unspecified());
        let Some(named) = named else {
            let detail = format!("the server's {code} names a port only; {host} is used");
            log.ok(DATA_ADDRESS, detail);
            return;
        };
        let detail = format!("the server's {code} names {named}");
        if named.to_string() == *host || (is_loopback(host) && named.is_loopback()) {
            log.ok(
                DATA_ADDRESS,
                format!("{detail}; {host} is used, which is the same"),
            );
            return;
        }
        match (self.plan.options.data_host, works) {
            (DataHost::Control, true) => log.ok(
                DATA_ADDRESS,
                format!(
                    "{detail}; {host} is used and works (--data-host control; with reply, the SSH \
                     server would be asked for {named})"
                ),
            ),
            (DataHost::Control, false) => log.failed(
                DATA_ADDRESS,
                format!("{detail}; {host} is used and does not work (--data-host control)"),
                "try --data-host reply, which follows the server",
            ),
            (DataHost::Reply, true) => log.ok(
                DATA_ADDRESS,
                format!("{detail}; it is used (--data-host reply)"),
            ),
            (DataHost::Reply, false) => log.failed(
                DATA_ADDRESS,
                format!("{detail}; it is used and does not work (--data-host reply)"),
                format!("try --data-host control, which takes data to {host}"),
            ),
            (DataHost::Auto, true) => log.ok(
                DATA_ADDRESS,
                format!("{detail}; {host} is tried, then {named} (--data-host auto)"),
            ),
            (DataHost::Auto, false) => log.failed(
                DATA_ADDRESS,
                format!("{detail}; neither {host} nor {named} works (--data-host auto)"),
                "perhaps a firewall is between: open the server's passive ports to the SSH host",
            ),
        }
    }
}

/// Describes what went wrong. Where the data connection failed, the reply after it may tell why.
async fn explained(error: ClientError, client: &mut FtpClient) -> String {
    let text = error.to_string();
    match error.problem {
        Problem::Data { .. } => match client.reply().await {
            Ok(reply) if reply.code.class() >= 4 => format!("{text}; then came \"{reply}\""),
            _ => text,
        },
        _ => text,
    }
}

/// Describes that the server was asked in the other form.
fn asked_as(verb: &str, instead_of: &str) -> (Option<String>, String) {
    (
        Some(format!("asked as {verb}")),
        format!(" ({verb} to the server, which does not serve {instead_of} here)"),
    )
}

/// Factor by which a listing may take longer than a step in which nothing moves.
const LISTING: u32 = 6;

fn by_remote_forward(asked: (Option<String>, String)) -> (Option<String>, String) {
    let (carried, how) = asked;
    (carried, format!(", by a remote forward{how}"))
}
