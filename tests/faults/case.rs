//! One case: a session with one transfer in it, and harm at one byte of it.

use std::fmt;
use std::str::FromStr;

use ferryline::demo::ftp_client::Mode;

use crate::relay::{End, Harm, Way};

/// A case, in full. Its text is what runs it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    pub mode: Mode,
    pub job: Job,
    /// Size of the file, in bytes.
    pub size: usize,
    pub aim: Aim,
    pub way: Way,
    /// Number of bytes that pass before the harm, in this direction of the connection that is aimed at, from
    /// the beginning of the session.
    pub at: u64,
    pub harm: Harm,
}

/// What the session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    Download,
    Upload,
}

/// The connection to which the harm is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// The SSH connection of the control connections.
    Control,
    /// The SSH connection of the data.
    Lane,
    /// A lane that is opened only for this session: harm from its first byte, so during the key exchange and
    /// the log-in, too.
    NewLane,
}

impl Case {
    /// Whether nothing is lost by it, so that the transfer must succeed.
    pub fn is_harmless(&self) -> bool {
        matches!(self.harm, Harm::Delay | Harm::Drip | Harm::Stall)
    }

    /// Whether ferryline is shown nothing, so that only its keepalive requests can tell.
    pub fn is_silent(&self) -> bool {
        matches!(self.harm, Harm::Cut(End::Silent, _))
    }
}

const MODES: [(&str, Mode); 4] = [
    ("PASV", Mode::Passive),
    ("EPSV", Mode::ExtendedPassive),
    ("PORT", Mode::Active),
    ("EPRT", Mode::ExtendedActive),
];
const JOBS: [(&str, Job); 2] = [("RETR", Job::Download), ("STOR", Job::Upload)];
const AIMS: [(&str, Aim); 3] = [
    ("control", Aim::Control),
    ("lane", Aim::Lane),
    ("new-lane", Aim::NewLane),
];
const WAYS: [(&str, Way); 2] = [("up", Way::Up), ("down", Way::Down)];
/// The names: `cut-`, then what ferryline is shown, then what the SSH server is shown.
const HARMS: [(&str, Harm); 11] = [
    ("cut-fin-fin", Harm::Cut(End::Fin, End::Fin)),
    ("cut-rst-rst", Harm::Cut(End::Rst, End::Rst)),
    ("cut-fin-rst", Harm::Cut(End::Fin, End::Rst)),
    ("cut-rst-silent", Harm::Cut(End::Rst, End::Silent)),
    ("cut-fin-silent", Harm::Cut(End::Fin, End::Silent)),
    ("cut-silent-rst", Harm::Cut(End::Silent, End::Rst)),
    ("cut-silent-fin", Harm::Cut(End::Silent, End::Fin)),
    ("cut-silent-silent", Harm::Cut(End::Silent, End::Silent)),
    ("delay", Harm::Delay),
    ("drip", Harm::Drip),
    ("stall", Harm::Stall),
];

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {} {} {} {} {}",
            name(&MODES, &self.mode),
            name(&JOBS, &self.job),
            self.size,
            name(&AIMS, &self.aim),
            name(&WAYS, &self.way),
            self.at,
            name(&HARMS, &self.harm)
        )
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let [mode, job, size, aim, way, at, harm] = words[..] else {
            return Err(format!("seven words are wanted: {text}"));
        };
        let number = |word: &str| word.parse::<u64>().map_err(|e| format!("{word}: {e}"));
        Ok(Self {
            mode: value(&MODES, mode)?,
            job: value(&JOBS, job)?,
            size: number(size)? as usize,
            aim: value(&AIMS, aim)?,
            way: value(&WAYS, way)?,
            at: number(at)?,
            harm: value(&HARMS, harm)?,
        })
    }
}

fn name<T: PartialEq>(all: &[(&'static str, T)], wanted: &T) -> &'static str {
    let found = all.iter().find(|(_, value)| value == wanted);
    found.expect("each has a name").0
}

fn value<T: Copy>(all: &[(&'static str, T)], name: &str) -> Result<T, String> {
    let found = all.iter().find(|(known, _)| *known == name);
    found
        .map(|(_, value)| *value)
        .ok_or_else(|| format!("what is {name}?"))
}

#[test]
fn every_case_is_found_again_by_its_text() {
    for (_, harm) in HARMS {
        for (_, mode) in MODES {
            let case = Case {
                mode,
                job: Job::Upload,
                size: 3000,
                aim: Aim::NewLane,
                way: Way::Down,
                at: 17,
                harm,
            };
            assert_eq!(case.to_string().parse(), Ok(case));
        }
    }
}
