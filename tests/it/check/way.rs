//! `ferryline check`: its output about the way to the SSH server; its JSON, its usage, its exit codes; with
//! the real program.

use std::fs;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::support::{Check, lists, remedy, step, summary};
use crate::common::{Ended, Shore, nobody, run};

#[tokio::test]
async fn one_connection_only_is_no_failure_and_its_price_is_named() {
    let server = lists().start().await;
    let check = Check::of(server.address()).await;
    check.shore.ssh_server.update(|f| f.max_logins = Some(1));
    let ended = check.with_user(&[]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let told = step(&ended, '✓', "lane");
    assert!(
        told.starts_with("only one connection is possible ("),
        "{told}"
    );
    assert!(told.contains("one stalled transfer stalls all"), "{told}");
    check.shore.ssh_server.update(|f| f.max_logins = None);
    let ended = check.run(&["--lanes", "0"]).await;
    assert!(step(&ended, '–', "lane").starts_with("--lanes 0"));
}

#[tokio::test]
async fn each_way_to_be_refused_by_ssh_is_its_own_step() {
    let (_nobody, dead) = nobody();
    let dead = format!("ssh://tester@{dead}");
    let no_ssh = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let not_ssh = format!("ssh://tester@{}", no_ssh.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = no_ssh.accept().await {
            let _ = stream.write_all(b"220 an FTP server\r\n").await;
        }
    });
    let home = tempfile::tempdir().unwrap();
    for (destination, failed) in [
        ("me@no-such-host.invalid", "resolve"),
        (dead.as_str(), "connect"),
        (not_ssh.as_str(), "ssh version"),
    ] {
        let ended = run(home.path(), &["check", "-L", "0:h:21", destination]).await;
        refused_at(&ended, failed);
    }

    let shore = Shore::new().await;
    let known = fs::read_to_string(&shore.known_hosts).unwrap();
    fs::write(&shore.known_hosts, "").unwrap();
    let check = Check {
        shore,
        target: "localhost:21".to_owned(),
    };
    let ended = check.run(&[]).await;
    refused_at(&ended, "host key");
    assert!(remedy(&ended, "host key").contains("accept-new"));
    fs::write(&check.shore.known_hosts, known).unwrap();
    fs::write(&check.shore.key, "no key\n").unwrap();
    refused_at(&check.run(&[]).await, "authentication");
}

/// Checks that this step failed, that those before it did not, and that those after it were not made.
fn refused_at(ended: &Ended, name: &str) {
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(ended.stderr, "");
    step(ended, '✗', name);
    assert!(!remedy(ended, name).is_empty());
    let marks: String = ended
        .stdout
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.chars().next())
        .filter(|mark| "✓✗–".contains(*mark))
        .collect();
    assert_eq!(marks.chars().count(), 6, "{}", ended.stdout);
    let good = marks.trim_start_matches('✓');
    assert!(good.starts_with('✗'), "{marks}");
    assert!(good.chars().skip(1).all(|mark| mark == '–'), "{marks}");
    assert_eq!(step(ended, '–', "forward"), "not reached");
}

#[tokio::test]
async fn a_new_host_key_is_said_to_be_new() {
    let server = lists().start().await;
    let check = Check::of(server.address()).await;
    fs::write(&check.shore.known_hosts, "").unwrap();
    let accept = ["-o", "StrictHostKeyChecking=accept-new"];
    let ended = check.run(&accept).await;
    assert!(step(&ended, '✓', "host key").ends_with("accept-new)"));
    let ended = check.run(&accept).await;
    assert!(step(&ended, '✓', "host key").contains("known_hosts:1)"));
}

#[tokio::test]
async fn several_forwards_each_have_their_steps_and_their_line() {
    let server = lists().start().await;
    let check = Check::of(server.address()).await;
    let (_nobody, dead) = nobody();
    let dead = format!("tcp/0:localhost:{}", dead.port());
    let plain = format!("tcp/0:{}", check.target);
    let ended = check.with_user(&["-L", &plain]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(summary(&ended).ends_with(": it can be used"), "{ended:?}");
    let ended = check.with_user(&["-L", &dead]).await;
    assert_eq!(ended.code, Some(1), "one of two: {ended:?}");
    assert!(summary(&ended).contains("it cannot be used"), "{ended:?}");
    step(&ended, '✓', "EPRT");
}

#[tokio::test]
async fn json_is_one_document_and_nothing_else() {
    let server = lists()
        .on("PORT", "500 \"no\"\x01\r\n")
        .on("EPRT", "500\r\n")
        .start()
        .await;
    let check = Check::of(server.address()).await;
    let ended = check.with_user(&["--json"]).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(report["ok"], true);
    assert!(
        report["destination"]
            .as_str()
            .unwrap()
            .starts_with("tester@")
    );
    let names = |steps: &Value| -> Vec<String> {
        let steps = steps.as_array().unwrap().iter();
        steps
            .map(|step| {
                assert_eq!(step["status"], "ok", "{step}");
                assert!(step["detail"].is_string() && step["remedy"].is_null());
                step["name"].as_str().unwrap().to_owned()
            })
            .collect()
    };
    assert_eq!(
        names(&report["steps"]),
        [
            "resolve",
            "connect",
            "ssh-version",
            "host-key",
            "authentication",
            "lane"
        ]
    );
    let forward = &report["forwards"][0];
    assert_eq!(forward["forward"], format!("ftp://{}", check.target));
    assert_eq!(
        names(&forward["steps"]),
        [
            "forward",
            "greeting",
            "features",
            "tls",
            "log-in",
            "PASV",
            "data-address",
            "EPSV",
            "PORT",
            "EPRT"
        ]
    );
    assert_eq!(
        forward["modes"],
        serde_json::json!([
            {"mode": "passive", "works": true, "carried": null},
            {"mode": "extended-passive", "works": true, "carried": null},
            {"mode": "active", "works": true, "carried": "carried as passive"},
            {"mode": "extended-active", "works": true, "carried": "carried as passive"},
        ])
    );
    assert!(
        forward["summary"]
            .as_str()
            .unwrap()
            .starts_with("clients can use: ")
    );

    let (_nobody, dead) = nobody();
    let ended = Check::of(dead).await.run(&["--json"]).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), ""));
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(report["ok"], false);
    let step = &report["forwards"][0]["steps"][0];
    assert_eq!(
        (&step["name"], &step["status"]),
        (&"forward".into(), &"failed".into())
    );
    assert!(step["remedy"].is_string());
}

#[tokio::test]
async fn wrong_usage_and_passwords_that_cannot_be_used() {
    let shore = Shore::new().await;
    let check = Check {
        target: "localhost:21".to_owned(),
        shore,
    };
    for (more, code, says) in [
        (&["-L", "nonsense"][..], 2, "nonsense"),
        (&["--ftp-user", "a\r\nb"], 2, "not a user name"),
        (&["--ftp-user", "me"], 2, "--ftp-password-file"),
        (
            &["--ftp-user", "me", "--ftp-password-file", "none"],
            1,
            "none",
        ),
    ] {
        let line = check.run(more).await.one_line(code).to_owned();
        assert!(line.contains(says), "{more:?}: {line}");
    }
    for more in [&["--ftp-password-file", "x"][..], &["--timeout", "0"]] {
        let ended = check.run(more).await;
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""));
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_password_file_that_others_may_read_is_not_used() {
    use std::os::unix::fs::PermissionsExt;

    let server = lists().start().await;
    let check = Check::of(server.address()).await;
    let file = check.shore.home().join("password");
    fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
    let ended = check.with_user(&[]).await;
    let line = ended.one_line(1);
    assert!(
        line.contains("0640") && line.contains("chmod 600"),
        "{line}"
    );
    assert_eq!(check.shore.ssh_server.logins(), 0);
}

#[tokio::test]
async fn not_even_the_most_talkative_log_has_the_password() {
    let server = lists().start().await;
    let check = Check::of(server.address()).await;
    // `run` looks for it.
    let ended = check.with_user(&["-vvv"]).await;
    assert!(ended.stderr.contains("USER demo"), "{}", ended.stderr);
    assert_eq!(server.commands("PASS").len(), 1);
}

#[tokio::test]
async fn the_help_names_its_options() {
    let home = tempfile::tempdir().unwrap();
    let ended = run(home.path(), &["check", "--help"]).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    for name in [
        "--ftp-user",
        "--ftp-password-file",
        "--json",
        "--timeout",
        "--data-host",
        "-o",
    ] {
        assert!(ended.stdout.contains(name), "{name}");
    }
}
