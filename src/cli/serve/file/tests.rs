//! What is right in a file, what is wrong, and on which line.

use std::{net::IpAddr, time::Duration};

use clap::Parser;

use super::*;
use crate::{control::ActiveMode, ssh::Way};

const SSH: &str = "[ssh.dc1]\ndestination = \"ferry@127.0.0.1:2222\"\n";

fn parsed(text: &str) -> Result<Contents, Vec<String>> {
    parse(Path::new("f"), text, false)
}

fn configured(text: &str) -> Configuration {
    parsed(text)
        .unwrap_or_else(|problems| panic!("{problems:#?}"))
        .configuration
}

/// The only problem of a file.
fn problem(text: &str) -> String {
    let mut problems = parsed(text)
        .err()
        .unwrap_or_else(|| panic!("it is right:\n{text}"));
    assert_eq!(problems.len(), 1, "{text}\n{problems:#?}");
    problems.remove(0)
}

#[test]
fn a_tunnel_says_what_forward_says() {
    let text = "\
        [ssh.dc1]\n\
        destination = \"a.example\"\n\
        login = \"ferry\"\n\
        port = 2222\n\
        identity = [\"/k1\", \"/k2\"]\n\
        jump = [\"you@gate.example:2\", \"me@lab.example\"]\n\
        lanes = 4\n\
        option = { ServerAliveInterval = 30, Compression = true, Ciphers = [\"aes256-ctr\", \"aes128-ctr\"],\n\
        \x20 UserKnownHostsFile = [\"/a b\", \"/c\"] }\n\
        [tunnel.erp]\n\
        ssh = \"dc1\"\n\
        local-forward = [\"2121:localhost:21\", \"tcp/127.0.0.1:2222:db:5432\"]\n\
        gateway-ports = true\n\
        allow-from = [\"192.0.2.0/24\", \"198.51.100.7\"]\n\
        max-sessions = 0x10\n\
        idle = \"2h\"\n\
        login-time = 90\n\
        active = \"passive\"\n\
        data-ports = \"50000-50099\"\n\
        advertise = \"203.0.113.5\"\n\
        record = \"/var/lib/x\"\n\
        record-keep = [\"1000\", \"2G\"]\n\
        [limits]\n\
        max-sessions = 9\n\
        [log]\n\
        verbose = 2\n";
    let contents = parsed(text).unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert_eq!(contents.verbosity.verbose, 2);
    let configuration = contents.configuration;
    assert_eq!(configuration.max_sessions, 9);
    let ssh = &configuration.ssh["dc1"];
    assert_eq!(ssh.destination(), "ferry@a.example:2222");
    let keys: Vec<_> = ssh
        .identities
        .iter()
        .map(|key| key.path.to_str().unwrap())
        .collect();
    assert_eq!(keys, ["/k1", "/k2"]);
    assert_eq!(ssh.lanes, 4);
    assert_eq!(ssh.alive_interval, Some(Duration::from_secs(30)));
    assert!(ssh.compression && ssh.batch_mode);
    assert_eq!(
        ssh.ciphers.as_ref().unwrap().to_string(),
        "aes256-ctr,aes128-ctr"
    );
    let hosts: Vec<_> = ssh
        .known_hosts
        .iter()
        .map(|file| file.to_str().unwrap())
        .collect();
    assert_eq!(hosts, ["/a b", "/c"]);
    let Way::Jump(hop) = &ssh.way else {
        panic!("{:?}", ssh.way);
    };
    assert!(hop.batch_mode && hop.host == "lab.example");
    assert_eq!(ssh.jump_hosts()[0].destination(), "you@gate.example:2");
    assert!(ssh.jump_hosts().iter().all(|hop| hop.batch_mode));
    let erp = &configuration.tunnels["erp"];
    assert_eq!(erp.ssh, "dc1");
    assert_eq!(erp.forwards.len(), 2);
    assert_eq!(erp.forwards[0].bind.as_deref(), Some("*"));
    assert_eq!(erp.forwards[1].bind.as_deref(), Some("127.0.0.1"));
    let options = &erp.options;
    assert_eq!(options.gateway.allow_from.len(), 2);
    assert_eq!(
        options.gateway.advertise,
        Some(IpAddr::from([203, 0, 113, 5]))
    );
    assert!(options.gateway.data_ports.is_some());
    assert_eq!(options.max_sessions, 16);
    assert_eq!(options.limits.idle, Some(Duration::from_secs(7200)));
    assert_eq!(options.limits.login, Some(Duration::from_secs(90)));
    assert_eq!(options.active, ActiveMode::Passive);
    assert_eq!(options.record.as_deref(), Some(Path::new("/var/lib/x")));
    assert_eq!(options.record_keep.files, Some(1000));
    assert_eq!(options.record_keep.bytes, Some(2 << 30));
}

/// Each of them stands on line 6.
#[test]
fn each_mistake_has_its_line_and_its_key() {
    for (line, says) in [
        (
            "max-sesions = 3",
            "[tunnel.erp]: there is no key 'max-sesions'; did you mean 'max-sessions'?",
        ),
        (
            "max_sessions = 3",
            "[tunnel.erp]: there is no key 'max_sessions'; did you mean 'max-sessions'?",
        ),
        (
            "shadow = 1",
            "[tunnel.erp]: there is no key 'shadow'; there are local-forward, ",
        ),
        (
            "destination = \"x\"",
            "[tunnel.erp]: there is no key 'destination'",
        ),
        (
            "max-sessions = 0",
            "[tunnel.erp] max-sessions: '0': expected from 1 to at most 65536 (no process has",
        ),
        (
            "max-sessions = -3",
            "[tunnel.erp] max-sessions: '-3': not a number",
        ),
        (
            "max-sessions = 1.5",
            "[tunnel.erp] max-sessions: expected a string or a number, found a number with",
        ),
        (
            "max-sessions = [1]",
            "[tunnel.erp] max-sessions: expected a string or a number, found a list",
        ),
        (
            "active = \"remot\"",
            "[tunnel.erp] active: 'remot' is none of auto, remote, passive",
        ),
        (
            "gateway-ports = \"yes\"",
            "[tunnel.erp] gateway-ports: expected true or false, found a string",
        ),
        (
            "allow-from = \"192.0.2.0/99\"",
            "[tunnel.erp] allow-from: '192.0.2.0/99': ",
        ),
        (
            "allow-from = [true]",
            "[tunnel.erp] allow-from: expected a list of strings, found true or false",
        ),
        (
            "idle = \"soon\"",
            "[tunnel.erp] idle: 'soon': expected seconds, or a time such as",
        ),
        (
            "advertise = \"0.0.0.0\"",
            "[tunnel.erp] advertise: advertise 0.0.0.0: no client could connect to that address",
        ),
        (
            "gateway-ports = true",
            "[tunnel.erp] gateway-ports: port 2121 would be open to other hosts: allow-from has to say",
        ),
        (
            "only-user = \"no such user\"",
            "[tunnel.erp] only-user: only-user: there is no user 'no such user'",
        ),
        (
            "record-keep = 5",
            "[tunnel.erp] record-keep: it has no effect without record, which is missing",
        ),
    ] {
        let text = format!(
            "{SSH}[tunnel.erp]\nssh = \"dc1\"\nlocal-forward = \"2121:localhost:21\"\n{line}\n"
        );
        let problem = problem(&text);
        let says = format!("f:6: {says}");
        assert!(problem.starts_with(&says), "{line}\n{problem}\n{says}");
    }
}

#[test]
fn mistakes_about_ssh_have_their_line_too() {
    for (line, says) in [
        ("port = 0", "f:3: [ssh.dc1] port: '0': "),
        ("port = \"x\"", "f:3: [ssh.dc1] port: 'x': "),
        (
            "lanes = 1025",
            "f:3: [ssh.dc1] lanes: '1025': expected from 0 to at most 1024",
        ),
        ("jump = \"@\"", "f:3: [ssh.dc1] jump: bad jump host '@'"),
        ("option = 3", "f:3: [ssh.dc1] option: expected a table"),
        (
            "option = { VerifyHostKeyDNS = true }",
            "f:3: [ssh.dc1] option: option VerifyHostKeyDNS is not honoured",
        ),
        (
            "[ssh.dc1.option]\nServerAliveInterval = 5\nBatchMode = \"perhaps\"",
            "f:5: [ssh.dc1] option: bad option 'BatchMode=perhaps': expected BatchMode=yes|no",
        ),
        (
            "identity = \"credential:none\"",
            "f:3: [ssh.dc1] identity: 'credential:none': there ",
        ),
    ] {
        let tunnel = "[tunnel.erp]\nssh = \"dc1\"\nlocal-forward = \"2121:localhost:21\"\n";
        let problem = problem(&format!("{SSH}{line}\n{tunnel}"));
        assert!(problem.starts_with(says), "{line}\n{problem}");
    }
}

/// Who looks at a file from a shell has no credentials; the service has.
#[test]
fn credentials_that_are_not_here_yet_are_no_mistake_in_a_rehearsal() {
    let text = "[ssh.dc1]\ndestination = \"h\"\nidentity = \"credential:key\"\n\
        [tunnel.a]\nssh = \"dc1\"\nlocal-forward = \"0:h:21\"\n";
    let says = "f:3: [ssh.dc1] identity: 'credential:key': there are no credentials";
    assert!(problem(text).starts_with(says));
    let rehearsed = parse(Path::new("f"), text, true).ok().unwrap();
    assert_eq!(rehearsed.warnings.len(), 1);
    assert!(
        rehearsed.warnings[0].starts_with(says),
        "{:?}",
        rehearsed.warnings
    );
}

#[test]
fn a_tunnel_without_a_forward_lacks_one() {
    for forward in ["", "local-forward = []\n"] {
        let text = format!("{SSH}[tunnel.erp]\nssh = \"dc1\"\n{forward}");
        let problem = problem(&text);
        assert!(
            problem.starts_with("f:3: [tunnel.erp]: local-forward is missing"),
            "{problem}"
        );
    }
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_file() {
    let text = "\
        key = 1\n\
        [ssh]\n\
        destination = \"x\"\n\
        [ssh.\"a b\"]\n\
        [ssh.one]\n\
        [tunnle.erp]\n\
        [tunnel.erp]\n\
        ssh = \"two\"\n\
        local-forward = \"2121:localhost\"\n\
        [tunnel.b]\n\
        [limits]\n\
        max-sessions = 0\n\
        [metrics]\n\
        [audit]\n\
        no-sha256 = true\n";
    let problems = parsed(text).err().unwrap();
    let begins = [
        "f:1: there is no key 'key' outside of the tables",
        "f:3: [ssh]: 'destination' is no table: this belongs into one with a name, [ssh.NAME]",
        "f:4: [ssh.a b]: a name has letters, digits, '-' and '_' only",
        "f:5: [ssh.one]: destination is missing",
        "f:6: there is no table [tunnle]; did you mean [tunnel]?",
        "f:8: [tunnel.erp] ssh: there is no table [ssh.two]",
        "f:9: [tunnel.erp] local-forward: bad local-forward '2121:localhost': 2 fields",
        "f:10: [tunnel.b]: ssh is missing",
        "f:10: [tunnel.b]: local-forward is missing",
        "f:12: [limits] max-sessions: '0': expected from 1",
        "f:13: [metrics]: listen is missing, such as ",
        "f:14: [audit]: file is missing, such as ",
    ];
    assert_eq!(problems.len(), begins.len(), "{problems:#?}");
    for (problem, begin) in problems.iter().zip(begins) {
        assert!(problem.starts_with(begin), "{problem}\n{begin}");
    }
}

#[test]
fn a_slip_in_the_syntax_has_its_line() {
    for (text, says) in [
        ("[ssh.dc1]\ndestination = \n", "f:2: "),
        ("[ssh.dc1]\n[ssh.dc1]\n", "f:2: duplicate key"),
        ("[ssh.dc1]\nport = 1\nport = 2\n", "f:3: duplicate key"),
    ] {
        let problem = problem(text);
        assert!(problem.starts_with(says), "{text}\n{problem}");
    }
}

#[test]
fn two_tunnels_at_one_port_are_told_with_both_lines() {
    let tunnel = |name: &str, forward: &str| {
        format!("[tunnel.{name}]\nssh = \"dc1\"\nlocal-forward = \"{forward}\"\n")
    };
    for (one, other, port) in [
        ("2121:a:21", "localhost:2121:b:21", Some(2121)),
        ("127.0.0.1:21:a:21", "21:b:21", Some(21)),
        ("0:a:21", "0:b:21", None),
        ("127.0.0.1:2121:a:21", "127.0.0.2:2121:b:21", None),
    ] {
        let text = format!("{SSH}{}{}", tunnel("x", one), tunnel("y", other));
        let Some(port) = port else {
            configured(&text);
            continue;
        };
        assert_eq!(
            problem(&text),
            format!(
                "f:8: [tunnel.y] local-forward: [tunnel.x] listens on port {port} too (line 5): give one of \
                 them another port (0 takes any free one)"
            )
        );
    }
    // What -g makes of them meets, too.
    let wide = "gateway-ports = true\nallow-from = \"192.0.2.0/24\"\n";
    let text = format!(
        "{SSH}{}{wide}{}",
        tunnel("x", "2121:a:21"),
        tunnel("y", "192.0.2.1:2121:b:21")
    );
    let text = format!("{text}allow-from = \"192.0.2.0/24\"\n");
    assert!(problem(&text).starts_with("f:10: [tunnel.y] local-forward: [tunnel.x] listens"));
}

#[test]
fn what_no_tunnel_uses_is_warned_of_and_not_connected() {
    let text = format!(
        "[ssh.spare]\ndestination = \"h\"\n{SSH}[tunnel.a]\nssh = \"dc1\"\nlocal-forward = \"0:h:21\"\n"
    );
    let contents = parsed(&text).ok().unwrap();
    assert_eq!(
        contents.warnings,
        ["f:1: [ssh.spare]: no tunnel uses it, so it is not connected"]
    );
    assert_eq!(contents.configuration.ssh.len(), 1);
}

#[cfg(unix)]
#[test]
fn a_file_that_others_may_change_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("f.toml");
    std::fs::write(&file, "").unwrap();
    for (mode, warned) in [(0o640, false), (0o644, false), (0o660, true), (0o646, true)] {
        std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
        let warning = open_to_others(&file);
        assert_eq!(warning.is_some(), warned, "{mode:o} {warning:?}");
    }
}

/// What is for the whole process: tables of their own have the log, the audit record and the metrics of a service.
const OF_THE_PROCESS: [&str; 9] = [
    "audit",
    "audit-no-sha256",
    "help",
    "log-file",
    "log-format",
    "metrics",
    "metrics-host",
    "quiet",
    "verbose",
];

/// A key for each option of `forward`, and the other way round.
#[test]
fn every_option_of_forward_is_a_key() {
    #[derive(Debug, Parser)]
    struct Forward {
        #[command(flatten)]
        arguments: crate::cli::forward::Arguments,
    }
    let command = Forward::command();
    let mut options: Vec<String> = command
        .get_arguments()
        .filter(|option| !option.get_id().as_str().starts_with('-'))
        .map(crate::cli::serve::table::name)
        .filter(|name| !OF_THE_PROCESS.contains(&name.as_str()))
        .collect();
    let mut keys: Vec<String> = crate::cli::serve::tables::tables()
        .iter()
        .filter(|(kind, _)| ["ssh", "tunnel"].contains(kind))
        .flat_map(|(_, keys)| keys.arguments().map(crate::cli::serve::table::name))
        .collect();
    options.sort();
    keys.sort();
    assert_eq!(options, keys);
    assert!(keys.len() > 25, "{keys:?}");
}
