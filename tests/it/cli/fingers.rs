//! The real program with what users of ssh and autossh type.

use crate::common::{Running, Shore, run};

/// A recipe of autossh's, with what ssh has and ferryline does not need.
const RECIPE: [&str; 19] = [
    "-N",
    "-T",
    "-nax",
    "-4",
    "-C",
    "-o",
    "ExitOnForwardFailure=yes",
    "-o",
    "ServerAliveInterval=30",
    "-o",
    "ServerAliveCountMax=3",
    "-o",
    "TCPKeepAlive=yes",
    "-o",
    "ControlPath=none",
    "-o",
    "LogLevel=ERROR",
    "-L",
    "0:localhost:ftp",
];

#[tokio::test]
async fn a_recipe_for_ssh_forwards() {
    let shore = Shore::new().await;
    let mut ferry = shore.start(&RECIPE);
    let line = ferry.line().await;
    assert!(line.ends_with(" → localhost:21"), "{line}");
}

#[tokio::test]
async fn what_concerns_only_sessions_is_passed_over_with_a_word() {
    let shore = Shore::new().await;
    let mut ferry = shore.start(&["-o", "ForwardAgent=yes", "-L", "0:localhost:21"]);
    ferry.line().await;
    let warning = ferry.error_line("ForwardAgent").await;
    assert!(warning.contains("opens no session"), "{warning}");
}

#[tokio::test]
async fn a_port_may_stand_behind_the_host() {
    let shore = Shore::new().await;
    let address = shore.ssh_server.address();
    let mut arguments = shore.arguments(&["-L", "0:localhost:21"]);
    arguments.truncate(arguments.len() - 3);
    for destination in [
        format!("tester@{address}"),
        format!("ssh://tester@{address}"),
    ] {
        let mut all: Vec<&str> = arguments.iter().map(String::as_str).collect();
        all.push(&destination);
        let mut ferry = Running::start(shore.home(), &all);
        let line = ferry.line().await;
        assert!(line.contains(&format!("→ tester@{address} →")), "{line}");
    }
}

/// The family that is asked for decides which addresses are tried: this host has none of the other.
#[tokio::test]
async fn the_address_family_is_that_of_the_letter() {
    let shore = Shore::new().await;
    let ended = shore.run(&["-6", "-L", "0:localhost:21"]).await;
    let line = ended.one_line(1);
    assert!(line.contains("127.0.0.1"), "{line}");
    let mut ferry = shore.start(&["-4", "-L", "0:localhost:21"]);
    ferry.line().await;
}

#[tokio::test]
async fn verbosity_may_stand_before_the_subcommand_and_be_spelled_out() {
    let shore = Shore::new().await;
    for (before, more) in [(Some("-v"), None), (None, Some("--verbose"))] {
        let mut forward = vec!["-L", "0:localhost:21"];
        forward.extend(more);
        let mut arguments = shore.arguments(&forward);
        arguments.extend(["-F", "none"].map(str::to_owned));
        if let Some(before) = before {
            arguments.insert(0, before.to_owned());
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut ferry = Running::start(shore.home(), &arguments);
        ferry.line().await;
        ferry.error_line("INFO logged in to tester@127.0.0.1").await;
    }
}

#[cfg(unix)]
#[tokio::test]
async fn quiet_is_quiet_whatever_the_environment_says() {
    let shore = Shore::new().await;
    let arguments = shore.arguments(&["--quiet", "-o", "ForwardAgent=yes", "-L", "0:localhost:21"]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut ferry = Running::start_with(shore.home(), ("RUST_LOG", "debug"), &arguments);
    ferry.line().await;
    ferry.signal("TERM").await;
    let ended = ferry.ended().await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
}

#[cfg(unix)]
#[tokio::test]
async fn arrows_are_ascii_where_the_locale_is_not_utf8() {
    let shore = Shore::new().await;
    let arguments = shore.arguments(&["-L", "0:localhost:21"]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut ferry = Running::start_with(shore.home(), ("LC_ALL", "C"), &arguments);
    let line = ferry.line().await;
    assert!(
        line.is_ascii() && line.ends_with(" -> localhost:21"),
        "{line}"
    );
}

#[tokio::test]
async fn arguments_without_effect_are_told() {
    let shore = Shore::new().await;
    let mut ferry = shore.start(&["--allow-from", "192.0.2.0/24", "-L", "0:localhost:21"]);
    ferry.line().await;
    ferry.error_line("--allow-from has no effect").await;
}

#[tokio::test]
async fn one_session_is_one_session() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("a.session");
    std::fs::write(&file, "S< 220 hello\n").unwrap();
    let path = file.to_str().unwrap();
    run(home.path(), &["replay", "--accept", path]).await;
    let ended = run(home.path(), &["replay", path]).await;
    assert_eq!(
        ended.stdout, "1 session replayed without a difference\n",
        "{ended:?}"
    );
}
