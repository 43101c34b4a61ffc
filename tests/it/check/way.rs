//! `ferryline check`: its output about the way to the SSH server; its JSON, its usage, its exit codes; with
//! the real program.

use std::fs;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::support::{Check, lists, remedy, step, summary};
use crate::common::{Ended, ScriptedServer, Shore, nobody, run, skipped};

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
    let told = step(&ended, '✗', "host key");
    assert!(
        !told.contains("accept-new"),
        "the advice stands once: {told}"
    );
    // It is followed to the letter.
    let advice = remedy(&ended, "host key");
    let (_, option) = advice.split_once("otherwise connect once with ").unwrap();
    let option: Vec<&str> = option.split(' ').collect();
    let accepted = check.run(&option).await;
    step(&accepted, '✓', "host key");
    step(&check.run(&[]).await, '✓', "host key");
    fs::write(&check.shore.known_hosts, known).unwrap();
    fs::write(&check.shore.key, "no key\n").unwrap();
    refused_at(&check.run(&[]).await, "authentication");
}

/// The command that a remedy ends with.
#[cfg(unix)]
async fn pasted(command: &str, environment: &[(&str, &str)]) {
    let done = tokio::process::Command::new("sh")
        .args(["-c", command])
        .envs(environment.iter().copied())
        .output()
        .await
        .unwrap();
    assert!(done.status.success(), "{command}: {done:?}");
}

/// The way to repair a key file is repeated with its cause, and works to the letter.
#[cfg(unix)]
#[tokio::test]
async fn a_key_that_others_may_read_is_usable_after_the_remedy() {
    use std::os::unix::fs::PermissionsExt;

    let server = lists().start().await;
    let check = Check::of(server.address()).await;
    let key = &check.shore.key;
    fs::set_permissions(key, fs::Permissions::from_mode(0o644)).unwrap();
    let ended = check.run(&[]).await;
    let told = remedy(&ended, "authentication");
    let (cause, command) = told.rsplit_once(": ").unwrap();
    let expected = format!("others may read the private key {}", key.display());
    assert!(cause.starts_with(&expected), "{told}");
    pasted(command, &[]).await;
    step(&check.run(&[]).await, '✓', "authentication");
}

#[cfg(unix)]
#[tokio::test]
async fn a_key_with_a_passphrase_is_usable_in_batch_mode_after_the_remedy() {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Stdio;

    use tokio::io::{AsyncBufReadExt, BufReader};
    use tokio::process::Command;

    let server = lists().start().await;
    let check = Check::of(server.address()).await;
    let home = check.shore.home();
    let key = check.shore.key.display().to_string();
    let socket = home.join("agent").display().to_string();
    let agent = Command::new("ssh-agent")
        .args(["-D", "-a", &socket])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let Ok(mut agent) = agent else {
        return skipped("ssh-agent is not installed");
    };
    // It listens when it says where.
    let mut says = BufReader::new(agent.stdout.take().unwrap()).lines();
    says.next_line().await.unwrap().unwrap();
    pasted(&format!("ssh-keygen -q -p -P '' -N right -f {key}"), &[]).await;
    let ended = check.run(&[]).await;
    let told = remedy(&ended, "authentication");
    assert!(
        told.contains(&format!("the key {key} needs a passphrase")),
        "{told}"
    );
    let (_, command) = told.split_once("agent with ").unwrap();
    let askpass = home.join("askpass");
    fs::write(&askpass, "#!/bin/sh\necho right\n").unwrap();
    fs::set_permissions(&askpass, fs::Permissions::from_mode(0o700)).unwrap();
    let askpass = askpass.display().to_string();
    let environment = [
        ("SSH_AUTH_SOCK", socket.as_str()),
        ("SSH_ASKPASS", &askpass),
        ("SSH_ASKPASS_REQUIRE", "force"),
    ];
    pasted(command, &environment).await;
    let agent_option = format!("IdentityAgent={socket}");
    let ended = check.run(&["-o", &agent_option]).await;
    step(&ended, '✓', "authentication");
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
    assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
    let time = report["time"].as_str().unwrap();
    assert!(time.starts_with("20") && time.ends_with('Z'), "{time}");
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
            "listen",
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
    let step = &report["forwards"][0]["steps"][1];
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

#[tokio::test]
async fn a_port_that_another_program_has_is_a_failure_that_names_it() {
    let server = lists().start().await;
    let check = Check::of(server.address()).await;
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let forward = format!("127.0.0.1:{port}:{}", check.target);
    let ended = check.listening(&forward).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let told = step(&ended, '✗', "listen");
    assert!(
        told.contains(&format!("127.0.0.1:{port}: the port is in use")),
        "{told}"
    );
    #[cfg(target_os = "linux")]
    assert!(
        told.ends_with(&format!("(process {})", std::process::id())),
        "{told}"
    );
    assert!(remedy(&ended, "listen").contains("choose another port"));
    assert!(summary(&ended).starts_with("it cannot listen"), "{ended:?}");
    // All else is tried nevertheless.
    step(&ended, '✓', "greeting");
    drop(taken);
    let ended = check.listening(&forward).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(step(&ended, '✓', "listen"), format!("127.0.0.1:{port}"));
}

/// As a service is monitored: it runs, and has its port.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_port_that_a_running_forward_has_is_no_failure() {
    let server = lists().start().await;
    let check = Check::of(server.address()).await;
    let mut ferry = check
        .shore
        .start(&["-L", &format!("127.0.0.1:0:{}", check.target)]);
    let address = ferry.ftp_address().await;
    let ended = check
        .listening(&format!("{address}:{}", check.target))
        .await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let told = step(&ended, '–', "listen");
    assert!(
        told.contains("in use by a running ferryline (process "),
        "{told}"
    );
}

#[tokio::test]
async fn other_hosts_that_no_one_named_are_a_failure_as_in_forward() {
    let server = lists().start().await;
    let check = Check::of(server.address()).await;
    let ended = check.listening(&format!("*:0:{}", check.target)).await;
    assert!(ended.one_line(2).contains("--allow-from"), "{ended:?}");
}

/// Two SSH servers, of which one is the jump host `hop`, and a configuration that knows both.
struct Jump {
    hop: Shore,
    check: Check,
    config: String,
}

impl Jump {
    async fn new(target: std::net::SocketAddr) -> Self {
        let (hop, check) = (Shore::new().await, Check::of(target).await);
        let block = |name: &str, shore: &Shore| {
            let address = shore.ssh_server.address();
            format!(
                "Host {name}\n  HostName {}\n  Port {}\n  User tester\n  IdentityFile {}\n  \
                 UserKnownHostsFile {}\n  GlobalKnownHostsFile none\n",
                address.ip(),
                address.port(),
                shore.key.display(),
                shore.known_hosts.display(),
            )
        };
        let text = block("hop", &hop) + &block("server", &check.shore);
        let config = check.shore.home().join("config");
        fs::write(&config, text).unwrap();
        let config = config.display().to_string();
        Self { hop, check, config }
    }

    async fn run(&self, more: &[&str]) -> Ended {
        let forward = format!("0:{}", self.check.target);
        let mut arguments = vec!["check", "-F", &self.config, "-J", "hop", "-L", &forward];
        arguments.extend(["-o", "BatchMode=yes"]);
        arguments.extend(more);
        arguments.push("server");
        run(self.check.shore.home(), &arguments).await
    }
}

#[tokio::test]
async fn each_jump_host_has_a_step_of_its_own() {
    let server = lists().start().await;
    let jump = Jump::new(server.address()).await;
    let ended = jump.run(&[]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let told = step(&ended, '✓', "jump host");
    let hop = format!("tester@{}: SSH-2.0-russh", jump.hop.ssh_server.address());
    assert!(told.starts_with(&hop), "{told}");
    for part in ["known: ", "tester by publickey"] {
        assert!(told.contains(part), "{told}");
    }
    let ended = jump.run(&["--json"]).await;
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(report["steps"][0]["name"], "jump-host");
    assert!(
        report["destination"]
            .as_str()
            .unwrap()
            .contains(" via tester@"),
        "{report}"
    );

    // One that refuses to connect onward has done its own part.
    jump.hop.ssh_server.update(|f| f.refuse_direct = true);
    let ended = jump.run(&[]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    step(&ended, '✓', "jump host");
    assert!(step(&ended, '✗', "connect").contains("the jump host tester@"));
    assert!(remedy(&ended, "connect").contains("PermitOpen"));
}

/// The advice is followed to the letter, with the ssh that is installed here.
#[cfg(unix)]
#[tokio::test]
async fn an_unknown_key_of_a_jump_host_is_told_with_advice_that_helps() {
    use std::os::unix::fs::PermissionsExt;

    let server = lists().start().await;
    let jump = Jump::new(server.address()).await;
    fs::write(&jump.hop.known_hosts, "").unwrap();
    let ended = jump.run(&["-o", "StrictHostKeyChecking=accept-new"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let told = step(&ended, '✗', "jump host");
    assert!(told.contains("is not known"), "{told}");
    assert_eq!(step(&ended, '–', "host key"), "not reached");
    let advice = remedy(&ended, "jump host");
    let (_, command) = advice.split_once("then connect there once: ").unwrap();

    // A person who compares the fingerprint and says yes.
    let yes = jump.hop.home().join("yes");
    fs::write(&yes, "#!/bin/sh\necho yes\n").unwrap();
    fs::set_permissions(&yes, PermissionsExt::from_mode(0o755)).unwrap();
    let connected = tokio::process::Command::new("sh")
        .args(["-c", command])
        .env("SSH_ASKPASS", &yes)
        .env("SSH_ASKPASS_REQUIRE", "force")
        .stdin(std::process::Stdio::null())
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&connected.stderr);
    if said.contains("not found") {
        return skipped("no ssh is installed");
    }
    let ended = jump.run(&[]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}\n{command}: {said}");
    step(&ended, '✓', "jump host");
}

#[tokio::test]
async fn a_server_without_an_address_of_the_wanted_family_fails_by_name() {
    let server = ScriptedServer::new().start().await;
    let check = Check::of(server.address()).await;
    let ended = check.run(&["-6"]).await;
    assert_eq!(ended.code, Some(1));
    let told = step(&ended, '✗', "resolve");
    assert!(
        told.contains("no IPv6 address") && told.contains("leave out -6"),
        "{told}"
    );
}

/// A warning about the settings may be the reason of a failure.
#[tokio::test]
async fn what_the_settings_lead_to_is_said_beside_the_report() {
    let server = ScriptedServer::new().start().await;
    let check = Check::of(server.address()).await;
    let ended = check.run(&["-o", "ControlMaster=auto"]).await;
    assert!(
        ended
            .stderr
            .contains("ferryline shares no connection with ssh"),
        "{}",
        ended.stderr
    );
}
