//! The tokens (`%h` and so on), variables and `~` in values, which `ssh -G` prints as they were
//! written.

use std::path::{Path, PathBuf};

use crate::ssh::Settings;

/// The values of the tokens for one host (ssh_config(5), TOKENS).
#[derive(Clone, Debug)]
pub(super) struct Tokens {
    alias: String,
    host: String,
    key_name: String,
    port: u16,
    user: String,
}

impl Tokens {
    /// The tokens for the host that was typed as `alias`, with these settings.
    pub(super) fn of(alias: &str, settings: &Settings) -> Self {
        Self {
            alias: alias.to_owned(),
            host: settings.host.clone(),
            key_name: settings
                .host_key_alias
                .clone()
                .unwrap_or_else(|| alias.to_owned()),
            port: settings.port,
            user: settings.user.clone(),
        }
    }

    /// A path, with `~`, tokens and `${VARIABLES}` replaced.
    pub(super) fn path(&self, text: &str) -> Result<PathBuf, String> {
        let text = self.expand_for(text, "dhijkLlnpru")?;
        Ok(in_home(&variables(&text)?))
    }

    /// A command line for the shell. A host or user name with a meaning for the shell is refused: it
    /// may come from another source than the command.
    pub(super) fn command(&self, text: &str) -> Result<String, String> {
        for name in [&self.alias, &self.host, &self.user] {
            let odd = |c: char| c.is_control() || c.is_whitespace() || SHELL.contains(c);
            if name.starts_with('-') || name.contains(odd) {
                let name = name.escape_debug();
                return Err(format!("'{name}' is not safe to hand to a ProxyCommand"));
            }
        }
        self.expand_for(text, "hnpr")
    }

    /// Replaces the tokens in `allowed`, and `%%`; any other token is an error.
    pub(super) fn expand_for(&self, text: &str, allowed: &str) -> Result<String, String> {
        let mut out = String::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            match chars.next() {
                Some('%') => out.push('%'),
                Some(token) if allowed.contains(token) => {
                    let value = self.value(token).ok_or_else(|| {
                        format!("'{text}': ferryline cannot tell what %{token} stands for here")
                    })?;
                    out.push_str(&value);
                }
                Some(token) => return Err(format!("'{text}': %{token} is not understood here")),
                None => return Err(format!("'{text}' ends with a lone %")),
            }
        }
        Ok(out)
    }

    fn value(&self, token: char) -> Option<String> {
        Some(match token {
            'd' => home()?.to_str()?.to_owned(),
            'h' => self.host.clone(),
            'i' => own_id()?,
            // The jump hosts, if any: not in names of files.
            'j' => String::new(),
            'k' => self.key_name.clone(),
            'L' => own_host()?.split('.').next()?.to_owned(),
            'l' => own_host()?,
            'n' => self.alias.clone(),
            'p' => self.port.to_string(),
            'r' => self.user.clone(),
            'u' => own_name()?,
            _ => return None,
        })
    }
}

/// Characters that the shell does not take literally.
const SHELL: &str = "'`\"$\\;&<>|(){}*?!#~";

/// The path with `~/` replaced by the user's home.
fn in_home(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), home()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(path),
    }
}

/// A file of the folder `~/.ssh`.
pub(in crate::cli) fn in_ssh_folder(file: &str) -> Option<PathBuf> {
    home().map(|home| home.join(Path::new(".ssh")).join(file))
}

pub(in crate::cli) fn home() -> Option<PathBuf> {
    std::env::home_dir().filter(|home| !home.as_os_str().is_empty())
}

pub(in crate::cli) fn own_name() -> Option<String> {
    ["USER", "LOGNAME", "USERNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok())
        .filter(|name| !name.is_empty())
}

/// Replaces each `${NAME}` by the variable; one that is not set is an error, as in ssh.
fn variables(text: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, behind) = after
            .split_once('}')
            .ok_or_else(|| format!("'{text}': a ${{ without its }}"))?;
        let value =
            std::env::var(name).map_err(|_| format!("'{text}': the variable {name} is not set"))?;
        out.push_str(before);
        out.push_str(&value);
        rest = behind;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(target_os = "linux")]
fn own_id() -> Option<String> {
    use std::os::unix::fs::MetadataExt;

    let own = std::fs::metadata("/proc/self").ok()?;
    Some(own.uid().to_string())
}

/// Other systems tell only by a system call.
#[cfg(not(target_os = "linux"))]
fn own_id() -> Option<String> {
    None
}

fn own_host() -> Option<String> {
    let read = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let named = || std::env::var("HOSTNAME").or_else(|_| std::env::var("COMPUTERNAME"));
    read.map(|name| name.trim().to_owned())
        .or_else(|| named().ok())
        .filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens() -> Tokens {
        Tokens::of("alias", &Settings::new("host.example", 2222, "anna"))
    }

    #[test]
    fn tokens_of_a_command() {
        let line = tokens().command("nc -X 5%% %h %p %r@%n");
        assert_eq!(line.unwrap(), "nc -X 5% host.example 2222 anna@alias");
        for host in ["a;b", "$(b)", "a b", "`b`", "-x", "a\nb"] {
            let error = Tokens::of(host, &Settings::new("h", 22, "u")).command("nc %h");
            assert!(error.unwrap_err().contains("not safe"), "{host}");
        }
        for bad in ["x %d", "x %", "x %z"] {
            assert!(tokens().expand_for(bad, "hnpr").is_err(), "{bad}");
        }
    }

    #[test]
    fn tokens_of_a_path() {
        let home = home().unwrap();
        let found = tokens().path("~/.ssh/%h-%r-%k").unwrap();
        assert_eq!(found, home.join(".ssh/host.example-anna-alias"));
        assert_eq!(tokens().path("%d/key").unwrap(), home.join("key"));
        assert_eq!(tokens().path("${HOME}/key").unwrap(), home.join("key"));
        let error = tokens().path("${NO_SUCH_VARIABLE_HERE}/key").unwrap_err();
        assert!(
            error.contains("NO_SUCH_VARIABLE_HERE is not set"),
            "{error}"
        );
    }
}
