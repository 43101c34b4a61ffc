//! The arguments that ssh has, too: where to log in, as which user, and how.

use std::path::PathBuf;

use clap::Args;

use super::{
    Failure,
    destination::Destination,
    range::{Range, size},
    ssh_config::{GivenOption, Request},
    ssh_flags::SshFlags,
};
use crate::ssh::{DEFAULT_LANES, Settings};

/// Where to log in, and how.
#[derive(Args, Debug)]
#[command(next_help_heading = "SSH")]
pub(super) struct SshArguments {
    /// SSH server: [user@]host[:port] or ssh://[user@]host[:port]
    #[arg(value_name = "DESTINATION", required = true, help_heading = NO_HEADING)]
    destination: Option<String>,
    /// Port of the SSH server
    #[arg(short, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// User to log in as
    #[arg(short, value_name = "USER")]
    login: Option<String>,
    /// Key file to log in with; repeatable
    #[arg(short, value_name = "KEY")]
    identity: Vec<String>,
    /// Jump hosts on the way to the SSH server, in their order
    #[arg(short = 'J', value_name = "[USER@]HOST[:PORT][,…]")]
    jump: Option<String>,
    /// ssh configuration file, not the usual ones; 'none' reads no file
    #[arg(short = 'F', value_name = "FILE")]
    config: Option<PathBuf>,
    /// ssh option Keyword=value; repeatable
    ///
    /// Such as -o ServerAliveInterval=30. One that ferryline does not honour is an error that lists those it does,
    /// unless it concerns only sessions, agents or terminals. Letters of ssh that are harmless here (-N, -T, -n,
    /// -a, -x) are accepted; -4, -6, -C, -E, -b, -c and -m are honoured (-4 and -6 for what -L listens on, too).
    #[arg(short = 'o', value_name = "OPTION")]
    option: Vec<String>,
    /// Most SSH connections for data, one for each transfer, opened when needed; 0 shares the
    /// connection of the control connections
    #[arg(long, value_name = "N", hide_short_help = true, default_value_t = u32::from(DEFAULT_LANES), value_parser = LANES.parser())]
    lanes: u32,
    #[command(flatten)]
    flags: SshFlags,
}

impl SshArguments {
    /// The value of `-c`.
    pub(super) fn ciphers_by_letter(&self) -> Option<&str> {
        let mut options = self.flags.options.iter();
        options.find_map(|option| option.strip_prefix("Ciphers="))
    }

    /// The settings of the arguments and the ssh configuration, with ssh's defaults for the rest.
    /// Arguments override options, and both override files.
    pub(super) fn settings(&self) -> Result<Settings, Failure> {
        // The command line has one: an argument that `check` may leave out, with another one in its place.
        let destination = self.destination.as_deref().unwrap_or_default();
        let destination = Destination::parse(destination)?;
        // A letter overrides its -o, as in ssh: the first counts.
        let texts = self.flags.options.iter().chain(&self.option);
        let options = texts.filter_map(|text| GivenOption::parse(text).transpose());
        // ssh would only say that it is invalid.
        for hop in self.jump.iter().flat_map(|hops| hops.split(',')) {
            Destination::parse_jump(hop)?;
        }
        let request = Request {
            host: destination.host,
            user: self.login.clone().or(destination.user),
            port: self.port.or(destination.port),
            identities: self.identity.clone(),
            options: options.collect::<Result<_, _>>()?,
            jump: self.jump.clone(),
            file: self.config.clone(),
        };
        let mut settings = request.settings()?;
        settings.lanes = size(self.lanes);
        Ok(settings)
    }
}

/// It stands with the arguments, not among the options.
const NO_HEADING: Option<&str> = None;

const LANES: Range = Range {
    least: 0,
    most: 1024,
    reason: "each is a log-in and two processes on the SSH server's host",
};

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser;

    use super::*;
    use crate::ssh::StrictHostKeyChecking;

    #[derive(Debug, Parser)]
    struct Harness {
        #[command(flatten)]
        ssh: SshArguments,
    }

    fn settings(arguments: &[&str]) -> Result<Settings, String> {
        // No configuration of the user who runs the tests.
        let line = ["ssh", "-F", "none"].iter().chain(arguments);
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
            (&["me@host:2222"], "host", 2222, "me"),
            (&["me@[::1]:2222"], "::1", 2222, "me"),
            (&["-p", "1", "me@host:2222"], "host", 1, "me"),
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
    fn q129_what_is_too_great_is_refused_with_a_reason() {
        for (arguments, text) in [
            (
                &["--lanes", "1025", "me@host"][..],
                "from 0 to at most 1024 (each is a log-in",
            ),
            (
                &["--lanes", "18446744073709551616", "me@host"],
                "at most 1024",
            ),
            (
                &["-o", "ServerAliveInterval=2147483648", "me@host"],
                "at most 2147483647",
            ),
            (
                &["-o", "ServerAliveCountMax=2147483648", "me@host"],
                "at most 2147483647",
            ),
            (
                &["-o", "ConnectTimeout=18446744073709551615", "me@host"],
                "at most 2147483647",
            ),
            (
                &["-o", "ConnectTimeout=99999999999999w", "me@host"],
                "at most 2147483647",
            ),
            (
                &["-o", "NumberOfPasswordPrompts=2147483648", "me@host"],
                "at most 2147483647",
            ),
            (
                &["-o", "RekeyLimit=1G 2147483648", "me@host"],
                "at most 2147483647",
            ),
        ] {
            let error = settings(arguments).unwrap_err();
            assert!(error.contains(text), "{arguments:?}: {error}");
        }
        let most = settings(&[
            "-oServerAliveInterval=2147483647",
            "-oServerAliveCountMax=2147483647",
            "-oConnectTimeout=2147483647",
            "me@host",
        ]);
        // Every waiting time is within what a clock can show.
        let patience = most.unwrap().patience().unwrap();
        assert!(std::time::Instant::now().checked_add(patience).is_some());
    }

    #[test]
    fn recipes_for_ssh_and_autossh_are_accepted() {
        let found = settings(&[
            "-N",
            "-T",
            "-n",
            "-4",
            "-C",
            "-oExitOnForwardFailure=yes",
            "-oServerAliveInterval=30",
            "-oServerAliveCountMax 3",
            "-oConnectTimeout=10",
            "-oBatchMode=yes",
            "-oStrictHostKeyChecking=accept-new",
            "-oIdentitiesOnly=yes",
            "-oTCPKeepAlive=yes",
            "-oGatewayPorts=no",
            "-oControlMaster=no",
            "-oControlPath=none",
            "-oLogLevel=ERROR",
            "-oRequestTTY=no",
            "-oForwardAgent=yes",
            "-oAddressFamily=inet6",
            "me@host",
        ])
        .unwrap();
        // The letter comes before the option, as in ssh.
        assert_eq!(found.address_family, crate::ssh::AddressFamily::Inet);
        assert!(found.compression && found.batch_mode && found.identities_only);
        assert_eq!(found.alive_interval, Some(Duration::from_secs(30)));
    }

    #[test]
    fn options_that_need_something_else_say_what() {
        for (option, says) in [
            ("GatewayPorts=yes", "give -g"),
            ("LocalForward=1 a:1", "-L"),
            ("RemoteForward=1 a:1", "ssh -R"),
            ("DynamicForward=1080", "SOCKS"),
            ("ForkAfterAuthentication=yes", "systemd"),
        ] {
            let error = settings(&["-o", option, "me@host"]).unwrap_err();
            assert!(error.contains("not supported: "), "{error}");
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn what_is_not_honoured_is_an_error() {
        for (arguments, text) in [
            (
                &["-o", "VerifyHostKeyDNS=yes", "me@host"][..],
                "-o VerifyHostKeyDNS is not honoured",
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
            (&["me@host:x"], "the port is no port"),
        ] {
            let error = settings(arguments).unwrap_err();
            assert!(error.contains(text), "{arguments:?}: {error}");
        }
    }
}
