//! The real program with what users of ssh and autossh type.

use std::net::{Ipv6Addr, SocketAddr};

use ferryline::proxy::{ForwardSpec, Proxy};
use ferryline::ssh::AddressFamily;
use tokio::net::TcpListener;

use crate::common::{Running, Shore, nobody, run};

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

/// ssh(1): "Forces ssh to use IPv4 addresses only", those of its forwards included.
#[tokio::test]
async fn the_address_family_is_that_of_the_listeners_too() {
    let shore = Shore::new().await;
    for family in [&["-4"][..], &["-o", "AddressFamily=inet"]] {
        let mut ferry = shore.start(&[family, &["-L", "0:localhost:21"]].concat());
        let v4 = ferry.ftp_address().await;
        assert!(v4.is_ipv4(), "{v4}");
        let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, v4.port()));
        // Free in the other family.
        TcpListener::bind(v6).await.unwrap();
    }
    let ended = shore.run(&["-4", "-L", "[::1]:0:localhost:21"]).await;
    let line = ended.one_line(1);
    assert!(line.contains("cannot listen on ::1: "), "{line}");
    assert!(line.contains("-4, or AddressFamily inet"), "{line}");

    let spec: ForwardSpec = "0:localhost:21".parse().unwrap();
    let proxy = Proxy::bind_in(&[spec], AddressFamily::Inet6).await.unwrap();
    let bound = proxy.addresses().concat();
    assert!(bound.len() == 1 && bound[0].is_ipv6(), "{bound:?}");
}

#[tokio::test]
async fn what_was_meant_is_said_with_what_to_write() {
    let home = tempfile::tempdir().unwrap();
    for (line, says) in [
        (
            "foward -L 2121:localhost:21 me@h",
            "did you mean 'ferryline forward -L 2121:localhost:21 me@h'?",
        ),
        ("chekc me@h", "did you mean 'ferryline check me@h'?"),
        (
            "-L 2121:localhost:21 me@h",
            "did you mean 'ferryline forward -L 2121:localhost:21 me@h'?",
        ),
        (
            "forward 2121:localhost:21 me@h",
            "did you mean 'ferryline forward -L 2121:localhost:21 me@h ",
        ),
        (
            "check 2121:localhost:21",
            "did you mean 'ferryline check -L 2121:localhost:21'?",
        ),
        (
            "forward --verbose=2 -L 2121:localhost:21 me@h",
            "write -vv in place of --verbose=2",
        ),
        (
            "forward -L 2121:localhost:21 ftp://ftp.example/",
            "-L 2121:ftp.example:21 me@ssh.example",
        ),
        (
            "forward -L 2121:localhost:21 h:port:21",
            "neither HOST:PORT nor an IPv6 address",
        ),
        (
            "forward -L 2121:localhost:21 me:secret@h",
            "a password does not belong on the command line",
        ),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let ended = run(home.path(), &words).await;
        let told = ended.one_line(2);
        assert!(told.contains(says), "{line}: {told}");
        assert!(!told.contains("secret"), "{told}");
    }
    let words = ["check", "--json", "2121:localhost:21"];
    let ended = run(home.path(), &words).await;
    assert!(ended.stdout.contains("did you mean"), "{ended:?}");
    for (option, value) in [("-P", "23"), ("--port", "23")] {
        let words = ["forward", "-L", "1:h:21", option, value, "me@h"];
        let ended = run(home.path(), &words).await;
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.stderr.contains("-p PORT"), "{ended:?}");
    }
}

#[tokio::test]
async fn a_failed_connection_shows_each_address_that_was_tried() {
    let (_nobody, dead) = nobody();
    let home = tempfile::tempdir().unwrap();
    let destination = format!("me@{dead}");
    let words = ["forward", "-vvv", "-L", "0:h:21", &destination];
    let ended = run(home.path(), &words).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for part in [
        format!("connecting to {dead}"),
        format!("no connection to {dead}: Connection refused"),
    ] {
        assert!(ended.stderr.contains(&part), "{ended:?}");
    }
}

#[tokio::test]
async fn the_log_names_the_folder_of_transcripts() {
    let shore = Shore::new().await;
    let mut ferry = shore.start(&["--record", "kept", "-L", "0:localhost:21"]);
    ferry.line().await;
    let line = ferry.error_line("sessions are recorded in ").await;
    let folder = shore.home().canonicalize().unwrap().join("kept");
    assert!(line.ends_with(&folder.display().to_string()), "{line}");
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
