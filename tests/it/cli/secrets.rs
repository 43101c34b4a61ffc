//! No password, passphrase or answer is in the log, however much of it is asked for, nor in the arguments,
//! nor in what `--record` writes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use ferryline::demo::ssh_server::{KeyPair, Options, Question, SshServer};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use crate::common::{PATIENCE, ScriptedClient, ScriptedServer, write_private};

const PASSPHRASE: &str = "pass-phrase-Zeebrugge";
const ANSWER: &str = "answer-Marstrand";
const CODE: &str = "code-Ystad";
const PASSWORD: &str = "pass-word-Dover";
const FTP_PASSWORD: &str = "ftp-word-Calais";

/// A key with a passphrase and two rounds of questions, as one server; a password, as another.
#[tokio::test]
async fn nothing_that_was_typed_stands_in_the_log() {
    let key = KeyPair::generate(Some(PASSPHRASE)).unwrap();
    let question = |text: &str, shown, answer: &str| Question {
        text: text.to_owned(),
        shown,
        answer: answer.into(),
    };
    let interactive = Options {
        user: "tester".to_owned(),
        authorized_keys: vec![key.public.clone()],
        rounds: vec![
            vec![
                question("Password:", false, ANSWER),
                question("Again:", false, ANSWER),
            ],
            vec![question("Code:", true, CODE)],
        ],
        key_first: true,
        ..Options::default()
    };
    let password = Options {
        user: "tester".to_owned(),
        password: Some(PASSWORD.into()),
        ..Options::default()
    };
    for options in [interactive, password] {
        let folder = tempfile::tempdir().unwrap();
        write_private(&folder.path().join("key"), &key.private);
        let server = SshServer::start(options).await.unwrap();
        let said = session(folder.path(), &server).await;
        assert!(said.contains("russh"), "it says all that it can: {said}");
        for secret in [PASSPHRASE, ANSWER, CODE, PASSWORD, FTP_PASSWORD] {
            assert!(!said.contains(secret), "{secret} in the log:\n{said}");
            assert!(
                !said.contains(&as_numbers(secret)),
                "{secret}, as bytes:\n{said}"
            );
        }
        let records = fs::read_dir(folder.path().join("record")).unwrap();
        let mut lines = 0;
        for file in records {
            let text = fs::read_to_string(file.unwrap().path()).unwrap();
            lines += text.lines().count();
            assert!(!text.contains(FTP_PASSWORD), "{text}");
        }
        assert!(lines > 0, "the session was recorded");
    }
}

/// A question that no person answers does not keep a service from ending when it is told to.
#[tokio::test]
async fn an_open_question_does_not_hold_up_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let server = SshServer::start(Options {
        user: "tester".to_owned(),
        password: Some(PASSWORD.into()),
        ..Options::default()
    })
    .await
    .unwrap();
    fs::write(folder.path().join("known_hosts"), server.known_hosts()).unwrap();
    let asked = folder.path().join("asked");
    let askpass = folder.path().join("askpass");
    let waits = format!(
        "#!/bin/sh\necho $$ > {0}.new; mv {0}.new {0}; exec sleep 600\n",
        asked.display()
    );
    fs::write(&askpass, waits).unwrap();
    fs::set_permissions(&askpass, fs::Permissions::from_mode(0o700)).unwrap();
    let mut command = ferryline(folder.path(), &server, "0:127.0.0.1:21");
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    let question = async {
        while !asked.exists() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, question).await.expect("it asks");
    let id = child.id().unwrap().to_string();
    Command::new("kill").arg(id).status().await.unwrap();
    let ended = timeout(PATIENCE, child.wait()).await;
    let asking = fs::read_to_string(asked).unwrap();
    Command::new("kill")
        .arg(asking.trim())
        .status()
        .await
        .unwrap();
    assert!(ended.expect("it ends").unwrap().success());
}

/// Logs in, to the FTP server as well. Returns the whole log.
async fn session(folder: &Path, server: &SshServer) -> String {
    fs::write(folder.join("known_hosts"), server.known_hosts()).unwrap();
    let askpass = folder.join("askpass");
    let answers = format!(
        "#!/bin/sh\ncase \"$1\" in *passphrase*) echo {PASSPHRASE};; *Code*) echo {CODE};; \
         *\"'s password\"*) echo {PASSWORD};; *) echo {ANSWER};; esac\n"
    );
    fs::write(&askpass, answers).unwrap();
    fs::set_permissions(&askpass, fs::Permissions::from_mode(0o700)).unwrap();
    let ftp = ScriptedServer::new().start().await;
    let forward = format!("0:127.0.0.1:{}", ftp.address().port());
    let mut child = ferryline(folder, server, &forward).spawn().unwrap();
    // Read all the time, because the program writes more than a pipe holds.
    let mut stderr = child.stderr.take().unwrap();
    let log = tokio::spawn(async move {
        let mut said = String::new();
        stderr.read_to_string(&mut said).await.unwrap();
        said
    });
    let mut ready = String::new();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let read = timeout(PATIENCE, stdout.read_line(&mut ready)).await;
    read.expect("it says that it is ready").unwrap();
    let Some(address) = ready.split(['/', ' ']).nth(2) else {
        panic!("not ready: {ready:?}\n{}", log.await.unwrap());
    };
    let mut client = ScriptedClient::connect(address.parse().unwrap()).await;
    client.expect("220 ").await;
    client.ask("USER tester", "331 ").await;
    client.ask(&format!("PASS {FTP_PASSWORD}"), "230 ").await;
    client.ask("QUIT", "221 ").await;
    client.expect_end().await;
    let id = child.id().unwrap().to_string();
    Command::new("kill").arg(id).status().await.unwrap();
    timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
    log.await.unwrap()
}

fn ferryline(folder: &Path, server: &SshServer, forward: &str) -> Command {
    let known_hosts = format!(
        "UserKnownHostsFile={}",
        folder.join("known_hosts").display()
    );
    let port = server.address().port().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ferryline"));
    command
        .args([
            "forward",
            "-vvv",
            "--lanes",
            "0",
            "-L",
            forward,
            "-o",
            &known_hosts,
        ])
        .args(["-p", &port, "tester@127.0.0.1", "-i"])
        .arg(folder.join("key"))
        .arg("--record")
        .arg(folder.join("record"))
        .env_clear()
        .env("HOME", folder)
        .env("RUST_LOG", "trace")
        .env("SSH_ASKPASS", folder.join("askpass"))
        .env("SSH_ASKPASS_REQUIRE", "force")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// As `{:?}` shows bytes.
fn as_numbers(text: &str) -> String {
    let numbers: Vec<String> = text.bytes().map(|byte| byte.to_string()).collect();
    numbers.join(", ")
}
