//! `ferryline check`: the doctor. It tries each step of the way that a client's files take, one at a time.
//! For each it says what was found and, where the step does not work, what to do.
//!
//! It checks the real thing: the SSH session of [`ssh`], and the proxy itself, on a loopback port of its own,
//! with a small FTP client in front of it. Only one question is tried apart, because the proxy would not ask
//! it by itself and its answer is clearer there: may the SSH server connect to the FTP server at all?
//!
//! # Layout
//!
//! - `report`: the steps and what they amount to, for people and for machines
//! - `way`: the steps to the SSH session; `stage`: their names and order
//! - `listen`: whether the ports of `-L` can be listened on; `holder`: which program has one that cannot
//! - `server`: the steps of one forward, up to the log-in
//! - `modes`: a listing in each of the four modes
//! - `ferry`: the proxy that they go through
//! - `watch`: the lines that passed between the proxy and the FTP server
//! - `remedy`: what to do where a step does not work
//! - `render`: a report on a terminal
//! - `time`: when the check was made

mod ferry;
mod holder;
mod listen;
mod modes;
mod remedy;
mod render;
mod report;
mod server;
mod stage;
mod time;
mod watch;
mod way;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

pub use self::{
    render::Screen,
    report::{Event, ForwardReport, ModeReport, NotChecked, RESOLVE, Report, Status, Step, Tell},
};
use crate::{
    proxy::{ForwardSpec, Options},
    ssh::{self, Prompt, Secret},
};

/// What is to be checked.
#[derive(Clone)]
pub struct Plan {
    /// The SSH server.
    pub settings: ssh::Settings,
    /// The forwards. The ports that they would listen on are bound for a moment only, to see whether they can
    /// be.
    pub forwards: Vec<ForwardSpec>,
    /// How data connections are carried.
    pub options: Options,
    /// User to log in as on the FTP servers; without one the check ends before the log-in.
    pub user: Option<FtpUser>,
    /// How long a step on an FTP server may take without any data or reply.
    pub timeout: Duration,
}

/// A user of the FTP servers.
#[derive(Clone, Debug)]
pub struct FtpUser {
    /// The name; it holds no line end.
    pub name: String,
    /// The password; it holds no line end.
    pub password: Secret,
}

/// Makes the check. Calls `tell` with every step when it is done. What is found out about the SSH server on the
/// way is in `findings` at once.
pub async fn run(
    plan: &Plan,
    prompt: Arc<dyn Prompt>,
    findings: ssh::Findings,
    tell: Tell<'_>,
) -> Report {
    let time = time::utc(SystemTime::now());
    let (steps, session) = way::walk(plan, prompt, findings, tell).await;
    let mut forwards = Vec::new();
    for spec in &plan.forwards {
        forwards.push(match &session {
            Some(session) => server::examine(plan, spec, session, tell).await,
            None => server::not_reached(plan, spec, tell).await,
        });
    }
    if let Some(session) = &session {
        session.close().await;
    }
    Report {
        version: env!("CARGO_PKG_VERSION"),
        time,
        ok: session.is_some() && forwards.iter().all(|forward| forward.ok),
        destination: plan.settings.in_words(),
        steps,
        forwards,
    }
}
