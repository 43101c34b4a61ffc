//! The real program with ssh's configuration: once asked of the installed ssh, where there is one,
//! and once read by ferryline itself.

use std::fs;
use std::path::Path;

use crate::common::{Ended, Running, Shore};

/// The search paths where the program finds an ssh, or none.
const PATHS: [Option<&str>; 2] = [None, Some("/nonexistent")];

fn arguments<'a>(config: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec!["forward", "-F", config, "-L", "0:localhost:21"];
    // One log-in in each run, so that they can be counted.
    all.extend(["--lanes", "0"]);
    all.extend(more);
    all
}

fn start(home: &Path, path: Option<&str>, arguments: &[&str]) -> Running {
    Running::start_with_path(home, path, arguments)
}

async fn run(home: &Path, path: Option<&str>, arguments: &[&str]) -> Ended {
    start(home, path, arguments).ended().await
}

/// A configuration that knows the shore under another name.
fn write_config(shore: &Shore, name: &str, more: &str) -> String {
    let address = shore.ssh_server.address();
    let text = format!(
        "Host {name}\n  HostName {}\n  Port {}\n  User tester\n  IdentityFile {}\n  \
         UserKnownHostsFile {}\n  GlobalKnownHostsFile none\n  BatchMode yes\n{more}\n",
        address.ip(),
        address.port(),
        shore.key.display(),
        shore.known_hosts.display(),
    );
    let file = shore.home().join(format!("config-{name}"));
    fs::write(&file, text).unwrap();
    file.display().to_string()
}

#[tokio::test]
async fn a_host_by_another_name() {
    let shore = Shore::new().await;
    let config = write_config(&shore, "alias", "");
    let main = shore.home().join("config");
    fs::write(&main, format!("Include {config}\n\nHost *\n  Port 1\n")).unwrap();
    let main = main.display().to_string();
    for path in PATHS {
        let mut ferry = start(shore.home(), path, &arguments(&main, &["alias"]));
        let line = ferry.line().await;
        let port = shore.ssh_server.address().port();
        assert!(
            line.contains(&format!(" → tester@127.0.0.1:{port} → ")),
            "{line}"
        );
    }
}

#[tokio::test]
async fn arguments_and_options_come_before_the_file() {
    let shore = Shore::new().await;
    let config = write_config(&shore, "alias", "");
    for path in PATHS {
        for more in [
            &["-p", "1", "alias"][..],
            &["-o", "Port=1", "alias"],
            &["ssh://alias:1"],
        ] {
            let ended = run(shore.home(), path, &arguments(&config, more)).await;
            let line = ended.one_line(1);
            assert!(line.contains("127.0.0.1 port 1:"), "{line}");
        }
        let ended = run(shore.home(), path, &arguments(&config, &["nobody@alias"])).await;
        let line = ended.one_line(1);
        assert!(line.starts_with("nobody@127.0.0.1"), "{line}");
    }
}

#[tokio::test]
async fn a_jump_host_has_a_configuration_of_its_own() {
    let (hop, shore) = (Shore::new().await, Shore::new().await);
    let hop_config = write_config(&hop, "hop", "");
    let config = write_config(&shore, "alias", &format!("Include {hop_config}"));
    // The block of the second host is not part of the first one's.
    let text = fs::read_to_string(&config).unwrap() + "\n";
    let hop_block = fs::read_to_string(&hop_config).unwrap();
    let text = text.replace(&format!("Include {hop_config}"), &hop_block);
    fs::write(&config, text).unwrap();
    for path in PATHS {
        let before = hop.ssh_server.logins();
        let mut ferry = start(
            shore.home(),
            path,
            &arguments(&config, &["-J", "hop", "alias"]),
        );
        let line = ferry.line().await;
        let via = format!(" via tester@{} → ", hop.ssh_server.address());
        assert!(line.contains(&via), "{line}");
        assert!(hop.ssh_server.logins() > before);
        // Options do not apply to the hop, which therefore is not found.
        let with_port = ["-J", "hop:1", "alias"];
        let ended = run(shore.home(), path, &arguments(&config, &with_port)).await;
        let line = ended.one_line(1);
        assert!(
            line.starts_with("on the way, at the jump host tester@127.0.0.1:1:"),
            "{line}"
        );
    }
    let jump = fs::read_to_string(&config).unwrap() + "Host alias\n  ProxyJump hop\n";
    fs::write(&config, jump).unwrap();
    for path in PATHS {
        let before = hop.ssh_server.logins();
        let mut ferry = start(shore.home(), path, &arguments(&config, &["alias"]));
        ferry.line().await;
        assert!(hop.ssh_server.logins() > before);
        let logins = hop.ssh_server.logins();
        let mut ferry = start(
            shore.home(),
            path,
            &arguments(&config, &["-J", "none", "alias"]),
        );
        ferry.line().await;
        assert_eq!(hop.ssh_server.logins(), logins);
    }
}

#[tokio::test]
async fn hosts_that_jump_through_each_other_are_an_error() {
    let shore = Shore::new().await;
    let config = shore.home().join("config");
    fs::write(&config, "Host a\n  ProxyJump b\nHost b\n  ProxyJump a\n").unwrap();
    let config = config.display().to_string();
    for path in PATHS {
        let ended = run(shore.home(), path, &arguments(&config, &["me@a"])).await;
        let line = ended.one_line(2);
        assert!(line.contains("in a circle"), "{line}");
    }
}

#[tokio::test]
async fn a_proxy_command_with_tokens() {
    let shore = Shore::new().await;
    let command = "  ProxyCommand /bin/sh -c 'echo %n %h %p %r %% >&2; exit 9'";
    let config = write_config(&shore, "alias", command);
    let port = shore.ssh_server.address().port();
    let expected = format!("ended (exit status: 9): alias 127.0.0.1 {port} tester %");
    for path in PATHS {
        let ended = run(shore.home(), path, &arguments(&config, &["alias"])).await;
        assert_eq!(ended.code, Some(1));
        assert!(ended.stderr.contains(&expected), "{}", ended.stderr);
        // The same text went to the log when it was written.
        assert_eq!(ended.stderr.lines().count(), 2, "{}", ended.stderr);
    }
}

#[tokio::test]
async fn what_a_file_asks_for_and_cannot_have_is_warned_about() {
    let shore = Shore::new().await;
    let more = "  RevokedHostKeys /no/such/file\n  LocalForward 1 localhost:2\n  ForwardAgent yes";
    let config = write_config(&shore, "alias", more);
    for path in PATHS {
        let ended = run(
            shore.home(),
            path,
            &arguments(&config, &["-p", "1", "alias"]),
        )
        .await;
        let lines: Vec<_> = ended.stderr.lines().collect();
        assert_eq!(lines.len(), 2, "{}", ended.stderr);
        assert!(lines[0].contains("revokedhostkeys"), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn match_without_ssh_is_an_error() {
    let shore = Shore::new().await;
    let config = write_config(&shore, "alias", "Match user tester\n  Port 1");
    let ended = run(shore.home(), PATHS[1], &arguments(&config, &["alias"])).await;
    let line = ended.one_line(2);
    assert!(line.contains("config-alias:9: Match"), "{line}");
}

#[tokio::test]
async fn an_algorithm_that_the_server_lacks_is_named_with_what_it_has() {
    let shore = Shore::new().await;
    let config = write_config(&shore, "alias", "");
    for path in PATHS {
        let list = ["-o", "KexAlgorithms=diffie-hellman-group1-sha1", "alias"];
        let ended = run(shore.home(), path, &arguments(&config, &list)).await;
        let line = ended.one_line(1);
        for part in [
            "offers no key exchange method that may be used, only",
            "curve25519-sha256",
            "-o KexAlgorithms=+",
        ] {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
}
