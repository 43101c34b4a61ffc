//! What a check found: its steps and their result. `--json` prints the same.

use std::time::SystemTime;

use serde::Serialize;

use super::time::utc;
use crate::ftp_client::Mode;

/// The name of the step that looks up the SSH server's name, which is done before anything connects.
pub const RESOLVE: &str = "resolve";

/// Result of a whole check.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The version of ferryline that made it.
    pub version: &'static str,
    /// When it was begun, in UTC: `2026-11-29T13:00:00Z` (RFC 3339).
    pub time: String,
    /// Whether clients can work, which is exit code 0: no step failed. With an FTP user this includes PASV,
    /// which nearly all clients use; another mode that does not work is a warning then.
    pub ok: bool,
    /// The SSH server, and the jump hosts on the way there: `user@host via user@hop`.
    pub destination: String,
    /// The steps up to the SSH session.
    pub steps: Vec<Step>,
    /// The forwards, in the order of the `-L`.
    pub forwards: Vec<ForwardReport>,
}

/// What `--json` prints in place of a report where nothing could be checked.
#[derive(Clone, Debug, Serialize)]
pub struct NotChecked {
    /// The version of ferryline.
    pub version: &'static str,
    /// When it was, as in [`Report::time`].
    pub time: String,
    /// Clients cannot be known to work: `false`.
    pub ok: bool,
    /// Why nothing was checked: the command line is wrong (exit code 2), or what it names cannot be read (1).
    pub error: String,
}

impl NotChecked {
    /// The document for this error, at this time.
    pub fn new(error: &str) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            time: utc(SystemTime::now()),
            ok: false,
            error: error.to_owned(),
        }
    }
}

/// Result for one `-L`.
#[derive(Clone, Debug, Serialize)]
pub struct ForwardReport {
    /// What it carries, and to where: `ftp://localhost:21`.
    pub forward: String,
    /// Whether it can be used, as far as it was tried.
    pub ok: bool,
    /// Its steps.
    pub steps: Vec<Step>,
    /// The modes that were tried; empty where none could be.
    pub modes: Vec<ModeReport>,
    /// One sentence about the modes.
    pub summary: String,
}

/// Whether clients can use a transfer mode.
#[derive(Clone, Debug, Serialize)]
pub struct ModeReport {
    /// `passive`, `extended-passive`, `active` or `extended-active`.
    pub mode: &'static str,
    /// Whether a listing came over it.
    pub works: bool,
    /// How it is carried, where that differs from what the client asks: `carried as passive`.
    pub carried: Option<String>,
}

/// One step of the way.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// Its name, the same in every version: `host-key`.
    pub name: &'static str,
    /// How it went.
    pub status: Status,
    /// What was found.
    pub detail: String,
    /// What to do about it, where something should be done.
    pub remedy: Option<String>,
}

/// How a step went.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It works.
    Ok,
    /// It did not work.
    Failed,
    /// It was not tried; `detail` says why.
    Skipped,
    /// It did not work, and most clients can do without it.
    Warning,
}

/// Event that is reported while a check runs.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The steps that follow are about this forward (`ftp://localhost:21`).
    Forward(&'a str),
    /// A step is done.
    Step(&'a Step),
}

/// Receiver of the events.
pub type Tell<'a> = &'a mut (dyn FnMut(Event<'_>) + Send);

/// Steps as they are done: each is reported at once, and kept.
pub(super) struct Log<'a> {
    tell: Tell<'a>,
    steps: Vec<Step>,
}

impl<'a> Log<'a> {
    pub(super) fn new(tell: Tell<'a>) -> Self {
        Self {
            tell,
            steps: Vec::new(),
        }
    }

    pub(super) fn ok(&mut self, name: &'static str, detail: impl Into<String>) {
        self.add(name, Status::Ok, detail.into(), None);
    }

    /// Adds a step that works, and could work better.
    pub(super) fn ok_but(&mut self, name: &'static str, detail: impl Into<String>, remedy: &str) {
        self.add(name, Status::Ok, detail.into(), Some(remedy.to_owned()));
    }

    pub(super) fn failed(
        &mut self,
        name: &'static str,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let remedy = Some(remedy.into()).filter(|remedy: &String| !remedy.is_empty());
        self.add(name, Status::Failed, detail.into(), remedy);
    }

    /// Adds a step that does not work and that most clients can do without.
    pub(super) fn warning(
        &mut self,
        name: &'static str,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.add(name, Status::Warning, detail.into(), Some(remedy.into()));
    }

    pub(super) fn skipped(&mut self, name: &'static str, detail: impl Into<String>) {
        self.add(name, Status::Skipped, detail.into(), None);
    }

    pub(super) fn has_failed(&self) -> bool {
        self.steps.iter().any(|step| step.status == Status::Failed)
    }

    pub(super) fn into_steps(self) -> Vec<Step> {
        self.steps
    }

    fn add(&mut self, name: &'static str, status: Status, detail: String, remedy: Option<String>) {
        let step = Step {
            name,
            status,
            detail,
            remedy,
        };
        (self.tell)(Event::Step(&step));
        self.steps.push(step);
    }
}

impl ModeReport {
    pub(super) fn new(mode: Mode, works: bool, carried: Option<String>) -> Self {
        let mode = match mode {
            Mode::Passive => "passive",
            Mode::ExtendedPassive => "extended-passive",
            Mode::Active => "active",
            Mode::ExtendedActive => "extended-active",
        };
        Self {
            mode,
            works,
            carried,
        }
    }

    /// The mode for people: `active (carried as passive)`.
    fn in_words(&self) -> String {
        let mode = self.mode.replace('-', " ");
        match &self.carried {
            Some(carried) if self.works => format!("{mode} ({carried})"),
            _ => mode,
        }
    }
}

/// The sentence about the modes that were tried.
pub(super) fn summary(modes: &[ModeReport]) -> String {
    let list = |works| {
        let modes = modes.iter().filter(|mode| mode.works == works);
        let words: Vec<_> = modes.map(ModeReport::in_words).collect();
        words.join(", ")
    };
    match (list(true), list(false)) {
        (can, cannot) if cannot.is_empty() => format!("clients can use: {can}"),
        (can, _) if can.is_empty() => "clients can use no mode: see the steps above".to_owned(),
        (can, cannot) => format!("clients can use: {can}; they cannot use: {cannot}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_names_what_works_how_and_what_does_not() {
        let carried = || Some("carried as passive".to_owned());
        let modes = [
            ModeReport::new(Mode::Passive, true, None),
            ModeReport::new(Mode::ExtendedPassive, false, None),
            ModeReport::new(Mode::Active, true, carried()),
            ModeReport::new(Mode::ExtendedActive, false, carried()),
        ];
        assert_eq!(
            summary(&modes),
            "clients can use: passive, active (carried as passive); \
             they cannot use: extended passive, extended active"
        );
        assert_eq!(summary(&modes[..1]), "clients can use: passive");
        assert!(summary(&modes[1..2]).starts_with("clients can use no mode"));
    }
}
