//! The arguments that are ssh's own: where to log in, as whom, and how.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;

use super::Failure;
use crate::ssh::{Identity, Settings, StrictHostKeyChecking};

/// Where to log in, and how.
#[derive(Args, Debug)]
pub(super) struct SshArguments {
    /// SSH server: [user@]host or ssh://[user@]host[:port]
    #[arg(value_name = "DESTINATION")]
    destination: String,
    /// Port of the SSH server
    #[arg(short, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// User to log in as
    #[arg(short, value_name = "USER")]
    login: Option<String>,
    /// Key file to log in with; repeatable
    #[arg(short, value_name = "KEY")]
    identity: Vec<PathBuf>,
    /// ssh option Keyword=value; repeatable (see the README for those that are honoured)
    #[arg(short = 'o', value_name = "OPTION")]
    option: Vec<String>,
    /// SSH connections for data, one a transfer; 0 shares the control connections' own
    #[arg(long, value_name = "N", default_value_t = 16)]
    lanes: usize,
}

const DEFAULT_KEYS: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];

impl SshArguments {
    /// The settings that the arguments amount to, with ssh's defaults for what they do not say.
    pub(super) fn settings(&self) -> Result<Settings, Failure> {
        let destination = Destination::parse(&self.destination)?;
        let mut settings = Settings::new(destination.host, 22, "");
        settings.lanes = self.lanes;
        settings.agent = std::env::var_os("SSH_AUTH_SOCK")
            .filter(|path| !path.is_empty())
            .map(PathBuf::from);
        settings.global_known_hosts = vec![
            "/etc/ssh/ssh_known_hosts".into(),
            "/etc/ssh/ssh_known_hosts2".into(),
        ];
        settings.known_hosts = ["known_hosts", "known_hosts2"]
            .iter()
            .filter_map(|file| in_ssh_folder(file))
            .collect();
        // The first word on a matter holds, as in ssh: arguments come before options.
        let mut options = Options::default();
        for option in &self.option {
            options.apply(option, &mut settings)?;
        }
        if let Some(port) = self.port.or(destination.port).or(options.port) {
            settings.port = port;
        }
        settings.user = self
            .login
            .clone()
            .or(destination.user)
            .or(options.user)
            .or_else(own_name)
            .ok_or_else(|| Failure::Usage("who is to log in? say USER@HOST or -l USER".into()))?;
        let explicit = self.identity.iter().cloned().chain(options.identities);
        settings.identities = explicit
            .map(|path| Identity {
                path,
                explicit: true,
            })
            .collect();
        if settings.identities.is_empty() {
            settings.identities = DEFAULT_KEYS
                .iter()
                .filter_map(|file| in_ssh_folder(file))
                .map(|path| Identity {
                    path,
                    explicit: false,
                })
                .collect();
        }
        Ok(settings)
    }
}

struct Destination {
    user: Option<String>,
    host: String,
    port: Option<u16>,
}

impl Destination {
    fn parse(text: &str) -> Result<Self, Failure> {
        let bad = |reason: &str| {
            Failure::Usage(format!(
                "bad destination '{text}': {reason}; expected [user@]host or ssh://[user@]host[:port]"
            ))
        };
        let (rest, url) = match text.strip_prefix("ssh://") {
            Some(rest) => (rest.trim_end_matches('/'), true),
            None => (text, false),
        };
        let (user, host) = match rest.rsplit_once('@') {
            Some((user, host)) => (Some(user.to_owned()), host),
            None => (None, rest),
        };
        let (host, port) = if url { split_port(host) } else { (host, None) };
        let port = match port {
            Some(port) => Some(port.parse().map_err(|_| bad("the port is no port"))?),
            None => None,
        };
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        if host.is_empty() || user.as_deref() == Some("") {
            return Err(bad("a part of it is empty"));
        }
        if host.starts_with('-') {
            return Err(bad("a host does not begin with '-'"));
        }
        Ok(Self {
            user,
            host: host.to_owned(),
            port,
        })
    }
}

fn split_port(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((before, port)) if !before.contains(':') || before.ends_with(']') => {
            (before, Some(port))
        }
        _ => (host, None),
    }
}

/// What `-o` says that other arguments say too.
#[derive(Default)]
struct Options {
    user: Option<String>,
    port: Option<u16>,
    identities: Vec<PathBuf>,
}

impl Options {
    fn apply(&mut self, option: &str, settings: &mut Settings) -> Result<(), Failure> {
        let (keyword, value) = split_option(option)
            .ok_or_else(|| Failure::Usage(format!("bad -o '{option}': expected Keyword=value")))?;
        let bad = |expected: &str| {
            Failure::Usage(format!("bad -o '{option}': expected {keyword}={expected}"))
        };
        match keyword.to_ascii_lowercase().as_str() {
            "batchmode" => settings.batch_mode = yes_no(value).ok_or_else(|| bad("yes|no"))?,
            "connecttimeout" => {
                let seconds: u64 = value.parse().map_err(|_| bad("SECONDS"))?;
                settings.connect_timeout = Duration::from_secs(seconds.max(1));
            }
            "globalknownhostsfile" => settings.global_known_hosts = paths(value),
            "hostkeyalias" => settings.host_key_alias = Some(value.to_owned()),
            "hostname" => settings.host = value.to_owned(),
            "identitiesonly" => {
                settings.identities_only = yes_no(value).ok_or_else(|| bad("yes|no"))?;
            }
            "identityagent" => {
                settings.agent = match value {
                    "none" => None,
                    "SSH_AUTH_SOCK" => settings.agent.take(),
                    path => Some(expand(path)),
                };
            }
            "identityfile" => self.identities.push(expand(value)),
            "passwordauthentication" => {
                settings.password_authentication = yes_no(value).ok_or_else(|| bad("yes|no"))?;
                settings.kbd_interactive_authentication = settings.password_authentication;
            }
            "port" => self.port = Some(value.parse().map_err(|_| bad("PORT"))?),
            "serveralivecountmax" => {
                settings.alive_count_max = value.parse().map_err(|_| bad("NUMBER"))?;
            }
            "serveraliveinterval" => {
                let seconds: u64 = value.parse().map_err(|_| bad("SECONDS"))?;
                settings.alive_interval = (seconds > 0).then(|| Duration::from_secs(seconds));
            }
            "stricthostkeychecking" => {
                settings.strict_host_key_checking = match value {
                    "yes" => StrictHostKeyChecking::Yes,
                    "accept-new" => StrictHostKeyChecking::AcceptNew,
                    "ask" => StrictHostKeyChecking::Ask,
                    "no" | "off" => StrictHostKeyChecking::No,
                    _ => return Err(bad("yes|accept-new|ask|no")),
                };
            }
            "user" => self.user = Some(value.to_owned()),
            "userknownhostsfile" => settings.known_hosts = paths(value),
            _ => {
                return Err(Failure::Usage(format!(
                    "-o {keyword} is not honoured by ferryline (honoured are {HONOURED})"
                )));
            }
        }
        Ok(())
    }
}

const HONOURED: &str = "BatchMode, ConnectTimeout, GlobalKnownHostsFile, HostKeyAlias, HostName, \
    IdentitiesOnly, IdentityAgent, IdentityFile, PasswordAuthentication, Port, ServerAliveCountMax, \
    ServerAliveInterval, StrictHostKeyChecking, User, UserKnownHostsFile";

/// `Keyword=value`, `Keyword value`, as in ssh_config; quotes round the value are taken off.
fn split_option(option: &str) -> Option<(&str, &str)> {
    let option = option.trim();
    let end = option.find(|c: char| c == '=' || c.is_whitespace())?;
    let (keyword, rest) = option.split_at_checked(end)?;
    let value = rest
        .trim_start()
        .strip_prefix('=')
        .unwrap_or_else(|| rest.trim_start())
        .trim();
    let value = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'))
        .unwrap_or(value);
    (!keyword.is_empty() && !value.is_empty()).then_some((keyword, value))
}

fn yes_no(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "yes" | "true" => Some(true),
        "no" | "false" => Some(false),
        _ => None,
    }
}

fn paths(value: &str) -> Vec<PathBuf> {
    if value.eq_ignore_ascii_case("none") {
        return Vec::new();
    }
    value.split_whitespace().map(expand).collect()
}

/// `~/` is the user's home.
fn expand(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), home()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(path),
    }
}

fn in_ssh_folder(file: &str) -> Option<PathBuf> {
    home().map(|home| home.join(Path::new(".ssh")).join(file))
}

fn home() -> Option<PathBuf> {
    std::env::home_dir().filter(|home| !home.as_os_str().is_empty())
}

fn own_name() -> Option<String> {
    ["USER", "LOGNAME", "USERNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok())
        .filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Harness {
        #[command(flatten)]
        ssh: SshArguments,
    }

    fn settings(arguments: &[&str]) -> Result<Settings, String> {
        let line = ["ssh"].iter().chain(arguments);
        let harness = Harness::try_parse_from(line).map_err(|error| error.to_string())?;
        harness.ssh.settings().map_err(|failure| match failure {
            Failure::Usage(text) | Failure::Failed(text) => text,
        })
    }

    #[test]
    fn destinations() {
        for (arguments, host, port, user) in [
            (&["me@host"][..], "host", 22, "me"),
            (&["-p", "2222", "-l", "you", "me@host"], "host", 2222, "you"),
            (&["ssh://me@host:2222"], "host", 2222, "me"),
            (&["ssh://me@[::1]:2222/"], "::1", 2222, "me"),
            (&["me@::1"], "::1", 22, "me"),
            (&["me@x@host"], "host", 22, "me@x"),
            (
                &["-o", "Port=99", "-o", "User=o", "-l", "l", "host"],
                "host",
                99,
                "l",
            ),
        ] {
            let found = settings(arguments).unwrap();
            assert_eq!(
                (found.host.as_str(), found.port),
                (host, port),
                "{arguments:?}"
            );
            assert_eq!(found.user, user, "{arguments:?}");
        }
    }

    #[test]
    fn options_as_ssh_spells_them() {
        let found = settings(&[
            "-o",
            "stricthostkeychecking=accept-new",
            "-o",
            "UserKnownHostsFile /a /b",
            "-o",
            "ConnectTimeout = 3",
            "-oServerAliveInterval=0",
            "-o",
            "IdentityFile=\"/k\"",
            "me@host",
        ])
        .unwrap();
        assert_eq!(
            found.strict_host_key_checking,
            StrictHostKeyChecking::AcceptNew
        );
        assert_eq!(
            found.known_hosts,
            [PathBuf::from("/a"), PathBuf::from("/b")]
        );
        assert_eq!(found.connect_timeout, Duration::from_secs(3));
        assert_eq!(found.alive_interval, None);
        assert_eq!(found.identities.len(), 1);
        assert!(found.identities[0].explicit);
    }

    #[test]
    fn what_is_not_honoured_is_an_error() {
        for (arguments, text) in [
            (
                &["-o", "ProxyCommand=x", "me@host"][..],
                "-o ProxyCommand is not honoured",
            ),
            (
                &["-o", "Port", "me@host"],
                "bad -o 'Port': expected Keyword=value",
            ),
            (
                &["-o", "Port=x", "me@host"],
                "bad -o 'Port=x': expected Port=PORT",
            ),
            (
                &["-o", "BatchMode=maybe", "me@host"],
                "expected BatchMode=yes|no",
            ),
            (&["@host"], "bad destination '@host'"),
            (&["ssh://host:x"], "the port is no port"),
        ] {
            let error = settings(arguments).unwrap_err();
            assert!(error.contains(text), "{arguments:?}: {error}");
        }
    }
}
