//! The user's ssh configuration for one host: `~/.ssh/config`, `/etc/ssh/ssh_config`, `-F`, `-o` and
//! `-J`.
//!
//! If `ssh` is installed, ferryline asks it (`ssh -G`), so that Include, Match, patterns, tokens and
//! precedence are ssh's own; elsewhere a small parser reads the files. Both give the values that are
//! set, and nothing for the rest, for which ferryline has its own defaults.

mod apply;
mod file;
mod given;
mod openssh;
mod other_home;
mod tokens;
mod unrelated;
mod values;

use std::path::PathBuf;

use super::{Failure, destination::Destination};
use crate::{
    shell_word::quoted,
    ssh::{Settings, Way},
};
pub(super) use given::GivenOption;
use tokens::Tokens;

/// A host to look up, with the arguments about it on the command line.
#[derive(Debug, Default)]
pub(super) struct Request {
    /// The host as typed; the configuration may give it another name.
    pub(super) host: String,
    pub(super) user: Option<String>,
    pub(super) port: Option<u16>,
    /// `-i`: keys that are tried before those of the configuration.
    pub(super) identities: Vec<String>,
    /// `-o`.
    pub(super) options: Vec<GivenOption>,
    /// `-J`.
    pub(super) jump: Option<String>,
    /// `-F`; `none` reads no file.
    pub(super) file: Option<PathBuf>,
}

impl Request {
    /// The settings for this host, and for the jump hosts before it.
    pub(super) fn settings(&self) -> Result<Settings, Failure> {
        self.resolve(0)
    }

    fn resolve(&self, depth: usize) -> Result<Settings, Failure> {
        let values = match openssh::resolve(self)? {
            Some(values) => {
                if depth == 0 && self.file.is_none() {
                    other_home::warn();
                }
                values
            }
            None => file::resolve(self)?,
        };
        let mut settings = self.apply(&values)?;
        settings.ssh_command = Some(self.by_ssh());
        let tokens = Tokens::of(&self.host, &settings);
        if let Some(hops) = values.first("proxyjump").filter(|hops| !is_none(hops)) {
            let hops = tokens.expand_for(hops, "hnpr").map_err(Failure::Usage)?;
            let hop = self.hop(&hops, &settings, depth)?;
            settings.way = Way::Jump(Box::new(hop));
        } else if let Some(line) = values.first("proxycommand").filter(|line| !is_none(line)) {
            if values.is_yes("proxyusefdpass") {
                return Err(Failure::Usage(
                    "ProxyUseFdpass is not honoured by ferryline: the ProxyCommand must pass the data on itself"
                        .into(),
                ));
            }
            let line = tokens.command(line).map_err(Failure::Usage)?;
            settings.way = Way::Command(line);
        }
        Ok(settings)
    }

    /// The command line of ssh for the same request.
    fn by_ssh(&self) -> String {
        let mut words = vec!["ssh".to_owned()];
        let mut option = |letter: &str, value: &str| {
            words.extend([letter.to_owned(), quoted(value)]);
        };
        if let Some(file) = &self.file {
            option("-F", &file.to_string_lossy());
        }
        if let Some(jump) = &self.jump {
            option("-J", jump);
        }
        if let Some(port) = self.port {
            option("-p", &port.to_string());
        }
        for key in &self.identities {
            option("-i", key);
        }
        for given in &self.options {
            option("-o", &given.text);
        }
        words.push(match &self.user {
            Some(user) => quoted(&format!("{user}@{}", self.host)),
            None => quoted(&self.host),
        });
        words.join(" ")
    }

    /// The settings of the last of these hops, which the others lead to. Each hop is looked up like
    /// any host: ssh hands down the file, and none of the options.
    fn hop(&self, hops: &str, target: &Settings, depth: usize) -> Result<Settings, Failure> {
        if depth >= MOST_HOPS {
            return Err(Failure::Usage(format!(
                "ProxyJump leads over more than {MOST_HOPS} hosts, probably in a circle (at {})",
                self.host
            )));
        }
        let (before, last) = match hops.rsplit_once(',') {
            Some((before, last)) => (Some(before.to_owned()), last),
            None => (None, hops),
        };
        let hop = Destination::parse_jump(last.trim())?;
        let request = Self {
            host: hop.host,
            user: hop.user,
            port: hop.port,
            jump: before,
            file: self.file.clone(),
            ..Self::default()
        };
        let mut settings = request.resolve(depth + 1)?;
        // A user who must not be asked questions at the destination, or kept waiting, must not be at
        // a jump host, either.
        settings.batch_mode |= target.batch_mode;
        if settings.connect_timeout == Settings::new("", 22, "").connect_timeout {
            settings.connect_timeout = target.connect_timeout;
        }
        Ok(settings)
    }
}

fn is_none(value: &str) -> bool {
    value.eq_ignore_ascii_case("none")
}

const MOST_HOPS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssh_is_called_with_what_was_asked_for() {
        let request = Request {
            host: "lab".into(),
            user: Some("me".into()),
            port: Some(23),
            identities: vec!["/my keys/k".into()],
            jump: Some("a,b".into()),
            file: Some("/c".into()),
            ..Request::default()
        };
        assert_eq!(
            request.by_ssh(),
            "ssh -F /c -J a,b -p 23 -i '/my keys/k' me@lab"
        );
    }
}
